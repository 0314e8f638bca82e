package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// Publish stores an event with its plan in one write, and returns when it is on disk. If the event's id is stored
// already, of whatever kind, it returns that first event and created is false. Errors: Invalid, TooLarge (message above
// 1 MiB, record above 32 KiB without its recipients), Unavailable; its words tell whether anything may have been saved.
func (s *Store) Publish(ctx context.Context, rec events.Record, message []byte) (_ events.Stored, created bool, _ error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	for {
		l := s.layout.Load()
		stored, created, err := s.publishIn(ctx, l, rec, message)
		if !hasCode(err, codeSealed) {
			return stored, created, err
		}
		if err := s.nextLayout(ctx, l); err != nil {
			return events.Stored{}, false, err
		}
	}
}

// codeSealed is nats-server's answer to a write into a sealed stream (JSStreamSealedErr).
const codeSealed jetstream.ErrorCode = 10109

// nextLayout waits until another layout has taken the place of l, whose partitions are sealed.
func (s *Store) nextLayout(ctx context.Context, l *layout) error {
	for {
		select {
		case <-l.replaced:
			return nil
		case <-ctx.Done():
			return unsaved(ctx.Err())
		case <-s.life.Done():
			return unsaved(nats.ErrConnectionClosed)
		case <-time.After(50 * time.Millisecond):
			s.refresh(ctx) // another process may have grown the store
		}
	}
}

func (s *Store) publishIn(ctx context.Context, l *layout, rec events.Record, message []byte) (_ events.Stored, created bool, _ error) {
	p, err := pack(rec, message, l.format.newest())
	if err != nil {
		return events.Stored{}, false, err
	}
	if err := s.embedded.full(eventReserve); err != nil {
		return events.Stored{}, false, err
	}
	if stored, found, err := s.earlier(ctx, l, rec.Event); found || err != nil {
		return stored, false, err
	}
	tail := l.tails[p.partition]
	age := tail.started()
	seq, err := s.create(ctx, p, rec.Event)
	if hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence) {
		stored, err := s.first(ctx, rec.Event.ID)
		return stored, false, err
	}
	if err != nil {
		tail.empty()
		return events.Stored{}, false, err
	}
	stored := events.Stored{Partition: p.partition, Seq: seq, Record: rec, Message: message}
	tail.added(age, &stored, len(p.chunks))
	return stored, true, nil
}

// earlier looks for an event in the older generations. They are sealed: what is not there now never will be.
func (s *Store) earlier(ctx context.Context, l *layout, e events.Event) (events.Stored, bool, error) {
	for _, p := range l.format.chain(e.Patient)[1:] {
		if l.events[p] == nil || !s.filters.mayHold(p, e.ID) {
			continue
		}
		stored, found, err := s.lastIn(ctx, l.events[p], p, events.CareSubject(p, e.Patient, e.ID, "*"))
		if found || err != nil {
			return stored, found, err
		}
	}
	return events.Stored{}, false, nil
}

// create writes the event unless its id is there. In a cluster another write of the same id may be under way, or nobody
// leads the stream for a while: how that ended is known when the server no longer says so, and no try can store it twice.
func (s *Store) create(ctx context.Context, p parcel, ev events.Event) (seq uint64, err error) {
	err = s.persevere(ctx, func(ctx context.Context) error {
		ack, err := s.send(ctx, p, ev)
		if err == nil {
			seq = ack.Sequence
		}
		return err
	})
	return seq, err
}

func (s *Store) send(ctx context.Context, p parcel, ev events.Event) (*jetstream.PubAck, error) {
	msg := &nats.Msg{Subject: p.subject, Header: p.headers(), Data: p.body}
	if len(p.chunks) > 0 {
		if err := s.sendChunks(p, ev, msg.Header); err != nil {
			return nil, unwritten(err)
		}
	}
	anyKind := events.CareSubject(p.partition, ev.Patient, ev.ID, "*")
	future, err := s.publish(ctx, msg, jetstream.WithExpectLastSequenceForSubject(0, anyKind))
	if err != nil {
		return nil, err
	}
	return s.await(ctx, future)
}

// sendChunks sends the chunks of a large plan as the first messages of an atomic batch (NATS ADR-50), and marks the
// event's message, by its headers, as the one that commits it.
func (s *Store) sendChunks(p parcel, ev events.Event, event nats.Header) error {
	id := rand.Text()
	mark := func(h nats.Header, n int) nats.Header {
		h.Set("Nats-Batch-Id", id)
		h.Set("Nats-Batch-Sequence", strconv.Itoa(n+1))
		return h
	}
	for n, chunk := range p.chunks {
		subject := events.PlanSubject(p.partition, ev.Patient, ev.ID, n)
		if err := s.writes.PublishMsg(&nats.Msg{Subject: subject, Header: mark(nats.Header{}, n), Data: chunk}); err != nil {
			return err
		}
	}
	mark(event, len(p.chunks)).Set("Nats-Batch-Commit", "1")
	return nil
}

// publish sends one message without waiting for its acknowledgement. Messages sent by one goroutine to one stream are
// stored in that order: nothing is sent a second time.
func (s *Store) publish(ctx context.Context, msg *nats.Msg, options ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	if err := errors.Join(ctx.Err(), s.life.Err()); err != nil {
		return nil, unsaved(err)
	}
	future, err := s.publisher.PublishMsgAsync(msg, append(options, jetstream.WithRetryAttempts(0))...)
	if errors.Is(err, nats.ErrMaxPayload) {
		return nil, tooLarge(err)
	}
	if err != nil {
		return nil, unsaved(err)
	}
	return future, nil
}

// await waits for an acknowledgement, which follows the fsync.
func (s *Store) await(ctx context.Context, future jetstream.PubAckFuture) (*jetstream.PubAck, error) {
	select {
	case ack := <-future.Ok():
		return ack, nil
	case err := <-future.Err():
		return nil, unwritten(err)
	case <-ctx.Done():
		return nil, unwritten(ctx.Err())
	case <-s.life.Done():
		return nil, unwritten(nats.ErrConnectionClosed)
	}
}

// awaitAll waits for all of them, or until one fails.
func (s *Store) awaitAll(ctx context.Context, pending []jetstream.PubAckFuture) error {
	for _, future := range pending {
		if _, err := s.await(ctx, future); err != nil {
			return err
		}
	}
	return nil
}

// first reads the event that a create was refused for. JetStream gives the same refusal when it cannot read, so that an
// event which is not there is no proof of anything.
func (s *Store) first(ctx context.Context, id string) (events.Stored, error) {
	stored, err := s.Find(ctx, id)
	if events.KindOf(err) == events.NotFound {
		return stored, unwritten(err)
	}
	return stored, err
}

// Find returns the event with this id. Errors: NotFound, Unavailable.
func (s *Store) Find(ctx context.Context, id string) (events.Stored, error) {
	patient := events.PatientOf(id)
	if patient == "" {
		return events.Stored{}, missing()
	}
	stored, ok, err := s.last(ctx, patient, id, "*")
	if err == nil && !ok {
		err = missing()
	}
	return stored, err
}

// Latest returns the newest event of a kind about a patient, if there is one.
func (s *Store) Latest(ctx context.Context, patient string, kind events.Kind) (events.Stored, bool, error) {
	return s.last(ctx, patient, "*", kind)
}

// last finds the newest event of a patient that matches, in the newest generation that has one.
func (s *Store) last(ctx context.Context, patient, event string, kind events.Kind) (events.Stored, bool, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	l := s.layout.Load()
	for _, p := range l.format.chain(patient) {
		if l.events[p] == nil {
			continue
		}
		stored, found, err := s.lastIn(ctx, l.events[p], p, events.CareSubject(p, patient, event, kind))
		if found || err != nil {
			return stored, found, err
		}
	}
	return events.Stored{}, false, nil
}

func (s *Store) lastIn(ctx context.Context, from jetstream.Stream, p int, subject string) (events.Stored, bool, error) {
	msg, err := s.lastMsg(ctx, from, subject)
	return s.stored(ctx, p, msg, err)
}

// At returns the event at a sequence of a partition; false if there is none: part of a plan, erased, not yet written.
func (s *Store) At(ctx context.Context, p int, seq uint64) (events.Stored, bool, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	from, err := s.eventsOf(p)
	if err != nil {
		return events.Stored{}, false, err
	}
	return s.atIn(ctx, from, p, seq)
}

func (s *Store) atIn(ctx context.Context, from jetstream.Stream, p int, seq uint64) (events.Stored, bool, error) {
	if seq == 0 { // of which the server would give the last
		return events.Stored{}, false, nil
	}
	msg, err := s.message(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return from.GetMsg(ctx, seq) })
	return s.stored(ctx, p, msg, err)
}

// Several returns the events at places, in that order, without those that are not there; see At.
func (s *Store) Several(ctx context.Context, places []events.Place) ([]events.Stored, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	var read []events.Stored
	for len(places) > 0 {
		p, n := places[0].Partition, 1
		for n < len(places) && places[n].Partition == p {
			n++
		}
		from, err := s.eventsOf(p)
		if err != nil {
			return nil, err
		}
		some, err := s.eventsAbreast(ctx, from, n, func(ctx context.Context, from jetstream.Stream, i int) (events.Stored, bool, error) {
			return s.atIn(ctx, from, p, places[i].Seq)
		})
		if err != nil {
			return nil, err
		}
		read, places = append(read, some...), places[n:]
	}
	return read, nil
}

// stored makes an event of what a read gave.
func (s *Store) stored(ctx context.Context, p int, msg *jetstream.RawStreamMsg, err error) (events.Stored, bool, error) {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return events.Stored{}, false, nil
	}
	if err != nil {
		return events.Stored{}, false, away(err)
	}
	stored, err := unpack(p, msg.Sequence, msg.Header, msg.Data, s.chunk(ctx, p))
	if errors.Is(err, errForeign) {
		return events.Stored{}, false, nil
	}
	return stored, err == nil, err
}

func (s *Store) chunk(ctx context.Context, p int) func(string) ([]byte, error) {
	return func(subject string) ([]byte, error) {
		from, err := s.eventsOf(p)
		if err != nil {
			return nil, err
		}
		msg, err := s.lastMsg(ctx, from, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, &events.Error{Kind: events.Internal, Message: "Part of a stored plan is missing.", Err: err}
		}
		if err != nil {
			return nil, away(fmt.Errorf("part of a plan: %w", err))
		}
		return msg.Data, nil
	}
}

// Last is the newest sequence of a partition, 0 when nothing was ever written to it.
func (s *Store) Last(ctx context.Context, p int) (last uint64, err error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	from, err := s.eventsOf(p)
	if err != nil {
		return 0, err
	}
	return askLeader(ctx, s, func(ctx context.Context) (uint64, error) {
		info, err := from.Info(ctx)
		if err != nil {
			return 0, away(err)
		}
		return info.State.LastSeq, nil
	})
}
