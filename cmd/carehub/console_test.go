package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/audit"
)

// adminsPages are the admin's pages, and how a carer who is none might get at somebody by them. A new one needs a row here.
func adminsPages() map[string][]attempt {
	get := func(path string) []attempt { return []attempt{{method: "GET", path: path}} }
	const again = "/admin/recipients/hospice/fhir/redeliver/{event}"
	return map[string][]attempt{
		"GET /admin":                                  append(get("/admin"), get("/admin?before=0.5-1.5")...),
		"GET /admin/rows":                             get("/admin/rows"),
		"GET /admin/live":                             get("/admin/live"),
		"GET /admin/events/{event}":                   get("/admin/events/{event}"),
		"GET /admin/recipients":                       get("/admin/recipients"),
		"GET /admin/recipients/{recipient}/{channel}": get("/admin/recipients/hospice/fhir"),
		"GET /admin/alarms":                           get("/admin/alarms"),
		"GET /admin/patients":                         append(get("/admin/patients"), get("/admin/patients?find={patient}")...),
		"GET /admin/patients/{patient}":               get("/admin/patients/{patient}"),

		"GET /admin/recipients/{recipient}/{channel}/redeliver/{event}":  get(again),
		"POST /admin/recipients/{recipient}/{channel}/redeliver/{event}": {{method: "POST", path: again, body: "csrf={csrf}", media: formMedia}},
	}
}

// TestAdminsPages: for a carer who is no admin they do not exist, whatever they are about. An admin sees pseudonyms, and names only
// of those whom they may see as a carer.
func TestAdminsPages(t *testing.T) {
	b, mine, theirs, _ := newBystander(t)
	ruth, gwen := b.signIn("ruth"), b.signIn("gwen") // gwen is an admin, and Olive's niece
	try := func(by *browser, a attempt, w whom) *httptest.ResponseRecorder {
		w["csrf"] = by.csrf
		filled := a.about(b.hub.current().hub.URL, w)
		return by.do(filled.method, filled.path, filled.body)
	}
	for pattern, attempts := range adminsPages() {
		for _, a := range attempts {
			for _, w := range []whom{mine, theirs} {
				if answer := try(ruth, a, w); answer.Code != http.StatusNotFound || strings.Contains(answer.Body.String(), "p-8g4m") || !strings.Contains(answer.Body.String(), "no such page") {
					t.Errorf("%s, by a carer: status %d: %s", pattern, answer.Code, answer.Body)
				}
			}
			if strings.HasSuffix(pattern, "/live") { // it does not end
				continue
			}
			of, other := try(gwen, a, theirs), try(gwen, a, mine)
			if of.Code != http.StatusOK && of.Code != http.StatusSeeOther {
				t.Errorf("%s: status %d: %s", pattern, of.Code, of.Body)
			}
			for _, private := range []string{"Thomas", "Ruth", "Riverside Hospital", "9990000018", "9990000026"} {
				if said := of.Body.String() + other.Body.String(); strings.Contains(said, private) && !strings.HasPrefix(pattern, "GET /admin/recipients") {
					t.Errorf("%s tells %s: %s", pattern, private, said)
				}
			}
		}
	}
	for by, leads := range map[*browser]bool{gwen: true, ruth: false} {
		if home := by.do("GET", "/", ""); strings.Contains(home.Body.String(), `href="/admin"`) != leads {
			t.Errorf("the start page leads to the admin's: %t", !leads)
		}
	}
	if answer := try(gwen, attempt{method: "GET", path: "/admin/patients/{patient}"}, theirs); !strings.Contains(answer.Body.String(), "Olive Ostrich") {
		t.Errorf("her aunt has no name: %s", answer.Body)
	}
	for _, path := range []string{"/admin?before=x", "/admin/events/none", "/admin/events/" + events.AlarmID(events.About{Event: "x"}), "/admin/recipients/ruth/email",
		"/admin/recipients/hospice/email", "/admin/patients/p-none", "/admin/recipients/frailty-team/email/redeliver/" + mine["event"]} {
		if answer := gwen.do("GET", path, ""); answer.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, answer.Code)
		}
	}
	if answer := gwen.do("POST", "/admin/recipients/hospice/fhir/redeliver/"+mine["event"], ""); answer.Code != http.StatusForbidden {
		t.Errorf("without proof that the page sent it: status %d", answer.Code)
	}
}

// TestAdminsLooksAreOnRecord before they are answered: who, what, of whom; and who tried who may not.
func TestAdminsLooksAreOnRecord(t *testing.T) {
	b, mine, _, _ := newBystander(t)
	gwen, ruth := b.signIn("gwen"), b.signIn("ruth")
	event := mine["event"]
	gwen.do("GET", "/admin", "")
	gwen.do("GET", "/admin/events/"+event, "")
	gwen.do("GET", "/admin/patients/p-7f3k", "")
	gwen.do("POST", "/admin/recipients/hospice/fhir/redeliver/"+event, url.Values{"csrf": {gwen.csrf}}.Encode())
	ruth.do("GET", "/admin/patients/p-7f3k", "")
	var said []string
	_, err := audit.Verify(t.Context(), b.hub.store, func(event json.RawMessage) error {
		var e struct {
			Subtype []struct{ Code string }
			Outcome string
			Agent   []struct {
				Who struct{ Identifier struct{ Value string } }
			}
			Entity []struct{ What struct{ Reference string } }
		}
		err := json.Unmarshal(event, &e)
		if code := e.Subtype[0].Code; code == "create" || code == "110122" { // who logged it and who signed in, whenever that was written
			return err
		}
		line := e.Agent[0].Who.Identifier.Value + " " + e.Subtype[0].Code + " " + e.Outcome
		for _, entity := range e.Entity {
			line += " " + entity.What.Reference
		}
		said = append(said, strings.TrimRight(line, " "))
		return err
	})
	want := []string{"gwen search-type 0", "gwen read 0 Patient/p-7f3k Communication/" + event, "gwen read 0 Patient/p-7f3k CareTeam/p-7f3k",
		"gwen operation 0 Patient/p-7f3k Communication/" + event, "ruth read 4 Patient/p-7f3k CareTeam/p-7f3k"}
	if err != nil || !slices.Equal(said, want) {
		t.Errorf("%v: %q", err, said)
	}
	if message := b.hospice.ids(); !slices.Equal(message, []string{event}) {
		t.Errorf("the hospice was sent %v", message)
	}
}
