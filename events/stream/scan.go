package stream

import (
	"context"
	"encoding/json"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// Scan calls fn with every event that a partition holds when it is called, in order and without its plan and its message,
// until fn fails. Of an event that cannot be read only its place and its patient are known. Later events may come, too.
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
	// Without a filter: for one the server would make an index of each block, which costs more than parts of plans do.
	consumer, err := from.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true})
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
		if e, ok := eventOf(msg.Subject(), msg.Headers()); ok {
			if err := fn(events.Stored{Partition: p, Seq: meta.Sequence.Stream, Record: events.Record{Event: e}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventOf reads the event of a record, and no more: a plan is the most of it. What is no record is not ok.
func eventOf(subject string, h nats.Header) (e events.Event, ok bool) {
	var record struct {
		V     int          `json:"v"`
		Event events.Event `json:"event"`
	}
	packed := h.Get(recordHeader)
	if packed == "" {
		return e, false
	}
	if json.Unmarshal([]byte(packed), &record) != nil || record.V > events.RecordVersion {
		patient, _, _, ok := events.ParseCare(subject)
		return events.Event{Patient: patient}, ok
	}
	return record.Event, true
}
