package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
)

// An endpoint is paused when it answers that it is gone, or by a person. Nothing is sent to it until somebody resumes it, or
// writes another address than that which is gone into the files; what comes waits, takes the next channel, and alarms like
// anything else that nobody has been told of.

// ofSystem reports whether a channel of this type leads to a system of the subscriber's own, and not to a person by way of
// somebody else's.
func ofSystem(channelType string) bool {
	return channelType != "email" && channelType != "sms" && channelType != "push"
}

// logAttempt keeps the attempts at HTTP endpoints for their owners. A mail server's are in the hub's own log.
func (h *hub) logAttempt(a events.Attempt) {
	if ofSystem(a.Type) {
		h.tried.Add(a)
	}
}

func (h *hub) isPaused(recipient, channel string) bool {
	s, _ := h.desk().lookup(recipient)
	i := slices.IndexFunc(s.Channels, func(c subscribers.Channel) bool { return c.Key == channel })
	return i >= 0 && h.learned.Get(recipient, channel).PausedAt(subscribers.Target(s.Channels[i].Endpoint)) != nil
}

// pauseGone pauses an endpoint that asks not to be called again. followPauses has a person told.
func (h *hub) pauseGone(ctx context.Context, recipient, channel, target string) error {
	_, err := h.learned.Change(ctx, recipient, channel, func(rec *endpoints.Record) error {
		if rec.PausedAt(target) == nil {
			rec.Paused = &endpoints.Pause{At: time.Now().UTC().Truncate(time.Second), Reason: events.ReasonGone, Target: target}
		}
		return nil
	})
	return err
}

// followPauses tells the engine of each pause and of its end, whatever process is behind it, and has a person told of each,
// sooner or later: what a crash has kept from being stored is stored after it. Where an address has just been verified, what
// waits is tried at once.
func (h *hub) followPauses(ctx context.Context) error {
	verified := map[[2]string]time.Time{} // by subscriber and channel
	for first := true; ctx.Err() == nil; first = false {
		changed := h.learned.Changed()
		var late <-chan time.Time
		for _, rec := range h.learned.All() {
			at := [2]string{rec.Subscriber, rec.Channel}
			if !first && rec.Verified.After(verified[at]) {
				h.engine.Resume(rec.Subscriber)
			}
			verified[at] = rec.Verified
			h.engine.Pause(rec.Subscriber, rec.Channel, h.isPaused(rec.Subscriber, rec.Channel))
			if err := h.tellOfPause(ctx, rec); err != nil && ctx.Err() == nil {
				h.log.Error("alarm about a pause not stored yet", "error", err.Error())
				late = time.After(10 * time.Second)
			}
		}
		select {
		case <-changed:
		case <-late:
		case <-ctx.Done():
		}
	}
	return nil
}

// pausedPrefix begins what an alarm about a pause is about, in place of an event: the pause is named by when it began, so
// that each has one alarm, whichever hub raises it, however often.
const pausedPrefix = "paused-"

// tellOfPause raises the alarm about a pause that was not an admin's own doing, unless that is done. It is no test, even if
// it was a test event that met a 410.
func (h *hub) tellOfPause(ctx context.Context, rec endpoints.Record) error {
	p := rec.Paused
	if p == nil || p.Told {
		return nil
	}
	about := events.About{Event: pausedPrefix + p.At.UTC().Format("20060102T150405Z"), Recipient: rec.Subscriber, Channel: rec.Channel,
		Reason: p.Reason}
	if err := h.alarm(ctx, about, events.Stored{}); err != nil {
		return err
	}
	_, err := h.learned.Change(ctx, rec.Subscriber, rec.Channel, func(now *endpoints.Record) error {
		if now.Paused != nil && now.Paused.At.Equal(p.At) {
			now.Paused.Told = true
		}
		return nil
	})
	return err
}

// pauseWords says what has stopped and who can let it go on.
func pauseWords(f *folder, about events.About) string {
	name, phone := about.Recipient, ""
	if s, ok := f.register.Lookup(about.Recipient); ok {
		name, phone = s.Name, s.Phone
	}
	why := "somebody there paused it"
	if about.Reason == events.ReasonGone {
		why = "their system answered that it is gone for good (410)"
	}
	words := fmt.Sprintf("The %s of %s is paused: %s. Nothing is sent to it any more; what comes for them waits, or goes by their next channel, "+
		"until it has another address, or is resumed: carehub endpoint resume %s/%s. Please ask them", about.Channel, name, why, about.Recipient, about.Channel)
	if phone != "" {
		words += " on " + phone
	}
	return words + "."
}

// endpointOf finds the endpoint that "hospice" or "hospice/webhook-2" means: without a channel the only one of HTTP.
func (f *folder) endpointOf(name string) (subscribers.Subscriber, subscribers.Channel, error) {
	no := func(format string, args ...any) (subscribers.Subscriber, subscribers.Channel, error) {
		return subscribers.Subscriber{}, subscribers.Channel{}, &events.Error{Kind: events.NotFound, Message: fmt.Sprintf(format, args...)}
	}
	id, key, chosen := strings.Cut(name, "/")
	s, ok := f.register.Lookup(id)
	if !ok {
		return no("%q is not registered here%s.", id, strict.DidYouMean(id, f.everyone()))
	}
	var all []subscribers.Channel
	var keys []string
	for _, c := range s.Channels {
		if ofSystem(c.Type) && (!chosen || c.Key == key) {
			all, keys = append(all, c), append(keys, id+"/"+c.Key)
		}
	}
	switch {
	case len(all) == 1 && all[0].Endpoint != nil:
		return s, all[0], nil
	case len(all) > 1:
		return no("%s has several endpoints: say which, %s.", id, strings.Join(keys, " or "))
	case chosen:
		return no("%s has no webhook or FHIR endpoint of that name.", id)
	}
	return no("%s has neither a webhook nor a FHIR endpoint.", id)
}
