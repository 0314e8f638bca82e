package inbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/endpoints"
)

// admit gives a code behind a link, and insists that a cookie comes of it exactly if it is right.
func (w *world) admit(who, link, code string) error {
	w.t.Helper()
	_, err := w.enter(who, link, code)
	return err
}

func (w *world) enter(who, link, code string) (*http.Request, error) {
	w.t.Helper()
	answer, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/m/x", nil)
	err := w.Admit(answer, r, who, link, code)
	cookies := answer.Result().Cookies()
	if (err == nil) != (len(cookies) == 1) {
		w.t.Errorf("%v with %v", err, cookies)
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r, err
}

func TestSession(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		w.verify("admin", admin, "5820")
		r, err := w.enter("frailty-team", "a link", " 72-91 ")
		if err != nil {
			t.Fatal(err)
		}
		if !w.Knows(r, "frailty-team") || w.Knows(r, "admin") || w.Knows(httptest.NewRequest("GET", "/", nil), "frailty-team") {
			t.Error("the cookie is for another, or for nobody")
		}
		forged := httptest.NewRequest("GET", "/", nil)
		for _, c := range r.Cookies() {
			forged.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value[:len(c.Value)-3] + "AAA"})
		}
		if w.Knows(forged, "frailty-team") {
			t.Error("a forged cookie counts")
		}
		w.passes(SessionLife - time.Minute)
		if !w.Knows(r, "frailty-team") {
			t.Error("it ended too early")
		}
		w.passes(time.Minute)
		if w.Knows(r, "frailty-team") {
			t.Error("it does not end")
		}
		r, _ = w.enter("frailty-team", "a link", "7291")
		w.verify("frailty-team", team, "8391")
		if w.Knows(r, "frailty-team") {
			t.Error("a new code does not end it")
		}
	})
}

func TestGuessing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		w.told()
		for n := range endpoints.MaxLinkGuesses {
			if err := w.admit("frailty-team", "one link", fmt.Sprint(1000+n)); events.KindOf(err) != events.Forbidden {
				t.Fatal(err)
			}
		}
		if err := w.admit("frailty-team", "one link", "7291"); err == nil {
			t.Error("the right code is taken after too many wrong ones behind a link")
		}
		if err := w.admit("frailty-team", "another link", "7291"); err != nil {
			t.Errorf("another link is closed too: %v", err)
		}
		w.passes(time.Minute)
		if alarms := w.told(); len(alarms) != 0 {
			t.Errorf("%q", alarms)
		}
		for n := range endpoints.MaxGuesses - endpoints.MaxLinkGuesses {
			_ = w.admit("frailty-team", fmt.Sprint("link ", n), "1000")
		}
		err := w.admit("frailty-team", "a last link", "7291")
		if err == nil || !strings.Contains(err.Error(), "too many wrong codes") {
			t.Errorf("locked, and yet %v", err)
		}
		w.passes(time.Minute)
		if alarms := w.told(); len(alarms) != 1 || !strings.Contains(alarms[0], "10 wrong codes for messages to Frailty team") {
			t.Errorf("%q", alarms)
		}
		w.passes(endpoints.GuessWindow)
		if err := w.admit("frailty-team", "a last link", "7291"); err != nil {
			t.Errorf("the next day: %v", err)
		}
	})
}

// TestVerifyingUnlocks: whoever runs the hub can let them in before the day is over.
func TestVerifyingUnlocks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		for n := range endpoints.MaxGuesses {
			_ = w.admit("frailty-team", fmt.Sprint("link ", n), "1000")
		}
		w.verify("frailty-team", team, "8392")
		if err := w.admit("frailty-team", "a link", "8392"); err != nil {
			t.Error(err)
		}
	})
}

// TestGuessingAtOnce: a thousand guesses at one time get no more looks than one after another.
func TestGuessingAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		var all sync.WaitGroup
		var mu sync.Mutex
		looked := 0
		for n := range 100 {
			all.Go(func() {
				err := w.admit("frailty-team", fmt.Sprint("link ", n), "1000")
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(fmt.Sprint(err), "That is not the code") {
					looked++
				}
			})
		}
		all.Wait()
		if looked != endpoints.MaxGuesses {
			t.Errorf("%d of 100 guesses were looked at", looked)
		}
	})
}

func TestNoCodeNoEntry(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, who := range []string{"frailty-team", "nobody"} {
			if err := w.admit(who, "link", "7291"); events.KindOf(err) != events.Forbidden {
				t.Errorf("%s: %v", who, err)
			}
			if w.Inbox(who) != "" {
				t.Errorf("%s has a page", who)
			}
		}
	})
}

func TestHashes(t *testing.T) {
	k := New(Options{})
	a, err := k.hash(t.Context(), "7291")
	b, _ := k.hash(t.Context(), "7291")
	if err != nil || a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%s %s %v", a, b, err)
	}
	for code, want := range map[string]bool{"7291": true, "7292": false} {
		if got, err := k.matches(t.Context(), a, code); got != want || err != nil {
			t.Errorf("%s: %v %v", code, got, err)
		}
	}
	for _, other := range []string{"", "7291", "$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA", a[:len(a)-5] + "!", "$$$$$"} {
		if got, err := k.matches(t.Context(), other, "7291"); got || err == nil {
			t.Errorf("%q: %v %v", other, got, err)
		}
	}
}
