package inbox

import (
	"context"
	"net/http"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
	"carehub/subscribers/endpoints"
)

// settings is the page where whoever reads an inbox pauses it or hands it over. It takes the code.
func (k *Keeper) settings(w http.ResponseWriter, r *http.Request, o opened) {
	post := r.Method == http.MethodPost
	switch {
	case k.code(o.box) == "":
		k.say(w, r, http.StatusNotFound, "dead", "dead.help")
	case !k.Knows(r, o.subscriber) && post && r.PostFormValue("do") == "enter":
		if err := k.Admit(w, r, o.subscriber, r.PathValue("token"), r.PostFormValue("code")); err != nil {
			k.refuse(w, r, o, "settings", err, body{Form: "enter"})
			return
		}
		k.again(w, r)
	case !k.Knows(r, o.subscriber):
		k.write(w, r, http.StatusOK, "settings", "", body{Form: "enter"})
	case post:
		if err := k.do(r.Context(), o, r); err != nil {
			form := k.standing(page.LangOf(r), o)
			form.Typed = map[string]string{"until": r.PostFormValue("until"), "to": r.PostFormValue("to")}
			k.refuse(w, r, o, "settings", err, form)
			return
		}
		k.again(w, r)
	default:
		k.write(w, r, http.StatusOK, "settings", "", k.standing(page.LangOf(r), o))
	}
}

// again leads back to the page, so that reloading it repeats nothing.
func (k *Keeper) again(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", r.PathValue("token")) // relative to this page, wherever a proxy has put it
	w.WriteHeader(http.StatusSeeOther)
}

// standing is how the inbox is just now.
func (k *Keeper) standing(lang page.Lang, o opened) body {
	rec, now := k.record(o.place), time.Now().In(k.Zone())
	b := body{Form: "settings", Team: !o.who.Carer, Name: o.who.Name, Domain: domain(rec.Address(o.mail.Address())),
		First: now.AddDate(0, 0, 1).Format(time.DateOnly), Last: now.AddDate(0, 0, MaxAway).Format(time.DateOnly)}
	if away := rec.Inbox.Away; away.Now(now) {
		until := away.Until.In(k.Zone())
		b.Until = lang.Day(until) + until.Format(" 2006")
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
	return invalid("wrong.action")
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
		return invalid("wrong.date", "date", now.AddDate(0, 0, 7).Format(time.DateOnly))
	}
	if !until.After(now) || until.After(now.AddDate(0, 0, MaxAway)) {
		return invalid("wrong.day")
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
		return invalid("wrong.carer")
	}
	if _, err := o.mail.At(to); err != nil {
		return invalid("wrong.address", "domain", domain(registered))
	}
	if domain(to) != domain(registered) {
		return invalid("wrong.domain", "domain", domain(registered))
	}
	if rec := k.record(o.place); strings.EqualFold(to, rec.Address(registered)) {
		return invalid("wrong.same")
	}
	a := newAsk(to, wordsHandover, time.Now(), LinkLife)
	if err := k.alarm(ctx, o.box, "handover-"+a.Nonce, events.ReasonHandover, ""); err != nil {
		return err
	}
	return k.set(ctx, o, func(rec *endpoints.Record) {
		rec.Inbox.Handover = endpoints.Handover{From: endpoints.Hash(registered), To: to, Ask: a}
	})
}
