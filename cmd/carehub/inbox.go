package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
	"carehub/events/receipts"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
	"carehub/subscribers/inbox"
)

// newInboxes makes the keeper of all inboxes. key is that of the links.
func newInboxes(now inForce, learned *endpoints.Registry, key []byte, store publisher, log *slog.Logger) *inbox.Keeper {
	return inbox.New(inbox.Options{Registry: learned, Everyone: func() []subscribers.Subscriber { return now().register.All() },
		Lookup: func(id string) (subscribers.Subscriber, bool) { return now().register.Lookup(id) }, Hub: now.sender, Zone: now.zone,
		Seal: receipts.Seal{Key: key, Purpose: "inbox "}, Log: log,
		Alarm: func(ctx context.Context, about events.About, words string) error {
			_, err := storeAlarm(ctx, now(), store, about, words)
			return err
		}})
}

// subscriber is a subscriber as the engine sees them: as registered now, behind what guards their inboxes.
func (h *hub) subscriber(id string) (subscribers.Subscriber, bool) {
	s, ok := h.desk().lookup(id)
	return h.inboxes.Guard(s), ok
}

// watchInboxes says at the start which inboxes are not verified, and then looks after all of them.
func (h *hub) watchInboxes(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := h.warnUnverified(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		h.log.Error("the alarm about unverified inboxes is not stored yet", "error", err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return h.inboxes.Run(ctx)
}

// warnUnverified logs who will be told nothing about a patient by mail, and tells the alarm recipients: on one day once for
// the same, however often and by however many hubs.
func (h *hub) warnUnverified(ctx context.Context) error {
	f := h.current()
	silent := f.unverified(h.inboxes)
	if len(silent) == 0 {
		return nil
	}
	var ids, names []string
	for _, s := range silent {
		ids, names = append(ids, s.ID), append(names, s.Name)
		h.log.Warn("an inbox is not verified: nothing about a patient is sent there", "recipient", s.ID, "channels", h.inboxes.Unverified(s))
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	day := time.Now().UTC().Format(time.DateOnly)
	about := events.About{Event: "inboxes-" + day + "-" + events.Hash([]byte(strings.Join(ids, " "))), Reason: events.ReasonUnverified}
	_, err := storeAlarm(ctx, f, h.archive, about, unverifiedWords(names))
	return err
}

// unverifiedWords is the alarm about inboxes that nobody has verified.
func unverifiedWords(names []string) string {
	who := strings.Join(names[:min(len(names), 20)], ", ")
	if more := len(names) - 20; more > 0 {
		who += fmt.Sprintf(" and %d more", more)
	}
	return "The email address of " + who + " has not been verified, so nothing about a patient is sent there: whoever has no other way would have to be phoned. " +
		"\"carehub subscriber verify\" and the id sends a link to verify it."
}

// unverified returns those of whom the rules speak, sorted, who have an inbox that nobody has verified.
func (f *folder) unverified(inboxes *inbox.Keeper) []subscribers.Subscriber {
	named := f.named()
	return slices.DeleteFunc(slices.Clone(f.register.All()), func(s subscribers.Subscriber) bool {
		return !named[s.ID] || len(inboxes.Unverified(s)) == 0
	})
}

// named is everyone whom a rule names.
func (f *folder) named() map[string]bool {
	named := map[string]bool{}
	for _, patient := range f.rules.Patients() {
		for _, id := range f.rules.Recipients(patient, f.today()) {
			named[id] = true
		}
	}
	return named
}

// porter lets a carer who is signed in read what is for them, beside whoever has given the code of an inbox: a text message
// leads there too, and it has no code.
type porter struct {
	*inbox.Keeper
	session func(*http.Request) (page.Session, bool)
}

func (p porter) Knows(r *http.Request, recipient string) bool {
	who, ok := p.session(r)
	return ok && who.Actor == events.Actor{Kind: events.Carer, ID: recipient} || p.Keeper.Knows(r, recipient)
}
