package intake

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"carehub/events"
)

// TestStays logs one event after another for one patient. Each is written as
//
//	name=kind@hours [^ name of the event whose stay it has; its own without]
//
// where hours is when it happened, and by default also when it was logged; kind! is a test event.
func TestStays(t *testing.T) {
	for name, story := range map[string]string{
		"there and back":              "a=admission@0 d=discharge@48^a",
		"two go in":                   "a=admission@0 d=discharge@48^a b=admission@72 e=discharge@80^b",
		"reported twice":              "a=admission@0 b=admission@24^a d=discharge@48^a",
		"reported twice, too late":    "a=admission@0 b=admission@25",
		"A&E, then the ward":          "a=attendance@0 b=admission@3^a d=discharge@20^a",
		"back in the same day":        "a=admission@0 d=discharge@4^a b=admission@6 e=discharge@9^b",
		"the same told late":          "a=admission@10 b=admission@9^a",
		"told after it was over":      "a=admission@10 d=discharge@12^a b=admission@9",
		"out, reported twice":         "a=admission@0 d=discharge@4^a e=discharge@5^a",
		"out, nobody said in":         "d=discharge@0",
		"out twice, nobody said in":   "d=discharge@0 e=discharge@1^d f=discharge@30",
		"open for long":               "a=admission@0 d=discharge@900^a",
		"newest of two":               "a=admission@0 b=attendance@30 d=discharge@40^b e=discharge@80",
		"out before in, by mistake":   "a=admission@10 d=discharge@9 e=discharge@40^a",
		"out, told late":              "a=admission@72 d=discharge@48 e=discharge@80^a",
		"out, told again as earlier":  "a=admission@10 d=discharge@12^a e=discharge@9^a f=discharge@50",
		"a fall has none":             "a=admission@0 f=fall@1^-",
		"tests keep to themselves":    "a=admission@0 t=admission!@1 d=discharge!@2^t",
		"tests end no real stay":      "a=admission@0 t=discharge!@1 d=discharge@2^a",
		"tests keep apart from a day": "t=admission!@0 a=admission@1",
		"a test in between":           "a=admission@0 t=admission!@1 d=discharge@2^a",
		"a test of going out":         "a=admission@0 d=discharge@2^a t=discharge!@3 b=admission@1",
		"many tests in between":       "a=admission@0 t=fall!@1^- u=fall!@2^- v=admission!@3 d=discharge@4^a w=discharge!@5^v",
		"an old stay, told late":      "a=admission@500 b=admission@10 d=discharge@520^a",
		"an old end, told late":       "a=admission@500 d=discharge@520^a e=discharge@10 b=admission@510",
	} {
		for _, how := range []string{"one process", "restarted", "shared store"} {
			t.Run(name+", "+how, func(t *testing.T) { tell(t, story, how) })
		}
	}
}

func tell(t *testing.T, story, how string) {
	in, store, now := opened()
	*now = friday.Add(1000 * time.Hour)
	another := func() *Intake { return New(store, func() Desk { return desk{} }, func() time.Time { return *now }) }
	other := another()
	in.Shared, other.Shared = how == "shared store", how == "shared store"
	ids := map[string]string{"-": ""}
	for n, sentence := range strings.Fields(story) {
		switch how {
		case "restarted":
			in = another()
		case "shared store":
			in, other = other, in
		}
		name, rest, _ := strings.Cut(sentence, "=")
		rest, want, linked := strings.Cut(rest, "^")
		kind, at, _ := strings.Cut(rest, "@")
		kind, test := strings.CutSuffix(kind, "!")
		hours, err := strconv.Atoi(at)
		if err != nil {
			t.Fatal(err)
		}
		occurred := friday.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339)
		e := mustLog(t, in, ruth, Request{Patient: "dad", Kind: events.Kind(kind), Occurred: occurred, Test: test, Key: strconv.Itoa(n)})
		ids[name] = e.ID
		if !linked {
			want = name
		}
		if e.Stay != ids[want] {
			t.Errorf("%s: its stay is not that of %q", sentence, want)
		}
	}
}

// TestAfterARestart logs, minute by minute, what the newest event of a kind says too little about.
func TestAfterARestart(t *testing.T) {
	in, store, now := opened()
	log := func(minute int, r Request) events.Event {
		*now, r.Patient, r.Kind, r.Key = friday.Add(time.Duration(minute)*time.Minute), "dad", events.Admission, strconv.Itoa(minute)
		return mustLog(t, in, ruth, r)
	}
	first := log(0, Request{})
	log(10, Request{Test: true})
	in = New(store, func() Desk { return desk{} }, func() time.Time { return *now })
	if e := log(12, Request{}); e.Stay != first.Stay || !e.Has(events.FlagRepeat) {
		t.Errorf("a test hides the event before it: %+v", e)
	}
	log(20, Request{Occurred: friday.Add(-100 * time.Hour).Format(time.RFC3339)})
	in = New(store, func() Desk { return desk{} }, func() time.Time { return *now })
	if e := log(30, Request{}); e.Stay != first.Stay || !e.Has(events.FlagRepeat) {
		t.Errorf("an old event told late hides the one before it, or is hidden by it: %+v", e)
	}
}

func TestThePastIsReadOnce(t *testing.T) {
	in, store, _ := opened()
	mustLog(t, in, ruth, Request{Text: "dad admitted", Key: "k1"})
	before := store.reads
	mustLog(t, in, ruth, Request{Text: "dad discharged", Key: "k2"})
	if store.reads != before {
		t.Errorf("read %d times more", store.reads-before)
	}
}

func TestWhatMayBeStoredIsReadAgain(t *testing.T) {
	in, store, now := opened()
	mustLog(t, in, ruth, Request{Text: "dad discharged", Key: "k0"})
	*now = now.Add(time.Hour)
	store.lost = errors.New("no answer")
	if _, err := in.Log(t.Context(), ruth, Request{Text: "dad admitted", Key: "k1"}); err == nil {
		t.Fatal("no error")
	}
	store.lost = nil
	if e := mustLog(t, in, ward, Request{Patient: "p-7f3k", Kind: events.Admission, Key: "k2"}); e.Stay != store.stored[1].Record.Event.ID {
		t.Error("the second report is not linked to the first")
	}
}

// A discharge says whether it ends an attendance: receivers must not read that somebody was an inpatient.
func TestDischargeKnowsWhatItEnds(t *testing.T) {
	for began, ends := range map[string]events.Kind{"attendance": events.Attendance, "admission": "", "": ""} {
		in, _, now := opened()
		log := func(kind string) events.Event {
			*now = now.Add(time.Hour)
			r, err := in.Log(t.Context(), ruth, Request{Patient: "dad", Kind: events.Kind(kind), Key: kind})
			if err != nil {
				t.Fatal(err)
			}
			return r.Stored.Record.Event
		}
		if began != "" {
			log(began)
		}
		if e := log("discharge"); e.Ends != ends {
			t.Errorf("after %q the discharge ends %q, want %q", began, e.Ends, ends)
		}
	}
}
