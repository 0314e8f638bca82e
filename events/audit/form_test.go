package audit_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/audit"
)

// TestFormsAreWhatIsMarshalled: a form filled with anything is, byte for byte, what encoding/json makes of the same access.
func TestFormsAreWhatIsMarshalled(t *testing.T) {
	pick := func(of ...string) string { return of[rand.IntN(len(of))] }
	text := func() string {
		return pick("", "", "ruth", "0", "\uFFFF1", `a "b" \ <c> & d`, "Siân\u2028", "\xff", "\x00\n", "\xe2\x80")
	}
	hubs := []events.Sender{{Name: "Carers' <network> & more", URL: "https://hub.example"}, {Name: "odd \uFFFF", URL: "https://hub.example"}}
	for range 3000 {
		a := audit.Access{By: events.Actor{Kind: events.ActorKind(pick(string(events.Carer), string(events.System))), ID: text()}, Name: text(),
			Interaction: pick("read", "vread", "search-type", "create", "operation"), Type: text(), ID: text(), Patient: text(), Query: text(),
			Refused: events.ErrorKind(pick("", string(events.NotFound), string(events.Unavailable))), From: text(), Request: text(),
			At: time.Unix(rand.Int64N(1<<32), rand.Int64N(1e9))}
		hub := hubs[rand.IntN(len(hubs))]
		got, err := audit.Event(hub, a)
		if err != nil {
			t.Fatal(err)
		}
		var drawn struct{ ID string }
		if err := json.Unmarshal(got, &drawn); err != nil {
			t.Fatalf("%+q: %v", a, err)
		}
		want, err := audit.Marshalled(hub, a, drawn.ID)
		if err != nil || string(got) != string(want) {
			t.Fatalf("%+q: %v\n%s\n%s", a, err, got, want)
		}
	}
}

// TestAnEventLoggedIsCheapToRecord: laid out anew each time it took 263 allocations.
func TestAnEventLoggedIsCheapToRecord(t *testing.T) {
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := audit.Event(benchHub, logged); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 10 {
		t.Errorf("%v allocations", allocations)
	}
}
