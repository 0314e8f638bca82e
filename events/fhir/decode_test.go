package fhir_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"

	"pgregory.net/rapid"
)

// TestRoundTrip: everything that Encode is given comes back, for any recipient.
func TestRoundTrip(t *testing.T) {
	for name, m := range messages() {
		if name == "unicode" {
			m.Patient.Name = strings.ReplaceAll(m.Patient.Name, "\u00a0", " ")
			m.Event.Words = strings.ReplaceAll(m.Event.Words, "\u2028", " ")
		}
		stored := encode(t, m)
		for _, b := range [][]byte{stored, address(t, stored, m.Event.ID, destination())} {
			got, err := fhir.Decode(b)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !reflect.DeepEqual(got, m) {
				t.Errorf("%s came back as\n%+v\nwas\n%+v", name, got, m)
			}
		}
	}
}

// TestZoneOfTheMachine: the same message is the same event wherever it is read.
func TestZoneOfTheMachine(t *testing.T) {
	was := time.Local
	t.Cleanup(func() { time.Local = was })
	time.Local = time.FixedZone("BST", 3600) // the fixtures' own offset
	m := message(events.Fall, "1")
	got, err := fhir.Decode(encode(t, m))
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%v: came back as\n%+v\nwas\n%+v", err, got, m)
	}
}

func TestRoundTripOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMessage(t)
		b, err := fhir.Encode(m)
		if err != nil {
			t.Fatalf("%v: %+v", err, m)
		}
		got, err := fhir.Decode(b)
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		if !reflect.DeepEqual(got, m) {
			t.Fatalf("came back as\n%+v\nwas\n%+v", got, m)
		}
	})
}

// line is text that needs no cleaning; the rest of what people type is in TestTextThatFHIRCannotCarry.
func line(t *rapid.T, name string) string {
	return strings.TrimSpace(rapid.StringMatching(`([a-zA-Zéß0-9 .,'"&<>\\/{}\[\]:🤕転-]|\n){0,60}`).Draw(t, name))
}

func anyMessage(t *rapid.T) fhir.Message {
	m := message(rapid.SampledFrom(events.Kinds).Draw(t, "kind"), line(t, "key"))
	ev := &m.Event
	ev.Occurred, ev.Recorded = anyTime(t, "occurred"), anyTime(t, "recorded")
	if rapid.Bool().Draw(t, "said") {
		ev.Said = new(anyTime(t, "said at"))
	}
	ev.Place, ev.Words = line(t, "place"), line(t, "words")
	if ev.Kind.OpensStay() && rapid.Bool().Draw(t, "fell") {
		ev.Because = events.Fall
	}
	if ev.Kind != events.Fall {
		ev.Stay = line(t, "stay")
	}
	for range rapid.IntRange(0, 3).Draw(t, "flags") {
		ev.Flags = append(ev.Flags, events.Flag(rapid.StringMatching(`[a-z]{2,9}(-[a-z]{2,9})?`).
			Filter(func(s string) bool { return s != "test" }).Draw(t, "flag")))
	}
	ev.Test = rapid.Bool().Draw(t, "test")
	m.Urgency = rapid.SampledFrom([]events.Urgency{"", events.Urgent, events.Routine}).Draw(t, "urgency")
	m.Patient.Name, m.Patient.NHSNumber = line(t, "patient"), line(t, "number")
	m.Patient.Gender = rapid.SampledFrom([]string{"", "male", "female", "other", "unknown"}).Draw(t, "gender")
	m.Patient.Born = rapid.SampledFrom([]string{"", "1924-02-29", "2026-12-31"}).Draw(t, "born")
	m.By.Name, m.By.Phone, m.By.Relationship = line(t, "by"), line(t, "phone"), line(t, "relationship")
	if rapid.Bool().Draw(t, "summed") {
		s := &events.Summary{Reviewed: rapid.SampledFrom([]string{"2024-02-29", "2026-10-01"}).Draw(t, "reviewed")}
		for range rapid.IntRange(0, events.MaxConditions).Draw(t, "conditions") {
			s.Conditions = append(s.Conditions, "x"+line(t, "condition"))
		}
		if s.Respect = rapid.SampledFrom([]events.Respect{"", events.RespectExists, events.RespectNone}).Draw(t, "respect"); s.Respect == events.RespectExists {
			s.Where = line(t, "where")
		}
		m.Patient.Summary = s
	}
	if rapid.Bool().Draw(t, "by a system") {
		m.By = events.Person{ID: "ward", Kind: events.System, Name: line(t, "system")}
		if rapid.Bool().Draw(t, "from") {
			ev.From = &events.Origin{Message: "x" + line(t, "message"), Sender: line(t, "sender"), ODS: rapid.SampledFrom([]string{"", "RX0ZZ"}).Draw(t, "ods")}
		}
	}
	ev.By = events.Actor{Kind: m.By.Kind, ID: m.By.ID}
	m.Hub.Name = "x" + line(t, "hub")
	m.Hub.Version, m.Hub.Email = line(t, "version"), line(t, "email")
	return m
}

func anyTime(t *rapid.T, name string) time.Time {
	at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns"))
	minutes := rapid.IntRange(-14*60, 14*60).Draw(t, name+" offset")
	if minutes == 0 {
		return at.UTC()
	}
	return at.In(time.FixedZone("", minutes*60))
}

func TestTextThatFHIRCannotCarry(t *testing.T) {
	m := message(events.Fall, "1")
	m.Event.Words = " a\u00a0b\x00c\xffd\u2028e\ufefff\n "
	m.Event.Place = "\u3000"
	got, err := fhir.Decode(encode(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if want := "a b c\uFFFDd e f"; got.Event.Words != want || got.Event.Place != "" {
		t.Errorf("words %q, want %q; place %q, want none", got.Event.Words, want, got.Event.Place)
	}
}

func TestAlarmComesBack(t *testing.T) {
	a := alarm()
	got, err := fhir.Decode(address(t, encodeAlarm(t), a.ID, destination()))
	if err != nil {
		t.Fatal(err)
	}
	ev := got.Event
	if ev.Kind != events.Alarm || ev.ID != a.ID || ev.Words != a.Words || !ev.Recorded.Equal(a.Recorded) || got.Hub != a.Hub {
		t.Errorf("the alarm came back as %+v", got)
	}
}

func TestEncodeRefuses(t *testing.T) {
	cases := map[string]func(*fhir.Message){
		"another patient":         func(m *fhir.Message) { m.Patient.ID = "p-zzzz" },
		"another patient's event": func(m *fhir.Message) { m.Patient.ID, m.Event.Patient = "p-zzzz", "p-zzzz" },
		"another logger":          func(m *fhir.Message) { m.By.ID = "tom" },
		"the hub as logger":       func(m *fhir.Message) { m.By.Kind, m.Event.By.Kind = events.Hub, events.Hub },
		"no kind":                 func(m *fhir.Message) { m.Event.Kind = "" },
		"an alarm":                func(m *fhir.Message) { m.Event.Kind = events.Alarm },
		"no time":                 func(m *fhir.Message) { m.Event.Occurred = time.Time{} },
		"a year of five digits":   func(m *fhir.Message) { m.Event.Recorded = m.Event.Recorded.AddDate(9000, 0, 0) },
		"an offset in seconds": func(m *fhir.Message) {
			m.Event.Said = new(m.Event.Recorded.In(time.FixedZone("", 75)))
		},
		"a discharge by a fall": func(m *fhir.Message) { m.Event.Kind, m.Event.Because = events.Discharge, events.Fall },
		"too many words":        func(m *fhir.Message) { m.Event.Words = strings.Repeat("ß", events.MaxWords+1) },
		"a flag with a space":   func(m *fhir.Message) { m.Event.Flags = []events.Flag{"a b"} },
		"an unknown urgency":    func(m *fhir.Message) { m.Urgency = "asap" },
		"an unknown gender":     func(m *fhir.Message) { m.Patient.Gender = "M" },
		"no date":               func(m *fhir.Message) { m.Patient.Born = "11 March 1941" },
		"a hub without name":    func(m *fhir.Message) { m.Hub.Name = "" },
		"a hub without URL":     func(m *fhir.Message) { m.Hub.URL = "hub.example" },
		"a hub out of reach":    func(m *fhir.Message) { m.Hub.Phone, m.Hub.Email = "", "" },
	}
	for name, edit := range cases {
		m := message(events.Admission, "1")
		edit(&m)
		if _, err := fhir.Encode(m); events.KindOf(err) != events.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := string(encode(t, message(events.Admission, "1")))
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("nothing to replace: %s", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	cases := map[string]string{
		"nothing":              "",
		"half":                 good[:len(good)/2],
		"two":                  good + good,
		"another resource":     swap(`"resourceType":"Bundle"`, `"resourceType":"Parameters"`),
		"no type":              swap(`"type":"message",`, ``),
		"a collection":         swap(`"type":"message"`, `"type":"collection"`),
		"no entries":           `{"resourceType":"Bundle","type":"message"}`,
		"no header":            swap(`"resourceType":"MessageHeader"`, `"resourceType":"Basic"`),
		"an unknown resource":  swap(`"resourceType":"Location"`, `"resourceType":"Basic"`),
		"two patients":         swap(`"resourceType":"Location"`, `"resourceType":"Patient"`),
		"an unknown event":     swap(`"notification-admit"`, `"notification-vitals"`),
		"no time of the event": swap(`"period":`, `"_period":`),
		"a time without zone":  swap(`:07+01:00"`, `:07"`),
		"an unknown gender":    swap(`"gender":"male"`, `"gender":"Thomas"`),
		"another event's id":   swap(`/id/event","value":"ev-7f3k-`, `/id/event","value":"ev-zzzz-`),
		"another patient's id": swap(`/id/patient","value":"p-7f3k`, `/id/patient","value":"p-zzzz`),
		"another identifier":   swap(`"value":"urn:uuid:`, `"value":"urn:uuid:0`),
	}
	for name, body := range cases {
		_, err := fhir.Decode([]byte(body))
		if events.KindOf(err) != events.Invalid {
			t.Errorf("%s: got %v", name, err)
		} else {
			quotesNothing(t, err, body)
		}
	}
	if _, err := fhir.Decode(bytes.Repeat([]byte(" "), fhir.MaxMessage+1)); events.KindOf(err) != events.TooLarge {
		t.Errorf("too large: got %v", err)
	}
}

// quotesNothing holds the error, and what it wraps, to naming nobody.
func quotesNothing(t *testing.T, err error, body string) {
	t.Helper()
	for _, secret := range []string{"Thomas", "Ruth", "9990000018", "1941", "Riverside", "glasses", "p-zzzz", body} {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error quotes the message: %v", err)
		}
	}
	if e, ok := err.(interface{ Unwrap() error }); ok && e.Unwrap() != nil {
		t.Errorf("the error wraps one that may quote the message: %v", e.Unwrap())
	}
}

// FuzzDecode: whatever comes in, nothing breaks, errors are fixed sentences, and what was understood can be written and
// understood again.
func FuzzDecode(f *testing.F) {
	for _, m := range messages() {
		f.Add(encode(f, m))
	}
	f.Add(encodeAlarm(f))
	f.Add([]byte(`{"resourceType":"Bundle","type":"message","entry":[null,{"resource":null}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := fhir.Decode(b)
		if err != nil {
			if !sentences[err.Error()] {
				t.Fatalf("not a fixed sentence: %v", err)
			}
			return
		}
		if m.Event.Kind == events.Alarm {
			return
		}
		again, err := fhir.Decode(encode(t, m))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%v: came back as\n%+v\nwas\n%+v", err, again, m)
		}
	})
}

// sentences are all that Decode may say: the literals that this package's own code gives to invalid, and the one of size.
var sentences = func() map[string]bool {
	said := map[string]bool{"the message is too large": true}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		panic("no code of this package here")
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			panic(err)
		}
		ast.Inspect(code, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			name, ok := call.Fun.(*ast.Ident)
			literal, fixed := call.Args[0].(*ast.BasicLit)
			if ok && fixed && name.Name == "invalid" {
				sentence, err := strconv.Unquote(literal.Value)
				if err != nil {
					panic(err)
				}
				said[sentence] = true
			}
			return true
		})
	}
	return said
}()
