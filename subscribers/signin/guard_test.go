package signin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// tries opens a link from an address.
func (d *desk) tries(from, path string) *http.Response {
	r := httptest.NewRequestWithContext(d.t.Context(), "GET", path, nil)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, r)
	return w.Result()
}

// guesses tries links that nobody was sent until it is turned away, at most n.
func (d *desk) guesses(from string, n int) (tried int, last *http.Response) {
	for tried = range n {
		if last = d.tries(from, "/signin/guess"+strconv.Itoa(tried)); last.StatusCode != http.StatusNotFound {
			return tried, last
		}
	}
	return n, last
}

// TestGuessesAreSlowed: whoever tries links that nobody was sent is turned away, with a good one too, and others are not.
func TestGuessesAreSlowed(t *testing.T) {
	d := newDesk(t)
	link := d.invite("ruth")
	for range 50 { // a good link counts for nothing
		if answer := d.tries("192.0.2.7:1", link); answer.StatusCode != http.StatusOK {
			t.Fatalf("status %d", answer.StatusCode)
		}
	}
	tried, last := d.guesses("192.0.2.7:1", 100)
	if tried != 20 || last.StatusCode != http.StatusTooManyRequests || last.Header.Get("Retry-After") != "60" {
		t.Errorf("after %d guesses: %d, to come back in %q s", tried, last.StatusCode, last.Header.Get("Retry-After"))
	}
	if answer := d.tries("192.0.2.7:2", link); answer.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a good link tells a guesser that it is: status %d", answer.StatusCode)
	}
	if answer := d.tries("192.0.2.8:1", link); answer.StatusCode != http.StatusOK {
		t.Errorf("somebody else: status %d", answer.StatusCode)
	}
	d.now = d.now.Add(time.Minute)
	if tried, _ := d.guesses("192.0.2.7:1", 100); tried != 1 {
		t.Errorf("%d guesses a minute later", tried)
	}
	if answer := (&phone{d: d, mux: d.mux}).do("POST", link, nil); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("signing in: status %d", answer.StatusCode)
	}
}

// TestGuessesFromEverywhere: while there are very many, each address has few left, and a good link works all the same. All of one
// IPv6 network are one.
func TestGuessesFromEverywhere(t *testing.T) {
	d := newDesk(t)
	link := d.invite("ruth")
	for n := range 25 {
		if tried, _ := d.guesses(fmt.Sprintf("[2001:db8:0:%x::%x]:1", n, n), 20); tried != 20 {
			t.Fatalf("%d: %d guesses", n, tried)
		}
	}
	if tried, last := d.guesses("[2001:db8:1::1]:1", 20); tried != 3 || last.StatusCode != http.StatusTooManyRequests {
		t.Errorf("%d guesses from a new address", tried)
	}
	if tried, _ := d.guesses("[2001:db8:1::2]:1", 20); tried != 0 {
		t.Errorf("%d guesses from its neighbour", tried)
	}
	if answer := d.tries("192.0.2.8:1", link); answer.StatusCode != http.StatusOK {
		t.Errorf("a good link: status %d", answer.StatusCode)
	}
}
