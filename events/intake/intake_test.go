package intake

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

func mustLog(t *testing.T, in *Intake, by events.Actor, r Request) events.Event {
	t.Helper()
	result, err := in.Log(t.Context(), by, r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return result.Stored.Record.Event
}

func TestLogStoresTheEventItsPlanAndItsMessage(t *testing.T) {
	in, store, _ := opened()
	result, err := in.Log(t.Context(), ruth, Request{Text: `dad fell and was admitted to "Riverside" 20m ago`, Words: " Very pale. ", Key: "k1"})
	if err != nil || !result.Created {
		t.Fatal(result, err)
	}
	e, plan := store.stored[0].Record.Event, store.stored[0].Record.Plan
	if e.ID != events.NewID(ruth, "p-7f3k", "k1") || e.Kind != events.Admission || e.Because != events.Fall || e.Stay != e.ID ||
		e.Place != "Riverside" || e.Words != "Very pale." || e.By != ruth || len(e.Flags) != 0 || e.Said != nil {
		t.Errorf("stored %+v", e)
	}
	if !e.Recorded.Equal(friday) || !e.Occurred.Equal(friday.Add(-20*time.Minute)) {
		t.Errorf("occurred %v, recorded %v", e.Occurred, e.Recorded)
	}
	if plan.Rules != "rules-1" || plan.Request == "" || len(plan.Recipients) != 2 {
		t.Errorf("plan %+v", plan)
	}
	read, err := fhir.Decode(store.stored[0].Message)
	if err != nil || read.Event.ID != e.ID || read.Patient.Name != "Thomas Example" || read.Urgency != events.Urgent {
		t.Errorf("the message says %+v, %v", read, err)
	}
}

func TestSameKeyGivesTheFirstEventAgain(t *testing.T) {
	in, store, now := opened()
	first := mustLog(t, in, ruth, Request{Text: "dad admitted 20m ago", Key: "k"})
	*now = now.Add(time.Hour)
	again, err := in.Log(t.Context(), ruth, Request{Text: " dad admitted 20m ago", Key: "k"})
	if err != nil || again.Created || !again.Stored.Record.Event.Occurred.Equal(first.Occurred) || len(store.stored) != 1 {
		t.Errorf("got %+v, %v; %d stored", again, err, len(store.stored))
	}
	for name, other := range map[string]Request{
		"other kind":  {Text: "dad discharged 20m ago", Key: "k"},
		"other time":  {Text: "dad admitted 25m ago", Key: "k"},
		"other words": {Text: "dad admitted 20m ago", Words: "!", Key: "k"},
		"fields":      {Patient: "dad", Kind: events.Admission, Key: "k"},
	} {
		_, err := in.Log(t.Context(), ruth, other)
		if conflict, ok := asError(err); !ok || conflict.Kind != events.Conflict || conflict.Event != first.ID {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(store.stored) != 1 {
		t.Errorf("%d stored", len(store.stored))
	}
}

func TestSameKeyFromTwentyAtOnceIsOneEvent(t *testing.T) {
	in, store, _ := opened()
	var created, same sync.Map
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			result, err := in.Log(t.Context(), ruth, Request{Text: "dad admitted", Key: "k"})
			if err != nil {
				t.Error(err)
			}
			if result.Created {
				created.Store(i, true)
			}
			same.Store(result.Stored.Record.Event.ID, true)
		})
	}
	all.Wait()
	count := func(m *sync.Map) (n int) {
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	if count(&created) != 1 || count(&same) != 1 || len(store.stored) != 1 {
		t.Errorf("%d created, %d ids, %d stored", count(&created), count(&same), len(store.stored))
	}
}

func TestWhoMayLog(t *testing.T) {
	in, store, _ := opened()
	_, stranger := in.Log(t.Context(), eve, Request{Patient: "p-7f3k", Kind: events.Fall, Key: "k"})
	_, nobody := in.Log(t.Context(), eve, Request{Patient: "p-zzzz", Kind: events.Fall, Key: "k"})
	if events.KindOf(stranger) != events.Forbidden || stranger.Error() != nobody.Error() || events.KindOf(nobody) != events.Forbidden {
		t.Errorf("a stranger can tell %v from %v", stranger, nobody)
	}
	if _, err := in.Log(t.Context(), ward, Request{Patient: "p-2b9c", Kind: events.Fall, Key: "k"}); events.KindOf(err) != events.Forbidden {
		t.Errorf("a system logged for another patient: %v", err)
	}
	_, err := in.Log(t.Context(), ruth, Request{Patient: "dda", Kind: events.Fall, Key: "k"})
	if refusal, ok := errors.AsType[*Refusal](err); !ok || refusal.Suggestion != `did you mean "dad"?` || strings.Contains(err.Error(), "dad") {
		t.Errorf("an unknown alias: %v", err)
	}
	if len(store.stored) != 0 {
		t.Errorf("%d stored", len(store.stored))
	}
	if e := mustLog(t, in, tom, Request{Text: "grandad fell", Key: "k"}); !e.Has(events.FlagAuthorityEnded) {
		t.Errorf("flags %v", e.Flags)
	}
}

func TestWhenItHappened(t *testing.T) {
	for name, c := range map[string]struct {
		given    string
		occurred time.Duration // from now
		said     bool
		flag     events.Flag
	}{
		"no time":               {"", 0, false, ""},
		"now":                   {"2026-11-20T15:00:00Z", 0, false, ""},
		"just under two hours":  {"2026-11-20T13:00:01Z", -2*time.Hour + time.Second, false, ""},
		"two hours":             {"2026-11-20T14:00:00+01:00", -2 * time.Hour, false, events.FlagLate},
		"last year":             {"2025-11-20T15:00:00Z", -365 * 24 * time.Hour, false, events.FlagLate},
		"clock a little ahead":  {"2026-11-20T15:15:00Z", 0, true, ""},
		"clock ahead":           {"2026-11-20T15:15:01Z", 0, true, events.FlagClock},
		"clock years ahead":     {"2030-01-01T00:00:00Z", 0, true, events.FlagClock},
		"clock that was reset":  {"1970-01-01T00:00:00Z", 0, true, events.FlagClock},
		"in the zone of Athens": {"2026-11-20T16:00:00+02:00", -time.Hour, false, ""},
	} {
		in, _, _ := opened()
		e := mustLog(t, in, ruth, Request{Patient: "dad", Kind: events.Fall, Occurred: c.given, Key: "k"})
		var flags []events.Flag
		if c.flag != "" {
			flags = []events.Flag{c.flag}
		}
		if !e.Recorded.Equal(friday) || e.Occurred.Sub(friday) != c.occurred || (e.Said != nil) != c.said || !slices.Equal(e.Flags, flags) {
			t.Errorf("%s: occurred %v, said %v, flags %v", name, e.Occurred, e.Said, e.Flags)
		}
		if c.said && e.Said.Format(time.RFC3339) != c.given {
			t.Errorf("%s: %v was said, %s given", name, e.Said, c.given)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	in, store, _ := opened()
	for name, r := range map[string]Request{
		"no key":            {Text: "dad fell"},
		"long key":          {Text: "dad fell", Key: strings.Repeat("k", events.MaxKey+1)},
		"key with a space":  {Text: "dad fell", Key: "a b"},
		"key not ASCII":     {Text: "dad fell", Key: "ké"},
		"nothing":           {Key: "k"},
		"text and fields":   {Text: "dad fell", Patient: "dad", Key: "k"},
		"no kind":           {Patient: "dad", Key: "k"},
		"unknown kind":      {Patient: "dad", Kind: "admision", Key: "k"},
		"the hub's kind":    {Patient: "dad", Kind: events.Alarm, Key: "k"},
		"because of what":   {Patient: "dad", Kind: events.Admission, Because: events.Discharge, Key: "k"},
		"fall because fall": {Patient: "dad", Kind: events.Fall, Because: events.Fall, Key: "k"},
		"no zone":           {Patient: "dad", Kind: events.Fall, Occurred: "2026-11-20T15:00:00", Key: "k"},
		"no such day":       {Patient: "dad", Kind: events.Fall, Occurred: "2026-02-30T15:00:00Z", Key: "k"},
		"no such zone":      {Patient: "dad", Kind: events.Fall, Occurred: "2026-11-20T15:00:00+15:00", Key: "k"},
		"year 0":            {Patient: "dad", Kind: events.Fall, Occurred: "0000-11-20T15:00:00Z", Key: "k"},
		"long words":        {Text: "dad fell", Words: strings.Repeat("é", events.MaxWords+1), Key: "k"},
		"control in words":  {Text: "dad fell", Words: "a\x1b[2J", Key: "k"},
		"broken words":      {Text: "dad fell", Words: "\xff", Key: "k"},
		"mended words":      {Text: "dad fell", Words: "\uFFFD", Key: "k"},
		"long place":        {Patient: "dad", Kind: events.Fall, Place: strings.Repeat("x", events.MaxPlace+1), Key: "k"},
		"place of lines":    {Patient: "dad", Kind: events.Fall, Place: "a\nb", Key: "k"},
		"not understood":    {Text: "dad nearly fell", Key: "k"},
	} {
		if _, err := in.Log(t.Context(), ruth, r); events.KindOf(err) != events.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(store.stored) != 0 {
		t.Errorf("%d stored", len(store.stored))
	}
	limit := Request{Patient: "dad", Kind: events.Fall, Words: strings.Repeat("é", events.MaxWords-1) + "\n", Place: strings.Repeat("é", events.MaxPlace), Key: "k"}
	mustLog(t, in, ruth, limit)
}

func TestFlagsInsteadOfRefusals(t *testing.T) {
	in, store, now := opened()
	if e := mustLog(t, in, ruth, Request{Text: "mum fell", Key: "k"}); !slices.Equal(e.Flags, []events.Flag{events.FlagUnrouted}) {
		t.Errorf("nobody to tell: flags %v", e.Flags)
	}
	mustLog(t, in, ruth, Request{Text: "dad fell", Key: "k"})
	*now = now.Add(15*time.Minute - time.Second)
	if e := mustLog(t, in, ward, Request{Patient: "p-7f3k", Kind: events.Fall, Key: "k"}); !e.Has(events.FlagRepeat) {
		t.Errorf("the same within 15 minutes: flags %v", e.Flags)
	}
	*now = now.Add(15 * time.Minute)
	if e := mustLog(t, in, ruth, Request{Text: "dad fell", Key: "k2"}); e.Has(events.FlagRepeat) {
		t.Errorf("the same 15 minutes later: flags %v", e.Flags)
	}
	before := len(store.stored)
	for i := range burst + 1 {
		e := mustLog(t, in, tom, Request{Text: "grandad fell", Key: strconv.Itoa(i)})
		if e.Has(events.FlagRate) != (i == burst) {
			t.Errorf("event %d of a burst: flags %v", i, e.Flags)
		}
	}
	if len(store.stored) != before+burst+1 {
		t.Error("the rate limit lost an event")
	}
}

func TestDryRunSavesNothing(t *testing.T) {
	in, store, _ := opened()
	result, err := in.Log(t.Context(), ruth, Request{Text: "dad fell", DryRun: true})
	if err != nil || result.Created || result.About.Name != "Thomas Example" || len(result.Stored.Record.Plan.Recipients) != 2 || len(store.stored) != 0 {
		t.Errorf("got %+v, %v; %d stored", result, err, len(store.stored))
	}
	if result, err := in.Log(t.Context(), tom, Request{Text: "grandad fell", DryRun: true}); err != nil || result.About.Name != "" {
		t.Errorf("whose authority has ended reads %+v, %v", result.About, err)
	}
}

func TestStoreThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		kind events.ErrorKind
		says string
	}{
		"disk full":   {&events.Error{Kind: events.Unavailable, Message: "The disk of the store is full. Nothing was saved."}, events.Unavailable, "The disk of the store is full. Nothing was saved. Please try again, or phone."},
		"closed":      {errors.New("connection closed"), events.Unavailable, "Nothing was saved. Please try again, or phone."},
		"not certain": {&events.Error{Kind: events.Unavailable, Message: "Nothing is known to be saved."}, events.Unavailable, "Nothing is known to be saved. Please try again, or phone."},
		"too large":   {&events.Error{Kind: events.TooLarge, Message: "Too large. Nothing was saved."}, events.TooLarge, "Too large. Nothing was saved."},
	} {
		in, store, _ := opened()
		store.fail = c.err
		_, err := in.Log(t.Context(), ruth, Request{Text: "dad fell", Key: "k"})
		if events.KindOf(err) != c.kind || err.Error() != c.says || !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		store.fail = nil
		mustLog(t, in, ruth, Request{Text: "dad fell", Key: "k"})
	}
}

// stuck is a store that answers no write before its context ends.
type stuck struct {
	memory
	entered chan struct{}
}

func (s *stuck) Publish(ctx context.Context, _ events.Record, _ []byte) (events.Stored, bool, error) {
	close(s.entered)
	<-ctx.Done()
	return events.Stored{}, false, ctx.Err()
}

func TestStoreThatHangsHoldsNobodyBeyondTheirDeadline(t *testing.T) {
	store := &stuck{entered: make(chan struct{})}
	in := New(store, func() Desk { return desk{} }, func() time.Time { return friday })
	held, release := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := in.Log(held, ruth, Request{Text: "dad fell", Key: "k1"})
		first <- err
	}()
	<-store.entered
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Log(gone, ruth, Request{Text: "dad fell", Key: "k2"}); events.KindOf(err) != events.Unavailable || !strings.Contains(err.Error(), "Nothing was saved.") {
		t.Errorf("behind it: %v", err)
	}
	release()
	if err := <-first; events.KindOf(err) != events.Unavailable || !strings.Contains(err.Error(), "Nothing is known to be saved") {
		t.Errorf("itself: %v", err)
	}
}

// A sentence that was understood stays the first event's under its key, even when by now it would be refused.
func TestRepeatAfterMidnight(t *testing.T) {
	in, store, now := opened()
	*now = time.Date(2026, 11, 20, 23, 55, 0, 0, time.UTC)
	r := Request{Text: "dad fell at 23:50", Key: "k"}
	first, err := in.Log(t.Context(), ruth, r)
	if err != nil {
		t.Fatal(err)
	}
	*now = now.Add(10 * time.Minute)
	again, err := in.Log(t.Context(), ruth, r)
	if err != nil || again.Created || again.Stored.Record.Event.ID != first.Stored.Record.Event.ID || len(store.stored) != 1 {
		t.Errorf("the repeat gave %v, created %v, %d stored", err, again.Created, len(store.stored))
	}
	if _, err := in.Log(t.Context(), ruth, Request{Text: "dad fell at 23:50", Key: "other"}); err == nil {
		t.Error("a new event was taken from a time to come")
	}
}
