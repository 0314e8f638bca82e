package stream

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// Scan calls fn with every event that a partition holds when it is called, in order and without its message and what of its
// plan is stored apart, until fn fails. What cannot be read is left out. Later events may come, too.
func (s *Store) Scan(ctx context.Context, p int, fn func(events.Stored) error) error {
	ctx, done, err := s.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	from, err := s.eventsOf(p)
	if err != nil {
		return err
	}
	consumer, err := from.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{events.CareSubject(p, "*", "*", "*")}, DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true,
	})
	if err != nil {
		return away(err)
	}
	if consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(256))
	if err != nil {
		return away(err)
	}
	defer messages.Stop()
	for more := true; more; {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return away(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return away(err)
		}
		more = meta.NumPending > 0
		h := msg.Headers()
		h.Del(chunksHeader)
		stored, err := unpack(p, meta.Sequence.Stream, h, nil, nil)
		switch {
		case errors.Is(err, errForeign), errors.Is(err, errNewer):
		case err != nil:
			s.log.Error("a stored event cannot be read", "partition", p, "seq", meta.Sequence.Stream)
		default:
			if err := fn(stored); err != nil {
				return err
			}
		}
	}
	return nil
}
