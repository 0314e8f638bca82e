package inbox

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
	"carehub/subscribers/endpoints"
)

//go:embed page.html
var layout string

var layoutTemplate = page.Parse(layout, words)

// body is what a page says: one of its forms, or sentences alone.
type body struct {
	Form     string   // choose, enter, beat, settings; empty for none
	Name     string   // whose inbox it is; empty for a carer, before they have shown who they are
	Says     []string // keys
	Settings string   // where the inbox is looked after

	// Of the page where an inbox is looked after.
	Until       string // it is paused
	Pending     bool   // a colleague has been asked
	First, Last string // day back
	Team        bool   // not a carer, who has nobody to hand over to
	Domain      string
	Typed       map[string]string // what was wrong in a field
}

const maxForm = 4 << 10 // bytes read of a form

// ServeHTTP is /inbox/{token}: the pages behind the links of the hub's own mails, and the one where an inbox is looked
// after. Mail scanners open links: GET changes nothing.
func (k *Keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	o, ok := k.open(r.PathValue("token"))
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, HEAD, POST")
		k.say(w, r, http.StatusMethodNotAllowed, "cannot")
	case !ok:
		k.say(w, r, http.StatusNotFound, "dead", "dead.help")
	case o.question == noQuestion:
		k.settings(w, r, o)
	default:
		k.answer(w, r, o)
	}
}

// say answers with sentences alone. They and the title are keys of the catalogue.
func (k *Keeper) say(w http.ResponseWriter, r *http.Request, status int, title string, says ...string) {
	k.write(w, r, status, title, "", body{Says: says})
}

// write answers with a page whose title is a key, and whose problem, if any, is in words.
func (k *Keeper) write(w http.ResponseWriter, r *http.Request, status int, title, problem string, b body) {
	k.pages.Write(w, r, status, layoutTemplate, page.Content{Title: words.Say(page.LangOf(r), title), Problem: problem, Body: b})
}

// name is whose inbox it is, for a page that shows it to anybody with the link. A carer's name stays out.
func (b box) name() string {
	if b.who.Carer {
		return ""
	}
	return b.who.Name
}

// The titles of the forms, as keys.
var titles = map[question]string{
	askVerify:   "verify",
	askHandover: "verify",
	askBeat:     "beat",
}

// answer shows the form of a question, or takes its answer.
func (k *Keeper) answer(w http.ResponseWriter, r *http.Request, o opened) {
	rec := k.record(o.place)
	if a := ask(&rec, o.question); a.Nonce != o.nonce || !a.Open(time.Now()) {
		k.say(w, r, http.StatusGone, "ended", "ended.why")
		return
	}
	form := body{Form: "choose", Name: o.name()}
	if o.question == askBeat {
		form.Form = "beat"
	}
	if r.Method != http.MethodPost {
		k.write(w, r, http.StatusOK, titles[o.question], "", form)
		return
	}
	var err error
	if o.question == askBeat {
		err = k.isRead(r.Context(), o)
	} else {
		err = k.verified(r.Context(), o, r.PostFormValue("code"))
	}
	if err != nil {
		k.refuse(w, r, o, titles[o.question], err, form)
		return
	}
	k.thank(w, r, o)
}

func (k *Keeper) thank(w http.ResponseWriter, r *http.Request, o opened) {
	if o.question == askBeat {
		k.write(w, r, http.StatusOK, "thanks", "", body{Says: []string{"thanks.beat"}, Settings: k.link(noQuestion, o.place, "")})
		return
	}
	k.write(w, r, http.StatusOK, "verified", "", body{Settings: k.link(noQuestion, o.place, ""),
		Says: []string{"verified.now", "verified.monthly", "verified.before"}})
}

// refuse shows a form again with what was wrong with it.
func (k *Keeper) refuse(w http.ResponseWriter, r *http.Request, o opened, title string, err error, form body) {
	lang := page.LangOf(r)
	if refused, ok := errors.AsType[*events.Error](inLanguage(lang, err)); ok && (refused.Kind == events.Invalid || refused.Kind == events.Forbidden) {
		status := http.StatusUnprocessableEntity
		if refused.Kind == events.Forbidden {
			status = http.StatusForbidden
		}
		k.write(w, r, status, title, refused.Message, form)
		return
	}
	k.Log.Error("a form of an inbox cannot be taken", "recipient", o.subscriber, "channel", o.channel, "error", err.Error())
	k.write(w, r, http.StatusServiceUnavailable, title, words.Say(lang, "failed"), form)
}

// verified takes a code for an address that was verified by it.
func (k *Keeper) verified(ctx context.Context, o opened, code string) error {
	ctx, cancel := context.WithTimeout(ctx, admitTimeout)
	defer cancel()
	code = normal(code)
	if err := checkChoice(code); err != nil {
		return err
	}
	hashed, err := k.hash(ctx, code)
	if err != nil {
		return err
	}
	if o.question == askHandover { // a person hears of it first
		if err := k.alarm(ctx, o.box, "handed-over-"+o.nonce, events.ReasonHandover, "now"); err != nil {
			return err
		}
	}
	_, err = k.change(ctx, o.place, func(rec *endpoints.Record) error {
		now, a := time.Now(), ask(rec, o.question)
		if a.Nonce != o.nonce || !a.Open(now) {
			return invalid("wrong.used")
		}
		address := rec.Address(o.mail.Address())
		if o.question == askHandover {
			address = rec.Inbox.Handover.To
		}
		if a.Target != endpoints.Hash(address) {
			return invalid("wrong.other")
		}
		if h := rec.Inbox.Handover; o.question == askHandover {
			rec.Inbox.Successor = endpoints.Successor{From: h.From, To: h.To, Since: now.UTC().Truncate(time.Second)}
			rec.Inbox.Handover, rec.Inbox.Away = endpoints.Handover{}, endpoints.Away{}
		}
		*a = endpoints.Ask{}
		rec.Verify(address, now)
		rec.Inbox.Code, rec.Inbox.Guesses = hashed, endpoints.Guesses{}
		alive(rec, now)
		return nil
	})
	return err
}

// isRead takes the answer to the monthly question.
func (k *Keeper) isRead(ctx context.Context, o opened) error {
	_, err := k.change(ctx, o.place, func(rec *endpoints.Record) error {
		if rec.Inbox.Beat.Nonce != o.nonce {
			return errNothing // by a colleague, a moment before
		}
		alive(rec, time.Now())
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// domain is what an address ends with.
func domain(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
