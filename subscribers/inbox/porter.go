package inbox

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
	"carehub/subscribers/endpoints"
)

// SessionLife is how long a code that was given opens the other messages too, in the same browser. It is short: many read
// on machines that are not theirs alone.
const SessionLife = time.Hour

// Knows reports whether whoever sends a request has given the recipient's code of late.
func (k *Keeper) Knows(r *http.Request, recipient string) bool {
	for _, c := range r.CookiesNamed(k.cookieName()) {
		if content, ok := k.Seal.Open(c.Value); ok && k.session(content, recipient, time.Now()) {
			return true
		}
	}
	return false
}

// session reports whether a session of this content is the recipient's and still good. A new code ends it.
func (k *Keeper) session(content, recipient string, now time.Time) bool {
	parts := strings.Split(content, "/")
	if len(parts) != 5 || parts[0] != "session" || parts[1] != recipient {
		return false
	}
	ends, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil || !now.Before(time.Unix(ends, 0)) {
		return false
	}
	b, ok := k.find(place{recipient, parts[2]})
	return ok && k.code(b) != "" && tag(k.code(b)) == parts[4]
}

// code is the stored hash of the code of an inbox; empty while its address is not verified.
func (k *Keeper) code(b box) string {
	rec := k.record(b.place)
	if !rec.IsVerified(rec.Address(b.mail.Address())) {
		return ""
	}
	return rec.Inbox.Code
}

// tag tells one code of an inbox from the next.
func tag(stored string) string { return events.Hash([]byte("code " + stored))[:12] }

func (k *Keeper) secure() bool { return strings.HasPrefix(k.Hub().URL, "https://") }

// cookieName has the prefix that keeps other hosts from setting the cookie (RFC 6265bis, 4.1.3), where there is TLS.
func (k *Keeper) cookieName() string {
	if k.secure() {
		return "__Host-carehub-inbox"
	}
	return "carehub-inbox"
}

// admitTimeout bounds checking one code.
const admitTimeout = 20 * time.Second

// Admit checks a code that was given behind a link, and has the answer carry a cookie by which Knows will know who gave it.
// The message of its *events.Error is for them, in their language.
func (k *Keeper) Admit(w http.ResponseWriter, r *http.Request, recipient, link, code string) error {
	return inLanguage(page.LangOf(r), k.admit(w, r, recipient, link, code))
}

func (k *Keeper) admit(w http.ResponseWriter, r *http.Request, recipient, link, code string) error {
	ctx, cancel := context.WithTimeout(r.Context(), admitTimeout)
	defer cancel()
	code = normal(code)
	if err := checkForm(code); err != nil {
		return err
	}
	s, _ := k.Lookup(recipient)
	var with []box // those with a code
	for _, b := range boxes(s) {
		if k.code(b) != "" {
			with = append(with, b)
		}
	}
	if len(with) == 0 {
		return forbidden("code.none")
	}
	count := with[0].place // a recipient's wrong codes are counted together
	link = events.Hash([]byte("link " + link))
	left, err := k.guess(ctx, count, link)
	if err != nil {
		return err
	}
	for _, b := range with {
		right, err := k.matches(ctx, k.code(b), code)
		if err != nil {
			return err
		}
		if right {
			return k.admitted(ctx, w, b, count, link)
		}
	}
	return k.wrong(ctx, count, left)
}

// guess counts a guess before it is looked at, durably, so that no number of them at one time gets more looks than one
// after another. It returns how many are left behind this link.
func (k *Keeper) guess(ctx context.Context, at place, link string) (left int, err error) {
	refused := false
	_, err = k.change(ctx, at, func(rec *endpoints.Record) error {
		now := time.Now()
		g := &rec.Inbox.Guesses
		if refused = g.IsLocked(now) || !g.Over(now) && g.Behind(link) >= endpoints.MaxLinkGuesses; refused {
			return lock(g, now)
		}
		g.Add(link, 1, now.UTC().Truncate(time.Second))
		left = min(endpoints.MaxLinkGuesses-g.Behind(link), endpoints.MaxGuesses-g.Count)
		return nil
	})
	if refused && (err == nil || errors.Is(err, errNothing)) {
		return 0, forbidden("code.locked")
	}
	return left, err
}

// lock notes when there were too many wrong codes, for the alarm.
func lock(g *endpoints.Guesses, now time.Time) error {
	if !g.IsLocked(now) || !g.Locked.IsZero() {
		return errNothing
	}
	g.Locked = now.UTC().Truncate(time.Second)
	return nil
}

// wrong says so to whoever gave a wrong code, and has a person told if it was one too many.
func (k *Keeper) wrong(ctx context.Context, at place, left int) error {
	if _, err := k.change(ctx, at, func(rec *endpoints.Record) error { return lock(&rec.Inbox.Guesses, time.Now()) }); err != nil && !errors.Is(err, errNothing) {
		return err
	}
	switch left {
	case 0:
		return forbidden("code.wrong-locked")
	case 1:
		return forbidden("code.wrong-last")
	}
	return forbidden("code.wrong", "n", left)
}

// admitted takes the guess back, notes that somebody reads this inbox, and lets them in.
func (k *Keeper) admitted(ctx context.Context, w http.ResponseWriter, b box, count place, link string) error {
	for _, at := range []place{count, b.place} {
		_, err := k.change(ctx, at, func(rec *endpoints.Record) error {
			if at == count {
				rec.Inbox.Guesses.Add(link, -1, time.Now())
			}
			if at == b.place {
				alive(rec, time.Now())
			}
			return nil
		})
		if err != nil {
			return err
		}
		if count == b.place {
			break
		}
	}
	k.remember(w, b)
	return nil
}

// alive notes that somebody reads the inbox: nobody needs to be asked for another month.
func alive(rec *endpoints.Record, now time.Time) {
	rec.Inbox.Alive, rec.Inbox.Beat = now.UTC().Truncate(time.Second), endpoints.Ask{}
}

// remember has the browser show, for a while, that it has given the code of an inbox. A link in a mail program on the web
// comes from another site, which SameSite=Strict would take for a stranger; nothing is changed by GET, and whatever is
// changed by POST has a key in its address.
func (k *Keeper) remember(w http.ResponseWriter, b box) {
	ends := time.Now().Add(SessionLife)
	http.SetCookie(w, &http.Cookie{Name: k.cookieName(), Path: "/", MaxAge: int(SessionLife.Seconds()), HttpOnly: true, Secure: k.secure(),
		SameSite: http.SameSiteLaxMode,
		Value:    k.Seal.Seal(strings.Join([]string{"session", b.subscriber, b.channel, strconv.FormatInt(ends.Unix(), 10), tag(k.code(b))}, "/"))})
}

// link is the address of the page of a question, or of the page where an inbox is looked after.
func (k *Keeper) link(q question, at place, nonce string) string {
	return k.Hub().URL + "/inbox/" + k.Seal.Seal(strings.Join([]string{"ask", string(q), at.subscriber, at.channel, nonce}, "/"))
}

// Inbox is the address of the page where a recipient's inbox is looked after; empty if they have none.
func (k *Keeper) Inbox(recipient string) string {
	s, _ := k.Lookup(recipient)
	for _, b := range boxes(s) {
		if k.code(b) != "" {
			return k.link(noQuestion, b.place, "")
		}
	}
	return ""
}

// opened is what a link leads to.
type opened struct {
	box
	question
	nonce string
}

// open returns what a token stands for.
func (k *Keeper) open(token string) (opened, bool) {
	content, ok := k.Seal.Open(token)
	parts := strings.Split(content, "/")
	if !ok || len(parts) != 5 || parts[0] != "ask" {
		return opened{}, false
	}
	b, ok := k.find(place{parts[2], parts[3]})
	return opened{b, question(parts[1]), parts[4]}, ok
}
