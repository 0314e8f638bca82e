package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/fhir/validate"
	"carehub/events/receipts"
)

// admittedAt is when, in all messages: the same message is the same to the byte.
var admittedAt = time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)

// admission is a message as a hospital's system writes it; the ids are n's own.
func admission(t *testing.T, n int, edits ...string) string {
	t.Helper()
	b, err := os.ReadFile("../../events/fhir/testdata/foreign/uk-admission.json")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"0f3a7e0c-8a57", fmt.Sprintf("%08x-8a57", n), "6e4bafc5-3ac8", fmt.Sprintf("%08x-3ac8", n),
		"2026-11-22T01:50:00+00:00", admittedAt,
	).Replace(string(b))
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("there is no %q", edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	return text
}

var wantsResponse = []string{`"eventCoding"`,
	`"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/messageheader-response-request", "valueCode": "always"}], "eventCoding"`}

// sends posts a message to $process-message.
func (w *town) sends(token, message string) (int, string) {
	w.t.Helper()
	return w.ask(http.MethodPost, "/fhir/$process-message", token, message, "Content-Type", "application/fhir+json")
}

var (
	eventIn = regexp.MustCompile(`ev-[a-z0-9]+-[a-z2-7]{26}`)
	heldIn  = regexp.MustCompile(`held-[a-z2-7]{16}`)
)

// TestHospitalAdmits: a hospital tells what Ruth has told before. All are told of both, which are one stay; what goes out
// and what is answered passes the validators.
func TestHospitalAdmits(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth, ward := w.token("ruth"), w.token("riverside-hospital")
	first := w.says(ruth, `dad admitted at "Riverside Hospital" 50m ago`)
	status, answer := w.sends(ward, admission(t, 1))
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	id := eventIn.FindString(answer)
	w.settled(ruth, id)
	if v := w.view(ward, id); len(v.Recipients) != 5 || // Tom too: it was because of a fall
		row(v, "hospice").State != events.Received || row(v, "frailty-team").State != events.Sent {
		t.Errorf("told: %+v", v.Recipients)
	}
	for _, s := range []*system{w.surgery, w.nurses, w.hospice} {
		all := s.messages()
		if len(all) != 2 || all[0].Event.ID != first.ID || all[1].Event.ID != id || all[1].Event.Stay != first.ID {
			t.Fatalf("%s got %+v", s.stands.name, all)
		}
		e := all[1].Event
		if e.From == nil || e.From.Message != "00000001-3ac8-4c0e-9d6c-1f6d0b6f2d11" || e.From.Sender != "Riverside Hospital NHS Trust" || e.From.ODS != "RX0ZZ" ||
			e.Because != events.Fall || e.Words != "Bed 4. Family has been told." || all[1].By.Name != "Riverside Hospital" {
			t.Errorf("%s got %+v by %+v", s.stands.name, e, all[1].By)
		}
	}
	var page struct{ Events []receipts.View }
	_, list := w.ask(http.MethodGet, "/events?patient=dad", ruth, "")
	if err := json.Unmarshal([]byte(list), &page); err != nil || len(page.Events) != 2 || page.Events[0].Stay != page.Events[1].Stay {
		t.Errorf("Ruth sees %s", list)
	}
	w.validMessages(ward, w.answeredByMessage(ruth, ward, id)...)
}

// answeredByMessage: a named person of a team that was told answers through their system, once; a machine, and whoever was not
// told, answers for nobody. It returns what was sent and how it was answered.
func (w *town) answeredByMessage(ruth, ward, id string) (wire []string) {
	w.t.Helper()
	hospice, nurses := w.token("hospice"), w.token("district-nurses")
	n := 0
	sends := func(token string, status int, code string, edits ...string) string {
		w.t.Helper()
		n++
		message := answering(w.t, id, n, edits...)
		got, answer := w.sends(token, message)
		if got != status || !strings.Contains(answer, `"code":"`+code+`"`) {
			w.t.Errorf("%q is answered %d %s", edits, got, answer)
		}
		if again, same := w.sends(token, message); again != got || same != answer {
			w.t.Errorf("%q again is answered %d %s", edits, again, same)
		}
		wire = append(wire, message, answer)
		return answer
	}
	const device = `"resourceType": "Device", "id": "f4e3dab5-8e40-4e31-9c31-a06d8f4e2b04"}}]}`
	message := answering(w.t, id, 0)
	machine := message[strings.Index(message, `"resourceType": "PractitionerRole"`):]
	sends(nurses, http.StatusOK, "informational", machine, device)
	if got := row(w.view(ruth, id), "district-nurses"); got.State != events.Received || got.Ack != nil {
		w.t.Errorf("after a machine's answer the nurses are %+v", got)
	}
	sends(hospice, http.StatusOK, "informational")
	sends(nurses, http.StatusOK, "ok", append([]string{`"in-progress"`, `"not-done"`}, wantsResponse...)...)
	v := w.view(ruth, id)
	if got := row(v, "hospice"); got.State != events.Acknowledged || got.Ack == nil || got.Ack.Name != "Siân Morris" || got.Ack.Role != "hospice nurse" ||
		got.Ack.Answer != events.Acting || got.Ack.Via != "fhir" {
		w.t.Errorf("the hospice is %+v, %+v", got, got.Ack)
	}
	if got := row(v, "district-nurses"); got.State != events.Declined {
		w.t.Errorf("the nurses are %+v", got)
	}
	sends(hospice, http.StatusConflict, "conflict", `"focus"`, `"response": {"identifier": "m-1", "code": "ok"}, "focus"`)
	sends(hospice, http.StatusUnprocessableEntity, "required", `"code": [{"text": "hospice nurse"}]`, `"active": true`)
	unknown := sends(hospice, http.StatusNotFound, "not-found", id, "ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa")
	if untold := sends(ward, http.StatusNotFound, "not-found"); untold != unknown {
		w.t.Errorf("an event of others is answered %s, one that is not there %s", untold, unknown)
	}
	sends(ruth, http.StatusForbidden, "forbidden")
	return wire
}

// answering is a person's answer to an event, as their system writes it; the ids are n's own.
func answering(t *testing.T, event string, n int, edits ...string) string {
	t.Helper()
	b, err := os.ReadFile("../../events/fhir/testdata/foreign/answer.json")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("c1f0a7e2-5b1d", fmt.Sprintf("%08x-5b1d", n), "d2c1b8f3-6c2e", fmt.Sprintf("%08x-6c2e", n),
		"ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa", event).Replace(string(b))
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("there is no %q", edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	return text
}

// validMessages has independent engines judge what came in, what goes out, and all answers, and more of the wire.
func (w *town) validMessages(ward string, more ...string) {
	w.t.Helper()
	dir := w.t.TempDir()
	n := 0
	write := func(body string) {
		n++
		writeFile(w.t, filepath.Join(dir, fmt.Sprintf("%02d.json", n)), body)
	}
	for _, r := range w.hospice.all() {
		write(string(r.body))
	}
	for _, message := range []string{
		admission(w.t, 1), admission(w.t, 2, wantsResponse...), admission(w.t, 3, "1941-03-11", "1942-03-11"),
		admission(w.t, 4, append([]string{`"in-progress"`, `"planned"`, `"IMP"`, `"HH"`}, wantsResponse...)...),
		admission(w.t, 5, "notification-admit", "notification-pharmacy"), "{", admission(w.t, 1, "00000001-3ac8", "00000009-3ac8"),
	} {
		_, answer := w.sends(ward, message)
		write(answer)
	}
	_, refused := w.sends("care_unknown", "{}")
	write(refused)
	_, metadata := w.ask(http.MethodGet, "/fhir/metadata", "", "")
	if !strings.Contains(metadata, `"reliableCache":10080`) {
		w.t.Errorf("no cache is declared: %s", metadata)
	}
	write(metadata)
	for _, text := range more {
		write(text)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := validate.Run(ctx, dir); err != nil {
		w.t.Errorf("%v\n%s", err, out)
	}
}

// TestHeldForAPerson: a message that is in doubt is told to nobody, alarms, and waits for a person, who releases or dismisses
// it whether or not the hub runs. Nothing of the patient is in the log, the alarm, the answer or the list.
func TestHeldForAPerson(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth, ward := w.token("ruth"), w.token("riverside-hospital")
	status, answer := w.sends(ward, admission(t, 1, "1941-03-11", "1941-11-03"))
	if status != http.StatusAccepted {
		t.Fatalf("status %d: %s", status, answer)
	}
	status, second := w.sends(ward, admission(t, 2, "9990000018", "9990000026"))
	_, third := w.ask(http.MethodPost, "/events", ward,
		`{"specversion": "1.0", "id": "1", "source": "pas", "type": "care-fall-1", "time": "2026-11-22T01:50:00Z", "subject": "9990000018"}`,
		"Content-Type", "application/cloudevents+json")
	if blank := heldIn.ReplaceAllString(answer, "held"); status != http.StatusAccepted || heldIn.ReplaceAllString(second, "held") != blank {
		t.Errorf("the answers differ: %s and %s", answer, second)
	}
	ids := []string{heldIn.FindString(answer), heldIn.FindString(second), heldIn.FindString(third)}
	waitUntil(t, "the alarms have come", func() bool { return len(w.mail.all()) == 3 })
	for i, mail := range w.mail.all() {
		w.namesNobody("an alarm", mail.Raw)
		if !slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(mail.Raw, id) }) {
			t.Errorf("alarm %d: %s", i, mail.Raw)
		}
	}

	list := w.carehub("held", "list", "--dir", w.dir)
	if strings.Count(list, "waits: admission") != 2 || strings.Count(list, "waits: fall") != 1 || !strings.Contains(list, ids[0]) {
		t.Errorf("listed %s", list)
	}
	w.namesNobody("the list", list)
	show := w.carehub("held", "show", ids[0], "--dir", w.dir)
	if !strings.Contains(show, "p-7f3k: number agrees, date of birth DIFFERS, family name agrees; riverside-hospital may log for them") {
		t.Errorf("shown %s", show)
	}
	w.namesNobody("show", show)
	if full := w.carehub("held", "show", ids[0], "--full", "--dir", w.dir); !strings.Contains(full, "born 1941-11-03") || !strings.Contains(full, "Bed 4.") {
		t.Errorf("shown in full %s", full)
	}
	if out := w.carehub("held", "dismiss", ids[1], "--by", "Ann Admin", "--why", "a typing error of theirs", "--dir", w.dir); out != "dismissed\n" {
		t.Errorf("dismiss printed %s", out)
	}
	released := w.carehub("held", "release", ids[0], "--patient", "p-7f3k", "--by", "Ann Admin", "--dir", w.dir)
	id := eventIn.FindString(released)
	w.settled(ruth, id)
	if e := w.surgery.messages()[0].Event; e.ID != id || !e.Has(events.FlagMatched) || e.Has(events.FlagLate) || len(w.surgery.all()) != 1 {
		t.Errorf("the surgery got %+v", e)
	}
	if status, again := w.sends(ward, admission(t, 1, "1941-03-11", "1941-11-03")); status != http.StatusAccepted || again != answer {
		t.Errorf("a repeat is answered %d %s", status, again)
	}

	w.stop()
	fall := w.carehub("held", "release", ids[2], "--patient", "p-7f3k", "--by", "Ann Admin", "--dir", w.dir)
	if list := w.carehub("held", "list", "--dir", w.dir); strings.Contains(list, "waits") || !strings.Contains(list, "released by Ann Admin to p-7f3k") {
		t.Errorf("listed %s", list)
	}
	w.start()
	w.settled(w.token("ruth"), eventIn.FindString(fall))
	w.namesNobody("the log", w.log.String())
}

// namesNobody fails if a text has anything of the patient.
func (w *town) namesNobody(what, text string) {
	w.t.Helper()
	for _, secret := range []string{"9990000018", "9990000026", "1941", "Thomas", "Example", "Bed 4", "Family has"} {
		if strings.Contains(text, secret) {
			w.t.Errorf("%s holds %q: %s", what, secret, text)
		}
	}
}

// TestSystemsWithoutRights: who is no system of the register sends nothing; a provider that may not log for the patient
// learns no more than about somebody whom nobody here knows.
func TestSystemsWithoutRights(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth, hospice := w.token("ruth"), w.token("hospice")
	if status, answer := w.sends(ruth, admission(t, 1)); status != http.StatusForbidden {
		t.Errorf("a carer: status %d: %s", status, answer)
	}
	if status, answer := w.sends("", admission(t, 1)); status != http.StatusUnauthorized {
		t.Errorf("nobody: status %d: %s", status, answer)
	}
	known, a := w.sends(hospice, admission(t, 1))
	unknown, b := w.sends(hospice, admission(t, 2, "9990000018", "9990000034"))
	if known != unknown || heldIn.ReplaceAllString(a, "") != heldIn.ReplaceAllString(b, "") {
		t.Errorf("answered %d %s and %d %s", known, a, unknown, b)
	}
	if status, _ := w.ask(http.MethodGet, "/fhir/$process-message", hospice, ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", status)
	}
}

// TestMessagesOverKills: a hospital repeats each message until it is answered, while the hub is killed again and again.
// Everything is one event, at the receiver, and every answer is the same to the byte.
func TestMessagesOverKills(t *testing.T) {
	const senders, kills = 4, 4
	gp := newProvider(t, "gp")
	hub := newProcess(t, 1, gp)
	writeFile(t, filepath.Join(hub.dir, "subscribers/ward.yaml"), "id: ward\nname: The ward\nphone: \"01234 567880\"\n")
	routing := filepath.Join(hub.dir, "routing/p-0000.yaml")
	b, err := os.ReadFile(routing)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, routing, strings.Replace(string(b), "logged_by: {", "logged_by: {ward: {may: [log]}, ", 1))
	token := hub.run("token", "create", "ward", "--dir", hub.dir)
	hub.start()
	stop := make(chan struct{})
	var group sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]string{} // by message
	for n := range senders {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				message := admission(t, n*100000+i)
				first := insist(t, hub.url, token, message)
				if again := insist(t, hub.url, token, message); again != first {
					t.Errorf("answered %q, then %q", first, again)
				}
				mu.Lock()
				answers[message] = first
				mu.Unlock()
			}
		})
	}
	for range kills {
		time.Sleep(300 * time.Millisecond) // how long the hub lives is the experiment
		hub.kill()
		hub.start()
	}
	close(stop)
	group.Wait()
	distinct := map[string]bool{}
	for message, answer := range answers {
		distinct[eventIn.FindString(answer)] = true
		if again := insist(t, hub.url, token, message); again != answer {
			t.Errorf("after the kills answered %q, before %q", again, answer)
		}
	}
	if len(distinct) != len(answers) {
		t.Errorf("%d messages are %d events", len(answers), len(distinct))
	}
	waitUntil(t, "everything has arrived", func() bool { _, n := gp.count(); return n >= len(answers) })
	if _, n := gp.count(); n != len(answers) {
		t.Errorf("%d messages became %d events", len(answers), n)
	}
	t.Logf("%d kills, %d messages", kills, len(answers))
}

// insist repeats a message until it is answered with 200.
func insist(t *testing.T, url, token, message string) string {
	for deadline := time.Now().Add(time.Minute); ; {
		w := &town{t: t, url: url, http: http.DefaultClient}
		status, answer, err := w.try(token, message)
		if err == nil && status == http.StatusOK {
			return answer
		}
		if err == nil && status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Errorf("status %d: %s, %v", status, answer, err)
			return ""
		}
		time.Sleep(20 * time.Millisecond) // as a sender would
	}
}

// try is sends where the hub may be away, or go away.
func (w *town) try(token, message string) (int, string, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/fhir/$process-message", strings.NewReader(message))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/fhir+json")
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// TestForwardedIsReadAgain: what the hub sends is what another hub takes in.
func TestForwardedIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ward := w.token("riverside-hospital")
	_, answer := w.sends(ward, admission(t, 1))
	w.settled(w.token("ruth"), eventIn.FindString(answer))
	in, err := fhir.Receive(w.hospice.all()[0].body)
	if err != nil || in.Kind != events.Admission || in.Patient.NHSNumber != "9990000018" || in.From.Sender != "Riverside carers' network" {
		t.Errorf("%+v, %v", in, err)
	}
}

// TestMessagesToTwoHubs: hubs that share a store are one to a sender who cannot tell which of them has its message. Each
// message goes to both at once.
func TestMessagesToTwoHubs(t *testing.T) {
	t.Parallel()
	const messages = 6
	one, _ := newTownOn(t)
	two := *one
	two.dir = filepath.Join(t.TempDir(), "two")
	if err := os.CopyFS(two.dir, os.DirFS(one.dir)); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	two.edit("hub.yaml", "listen: "+strings.TrimPrefix(one.url, "http://"), "listen: "+address)
	two.url = "http://" + address
	t.Cleanup(func() {
		if two.stop != nil {
			two.stop()
		}
	})
	ward, ruth := one.token("riverside-hospital"), one.token("ruth")
	one.start()
	two.start()
	both := func(message string) (status int, answer string) {
		var statuses [2]int
		var answers [2]string
		var group sync.WaitGroup
		for i, hub := range []*town{one, &two} {
			group.Go(func() { statuses[i], answers[i] = hub.sends(ward, message) })
		}
		group.Wait()
		if statuses[0] != statuses[1] || answers[0] != answers[1] {
			t.Errorf("one hub answers %d %s, the other %d %s", statuses[0], answers[0], statuses[1], answers[1])
		}
		return statuses[0], answers[0]
	}
	ids := map[string]bool{}
	for n := range messages {
		status, answer := both(admission(t, n))
		if status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
		ids[eventIn.FindString(answer)] = true
	}
	for id := range ids {
		one.settled(ruth, id)
	}
	arrived := map[string]bool{}
	for _, id := range one.surgery.ids() {
		arrived[id] = true
	}
	if len(ids) != messages || len(arrived) != messages {
		t.Errorf("%d messages are %d events, of which %d arrived", messages, len(ids), len(arrived))
	}
	if status, answer := both(admission(t, messages, "1941-03-11", "1941-11-03")); status != http.StatusAccepted {
		t.Errorf("status %d: %s", status, answer)
	}
	waitUntil(t, "the alarm has come", func() bool { return len(one.mail.to("on-call@riverside.example")) > 0 })
	held := one.carehub("held", "list", "--dir", one.dir)
	if strings.Count(held, "waits") != 1 {
		t.Errorf("held: %s", held)
	}
	released := one.carehub("held", "release", heldIn.FindString(held), "--patient", "p-7f3k", "--by", "Ann", "--dir", one.dir)
	one.settled(ruth, eventIn.FindString(released))
	if n := len(one.mail.to("on-call@riverside.example")); n != 1 {
		t.Errorf("%d alarms for one message", n)
	}
}
