package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Live pages that a hub must bear at once, and what they may cost it.
const (
	livePages  = 200
	liveMemory = 50 << 20
)

// heap is what a hub in a process of its own has in use after a while: heap and stacks.
func (p *process) heap() (bytes float64) {
	p.t.Helper()
	resp, err := http.Get(p.url + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, name := range []string{"go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes"} {
		if len(all[name].GetMetric()) == 0 {
			p.t.Fatalf("no %s", name)
		}
		bytes += all[name].GetMetric()[0].GetGauge().GetValue()
	}
	return bytes
}

// signIn returns the cookie of a phone that has taken an invitation.
func (p *process) signIn(carer string) string {
	p.t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.PostForm(p.run("invite", carer, "--dir", p.dir), url.Values{"once": {"1"}})
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if len(resp.Cookies()) == 0 {
		p.t.Fatalf("status %d, and no cookie", resp.StatusCode)
	}
	return resp.Cookies()[0].String()
}

// livePage follows an event as a phone does, and remembers which rows it has been sent.
type livePage struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (l *livePage) saw(words string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for row := range l.seen {
		if strings.Contains(row, words) {
			return true
		}
	}
	return false
}

func (l *livePage) read(body io.Reader) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var part struct{ Rows []string }
		if json.Unmarshal([]byte(data), &part) == nil {
			l.mu.Lock()
			for _, row := range part.Rows {
				l.seen[row] = true
			}
			l.mu.Unlock()
		}
	}
}

// TestLivePages: two hundred pages at once each see every change of an event, and cost a hub little.
func TestLivePages(t *testing.T) {
	t.Parallel()
	const teams = 5
	var providers []*provider
	var gates []chan struct{}
	for n := range teams {
		gate := make(chan struct{})
		one := newProvider(t, fmt.Sprintf("team-%c", 'a'+n))
		one.before = func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-gate:
			case <-r.Context().Done():
			}
			return false
		}
		providers, gates = append(providers, one), append(gates, gate)
	}
	p := newProcess(t, 1, providers...)
	p.start()
	cookie := p.signIn("ruth")
	status, answer, err := p.post(t.Context(), "live", `{"patient": "p-0000", "kind": "admission"}`)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("%d %v: %v", status, answer, err)
	}
	before := p.heap()
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	pages := make([]*livePage, livePages)
	client := &http.Client{Transport: &http.Transport{}}
	for n := range pages {
		pages[n] = &livePage{seen: map[string]bool{}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/e/"+answer["id"].(string)+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", cookie)
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("page %d: %v %v", n, resp, err)
		}
		reading.Go(func() { defer resp.Body.Close(); pages[n].read(resp.Body) })
	}
	all := func(words string) {
		start := time.Now()
		waitUntil(t, "all pages say "+words, func() bool {
			for _, page := range pages {
				if !page.saw(words) {
					return false
				}
			}
			return true
		})
		t.Logf("%q on all pages after %v", words, time.Since(start).Round(time.Millisecond))
	}
	all("Telling The team-a")
	for n, gate := range gates {
		close(gate)
		all("Received by the " + providers[n].id + " system")
	}
	more := p.heap() - before
	t.Logf("%d live pages take %.1f MB more", livePages, more/(1<<20))
	if more > liveMemory {
		t.Errorf("%d live pages take %.1f MB more", livePages, more/(1<<20))
	}
}
