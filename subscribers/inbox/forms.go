package inbox

import (
	"context"
	"net/http"
	"strings"
	"time"

	"carehub/events"
	"carehub/subscribers/endpoints"
)

const settingsTitle = "This inbox"

// settings is the page where whoever reads an inbox pauses it or hands it over. It takes the code.
func (k *Keeper) settings(w http.ResponseWriter, r *http.Request, o opened) {
	post := r.Method == http.MethodPost
	switch {
	case k.code(o.box) == "":
		k.say(w, r, http.StatusNotFound, "This link does not work", phoneHelp)
	case !k.Knows(r, o.subscriber) && post && r.PostFormValue("do") == "enter":
		if err := k.Admit(w, r, o.subscriber, r.PathValue("token"), r.PostFormValue("code")); err != nil {
			k.refuse(w, r, o, settingsTitle, err, body{Form: "enter"})
			return
		}
		k.again(w, r)
	case !k.Knows(r, o.subscriber):
		k.write(w, r, http.StatusOK, settingsTitle, "", body{Form: "enter"})
	case post:
		if err := k.do(r.Context(), o, r); err != nil {
			form := k.standing(o)
			form.Typed = map[string]string{"until": r.PostFormValue("until"), "to": r.PostFormValue("to")}
			k.refuse(w, r, o, settingsTitle, err, form)
			return
		}
		k.again(w, r)
	default:
		k.write(w, r, http.StatusOK, settingsTitle, "", k.standing(o))
	}
}

// again leads back to the page, so that reloading it repeats nothing.
func (k *Keeper) again(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", r.PathValue("token")) // relative to this page, wherever a proxy has put it
	w.WriteHeader(http.StatusSeeOther)
}

// standing is how the inbox is just now.
func (k *Keeper) standing(o opened) body {
	rec, now := k.record(o.place), time.Now().In(k.Zone())
	b := body{Form: "settings", Team: !o.who.Carer, Name: o.who.Name, Domain: domain(rec.Address(o.mail.Address())),
		First: now.AddDate(0, 0, 1).Format(time.DateOnly), Last: now.AddDate(0, 0, MaxAway).Format(time.DateOnly)}
	if away := rec.Inbox.Away; away.Now(now) {
		b.Until = k.day(away.Until)
	}
	b.Pending = rec.Inbox.Handover.Ask.Open(now)
	return b
}

// do does what a form asks for.
func (k *Keeper) do(ctx context.Context, o opened, r *http.Request) error {
	switch r.PostFormValue("do") {
	case "away":
		return k.away(ctx, o, r.PostFormValue("until"))
	case "back":
		return k.set(ctx, o, func(rec *endpoints.Record) { rec.Inbox.Away = endpoints.Away{} })
	case "handover":
		return k.handOver(ctx, o, strings.TrimSpace(r.PostFormValue("to")))
	case "keep":
		return k.set(ctx, o, func(rec *endpoints.Record) { rec.Inbox.Handover = endpoints.Handover{} })
	case "enter": // they are known already
		return nil
	}
	return invalid("This page cannot do that.")
}

func (k *Keeper) set(ctx context.Context, o opened, what func(*endpoints.Record)) error {
	_, err := k.change(ctx, o.place, func(rec *endpoints.Record) error { what(rec); return nil })
	return err
}

// away pauses the inbox until the start of a day. The alarm recipients hear of it before it counts.
func (k *Keeper) away(ctx context.Context, o opened, day string) error {
	now := time.Now().In(k.Zone())
	until, err := time.ParseInLocation(time.DateOnly, day, k.Zone())
	if err != nil {
		return invalid("Please give the first day back as a date, such as " + now.AddDate(0, 0, 7).Format(time.DateOnly) + ".")
	}
	if !until.After(now) || until.After(now.AddDate(0, 0, MaxAway)) {
		return invalid("The first day back must be after today, and at most 60 days from now. If it is later, please phone us.")
	}
	if err := k.alarm(ctx, o.box, "paused-"+stamp(o.place, now.Truncate(time.Minute))+"-"+until.Format(time.DateOnly), events.ReasonPaused, k.day(until)); err != nil {
		return err
	}
	return k.set(ctx, o, func(rec *endpoints.Record) {
		rec.Inbox.Away = endpoints.Away{At: now.UTC().Truncate(time.Second), Until: until.UTC()}
	})
}

// handOver asks a colleague to verify an address of the same domain. Until then everything stays as it is.
func (k *Keeper) handOver(ctx context.Context, o opened, to string) error {
	registered := o.mail.Address()
	if o.who.Carer { // the domain of whose address is often everybody's
		return invalid("Only a team's inbox can be handed over here. Please phone us.")
	}
	if _, err := o.mail.At(to); err != nil {
		return invalid("That is not an email address. It looks like name@" + domain(registered) + ".")
	}
	if domain(to) != domain(registered) {
		return invalid("The address must end with @" + domain(registered) + ", as yours does. For any other please phone us.")
	}
	if rec := k.record(o.place); strings.EqualFold(to, rec.Address(registered)) {
		return invalid("That is the address that messages come to already.")
	}
	a := newAsk(to, wordsHandover, time.Now(), LinkLife)
	if err := k.alarm(ctx, o.box, "handover-"+a.Nonce, events.ReasonHandover, ""); err != nil {
		return err
	}
	return k.set(ctx, o, func(rec *endpoints.Record) {
		rec.Inbox.Handover = endpoints.Handover{From: endpoints.Hash(registered), To: to, Ask: a}
	})
}
