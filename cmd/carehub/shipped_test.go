package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// shipped is a file of deploy/ or docs/.
func shipped(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// metricNames are the metrics that an expression asks for.
var metricNames = regexp.MustCompile(`\b(?:carehub|process|go)_[a-z0-9_]+`)

// TestShippedFilesAskForRealMetrics: what the alerts and the dashboard ask for is what a hub answers, by the names of the
// series that Prometheus makes of it, and the operators' page knows all of ours.
func TestShippedFilesAskForRealMetrics(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	w.scraped(t)
	have := map[string]bool{"carehub_store_limit_bytes": true, // only where a server sets a limit
		"carehub_bounces_pending": true, "carehub_bounce_mailbox_age_seconds": true} // only with mail.bounces
	for name, f := range w.scrape() {
		have[name] = true
		if f.GetMetric()[0].Histogram != nil {
			have[name+"_bucket"], have[name+"_count"], have[name+"_sum"] = true, true, true
		}
	}
	for _, expr := range append(alertExpressions(t), dashboardExpressions(t)...) {
		asked := metricNames.FindAllString(expr, -1)
		for _, name := range asked {
			if !have[name] {
				t.Errorf("no metric %s, in %s", name, expr)
			}
		}
		if len(asked) == 0 && !strings.Contains(expr, "up{") {
			t.Errorf("no metric of a hub in %s", expr)
		}
	}
	for _, name := range []string{"carehub_escalations_total", "carehub_answers_overdue"} {
		if !strings.Contains(strings.Join(dashboardExpressions(t), " "), name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
	page := shipped(t, "docs", "operators.md")
	for _, name := range slices.Sorted(maps.Keys(have)) {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if strings.HasPrefix(name, "carehub_") && !strings.Contains(page, "`"+base+"`") {
			t.Errorf("docs/operators.md does not explain %s", base)
		}
	}
}

// scraped waits until the first pulse has given its metrics.
func (w *town) scraped(t *testing.T) {
	t.Helper()
	waitUntil(t, "the first pulse", func() bool { return w.scrape()["carehub_store_bytes"] != nil })
}

func alertExpressions(t *testing.T) (all []string) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(shipped(t, "deploy", "prometheus", "alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	page := strings.ToLower(shipped(t, "docs", "operators.md"))
	tests := shipped(t, "deploy", "prometheus", "alerts_test.yaml")
	for _, r := range file.Groups[0].Rules {
		all = append(all, r.Expr)
		anchor := strings.TrimPrefix(r.Annotations["runbook"], "docs/operators.md#")
		if !strings.Contains(page, "#### "+anchor+"\n") {
			t.Errorf("%s: docs/operators.md has no section %s", r.Alert, anchor)
		}
		if !strings.Contains(tests, r.Alert) {
			t.Errorf("%s has no test", r.Alert)
		}
	}
	if len(all) < 10 {
		t.Errorf("%d alerts", len(all))
	}
	return all
}

func dashboardExpressions(t *testing.T) (all []string) {
	t.Helper()
	type query struct{ Expr string }
	var board struct {
		Panels []struct {
			ID      int
			Type    string
			Targets []query
		}
	}
	if err := json.Unmarshal([]byte(shipped(t, "deploy", "grafana", "carehub.json")), &board); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d is there twice, or asks for nothing", p.ID)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			all = append(all, q.Expr)
		}
	}
	return all
}
