package main

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/receipts"
)

// TestDadAdmitted is the story: one event from the carer's words to four receivers and back as receipts.
func TestDadAdmitted(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	w.dadAdmitted()
}

func (w *town) dadAdmitted() {
	w.t.Helper()
	ruth := w.token("ruth")
	letGo := w.nurses.holds() // so that their receipt is seen to arrive live
	saved := w.logs(ruth, `{"text": "dad admitted at \"Riverside Hospital\" 20m ago", "words": "He is awake. I am with him."}`)
	w.checkSaved(saved)
	w.checkLive(ruth, saved.ID, letGo)
	w.checkReceipts(w.view(ruth, saved.ID))
	w.checkArrived(saved)
	w.checkLink(ruth, saved.ID)
}

// four are who is told of dad's admission, with their channel and what becomes of it.
var four = []struct {
	id, channel string
	state       events.State
	words       string
}{
	{"riverside-surgery", "webhook", events.Received, `^Received by the Riverside Surgery system at \d\d:\d\d.*\.$`},
	{"district-nurses", "webhook", events.Received, `^Received by the District nurses system at \d\d:\d\d.*\.$`},
	{"hospice", "fhir", events.Received, `^Received by the Riverside Hospice system at \d\d:\d\d.*\.$`},
	{"frailty-team", "email", events.Sent, `^Sent to Frailty team by email at \d\d:\d\d.*\. We can't tell yet if it arrived or if anyone has read it\.$`},
}

// checkSaved looks at the answer of POST /events.
func (w *town) checkSaved(v receipts.View) {
	w.t.Helper()
	if v.Patient != "p-7f3k" || v.Kind != events.Admission || v.Stay != v.ID || v.Message != "Saved." || v.Rules == "" ||
		v.Recorded.Sub(v.Occurred).Truncate(time.Minute) != 20*time.Minute {
		w.t.Errorf("saved %+v", v)
	}
	for i, want := range four {
		if got := v.Recipients[i]; got.ID != want.id || got.Rule != "routing/p-7f3k.yaml:12" {
			w.t.Errorf("recipient %d is %s by %s, want %s", i, got.ID, got.Rule, want.id)
		}
	}
	if len(v.Recipients) != len(four) {
		w.t.Errorf("%d recipients", len(v.Recipients))
	}
}

// checkLive watches the receipts come in: all but the nurses', who are then let go, and theirs.
func (w *town) checkLive(token, id string, letGo func()) {
	w.t.Helper()
	defer letGo()
	states := map[string]events.State{}
	told := func(r receipts.Recipient) {
		states[r.ID] = r.State
		others := 0
		for id, s := range states {
			if id != "district-nurses" && s.Told() {
				others++
			}
		}
		if others == len(four)-1 {
			letGo()
		}
	}
	for name, data := range w.stream(token, id) {
		switch name {
		case "receipts":
			for _, r := range w.read(data).Recipients {
				told(r)
			}
			if states["district-nurses"] != events.Trying {
				w.t.Errorf("the nurses, who have not answered, are %s", states["district-nurses"])
			}
		case "receipt":
			told(w.receipt(data))
		}
	}
	for _, want := range four {
		if states[want.id] != want.state {
			w.t.Errorf("the stream ends with %s %s", want.id, states[want.id])
		}
	}
}

func (w *town) checkReceipts(v receipts.View) {
	w.t.Helper()
	for _, want := range four {
		got := row(v, want.id)
		if got.Channel != want.channel || got.State != want.state || !regexp.MustCompile(want.words).MatchString(got.Words) ||
			got.At.Before(v.Recorded) {
			w.t.Errorf("%+v", got)
		}
	}
}

// checkArrived looks at what the receivers got: the whole story, under ids that do not change.
func (w *town) checkArrived(v receipts.View) {
	w.t.Helper()
	for id, s := range map[string]*system{"riverside-surgery": w.surgery, "district-nurses": w.nurses, "hospice": w.hospice} {
		all, requests := s.messages(), s.all()
		if len(all) != 1 {
			w.t.Fatalf("%s has %d messages", id, len(all))
		}
		w.checkMessage(id, all[0], v)
		delivery, header := events.DeliveryID(v.ID, id), requests[0].header
		if id == "hospice" {
			if requests[0].url != "/fhir/$process-message" || header.Get("X-Request-Id") != events.UUID("request", delivery) {
				w.t.Errorf("%s: %s %v", id, requests[0].url, header)
			}
		} else if requests[0].url != "/hooks/care" || header.Get("webhook-id") != delivery {
			w.t.Errorf("%s: %s %v", id, requests[0].url, header)
		}
	}
}

func (w *town) checkMessage(id string, m fhir.Message, v receipts.View) {
	w.t.Helper()
	e := m.Event
	if e.ID != v.ID || e.Kind != events.Admission || e.Patient != "p-7f3k" || !e.Occurred.Equal(v.Occurred) || !e.Recorded.Equal(v.Recorded) ||
		e.Place != "Riverside Hospital" || e.Words != "He is awake. I am with him." || e.Stay != v.Stay {
		w.t.Errorf("%s was told %+v", id, e)
	}
	if m.Patient.Name != "Thomas Example" || m.Patient.NHSNumber != "9990000018" || m.By.Name != "Ruth Example" || m.By.Relationship != "daughter" {
		w.t.Errorf("%s was told of %+v by %+v", id, m.Patient, m.By)
	}
}

// checkLink follows the link in the frailty team's mail, as a person and as a robot would.
func (w *town) checkLink(token, id string) {
	w.t.Helper()
	link := w.mail.links("team@frailty.example")[0]
	path := strings.TrimPrefix(link, w.url)
	before := w.view(token, id)
	for range 2 {
		status, page := w.ask(http.MethodGet, path, "", "")
		if status != http.StatusOK || strings.Contains(page, "Thomas") || strings.Contains(page, "dmitted") {
			w.t.Fatalf("without the code: status %d: %s", status, page)
		}
		status, page = w.submits(w.reader(), link, "code", code)
		if status != http.StatusOK {
			w.t.Fatalf("status %d: %s", status, page)
		}
		contains(w.t, page, "Admitted to hospital", "Thomas Example", "999 000 0018", "Riverside Hospital", "He is awake.")
	}
	for method, want := range map[string]int{http.MethodHead: 200, http.MethodPost: 403, http.MethodDelete: 405} {
		if status, _ := w.ask(method, path, "", ""); status != want {
			w.t.Errorf("%s: status %d", method, status)
		}
	}
	if after := w.view(token, id); !slices.Equal(after.Recipients, before.Recipients) {
		w.t.Errorf("reading the page made\n%v of\n%v", after, before)
	}
	other := path[:len(path)-8] + "AAAAAAAA"
	for _, wrong := range []string{other, "/m/" + id, "/m/x", path + "x"} {
		status, page := w.ask(http.MethodGet, wrong, "", "")
		if status != http.StatusNotFound || strings.Contains(page, "Thomas") || !strings.Contains(page, "44 7700 900123") {
			w.t.Errorf("%s: status %d: %s", wrong, status, page)
		}
	}
}

// TestWholeStory: an admission, its discharge and what else may happen, each to whom it concerns, in order.
func TestWholeStory(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth := w.token("ruth")
	var told []string
	say := func(text string, kind, because events.Kind, recipients int) receipts.View {
		t.Helper()
		v := w.says(ruth, text)
		if v.Kind != kind || v.Because != because || len(v.Recipients) != recipients {
			t.Errorf("%q: %+v", text, v)
		}
		told = append(told, v.ID)
		return v
	}
	admitted := say("dad admitted 3h ago", events.Admission, "", 4)
	home := say("dad came home 2h30m ago", events.Discharge, "", 4)
	seen := say("dad seen in A&E, not admitted 1h ago", events.Attendance, "", 4)
	fell := say("dad fell 30m ago", events.Fall, "", 5)
	both := say("dad fell and was admitted", events.Admission, events.Fall, 5)

	if home.Stay != admitted.ID || seen.Stay == admitted.ID || fell.Stay != "" || both.Stay != seen.ID {
		t.Errorf("stays %s %s %s %s %s", admitted.Stay, home.Stay, seen.Stay, fell.Stay, both.Stay)
	}
	if !slices.Contains(admitted.Flags, events.FlagLate) || slices.Contains(both.Flags, events.FlagLate) {
		t.Errorf("flags %v, %v", admitted.Flags, both.Flags)
	}
	for _, id := range told {
		w.settled(ruth, id)
	}
	for id, s := range map[string]*system{"surgery": w.surgery, "nurses": w.nurses, "hospice": w.hospice} {
		if got := s.ids(); !slices.Equal(got, told) {
			t.Errorf("the %s got %v, want %v", id, got, told)
		}
	}
	if got := row(w.view(ruth, both.ID), "tom"); got.State != events.Sent || got.Rule != "routing/p-7f3k.yaml:14" {
		t.Errorf("tom: %+v", got)
	}
	if mails := w.mail.to("tom@home.example"); len(mails) != 2 {
		t.Errorf("tom, who is told of falls, has %d mails", len(mails))
	}
	if mails := w.mail.to("ruth@home.example"); len(mails) != 0 {
		t.Errorf("ruth is told of what she said herself")
	}
}

// TestCannotBeTold: one system says that it is gone, another refuses the message for good. Nobody is silently missed, and
// what waits for the first arrives when an admin resumes it.
func TestCannotBeTold(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.nurses.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusGone) })
	w.hospice.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnprocessableEntity) })
	w.start()
	ruth := w.token("ruth")
	v := w.says(ruth, "dad admitted")
	waitUntil(t, "the alarm is in the mail, and the hospice has a mail", func() bool {
		v = w.view(ruth, v.ID)
		return len(w.mail.to("on-call@riverside.example")) > 0 && row(v, "hospice").State.Final()
	})
	nurses := row(v, "district-nurses")
	if want := "We could not tell District nurses yet: the address is no longer in use. Call 01234 567891."; nurses.State != events.Retrying || nurses.Words != want {
		t.Errorf("nurses: %+v", nurses)
	}
	if hospice := row(v, "hospice"); hospice.State != events.Sent || hospice.Channel != "email" {
		t.Errorf("hospice: %+v", hospice)
	}
	if links := w.mail.links("nurses@hospice.example"); len(links) != 1 || links[0] == "" {
		t.Errorf("the hospice's mail leads to %q", links)
	}
	alarms := w.mail.to("on-call@riverside.example")
	page, err := htmlPart(alarms[0])
	if err != nil || len(alarms) != 1 || strings.Contains(alarms[0], "p-7f3k") {
		t.Errorf("%d alarms: %v\n%s", len(alarms), err, alarms[0])
	}
	contains(t, string(page), "The webhook of District nurses is paused: their system answered that it is gone for good (410)",
		"carehub endpoint resume district-nurses/webhook", "01234 567891")
	w.nurses.answers(nil)
	contains(t, w.carehub("endpoint", "resume", "district-nurses", "--dir", w.dir), "district-nurses/webhook  verified 20")
	w.settled(ruth, v.ID)
	if got := w.nurses.ids(); !slices.Contains(got, v.ID) {
		t.Errorf("the nurses got %v", got)
	}
}

// TestNobodyToTell: a gap in the rules never refuses an event. It is stored, and a person hears of it.
func TestNobodyToTell(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("routing/p-7f3k.yaml", "  - on: fall\n    notify: [frailty-team, riverside-surgery, district-nurses, hospice, tom]\n", "")
	w.start()
	v := w.says(w.token("ruth"), "dad fell")
	if v.State != events.Unrouted || len(v.Recipients) != 0 || !slices.Contains(v.Flags, events.FlagUnrouted) {
		t.Errorf("%+v", v)
	}
	contains(t, v.Message, "Saved, but no team is set up to be told. Please phone", "Riverside Surgery 01234 567890", "+44 7700 900123")
	waitUntil(t, "the alarm is in the mail", func() bool { return len(w.mail.to("on-call@riverside.example")) > 0 })
	page, err := htmlPart(w.mail.to("on-call@riverside.example")[0])
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(page), "no rule names anyone to tell", "set up routing for p-7f3k")
}
