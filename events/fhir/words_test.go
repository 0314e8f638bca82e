package fhir_test

import (
	"encoding/json"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
)

// payloads are the plain words of a message.
func payloads(t *testing.T, b []byte) (out []string) {
	t.Helper()
	var bundle struct {
		Entry []struct {
			Resource struct {
				Payload []struct{ ContentString string }
			}
		}
	}
	if err := json.Unmarshal(b, &bundle); err != nil {
		t.Fatal(err)
	}
	for _, e := range bundle.Entry {
		for _, p := range e.Resource.Payload {
			out = append(out, p.ContentString)
		}
	}
	return out
}

func TestWords(t *testing.T) {
	m := message(events.Admission, "1")
	m.Event.Because = events.Fall
	m.Event.Flags = []events.Flag{events.FlagLate, events.FlagClock, events.FlagAuthorityEnded}
	m.Event.Said = new(at(9, 30))
	got := payloads(t, encode(t, m))
	want := []string{
		"Thomas Example was admitted to hospital because of a fall.\n" +
			"When: Sunday 12 July 2026, 01:50 (UTC+01:00).\n" +
			"Where: Riverside Hospital\n" +
			"Reported by family carer, not clinically confirmed: Ruth Example (daughter).\n" +
			"Logged: Sunday 12 July 2026, 02:14 (UTC+01:00).\n" +
			"This is late information: it was logged two hours or more after it happened.\n" +
			"The time is uncertain: the reporter's clock was wrong, so the time shown is when it was logged.\n" +
			"The reporter's authority to log for this patient has ended.\n" +
			"The time given was Sunday 12 July 2026, 09:30 (UTC+01:00).",
		"In the carer's own words: He is awake and asking for his glasses.",
	}
	if strings.Join(got, "\n\n") != strings.Join(want, "\n\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n\n"))
	}
}

// TestTestEventsAreMarked: nobody takes test data as real, whichever part of the message they read first.
func TestTestEventsAreMarked(t *testing.T) {
	for _, kind := range events.Kinds {
		m := message(kind, "1")
		m.Event.Test = true
		b := encode(t, m)
		for _, p := range payloads(t, b) {
			if !strings.HasPrefix(p, "TEST") {
				t.Errorf("%s: a payload begins %.20q", kind, p)
			}
		}
		if n := strings.Count(string(b), `"code":"HTEST"`); n != 2 {
			t.Errorf("%s: HL7's tag for test data is there %d times, want on bundle and header", kind, n)
		}
	}
}

// TestWordsAreNotCodes: nothing that a carer types changes any code of the message (hazard: free text misleads).
func TestWordsAreNotCodes(t *testing.T) {
	m := message(events.Attendance, "1")
	plain := codes(t, encode(t, m))
	m.Event.Words, m.Event.Place = "He fell and was admitted. Not discharged.", "A&E, emergency department"
	if got := codes(t, encode(t, m)); got != plain {
		t.Errorf("codes %s, without the words %s", got, plain)
	}
}

func codes(t *testing.T, b []byte) string {
	t.Helper()
	var out []string
	for part := range strings.SplitSeq(string(b), `"code":"`) {
		code, _, _ := strings.Cut(part, `"`)
		out = append(out, code)
	}
	return strings.Join(out, " ")
}

// TestAlarmNamesNobody: an alarm goes to people who may have no business knowing the patient.
func TestAlarmNamesNobody(t *testing.T) {
	b := string(encodeAlarm(t))
	for _, secret := range []string{"Thomas", "Ruth", "9990000018", "1941", `"Patient"`, `"RelatedPerson"`, `"subject"`} {
		if strings.Contains(b, secret) {
			t.Errorf("the alarm holds %s", secret)
		}
	}
}

func TestEncodeAlarmRefuses(t *testing.T) {
	cases := map[string]func(*fhir.Alarm){
		"an event's id": func(a *fhir.Alarm) { a.ID = a.About.Event },
		"no words":      func(a *fhir.Alarm) { a.Words = " " },
		"no time":       func(a *fhir.Alarm) { a.Recorded = a.Recorded.AddDate(-3000, 0, 0) },
		"no hub":        func(a *fhir.Alarm) { a.Hub = events.Sender{} },
	}
	for name, edit := range cases {
		a := alarm()
		edit(&a)
		if _, err := fhir.EncodeAlarm(a); events.KindOf(err) != events.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
