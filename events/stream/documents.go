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

	"github.com/nats-io/nats.go"
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

// PutDocument writes a document's content and then its record, and returns when both are on disk. One that is there already stays as it is.
// Errors: Unavailable, TooLarge.
func (s *Store) PutDocument(ctx context.Context, patient, id string, record, content []byte) error {
	ctx, cancel := bound(ctx, 2*patience)
	defer cancel()
	if err := s.embedded.full(eventReserve); err != nil {
		return err
	}
	if _, err := s.DocumentRecord(ctx, patient, id); err == nil || events.KindOf(err) != events.NotFound {
		return err
	}
	var pending []jetstream.PubAckFuture
	for n, rest := 1, content; ; n++ {
		piece := rest[:min(len(rest), documentPiece)]
		future, err := s.publish(ctx, &nats.Msg{Subject: documentSubject(patient, id, n), Data: piece})
		if err != nil {
			return err
		}
		pending = append(pending, future)
		if len(piece) < documentPiece { // the last is the first that is not full
			break
		}
		rest = rest[len(piece):]
	}
	if err := s.awaitAll(ctx, pending); err != nil {
		return err
	}
	_, err := s.write(ctx, documentSubject(patient, id, 0), record)
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
	ctx, cancel := bound(ctx, time.Minute)
	defer cancel()
	parts, err := s.documentParts(ctx, cmp.Or(patient, "*"), "*")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, subject := range parts {
		words := strings.Split(subject, ".")
		if id := words[2]; !seen[id] {
			seen[id] = true
			msg, err := s.lastMsg(ctx, s.documents, subject) // the record comes first, and is small
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
	info, err := s.documents.Info(ctx, jetstream.WithSubjectFilter(fmt.Sprintf("doc.%s.%s.*", patient, id)))
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
		if err == nil {
			err = s.documents.SecureDeleteMsg(ctx, msg.Sequence)
		}
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return unwritten(err)
		}
	}
	return nil
}
