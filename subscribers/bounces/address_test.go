package bounces_test

import (
	"fmt"
	"net/mail"
	"strings"
	"testing"

	"carehub/events"
	"carehub/subscribers/bounces"
)

func TestPatterns(t *testing.T) {
	for pattern, ok := range map[string]bool{"care+b-*@hub.example": true, "*@bounces.hub.example": true, "b-*-x@hub.example": true,
		strings.Repeat("x", 24) + "*@hub.example": true, strings.Repeat("x", 25) + "*@hub.example": false,
		"care@hub.example": false, "care+*@*.example": false, "care@*.example": false, "*": false, "": false, "a b*@hub.example": false} {
		if _, err := bounces.NewAddresses([]byte("key"), pattern); (err == nil) != ok {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestAddressesTellNothingAndFit(t *testing.T) {
	a, err := bounces.NewAddresses([]byte("key"), "care+b-*@hub.example")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, leg := range []events.Leg{{Place: events.Place{Seq: 1}}, {Place: events.Place{Seq: 2}}, {Place: events.Place{Partition: 65535, Seq: 1<<48 - 1}, Index: 1<<24 - 1, Channel: 255}} {
		for _, recipient := range []string{"hospice", "frailty"} {
			address := a.For(leg, "ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa", recipient)
			parsed, err := mail.ParseAddress(address)
			local, _, _ := strings.Cut(address, "@")
			if err != nil || parsed.Address != address || len(local) > 64 || seen[address] || strings.Contains(address, "7f3k") || !strings.HasPrefix(address, a.Mark()) {
				t.Errorf("%q, %v", address, err)
			}
			if again := a.For(leg, "ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa", recipient); again != address {
				t.Errorf("%q, and then %q", address, again)
			}
			seen[address] = true
		}
	}
	for _, none := range []events.Leg{{}, {Place: events.Place{Seq: 1 << 48}}, {Place: events.Place{Seq: 1, Partition: 65536}}, {Place: events.Place{Seq: 1}, Index: 1 << 24}, {Place: events.Place{Seq: 1}, Channel: 256}} {
		if address := a.For(none, "ev", "hospice"); address != "" {
			t.Errorf("%+v has %q", none, address)
		}
	}
}

// TestForgery: any change of a token, another key, and another event at the same place, is nothing; upper case is the same.
func TestForgery(t *testing.T) {
	w := newWorld(t)
	whole := string(w.report("postfix-failed", 0, 0))
	at := strings.Index(whole, "care+b-") + len("care+b-")
	token := whole[at : at+40]
	result := func(token2 string) bounces.Result {
		return w.take(w.is, []byte(strings.ReplaceAll(whole, token, token2)))
	}
	for i := range token {
		other := byte('a')
		if token[i] == other {
			other = 'b'
		}
		if got := result(token[:i] + string(other) + token[i+1:]); got != bounces.Foreign {
			t.Fatalf("with another character at %d it is %s", i, got)
		}
	}
	elsewhere, err := bounces.NewAddresses([]byte("another key"), "care+b-*@hub.example")
	if err != nil {
		t.Fatal(err)
	}
	for what, address := range map[string]string{
		"of another key":       elsewhere.For(events.Leg{Place: w.event.Place()}, w.event.Record.Event.ID, w.event.Record.Plan.Recipients[0].ID),
		"of another event":     w.addresses.For(events.Leg{Place: w.event.Place()}, "ev-other", w.event.Record.Plan.Recipients[0].ID),
		"of another recipient": w.addresses.For(events.Leg{Place: w.event.Place()}, w.event.Record.Event.ID, "somebody"),
		"of no event":          w.addresses.For(events.Leg{Place: events.Place{Seq: 77}}, w.event.Record.Event.ID, w.event.Record.Plan.Recipients[0].ID),
	} {
		if got := result(address[7:47]); got != bounces.Foreign {
			t.Errorf("a token %s: %s", what, got)
		}
	}
	if len(w.records()) != 0 {
		t.Errorf("recorded %q", w.records())
	}
	if got := result(strings.ToUpper(token)); got != bounces.Bounced {
		t.Errorf("in upper case it is %s", got)
	}
}

func ExampleAddresses_For() {
	a, _ := bounces.NewAddresses([]byte("the hub's own key"), "care+b-*@hub.example")
	leg := events.Leg{Place: events.Place{Partition: 2, Seq: 1041}}
	fmt.Println(a.For(leg, "ev-7f3k-k2bv56gyavoeb4ppkj7hoxxz55", "hospice"))
	// Output: care+b-raom4bra7iyxuto3tpuoertif4p6mlornowjg6la@hub.example
}
