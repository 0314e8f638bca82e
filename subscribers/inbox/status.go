package inbox

import (
	"fmt"
	"strings"
	"time"

	"carehub/subscribers/endpoints"
)

// Status is how one inbox is, for the admin.
type Status struct {
	Subscriber string `json:"subscriber"`
	Channel    string `json:"channel"`
	Verified   bool   `json:"verified"`
	Words      string `json:"words"`
}

// List returns how every inbox is, by subscriber.
func (k *Keeper) List() (all []Status) {
	for _, s := range k.Everyone() {
		for _, b := range boxes(s) {
			rec := k.record(b.place)
			all = append(all, Status{Subscriber: b.subscriber, Channel: b.channel,
				Verified: rec.IsVerified(rec.Address(b.mail.Address())), Words: k.status(rec, b, time.Now())})
		}
	}
	return all
}

// status is all that is known of an inbox, in a line.
func (k *Keeper) status(rec endpoints.Record, b box, now time.Time) string {
	in := rec.Inbox
	day := func(t time.Time) string { return t.In(k.Zone()).Format(time.DateOnly) }
	words := []string{"unverified"}
	if rec.IsVerified(rec.Address(b.mail.Address())) {
		words[0] = "verified " + day(rec.Verified)
	}
	add := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(in.Verify.Open(now), "link %s", mailed(in.Verify.Mail, day))
	add(in.Away.Now(now), "paused until %s", day(in.Away.Until))
	to := rec.Address(b.mail.Address())
	add(to != b.mail.Address(), "handed over to %s on %s", to, day(in.Successor.Since))
	add(in.Handover.Ask.Open(now), "hands over to %s once that is verified, link %s", in.Handover.To, mailed(in.Handover.Ask.Mail, day))
	add(in.Guesses.IsLocked(now), "locked after wrong codes until %s", in.Guesses.Since.Add(endpoints.GuessWindow).In(k.Zone()).Format("2006-01-02 15:04"))
	add(!in.Beat.Alarmed.IsZero(), "nobody seems to read it: asked %s", day(in.Beat.At))
	add(in.Beat.Alarmed.IsZero() && in.Beat.Open(now), "asked %s whether anybody reads it", day(in.Beat.At))
	add(!in.Alive.IsZero(), "last sign %s", day(in.Alive))
	return strings.Join(words, ", ")
}

// mailed says how far a mail is.
func mailed(m endpoints.Mail, day func(time.Time) string) string {
	switch {
	case m.Failed != "":
		return "could not be sent: " + string(m.Failed)
	case m.Sent.IsZero():
		return "not sent yet"
	}
	return "sent " + day(m.Sent)
}
