package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// Documents are a stream of their own, for they are large, are read seldom, and must be erasable one by one. A document is written as
// numbered pieces from 1 on and then, under 0, its record, so that one that has a record is whole.

const (
	documentsKey  = "hub.store.documents" // says that the stream has been made: one that is missing then is lost
	documentPiece = 256 << 10             // bytes
)

func documentsConfig(replicas int) jetstream.StreamConfig {
	c := settings("DOCUMENTS", replicas, "doc.*.*.*")
	c.MaxMsgsPerSubject = 1
	return c
}

func documentSubject(patient, id string, n int) string {
	return fmt.Sprintf("doc.%s.%s.%d", patient, id, n)
}

// documentFilter is for all parts of a document, or, with * for one or both, of all.
func documentFilter(patient, id string) string { return fmt.Sprintf("doc.%s.%s.*", patient, id) }

// PutDocument writes a document's content and then its record, and returns when both are on disk. One that is there already stays as it is.
// Errors: Unavailable, also where another hub writes the same; TooLarge.
func (s *Store) PutDocument(ctx context.Context, patient, id string, record, content []byte) error {
	ctx, cancel := bound(ctx, 2*patience)
	defer cancel()
	if err := s.embedded.full(documentReserve); err != nil {
		return err
	}
	last, err := s.lastPart(ctx, patient, id) // before the record is looked for: who completes it in between is noticed
	if err != nil {
		return err
	}
	if _, err := s.DocumentRecord(ctx, patient, id); err == nil || events.KindOf(err) != events.NotFound {
		return err
	}
	for n, rest := 1, content; ; n++ {
		piece := rest[:min(len(rest), documentPiece)]
		if last, err = s.putPart(ctx, patient, id, n, piece, last); err != nil {
			return err
		}
		if len(piece) < documentPiece { // the last is the first that is not full
			break
		}
		rest = rest[len(piece):]
	}
	_, err = s.putPart(ctx, patient, id, 0, record, last)
	return err
}

// RenewDocument writes the record of a document that is there once more, so that it counts as stored now. NotFound where there is none,
// or another has come in between.
func (s *Store) RenewDocument(ctx context.Context, patient, id string, record []byte) error {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	subject := documentSubject(patient, id, 0)
	msg, err := s.lastMsg(ctx, s.documents, subject)
	if err == nil {
		_, err = s.write(ctx, subject, record, jetstream.WithExpectLastSequencePerSubject(msg.Sequence))
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) || events.KindOf(err) == events.Conflict {
		return &events.Error{Kind: events.NotFound, Message: "There is no such document here."}
	}
	return err
}

// putPart writes a part if last is the newest of all of a document's, so that parts of two hubs never mix: who began last goes on.
func (s *Store) putPart(ctx context.Context, patient, id string, n int, part []byte, last uint64) (uint64, error) {
	seq, err := s.write(ctx, documentSubject(patient, id, n), part, jetstream.WithExpectLastSequenceForSubject(last, documentFilter(patient, id)))
	if err != nil && events.KindOf(err) == events.Conflict {
		return 0, unsaved(err)
	}
	return seq, err
}

// lastPart is the sequence of the newest of what there is of a document: of what was cut off, or is being written; 0 if there is nothing.
func (s *Store) lastPart(ctx context.Context, patient, id string) (uint64, error) {
	msg, err := s.lastMsg(ctx, s.documents, documentFilter(patient, id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return msg.Sequence, nil
}

// DocumentRecord is the record of a document; NotFound if there is none.
func (s *Store) DocumentRecord(ctx context.Context, patient, id string) ([]byte, error) {
	return s.documentPart(ctx, patient, id, 0)
}

func (s *Store) documentPart(ctx context.Context, patient, id string, n int) ([]byte, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	msg, err := s.lastMsg(ctx, s.documents, documentSubject(patient, id, n))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, &events.Error{Kind: events.NotFound, Message: "There is no such document here."}
	}
	if err != nil {
		return nil, err
	}
	return msg.Data, nil
}

// DocumentContent is the content of a document that has a record; NotFound if it has none.
func (s *Store) DocumentContent(ctx context.Context, patient, id string) (content []byte, err error) {
	if _, err := s.DocumentRecord(ctx, patient, id); err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		piece, err := s.documentPart(ctx, patient, id, n)
		if err != nil {
			return nil, err
		}
		if content = append(content, piece...); len(piece) < documentPiece {
			return content, nil
		}
	}
}

// Documents lists what there is of documents, whole or not, of one patient or, for "", of all.
func (s *Store) Documents(ctx context.Context, patient string) (all []events.StoredDocument, err error) {
	parts, err := s.documentParts(ctx, cmp.Or(patient, "*"), "*")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, subject := range parts {
		words := strings.Split(subject, ".")
		if id := words[2]; !seen[id] {
			seen[id] = true
			bounded, cancel := bound(ctx, patience)
			msg, err := s.lastMsg(bounded, s.documents, subject) // the record comes first, and is small
			cancel()
			if errors.Is(err, jetstream.ErrMsgNotFound) { // erased since
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, events.StoredDocument{Patient: words[1], ID: id, At: msg.Time})
		}
	}
	return all, nil
}

// documentParts are the subjects of what is there, in their order.
func (s *Store) documentParts(ctx context.Context, patient, id string) ([]string, error) {
	ctx, cancel := bound(ctx, time.Minute)
	defer cancel()
	info, err := s.documents.Info(ctx, jetstream.WithSubjectFilter(documentFilter(patient, id)))
	if err != nil {
		return nil, away(err)
	}
	return slices.Sorted(maps.Keys(info.State.Subjects)), nil
}

// EraseDocument overwrites a document with noise, its record last. Doing it twice, or to the end after a crash, does no harm.
func (s *Store) EraseDocument(ctx context.Context, patient, id string) error {
	ctx, cancel := bound(ctx, 2*patience)
	defer cancel()
	parts, err := s.documentParts(ctx, patient, id)
	if err != nil {
		return err
	}
	for _, subject := range slices.Backward(parts) {
		msg, err := s.lastMsg(ctx, s.documents, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.overwrite(ctx, s.documents, msg.Sequence); err != nil {
			return err
		}
	}
	return nil
}
