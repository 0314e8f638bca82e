package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newAdminsTown is a town with an admin, Ann, whose rules have steps, and who hears of trouble at once.
func newAdminsTown(t *testing.T) *town {
	w := newTown(t)
	w.edit("hub.yaml", "timezone:", "admins: [ann]\ntimezone:")
	w.edit("hub.yaml", "admission: {urgency: urgent, fallback_after: 5m, alarm_after: 15m}", "admission: {urgency: urgent, fallback_after: 5m, alarm_after: 1s}")
	w.edit("carers.yaml", "tom:", "ann: {name: Ann Admin, relationship: looks after the hub}\ntom:")
	if err := os.RemoveAll(filepath.Join(w.dir, "routing/tests")); err != nil { // they are of the rules as they were
		t.Fatal(err)
	}
	w.edit("routing/p-7f3k.yaml", "notify: [frailty-team, riverside-surgery, district-nurses, hospice, tom]",
		"notify: [frailty-team, riverside-surgery, district-nurses]\n    acknowledge: {within: 2h, else: [hospice, tom]}")
	return w
}

// signsInAsAdmin takes the link of an invitation.
func (s *screen) signsInAsAdmin(w *town) {
	s.t.Helper()
	link := strings.TrimSpace(w.carehub("invite", "ann", "--dir", w.dir))
	s.open(strings.TrimPrefix(link, w.url))
	s.tap("main form button")
	s.says("Signed in as Ann Admin")
	s.open("/admin")
	s.shows("#sum")
}

// down answers as a system that has failed.
func down(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

// TestAdminsPagesInBothLanguages judges each of them, while the hospice's system is down, and has it told by hand.
func TestAdminsPagesInBothLanguages(t *testing.T) {
	w := newAdminsTown(t)
	w.hospice.answers(down)
	w.start()
	ruth := w.token("ruth")
	event := w.logs(ruth, `{"text": "dad admitted at \"Riverside Hospital\" 20m ago", "words": "He is awake."}`).ID
	w.says(ruth, "dad fell 3h ago")
	waitUntil(t, "the alarm is in the mail", func() bool { return len(w.mail.to("on-call@riverside.example")) > 0 })
	s := newScreen(t, w.url, true)
	s.signsInAsAdmin(w)
	const log = "/admin/recipients/hospice/fhir"
	for _, lang := range []struct{ tag, suffix string }{{"en-GB", ""}, {"cy", ".cy"}} {
		visit := func(path, shows string) {
			t.Helper()
			s.open(path + map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "lang=" + lang.tag)
			s.shows(`html[lang="` + lang.tag + `"] ` + shows)
		}
		visit("/admin", "#feed li li")
		s.judge("admin-now" + lang.suffix)
		visit("/admin/events/"+event, "ul.rows a")
		s.judge("admin-event" + lang.suffix)
		visit("/admin/recipients", "tr.late")
		s.judge("admin-recipients" + lang.suffix)
		visit(log, "ul.rows a")
		s.judge("admin-log" + lang.suffix)
		visit(log+"/redeliver/"+event, "main form button")
		s.judge("admin-again" + lang.suffix)
		visit("/admin/alarms", "main section")
		s.judge("admin-alarms" + lang.suffix)
		visit("/admin/patients", "#find")
		s.judge("admin-patients" + lang.suffix)
		visit("/admin/patients/p-7f3k", ".picture")
		s.judge("admin-routing" + lang.suffix)
		visit("/admin/patients?find=x", "#problem")
		s.judge("admin-no-patient" + lang.suffix)
	}
	w.hospice.answers(nil)
	s.open("/admin/recipients?lang=en-GB")
	s.tap(`a[href="` + log + `"]`)
	s.tap(`a[href$="/redeliver/` + event + `"]`)
	s.tap("main form button")
	s.says("Riverside Hospice took it")
	if ids := w.hospice.ids(); ids[len(ids)-1] != event && ids[0] != event {
		t.Errorf("the hospice was sent %v", ids)
	}
}

// TestAdminSeesWhatIsNew: the start page changes by itself, without a stream too, and can be read without scripts.
func TestAdminSeesWhatIsNew(t *testing.T) {
	w := newAdminsTown(t)
	letGo := w.hospice.holds()
	defer letGo()
	w.start()
	ruth := w.token("ruth")
	s := newScreen(t, w.url, true)
	s.signsInAsAdmin(w)
	s.says("Nothing has been logged yet.")
	plain := newScreen(t, w.url, false)
	plain.signsInAsAdmin(w)
	event := w.says(ruth, "dad admitted").ID
	s.shows(`a[href="/admin/events/` + event + `"]`)
	s.says("Telling Riverside Hospice")
	letGo()
	s.says("Received by the Riverside Hospice system")
	plain.tap("noscript a")
	plain.says("Received by the Riverside Hospice system")
	w.carehub("revoke", "ann", "--dir", w.dir)
	s.open("/admin")
	s.until("she is led away", `location.pathname === "/signin"`)
}

// TestAdminMendsAnAddress: an admin sees that nobody at the hospice can be told, mends the address in YAML, is told of a slip on the
// way, and sees the reload and the backlog drain, all on one page.
func TestAdminMendsAnAddress(t *testing.T) {
	w := newAdminsTown(t)
	closed := freeAddress(t)
	w.edit("subscribers/hospice.yaml", w.hospice.address(), closed)
	w.start()
	ruth := w.token("ruth")
	events := []string{w.says(ruth, "dad admitted 3h ago").ID, w.says(ruth, "dad came home 1h ago").ID}
	s := newScreen(t, w.url, true)
	s.signsInAsAdmin(w)
	s.says("1 recipient cannot be reached")
	s.tap(`#sum a[href="/admin/recipients"]`)
	s.until("the hospice waits", `document.querySelector("tr.late").innerText.includes("Riverside Hospice")`)
	s.open("/admin")
	s.shows("#config code")
	before := eval[string](s, `document.querySelector("#config code").innerText`)

	w.edit("subscribers/hospice.yaml", "- fhir: {url:", "- fhir: {ulr:")
	s.says("The newest edit was refused")
	s.says("subscribers/hospice.yaml:")
	s.judge("admin-refused")
	if now := eval[string](s, `document.querySelector("#config code").innerText`); now != before {
		t.Errorf("%s is in force, not %s", now, before)
	}
	w.edit("subscribers/hospice.yaml", "- fhir: {ulr:", "- fhir: {url:")
	w.edit("subscribers/hospice.yaml", closed, w.hospice.address())
	s.until("it is read", `document.querySelector("#config code").innerText !== `+quoted(before)+` && !document.querySelector("#config-news [role=alert]")`)
	s.says("Received by the Riverside Hospice system")
	s.says("Nothing waits to be delivered.")
	s.says("Nothing is parked.")
	if ids := w.hospice.ids(); !slices.Equal(ids, events) {
		t.Errorf("the hospice was sent %v, not %v", ids, events)
	}
}
