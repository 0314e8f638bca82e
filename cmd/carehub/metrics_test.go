package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape reads /metrics: by name, its series.
func (w *town) scrape() map[string]*dto.MetricFamily {
	w.t.Helper()
	status, body := w.ask(http.MethodGet, "/metrics", "", "")
	if status != http.StatusOK {
		w.t.Fatalf("status %d: %s", status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// series is the value of one series, of a histogram how often it was observed. Labels are name=value.
func (w *town) series(all map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	w.t.Helper()
	for _, m := range all[name].GetMetric() {
		have := map[string]bool{}
		for _, l := range m.GetLabel() {
			have[l.GetName()+"="+l.GetValue()] = true
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !have[l] }) {
			continue
		}
		switch {
		case m.Histogram != nil:
			return float64(m.Histogram.GetSampleCount())
		case m.Counter != nil:
			return m.Counter.GetValue()
		}
		return m.Gauge.GetValue()
	}
	w.t.Errorf("no series %s %v", name, labels)
	return -1
}

// TestMetrics: a walk is counted where it should be, a carer who is told of things has no series of their own, and the
// names follow Prometheus's practice.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("carers.yaml", "email: {to: tom@home.example}", "webhook: {url: \"http://"+w.nurses.address()+"/tom\", secret: \"${file:secrets/district-nurses}\"}")
	w.edit("routing/p-7f3k.yaml", "frailty-team]", "frailty-team, tom]")
	release := w.nurses.holds()
	defer release()
	w.start()
	ruth := w.token("ruth")
	v := w.says(ruth, "dad admitted")
	w.logs(ruth, `{"text": "dad came home"}`)
	if status, _ := w.post(ruth, "key-1", `{"text": "dad admitted"}`); status != http.StatusOK && status != http.StatusConflict {
		t.Errorf("status %d", status)
	}
	w.post("", "key", `{"text": "dad fell"}`)
	waitUntil(t, "the others have been told", func() bool {
		return len(w.surgery.all()) == 2 && len(w.hospice.all()) == 2 && len(w.mail.to("team@frailty.example")) == 2
	})
	waitUntil(t, "those who wait are parked", func() bool {
		return w.series(w.scrape(), "carehub_parked_deliveries", "recipient=district-nurses") == 2
	})

	all := w.scrape()
	for _, c := range []struct {
		want   float64
		name   string
		labels string
	}{
		{1, "carehub_events_total", "kind=admission answer=created"},
		{1, "carehub_events_total", "kind=admission answer=repeated"},
		{1, "carehub_events_total", "kind=discharge answer=created"},
		{0, "carehub_events_total", "kind=fall answer=created"},
		{1, "carehub_refusals_total", "error=unauthenticated"},
		{2, "carehub_deliveries_total", "channel=email outcome=sent"},
		{2, "carehub_deliveries_total", "channel=webhook outcome=received"},
		{2, "carehub_deliveries_total", "channel=fhir outcome=received"},
		{2, "carehub_delivery_seconds", "channel=fhir"},
		{2, "carehub_attempt_seconds", "channel=fhir result=delivered"},
		{2, "carehub_store_write_seconds", ""},
		{2, "carehub_pending_deliveries", "recipient=district-nurses"},
		{2, "carehub_pending_deliveries", "recipient=carer"},
		{0, "carehub_pending_deliveries", "recipient=hospice"},
		{0, "carehub_oldest_pending_seconds", "recipient=riverside-surgery"},
		{1, "carehub_endpoint_up", "recipient=district-nurses channel=webhook"},
		{1, "carehub_endpoint_up", "recipient=carer channel=webhook"},
		{1, "carehub_config_info", ""},
		{1, "carehub_build_info", "version=" + version},
		{0, "carehub_alarms_unheard_total", ""},
		{0, "carehub_deliveries_lost_total", ""},
		{0, "carehub_escalations_total", ""},
		{0, "carehub_answers_overdue", ""},
		{0, "carehub_alarms_total", "reason=unanswered"},
		{1, "carehub_ready", ""},
		{1, "carehub_check_ok", "check=store_write"},
		{2, "carehub_attempts_in_flight", ""},
	} {
		if got := w.series(all, c.name, strings.Fields(c.labels)...); got != c.want {
			t.Errorf("%s{%s} is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if age := w.series(all, "carehub_oldest_pending_seconds", "recipient=carer"); age <= 0 || age > 120 {
		t.Errorf("the oldest has waited %v s", age)
	}
	for _, name := range []string{"carehub_store_bytes", "carehub_disk_free_bytes", "carehub_disk_bytes", "go_goroutines", "process_cpu_seconds_total"} {
		if w.series(all, name) <= 0 {
			t.Errorf("no %s", name)
		}
	}
	read := 0.0
	for p := range 4 {
		read += w.series(all, "carehub_partition_read_sequence", fmt.Sprint("partition=", p))
	}
	if read != 2 {
		t.Errorf("%v events read", read)
	}
	w.lint(all)
	release()
	w.settled(ruth, v.ID)
}

// lint has Prometheus's own linter judge the names and looks for labels that should not be.
func (w *town) lint(all map[string]*dto.MetricFamily) {
	w.t.Helper()
	var ours []*dto.MetricFamily
	for name, f := range all {
		if !strings.HasPrefix(name, "carehub_") {
			continue
		}
		ours = append(ours, f)
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if v := l.GetValue(); v == "tom" || v == "ruth" || strings.Contains(v, "p-7f3k") || strings.Contains(v, "127.0.0.1") {
					w.t.Errorf("%s has the label %s=%s", name, l.GetName(), v)
				}
			}
		}
	}
	problems, err := promlint.NewWithMetricFamilies(ours).Lint()
	if err != nil || len(problems) > 0 || len(ours) < 20 {
		w.t.Errorf("%d metrics, %v: %v", len(ours), problems, err)
	}
}

// TestAliveAndReady: a hub whose engine does not move is not alive; one whose reading stands still is not ready, and both
// say why.
func TestAliveAndReady(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	if out := w.carehub("ready", "--hub", w.url); out != "readyz: yes\n" {
		t.Errorf("%q", out)
	}
	if out := w.carehub("ready", "--alive", "--hub", w.url); out != "healthz: yes\n" {
		t.Errorf("%q", out)
	}
	_, body := w.ask(http.MethodGet, "/readyz", "", "")
	var said struct {
		Ready  bool
		Why    string
		Checks map[string]bool
	}
	if err := json.Unmarshal([]byte(body), &said); err != nil || !said.Ready || said.Why != "" || len(said.Checks) != 5 || !said.Checks["reading"] {
		t.Errorf("%s", body)
	}
	w.stop()

	h := w.open()
	h.tokens = newTokens(h.store)
	for name, broken := range map[string]struct {
		path, want string
		do         func()
	}{
		"no beat":  {"/healthz", "has not moved", func() { h.pulse.beat.Store(time.Now().Add(-2 * deadAfter).UnixNano()) }},
		"no write": {"/readyz", "acknowledged no write", func() { h.meter.wrote.Store(time.Now().Add(-2 * staleWrite).UnixNano()) }},
	} {
		broken.do()
		status, body := answerOf(h, broken.path)
		if status != http.StatusServiceUnavailable || !strings.Contains(body, broken.want) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	h.pulse.write(t.Context()) // as the pulse does by itself, and in a store that holds the key already
	h.meter.wrote.Store(0)
	h.pulse.write(t.Context())
	if status, body := answerOf(h, "/readyz"); status != http.StatusOK {
		t.Errorf("after a write: %d %s", status, body)
	}
}

// answerOf is what a hub's doors answer without a socket.
func answerOf(h *hub, path string) (int, string) {
	answer := httptest.NewRecorder()
	h.routes(h.desk(), nil).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}
