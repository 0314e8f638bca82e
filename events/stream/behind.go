package stream

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// standOnce finds a stream, or makes it in a store that never had it. key says that it has been made: one that is missing
// then is lost.
func (s *Store) standOnce(ctx context.Context, config jetstream.StreamConfig, key string) (jetstream.Stream, error) {
	_, _, made, err := s.HubGet(ctx, key)
	if err != nil {
		return nil, err
	}
	found, err := s.stand(ctx, config, !made)
	if err != nil || made {
		return found, err
	}
	_, err = s.HubPut(ctx, key, []byte(`{"v":1}`), 0)
	if events.KindOf(err) == events.Conflict { // another hub has made the same
		err = nil
	}
	return found, err
}

// appendBehind writes a message if the newest of its stream has the sequence after, 0 for none, and returns when it is on
// disk, of which reserve bytes stay free. Errors: Conflict if the newest is another, TooLarge, Unavailable: it may be written then.
func (s *Store) appendBehind(ctx context.Context, reserve uint64, subject string, data []byte, after uint64) (uint64, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	if err := s.embedded.full(reserve); err != nil {
		return 0, err
	}
	return s.write(ctx, subject, data, jetstream.WithExpectLastSequence(after))
}

// write publishes a message and returns its sequence once it is on disk; Conflict if what options expect does not hold.
func (s *Store) write(ctx context.Context, subject string, data []byte, options ...jetstream.PublishOpt) (uint64, error) {
	future, err := s.publish(ctx, &nats.Msg{Subject: subject, Data: data}, options...)
	if err != nil {
		return 0, err
	}
	ack, err := s.await(ctx, future)
	if hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return 0, conflict()
	}
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}
