package fhirapi_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir/validate"
	"carehub/events/fhirapi"
)

// TestPages: every stay is found once, however the pages fall, while new events come in between.
func TestPages(t *testing.T) {
	for _, count := range []string{"1", "2", "3", "7"} {
		w := newWard(t)
		var want []string
		for n := range 6 {
			in := w.logs(thomas, events.Admission, "", 10*n, "frailty-team")
			want = append([]string{in.ID}, want...)
			if n != 3 { // one is still in
				w.logs(thomas, events.Discharge, in.ID, 10*n+5, "frailty-team")
			}
			w.logs(thomas, events.Fall, "", 10*n+6, "frailty-team")
		}
		var got []string
		page := w.search("Encounter?patient=p-7f3k&_count=" + count)
		for n := 0; ; n++ {
			got = append(got, page.ids()...)
			w.logs(thomas, events.Discharge, want[2], 100+n, "frailty-team") // news of a stay that is listed or about to be
			next := page.link("next")
			if next == "" {
				break
			}
			if strings.Contains(next, "7f3k") {
				t.Errorf("a link tells: %s", next)
			}
			page = w.set(w.ask(http.MethodGet, next, ""))
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %s: got %v, want %v", count, got, want)
		}
	}
}

// TestPagesAreNobodyElses: a link is good for whom it was given to, for what it was given for, and only as long as the
// rules name them.
func TestPagesAreNobodyElses(t *testing.T) {
	w := newWard(t)
	for n := range 3 {
		w.logs(thomas, events.Fall, "", n, "frailty-team", "hospice")
	}
	next := w.search("Communication?patient=p-7f3k&_count=1").link("next")
	if got := w.ask(http.MethodGet, next, "", "Authorization", "Bearer hospice"); got.Code != http.StatusBadRequest {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
	if got := w.ask(http.MethodGet, strings.Replace(next, "Communication", "Condition", 1), ""); got.Code != http.StatusBadRequest {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
	w.api.Names = func(events.Actor, string) bool { return false }
	if page := w.set(w.ask(http.MethodGet, next, "")); len(page.Entry) != 0 {
		t.Errorf("%+v", page)
	}
}

func TestLastUpdated(t *testing.T) {
	w := newWard(t)
	a := w.logs(thomas, events.Fall, "", 0, "frailty-team").ID // 01:14:07 UTC
	b := w.logs(thomas, events.Fall, "", 1, "frailty-team").ID
	c := w.logs(thomas, events.Fall, "", 24*60, "frailty-team").ID
	for query, want := range map[string][]string{
		"2026":                            {c, b, a},
		"2026-07":                         {c, b, a},
		"2026-07-12":                      {b, a},
		"ne2026-07-12":                    {c},
		"gt2026-07-12":                    {c},
		"sa2026-07-12":                    {c},
		"lt2026-07-13":                    {b, a},
		"eb2026-07-13":                    {b, a},
		"le2026-07-12":                    {b, a},
		"ge2026-07-12":                    {c, b, a},
		"2026-07-12T01:14Z":               {a},
		"gt2026-07-12T01:14:07Z":          {c, b},
		"ge2026-07-12T01:14:07Z":          {c, b, a},
		"ge2026-07-12T01:14:08Z":          {c, b},
		"le2026-07-12T01:14:07Z":          {a},
		"lt2026-07-12T01:14:07Z":          nil,
		"lt2026-07-12T01:14:08Z":          {a},
		"gt2026-07-12T01:14:06.999Z":      {c, b, a},
		"gt2026-07-12T02:14:07.000+01:00": {c, b},
		"2027":                            nil,
		"ge2026-07-12T01:15Z&_lastUpdated=lt2026-07-13": {b},
	} {
		query = strings.ReplaceAll(query, "+", "%2B")
		if got := w.search("Condition?patient=p-7f3k&_lastUpdated=" + query); !slices.Equal(got.ids(), want) {
			t.Errorf("%s: got %v, want %v", query, got.ids(), want)
		}
	}
}

// TestOlderVersionsStayHidden: a stay that has changed since is not found by when it was otherwise.
func TestOlderVersionsStayHidden(t *testing.T) {
	w := newWard(t)
	in := w.logs(thomas, events.Admission, "", 0, "frailty-team")
	w.logs(thomas, events.Discharge, in.ID, 24*60, "frailty-team")
	if got := w.search("Encounter?patient=p-7f3k&_lastUpdated=2026-07-12"); len(got.Entry) != 0 {
		t.Errorf("%+v", got)
	}
	if got := w.search("Encounter?patient=p-7f3k&_lastUpdated=2026-07-13"); !slices.Equal(got.ids(), []string{in.ID}) {
		t.Errorf("%+v", got)
	}
}

func TestSearchByIdentifier(t *testing.T) {
	w := newWard(t)
	in := w.logs(thomas, events.Admission, "", 0, "frailty-team")
	for path, want := range map[string]string{
		"Patient/_search identifier=" + nhs + "|9990000018":                 thomas.ID,
		"Encounter/_search patient:identifier=" + nhs + "|9990000018":       in.ID,
		"Communication/_search patient.identifier=" + nhs + "|9990000018":   in.ID,
		"Patient/_search identifier=https://hub.example/id/patient|p-7f3k":  thomas.ID,
		"Patient/_search _id=p-7f3k":                                        thomas.ID,
		"RelatedPerson/_search patient=Patient/p-7f3k":                      events.RelatedID("ruth", thomas.ID),
		"Encounter/_search patient=https://hub.example/fhir/Patient/p-7f3k": in.ID,
		"Encounter/_search subject=Patient/p-7f3k":                          in.ID,
		"Organization/_search _id=hub":                                      "hub",
	} {
		at, form, _ := strings.Cut(path, " ")
		name, value, _ := strings.Cut(form, "=")
		answer := w.ask(http.MethodPost, "/fhir/"+at, url.Values{name: {value}}.Encode())
		body := answer.Body.String()
		if got := w.set(answer); !slices.Equal(got.ids(), []string{want}) || strings.Contains(got.link("self"), "9990000018") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if got := w.search("Patient?identifier=https://hub.example/id/patient|p-7f3k"); !slices.Equal(got.ids(), []string{thomas.ID}) {
		t.Errorf("%+v", got)
	}
}

// TestLongHistory: what is far back is found, by pages that hold nothing if need be.
func TestLongHistory(t *testing.T) {
	w := newWard(t)
	w.api.MostLooked = 100
	old := w.logs(thomas, events.Fall, "", 0, "frailty-team")
	for n := range 120 {
		w.logs(thomas, events.Fall, "", 60*24*2+n, "frailty-team")
	}
	page, pages := w.search("Condition?patient=p-7f3k&_lastUpdated=2026-07-12"), 1
	for ; page.link("next") != "" && len(page.Entry) == 0; pages++ {
		page = w.set(w.ask(http.MethodGet, page.link("next"), ""))
	}
	if !slices.Equal(page.ids(), []string{old.ID}) || pages != 2 {
		t.Errorf("%v on page %d", page.ids(), pages)
	}
}

// TestUnknownParameters are ignored, and the answer says so (R4, 3.1.1.4.1).
func TestUnknownParameters(t *testing.T) {
	w := newWard(t)
	in := w.logs(thomas, events.Admission, "", 0, "frailty-team")
	got := w.search("Encounter?patient=p-7f3k&class=IMP&_sort=date&<b>=1")
	if !slices.Equal(got.ids(), []string{in.ID}) || got.link("self") != "/fhir/Encounter?_count=20&patient=Patient%2Fp-7f3k" {
		t.Errorf("%+v", got)
	}
	last := got.Entry[len(got.Entry)-1]
	if last.Search.Mode != "outcome" || last.Resource.Issue[0].Diagnostics != "Ignored, for they are not supported here: one that is no name, _sort, class." {
		t.Errorf("%+v", last)
	}
}

// TestSetsAreValid has the validators judge answers to searches of every type.
func TestSetsAreValid(t *testing.T) {
	w := newWard(t)
	in := w.logs(thomas, events.Admission, "", 0, "frailty-team")
	w.logs(thomas, events.Fall, "", 1, "frailty-team")
	w.logs(thomas, events.Discharge, in.ID, 2, "frailty-team")
	dir := t.TempDir()
	for _, resource := range fhirapi.Types {
		query := "patient=p-7f3k&_count=1&unknown=1"
		switch resource {
		case "Patient":
			query = "_id=p-7f3k"
		case "Organization":
			query = "_id=hub,frailty-team,nobody"
		}
		answer := w.get(resource + "?" + query)
		if answer.Code != http.StatusOK {
			t.Errorf("%s: status %d: %s", resource, answer.Code, answer.Body)
		}
		if err := os.WriteFile(filepath.Join(dir, resource+".json"), answer.Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if report, err := validate.Run(t.Context(), dir); err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}
