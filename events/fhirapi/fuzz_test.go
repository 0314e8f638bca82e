package fhirapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carehub/events"
)

// FuzzSearch: whatever a client asks is answered, is never the hub's fault, and never tells of a patient of others.
func FuzzSearch(f *testing.F) {
	for _, query := range []string{
		"patient=p-7f3k", "patient=Patient/p-8g4m&_count=1", "_id=p-7f3k,p-8g4m", "patient=p-7f3k&_lastUpdated=ge2026-07-12T02:14:07.5%2B01:00",
		"patient:identifier=a|b", "_page=AAAA", "_format=xml", "patient=p-7f3k&_lastUpdated=eq0000", "%zz", "a=b;c=d", "_count=-1&patient=p-7f3k",
		"identifier=https://hub.example/id/patient|p-8g4m", "_id=" + strings.Repeat(",", 200),
	} {
		f.Add("Encounter", query, query)
	}
	f.Add("Patient", "", "identifier=https://fhir.nhs.uk/Id/nhs-number|9990000026")
	w := newWard(f)
	w.logs(thomas, events.Admission, "", 0, "frailty-team")
	w.logs(other, events.Admission, "", 1, "frailty-team")
	f.Fuzz(func(t *testing.T, resource, query, form string) {
		for _, body := range []string{"", form} {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.URL.Path, r.URL.RawQuery = "/fhir/"+resource, query
			if body != "" {
				r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
				r.URL.Path, r.URL.RawQuery = "/fhir/"+resource+"/_search", query
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			r.Header.Set("Authorization", "Bearer frailty-team")
			answer := httptest.NewRecorder()
			w.mux.ServeHTTP(answer, r)
			if answer.Code >= http.StatusInternalServerError || strings.Contains(answer.Body.String(), "Olive") {
				t.Errorf("status %d: %s", answer.Code, answer.Body)
			}
		}
	})
}
