package webhook

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"

	"carehub/events"
)

// challengeType is the type of the body that asks an endpoint to prove itself. The shape is a promise.
const challengeType = "carehub.endpoint.verification"

// challenge is that body; a proof is 2xx with the nonce in the same field.
type challenge struct {
	Type  string `json:"type,omitempty"`
	Nonce string `json:"nonce"`
}

// errNoEcho is why a 2xx was not enough: any server answers 200 to a POST that it does not understand.
var errNoEcho = errors.New("the answer to the challenge does not hold its nonce")

func unechoed(err error) bool { return errors.Is(err, errNoEcho) }

// prove challenges the endpoint that d is for unless it has proved itself. Several at once share one challenge.
func (e *endpoint) prove(ctx context.Context, d events.Delivery) error {
	if e.memory == nil || e.Verified(d.Recipient, d.Channel) {
		return nil
	}
	var heard events.Reply
	shared := e.proving.DoChan("", func() (any, error) {
		if e.Verified(d.Recipient, d.Channel) {
			return nil, nil
		}
		return nil, e.Verify(ctx, d.Recipient, d.Channel, func(r events.Reply) { heard = r })
	})
	select {
	case r := <-shared:
		if d.Answered != nil && heard.Status != 0 {
			d.Answered(heard)
		}
		return r.Err
	case <-ctx.Done():
		return &events.Failure{Reason: events.ReasonTimeout, Err: ctx.Err()}
	}
}

// Verified is as subscribers.Verifiable has it.
func (e *endpoint) Verified(subscriber, channel string) bool {
	return e.memory != nil && e.memory.Verified(subscriber, channel, e.address)
}

// Address is what has to be verified.
func (e *endpoint) Address() string { return e.address }

// Verify is as subscribers.Verifiable has it.
func (e *endpoint) Verify(ctx context.Context, subscriber, channel string, answered func(events.Reply)) error {
	asked := challenge{challengeType, rand.Text()}
	body, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	id := events.DeliveryID(challengeType, asked.Nonce)
	reply, err := e.post(ctx, letter{id, "application/json", body, e.signing(subscriber, channel)}, answered)
	if err != nil {
		return err
	}
	var echo challenge
	if json.Unmarshal(reply, &echo) != nil || subtle.ConstantTimeCompare([]byte(echo.Nonce), []byte(asked.Nonce)) != 1 {
		return &events.Failure{Reason: events.ReasonUnverified, Err: errNoEcho}
	}
	if e.memory == nil {
		return nil
	}
	if err := e.memory.Verify(ctx, subscriber, channel, e.address); err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Err: err}
	}
	return nil
}
