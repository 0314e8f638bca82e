package inbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
)

// How a mail of the hub's own is sent.
const (
	senders    = 2               // at one time: they share the mail server with what is urgent
	sendIn     = time.Minute     // one attempt
	lease      = 2 * time.Minute // a hub that has not finished by then has crashed, and another tries
	firstPause = time.Minute     // after a failure; then twice as long each time
	longPause  = time.Hour
	giveUpIn   = 72 * time.Hour
)

// question is one of the things that an inbox is asked.
type question string

// The questions. They stand in the tokens of links.
const (
	askVerify   question = "verify"
	askHandover question = "handover"
	askBeat     question = "beat"
	noQuestion  question = "settings" // a link to the page where the inbox is looked after; it never ends, and takes the code
)

// ask is where a question stands in a record.
func ask(rec *endpoints.Record, q question) *endpoints.Ask {
	switch q {
	case askVerify:
		return &rec.Inbox.Verify
	case askHandover:
		return &rec.Inbox.Handover.Ask
	case askBeat:
		return &rec.Inbox.Beat
	}
	return &endpoints.Ask{}
}

// dueMail is the first mail that should be sent now.
func dueMail(rec endpoints.Record, now time.Time) (question, endpoints.Ask, bool) {
	for _, q := range []question{askVerify, askHandover, askBeat} {
		if a := ask(&rec, q); a.Mail.Due(now) {
			return q, *a, true
		}
	}
	return "", endpoints.Ask{}, false
}

// sendAll sends one mail to each inbox where one is due, a few at a time.
func (k *Keeper) sendAll(ctx context.Context) (again time.Duration) {
	k.announce(ctx)
	again = lookEvery
	var work sync.WaitGroup
	defer work.Wait()
	places := make(chan struct{}, senders)
	for _, rec := range k.Registry.All() {
		b, registered := k.find(place{rec.Subscriber, rec.Channel})
		if _, _, waits := dueMail(rec, farAhead); !waits || !registered {
			continue
		}
		again = sendEvery
		if _, _, due := dueMail(rec, time.Now()); !due {
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return again
		}
		work.Go(func() {
			defer func() { <-places }()
			if err := k.send(ctx, b); err != nil && !errors.Is(err, errNothing) && ctx.Err() == nil {
				k.Log.Error("a mail to an inbox was not sent; it will be tried again", "recipient", b.subscriber, "channel", b.channel, "error", err.Error())
			}
		})
	}
	return again
}

// farAhead is when every mail is due that is ever to be sent.
var farAhead = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// send takes the mail that is due at an inbox, so that no other hub does, makes one attempt, and notes how it went. After a
// crash in between another attempt sends the same bytes with the same Message-ID.
func (k *Keeper) send(ctx context.Context, b box) error {
	var q question
	rec, err := k.change(ctx, b.place, func(rec *endpoints.Record) error {
		now, ok := time.Now(), false
		if q, _, ok = dueMail(*rec, now); !ok {
			return errNothing
		}
		m := &ask(rec, q).Mail
		m.Next, m.Tries = now.Add(lease).UTC(), m.Tries+1
		return nil
	})
	if err != nil {
		return err
	}
	taken := *ask(&rec, q)
	failure := k.post(ctx, b, rec, q, taken)
	if ctx.Err() != nil {
		return nil // whoever comes next tries it when the lease is over
	}
	return k.noteSent(ctx, b, q, taken, failure)
}

// post makes one attempt to send a mail.
func (k *Keeper) post(ctx context.Context, b box, rec endpoints.Record, q question, a endpoints.Ask) *events.Failure {
	ctx, cancel := context.WithTimeout(ctx, sendIn)
	defer cancel()
	address := rec.Address(b.mail.Address())
	if q == askHandover {
		address = rec.Inbox.Handover.To
	}
	began := time.Now()
	mail, err := inForce(b.mail, address)
	if err == nil {
		err = mail.Post(ctx, k.letter(b, q, a))
	}
	var failure *events.Failure
	result := "delivered"
	if err != nil && !errors.As(err, &failure) {
		failure = &events.Failure{Reason: events.ReasonInternal, Err: err}
	}
	if failure != nil {
		result = string(failure.Reason)
	}
	k.Log.Info("mail to an inbox", "recipient", b.subscriber, "channel", b.channel, "words", a.Mail.Words, "attempt", a.Mail.Tries,
		"result", result, "ms", time.Since(began).Milliseconds())
	return failure
}

// noteSent notes how an attempt went. That a mail will not arrive is told to the alarm recipients before it is noted.
func (k *Keeper) noteSent(ctx context.Context, b box, q question, taken endpoints.Ask, failure *events.Failure) error {
	now := time.Now()
	final := failure != nil && (failure.Permanent || now.Sub(taken.Mail.At) >= giveUpIn)
	if final {
		if err := k.alarm(ctx, b, fmt.Sprintf("mail-%s-%d", taken.Nonce, taken.Mail.N), failure.Reason, ""); err != nil {
			return err
		}
	}
	_, err := k.change(ctx, b.place, func(rec *endpoints.Record) error {
		a := ask(rec, q)
		if a.Nonce != taken.Nonce || a.Mail.N != taken.Mail.N {
			return errNothing // answered, or asked anew meanwhile
		}
		switch {
		case failure == nil:
			a.Mail.Sent, a.Mail.Next = now.UTC().Truncate(time.Second), time.Time{}
		case final:
			a.Mail.Failed = failure.Reason
		default:
			pause := min(firstPause<<min(taken.Mail.Tries-1, 10), longPause)
			a.Mail.Next = now.Add(max(pause, failure.RetryAfter)).UTC()
		}
		return nil
	})
	return err
}

// letter is the mail of a question: a function of the record and the hub's key, so that it is the same at every attempt.
func (k *Keeper) letter(b box, q question, a endpoints.Ask) subscribers.Note {
	n := k.mail(a.Mail.Words)
	n.ID = "note_" + events.Hash([]byte(fmt.Sprintf("%s %d", a.Nonce, a.Mail.N)))
	n.At, n.Link = a.Mail.At, k.link(q, b.place, a.Nonce)
	return n
}
