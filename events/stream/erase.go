package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// What is erased is overwritten where it lies (JetStream's secure delete); in an encrypted store it is marked as deleted and
// stays encrypted until its block goes. Values that others have taken the place of are no messages any more, so that nothing
// overwrites them: Refresh has JetStream delete the files in which they lie.

// EraseEvents erases a patient's events, and the alarms that are about says yes to, with their plans. Those in sealed
// partitions cannot be erased: they are counted, and go when their partition is folded.
func (s *Store) EraseEvents(ctx context.Context, patient string, about func(events.About) bool) (erased, sealed int, err error) {
	l := s.layout.Load()
	defer s.Trim()
	for p, from := range l.events {
		erase := func(seq uint64) error { erased++; return s.overwrite(ctx, from, seq) }
		if p < l.format.newest().First {
			erase = func(uint64) error { sealed++; return nil }
		}
		if err := s.eachOf(ctx, p, from, patient, about, erase); err != nil {
			return erased, sealed, err
		}
	}
	return erased, sealed, nil
}

// eachOf calls fn with all messages of a partition that EraseEvents is about; the parts of a plan come before their event.
func (s *Store) eachOf(ctx context.Context, p int, from jetstream.Stream, patient string, about func(events.About) bool, fn func(seq uint64) error) error {
	alarms := map[string]bool{}
	err := s.eachIn(ctx, from, fmt.Sprintf("care.%d.%s.*.%s", p, events.HubPatient, events.Alarm), func(msg *jetstream.RawStreamMsg) error {
		if _, id, _, ok := events.ParseCare(msg.Subject); ok && about(aboutOf(msg.Header)) {
			alarms[id] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	subjects := []string{fmt.Sprintf("plan.%d.%s.>", p, patient), fmt.Sprintf("care.%d.%s.>", p, patient)}
	for id := range alarms {
		subjects = append(subjects, fmt.Sprintf("plan.%d.%s.%s.*", p, events.HubPatient, id), fmt.Sprintf("care.%d.%s.%s.*", p, events.HubPatient, id))
	}
	for _, subject := range subjects {
		if err := s.eachIn(ctx, from, subject, func(msg *jetstream.RawStreamMsg) error { return fn(msg.Sequence) }); err != nil {
			return err
		}
	}
	return nil
}

// aboutOf is what an alarm is about.
func aboutOf(h nats.Header) events.About {
	var record struct {
		Plan struct {
			About *events.About `json:"about"`
		} `json:"plan"`
	}
	if json.Unmarshal([]byte(h.Get(recordHeader)), &record) != nil || record.Plan.About == nil {
		return events.About{}
	}
	return *record.Plan.About
}

// EraseHub erases the hub's records that match says yes to, also marks of deleted ones, which have no value. Whoever
// watches a record is told by a mark that it is gone; the next call erases that, too. It returns how many there were.
func (s *Store) EraseHub(ctx context.Context, match func(key string, value []byte) bool) (erased int, err error) {
	err = s.eachIn(ctx, s.hub, "hub.>", func(msg *jetstream.RawStreamMsg) error {
		if !match(msg.Subject, msg.Data) {
			return nil
		}
		erased++
		if err := s.overwrite(ctx, s.hub, msg.Sequence); err != nil || len(msg.Data) == 0 {
			return err
		}
		return s.HubDelete(ctx, msg.Subject)
	})
	return erased, err
}

// EraseAttempts erases the messages of the delivery log that match says yes to, and returns how many there were.
func (s *Store) EraseAttempts(ctx context.Context, match func(message []byte) bool) (erased int, err error) {
	err = s.eachIn(ctx, s.attempts, "att.>", func(msg *jetstream.RawStreamMsg) error {
		if !match(msg.Data) {
			return nil
		}
		erased++
		return s.overwrite(ctx, s.attempts, msg.Sequence)
	})
	return erased, err
}

// noticePrefix is where records stand that took the place of one in the log of notices, by its sequence there.
const noticePrefix = "hub.notices.at."

// EraseNotices erases the records of the log of notices for which instead returns another, which is kept first, under the
// sequence of the one erased.
func (s *Store) EraseNotices(ctx context.Context, instead func(value []byte) ([]byte, error)) error {
	return s.eachIn(ctx, s.notices, noticeSubject, func(msg *jetstream.RawStreamMsg) error {
		value, err := instead(msg.Data)
		if err != nil || value == nil {
			return err
		}
		key := noticePrefix + strconv.FormatUint(msg.Sequence, 10)
		if _, err := s.HubPut(ctx, key, value, 0); err != nil && events.KindOf(err) != events.Conflict { // else a crash came in between
			return err
		}
		return s.overwrite(ctx, s.notices, msg.Sequence)
	})
}

// eachIn calls fn with the messages of a stream whose subjects match, in order, until fn fails.
func (s *Store) eachIn(ctx context.Context, from jetstream.Stream, subject string, fn func(*jetstream.RawStreamMsg) error) error {
	for seen := uint64(0); ; {
		bounded, cancel := context.WithTimeout(ctx, patience)
		msg, err := s.message(bounded, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
			return from.GetMsg(ctx, seen+1, jetstream.WithGetMsgSubject(subject))
		})
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		seen = msg.Sequence
		if err := fn(msg); err != nil {
			return err
		}
	}
}

// overwrite erases one message; one that is not there any more is no error.
func (s *Store) overwrite(ctx context.Context, in jetstream.Stream, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.still.RLock()
	defer s.still.RUnlock()
	err := in.SecureDeleteMsg(ctx, seq)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return unwritten(err)
	}
	return nil
}

// Refresh writes the newest value of every key of the hub's records, and of the ledgers that name a patient, once more, so that
// nothing is left in the older files of these streams, and JetStream deletes them with all the values in them that others had taken the place of.
// A value that is written meanwhile by somebody else stays theirs. On an external server the record of who owns a partition is
// left to its owner, who writes it all the time.
func (s *Store) Refresh(ctx context.Context, patient string) error {
	if err := s.refreshStream(ctx, s.hub, "hub.>", "hub.filler", func(key string) bool { return key == formatKey || strings.HasPrefix(key, beatPrefix) }); err != nil {
		return err
	}
	if err := s.refreshFormat(ctx); err != nil {
		return err
	}
	l := s.layout.Load()
	for _, p := range l.format.chain(patient) {
		ledger, own := l.ledger[p], events.OwnSubject(p)
		if ledger == nil { // it went with its file when its partition was archived
			continue
		}
		if err := s.refreshStream(ctx, ledger, ">", fmt.Sprintf("told.%d.filler", p), func(key string) bool { return key == own }); err != nil {
			return err
		}
	}
	return nil
}

// A file of a stream holds at most 8 MB (nats-server's defaultLargeBlockSize). So much written, and the next message is in
// another one.
const (
	fillers = 9
	filling = 1 << 20
)

func (s *Store) refreshStream(ctx context.Context, in jetstream.Stream, subjects, filler string, skip func(key string) bool) error {
	if err := s.embedded.full(eventReserve); err != nil {
		return err
	}
	for range fillers {
		if _, err := s.write(ctx, filler, make([]byte, filling)); err != nil {
			return err
		}
	}
	info, err := in.Info(ctx)
	if err != nil {
		return away(err)
	}
	last := info.State.LastSeq
	err = s.eachIn(ctx, in, subjects, func(msg *jetstream.RawStreamMsg) error {
		if msg.Sequence > last {
			return errAllSeen
		}
		if skip(msg.Subject) || msg.Subject == filler {
			return nil
		}
		return s.again(ctx, msg)
	})
	if err != nil && !errors.Is(err, errAllSeen) {
		return err
	}
	msg, err := s.lastMsg(ctx, in, filler)
	if err != nil {
		return err
	}
	return s.overwrite(ctx, in, msg.Sequence)
}

var errAllSeen = errors.New("all was seen")

// again writes a message once more, unless a newer one has taken its place.
func (s *Store) again(ctx context.Context, msg *jetstream.RawStreamMsg) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.still.RLock()
	defer s.still.RUnlock()
	_, err := s.write(ctx, msg.Subject, msg.Data, jetstream.WithExpectLastSequencePerSubject(msg.Sequence))
	if events.KindOf(err) == events.Conflict {
		return nil
	}
	return err
}

// refreshFormat writes the record of the store's format once more.
func (s *Store) refreshFormat(ctx context.Context) error {
	s.growing.Lock()
	defer s.growing.Unlock()
	now := s.layout.Load()
	return s.record(ctx, now, now.format)
}
