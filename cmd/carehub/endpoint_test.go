package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"carehub/events"
	"carehub/events/receipts"
)

// TestChallengedOnce: each webhook is challenged before its first message, the FHIR server never, and nobody again.
func TestChallengedOnce(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth := w.token("ruth")
	w.settled(ruth, w.says(ruth, "dad admitted 3h ago").ID)
	w.stop()
	w.start()
	w.settled(ruth, w.says(ruth, "dad came home 2h ago").ID)
	for name, want := range map[*system]int{w.surgery: 1, w.nurses: 1, w.hospice: 0} {
		if name.asked != want || len(name.all()) != 2 {
			t.Errorf("%s was challenged %d times, and has %d messages", name.stands.name, name.asked, len(name.all()))
		}
	}
}

// TestUnverifiedIsNotTold: a system that answers 200 to everything gets nothing of a patient, and a person hears of it.
func TestUnverifiedIsNotTold(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("hub.yaml", "admission: {urgency: urgent, fallback_after: 5m, alarm_after: 15m}", "admission: {urgency: urgent, fallback_after: 1s, alarm_after: 1s}")
	w.nurses.stands.mute = true
	w.start()
	ruth := w.token("ruth")
	v := w.says(ruth, "dad admitted")
	waitUntil(t, "a person hears of it", func() bool { return len(w.mail.to("on-call@riverside.example")) > 0 })
	if nurses := row(w.view(ruth, v.ID), "district-nurses"); nurses.State != events.Retrying || len(w.nurses.all()) != 0 {
		t.Errorf("%+v, %d messages", nurses, len(w.nurses.all()))
	}
	contains(t, w.carehub("endpoint", "list", "--dir", w.dir), "district-nurses/webhook", "not verified")
	contains(t, w.carehub("endpoint", "log", "district-nurses", "--dir", w.dir), "attempt 1  unverified (204)", v.ID)
}

// TestToldOnceVerified: what waited for a system to show that it is meant goes as soon as it has, though it was to be asked again
// much later.
func TestToldOnceVerified(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.nurses.unproved = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "3600")
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	w.start()
	ruth := w.token("ruth")
	v := w.says(ruth, "dad admitted")
	waitUntil(t, "the challenge was refused", func() bool { return row(w.view(ruth, v.ID), "district-nurses").State == events.Retrying })
	w.nurses.mu.Lock()
	w.nurses.unproved = nil
	w.nurses.mu.Unlock()
	contains(t, w.carehub("endpoint", "test", "district-nurses", "--dir", w.dir), "verification  repeat  delivered (200)")
	waitUntil(t, "the nurses are told", func() bool { return row(w.view(ruth, v.ID), "district-nurses").State == events.Received })
}

// own is what the hospice's system, by HTTP, asks about its own endpoint.
func (w *town) own(token, method, path, body string) (status int, answers []map[string]any) {
	w.t.Helper()
	status, answer := w.ask(method, path, token, body, "Content-Type", "application/json")
	for line := range strings.Lines(answer) {
		var list []map[string]any
		var one map[string]any
		switch {
		case json.Unmarshal([]byte(line), &one) == nil:
			answers = append(answers, one)
		case json.Unmarshal([]byte(line), &list) == nil:
			answers = append(answers, list...)
		default:
			w.t.Fatalf("%s %s: %s", method, path, line)
		}
	}
	return status, answers
}

// TestProviderLooksAfterItsOwn: what it missed it sees, and gets, without anybody's help.
func TestProviderLooksAfterItsOwn(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("subscribers/hospice.yaml", "  - email: {to: nurses@hospice.example, content: link}\n", "")
	w.hospice.answers(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Why", "closed")
		rw.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = rw.Write([]byte(strings.Repeat("we are closed ", 200)))
	})
	w.start()
	ruth, hospice := w.token("ruth"), w.token("hospice")
	began := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	first := w.says(ruth, "dad admitted 3h ago").ID
	w.settled(ruth, first)
	second := w.says(ruth, "dad came home 2h ago").ID
	w.settled(ruth, second)

	status, list := w.own(hospice, "GET", "/endpoints", "")
	if status != http.StatusOK || len(list) != 1 || list[0]["subscriber"] != "hospice" || list[0]["channel"] != "fhir" {
		t.Errorf("%d %v", status, list)
	}
	status, log := w.own(hospice, "GET", "/endpoints/fhir/log?limit=10&since="+began, "")
	if status != http.StatusOK || len(log) != 2 || log[0]["event"] != first || log[0]["result"] != "rejected" || log[0]["status"] != 422.0 ||
		log[0]["headers"].(map[string]any)["X-Why"].([]any)[0] != "closed" || len(log[0]["body"].(string)) != 1024 {
		t.Errorf("%d %v", status, log)
	}

	w.hospice.answers(nil)
	status, got := w.own(hospice, "POST", "/endpoints/fhir/redeliver", `{"event": "`+second+`"}`)
	if status != http.StatusOK || got[0]["result"] != "delivered" || got[0]["delivery"] != events.DeliveryID(second, "hospice") {
		t.Errorf("%d %v", status, got)
	}
	status, got = w.own(hospice, "POST", "/endpoints/fhir/recover", `{"since": "`+began+`"}`)
	if status != http.StatusOK || len(got) != 3 || got[0]["event"] != first || got[1]["event"] != second || got[2]["done"] != true || got[2]["delivered"] != 2.0 {
		t.Errorf("%d %v", status, got)
	}
	// Five requests: two refused, one redelivered, two recovered; the same ids and bytes each time.
	all := w.hospice.all()
	for _, r := range all {
		for _, other := range all {
			same := r.header.Get("X-Request-Id") == other.header.Get("X-Request-Id")
			if same != (string(r.body) == string(other.body)) {
				t.Error("a repeat has other bytes, or another message the same id")
			}
		}
	}
	if len(all) != 5 {
		t.Errorf("%d requests", len(all))
	}
}

// TestAsksTooMuch: a provider that asks again and again keeps few connections to its endpoint's host busy, and is told to wait.
func TestAsksTooMuch(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("subscribers/hospice.yaml", "  - email: {to: nurses@hospice.example, content: link}\n", "")
	w.start()
	ruth, hospice := w.token("ruth"), w.token("hospice")
	event := w.says(ruth, "dad admitted").ID
	w.settled(ruth, event)
	came, open := make(chan struct{}, 100), make(chan struct{})
	w.hospice.answers(func(http.ResponseWriter, *http.Request) { came <- struct{}{}; <-open })
	var asking sync.WaitGroup
	statuses := make(chan int, 20)
	for range 20 {
		asking.Go(func() {
			status, _ := w.own(hospice, "POST", "/endpoints/fhir/redeliver", `{"event": "`+event+`"}`)
			statuses <- status
		})
	}
	for range 20 - askedAtOnce {
		if status := <-statuses; status != http.StatusTooManyRequests {
			t.Errorf("one too many: %d", status)
		}
	}
	close(open)
	asking.Wait()
	for range askedAtOnce {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("%d", status)
		}
	}
	if len(came) != askedAtOnce {
		t.Errorf("%d requests", len(came))
	}
	if status, _ := w.own(hospice, "GET", "/endpoints", ""); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
}

// TestOthersEndpoints: who has no endpoint, or asks about another's, learns nothing and changes nothing.
func TestOthersEndpoints(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth, surgery := w.token("ruth"), w.token("riverside-surgery")
	event := w.says(ruth, "dad admitted").ID
	w.settled(ruth, event)
	for _, c := range []struct {
		token, method, path, body string
		want                      int
	}{
		{"", "GET", "/endpoints", "", 401},
		{"care_none", "GET", "/endpoints/webhook/log", "", 401},
		{"", "POST", "/endpoints/webhook/rotate-secret", "", 401},
		{ruth, "GET", "/endpoints", "", 403},
		{ruth, "POST", "/endpoints/webhook/recover", "{}", 403},
		{surgery, "GET", "/endpoints/fhir/log", "", 404},
		{surgery, "POST", "/endpoints/webhook-2/pause", "", 404},
		{surgery, "POST", "/endpoints/email/pause", "", 404},
		{surgery, "POST", "/endpoints/webhook/delete", "", 404},
		{surgery, "POST", "/endpoints/hospice/fhir/pause", "", 404},
		{surgery, "POST", "/endpoints/hospice%2Ffhir/pause", "", 404},
		{surgery, "POST", "/endpoints/webhook/redeliver", `{"event": "ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa"}`, 404},
		{surgery, "POST", "/endpoints/webhook/redeliver", `{"event": "x"}`, 400},
		{surgery, "POST", "/endpoints/webhook/redeliver", `{"evnt": "x"}`, 400},
		{surgery, "POST", "/endpoints/webhook/recover", "", 400},
		{surgery, "GET", "/endpoints/webhook/log?limit=0", "", 400},
		{surgery, "GET", "/endpoints/webhook/log?limit=1001", "", 400},
		{surgery, "GET", "/endpoints/webhook/log?since=yesterday", "", 400},
		{surgery, "DELETE", "/endpoints/webhook/log", "", 405},
	} {
		status, answer := w.ask(c.method, c.path, c.token, c.body)
		if status != c.want || strings.Contains(answer, "hospice") || strings.Contains(answer, "127.0.0.1") {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, answer)
		}
	}
	if _, list := w.own(surgery, "GET", "/endpoints", ""); len(list) != 1 || list[0]["paused"] != nil || list[0]["verified"] != true {
		t.Errorf("%v", list)
	}
}

// TestSecretIsRotated by the provider: from then on both sign, whatever process delivers.
func TestSecretIsRotated(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth, nurses := w.token("ruth"), w.token("district-nurses")
	status, got := w.own(nurses, "POST", "/endpoints/webhook/rotate-secret", "")
	made, _ := got[0]["secret"].(string)
	if status != http.StatusOK || !strings.HasPrefix(made, "whsec_") {
		t.Fatalf("%d %v", status, got)
	}
	w.settled(ruth, w.says(ruth, "dad admitted 3h ago").ID)
	w.stop()
	w.start()
	w.settled(ruth, w.says(ruth, "dad came home 2h ago").ID)
	for _, r := range w.nurses.all() {
		for _, secret := range []string{made, w.nurses.stands.secret} {
			hook, err := standardwebhooks.NewWebhook(secret)
			if err == nil {
				err = hook.Verify(r.body, r.header)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	listed := w.carehub("endpoint", "list", "--dir", w.dir)
	contains(t, listed, "secret of the hub's own since")
	if strings.Contains(listed+w.log.String(), made) {
		t.Error("the secret is shown again")
	}
}

// TestPausedByItself: a provider that pauses its endpoint is not missed in silence, not even over a restart.
func TestPausedByItself(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth, nurses := w.token("ruth"), w.token("district-nurses")
	if status, got := w.own(nurses, "POST", "/endpoints/webhook/pause", ""); status != http.StatusOK || got[0]["paused"].(map[string]any)["by"] != "district-nurses" {
		t.Errorf("%d %v", status, got)
	}
	waitUntil(t, "the alarm is in the mail", func() bool { return len(w.mail.to("on-call@riverside.example")) == 1 })
	w.stop()
	w.start()
	v := w.says(ruth, "dad admitted")
	waitUntil(t, "the others are told", func() bool {
		v = w.view(ruth, v.ID)
		return !slices.ContainsFunc(v.Recipients, func(r receipts.Recipient) bool { return r.ID != "district-nurses" && !r.State.Told() })
	})
	if status, _ := w.own(nurses, "POST", "/endpoints/webhook/redeliver", `{"event": "`+v.ID+`"}`); status != http.StatusConflict {
		t.Errorf("redeliver: %d", status)
	}
	if got := len(w.nurses.all()) + w.nurses.asked; got != 0 {
		t.Errorf("%d requests", got)
	}
	contains(t, w.carehub("endpoint", "test", "district-nurses", "--dir", w.dir), "verification  repeat  delivered (200)")
	if _, list := w.own(nurses, "GET", "/endpoints", ""); list[0]["paused"] == nil {
		t.Error("a test resumed what a person paused")
	}
	w.own(nurses, "POST", "/endpoints/webhook/resume", "")
	w.settled(ruth, v.ID)
	if mails := w.mail.to("on-call@riverside.example"); len(mails) != 1 || len(w.nurses.all()) != 1 {
		t.Errorf("%d alarms, %d messages", len(mails), len(w.nurses.all()))
	}
}

// TestEndpointCommandsWithoutAHub work on the store themselves.
func TestEndpointCommandsWithoutAHub(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth := w.token("ruth")
	event := w.says(ruth, "dad admitted").ID
	w.settled(ruth, event)
	w.stop()
	run := func(want string, args ...string) {
		t.Helper()
		out := w.carehub(append(append([]string{"endpoint"}, args...), "--dir", w.dir)...)
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%v: %s", args, out)
		}
	}
	run(`riverside-surgery/webhook +verified 20`, "list")
	run(`"channel":"fhir"`, "list", "--json")
	run(event+`  attempt 1  delivered \(204\)  \d+ ms`, "log", "riverside-surgery")
	run(`PAUSED by the admin since`, "pause", "riverside-surgery/webhook")
	run(`riverside-surgery/webhook  verified \S+Z\n$`, "resume", "riverside-surgery")
	run(event+`  repeat  delivered \(204\)`, "redeliver", event, "riverside-surgery")
	run(`0 delivered, 0 failed`, "recover", "riverside-surgery", "--since", "1h")
	run(event+`  repeat  delivered \(204\).*\n1 delivered, 0 failed`, "recover", "riverside-surgery", "--since", "1h", "--all")
	run(`^whsec_\S{44}\nThis is shown once`, "rotate-secret", "riverside-surgery")
	run(`verification  repeat  delivered \(200\)`, "test", "riverside-surgery")
	run(`(?s)repeat  delivered.*repeat  delivered.*verification`, "log", "riverside-surgery", "--since", "1h", "--limit", "3")
}

// TestSignalLeadsToTheMessage: what a thin signal links to can be read, with a token of who got it and of nobody else.
func TestSignalLeadsToTheMessage(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("subscribers/district-nurses.yaml", "format: fhir", "format: thin")
	w.start()
	ruth, nurses, outsider := w.token("ruth"), w.token("district-nurses"), w.token("admin-on-call")
	event := w.says(ruth, "dad admitted").ID
	w.settled(ruth, event)
	var signal struct {
		Data struct{ Event, URL, FHIR string }
	}
	if err := json.Unmarshal(w.nurses.all()[0].body, &signal); err != nil || signal.Data.Event != event {
		t.Fatalf("%v: %s", err, w.nurses.all()[0].body)
	}
	for _, link := range []string{signal.Data.URL, signal.Data.FHIR} {
		path, ours := strings.CutPrefix(link, w.url)
		if status, answer := w.ask("GET", path, nurses, ""); !ours || status != http.StatusOK || !strings.Contains(answer, event) {
			t.Errorf("%s: %d %s", link, status, answer)
		}
		if status, _ := w.ask("GET", path, outsider, ""); status != http.StatusNotFound {
			t.Errorf("%s, for somebody else: %d", link, status)
		}
	}
}

// TestNewAddressAfterGone: an endpoint that answered 410 is told at another address, at once and in order, when that is in force, or
// at a start with it; at the old one it is paused still. What a person paused stays so whatever its address.
func TestNewAddressAfterGone(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	const nursesFile, hospiceFile = "subscribers/district-nurses.yaml", "subscribers/hospice.yaml"
	at := func(s *system, path string) {
		s.answers(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, path) {
				rw.WriteHeader(http.StatusGone)
				return
			}
			s.stands.ServeHTTP(rw, r)
		})
	}
	at(w.nurses, "/moved")
	at(w.hospice, "/moved")
	w.start()
	ruth := w.token("ruth")
	paused := func() bool {
		return strings.Contains(w.carehub("endpoint", "list", "--dir", w.dir), "PAUSED by a 410")
	}
	reload := func() {
		t.Helper()
		if said, ok := w.reload(); !ok {
			t.Fatal(said)
		}
	}
	var ids []string
	for _, kind := range []string{"admission", "discharge"} {
		ids = append(ids, w.logs(ruth, `{"patient": "dad", "kind": "`+kind+`"}`).ID)
	}
	waitUntil(t, "the nurses are paused", paused)
	before := len(w.nurses.all())

	w.edit(nursesFile, "/hooks/care", "/moved/care")
	w.edit(hospiceFile, "/fhir", "/moved/fhir")
	reload()
	ids = append(ids, w.logs(ruth, `{"patient": "dad", "kind": "attendance"}`).ID)
	last := w.settled(ruth, ids[2])
	if got := w.nurses.ids()[before:]; !slices.Equal(got, ids) || paused() {
		t.Errorf("the nurses got %v, want %v; paused: %v", got, ids, paused())
	}
	if got := row(last, "hospice"); got.State != events.Received || got.Channel != "fhir" {
		t.Errorf("the hospice: %+v", got)
	}

	// Back where it was it is gone, and a person's pause has no address.
	w.edit(nursesFile, "/moved/care", "/hooks/care")
	reload()
	w.logs(ruth, `{"patient": "dad", "kind": "admission"}`)
	waitUntil(t, "the nurses are paused", paused)
	w.stop()
	w.edit(nursesFile, "/hooks/care", "/moved/again")
	w.start()
	waitUntil(t, "the nurses are told", func() bool { return len(w.nurses.ids()[before:]) > 3 && !paused() })
	w.carehub("endpoint", "pause", "district-nurses", "--dir", w.dir)
	w.edit(nursesFile, "/moved/again", "/moved/once-more")
	reload()
	if list := w.carehub("endpoint", "list", "--dir", w.dir); !strings.Contains(list, "PAUSED") {
		t.Errorf("what an admin paused is not: %s", list)
	}
}
