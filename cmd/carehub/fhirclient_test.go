package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"carehub/events"
	"carehub/events/fhir/validate"
)

// stranger is a provider's system made of a FHIR client that is not ours; see testdata/fhirclient.
type stranger struct {
	t     *testing.T
	wish  io.Writer
	reply *bufio.Reader
}

func newStranger(p *process, provider, folder string) *stranger {
	p.t.Helper()
	dir, err := validate.Install(p.t.Context(), "cmd/carehub/testdata/fhirclient")
	if err != nil {
		p.t.Fatal(err)
	}
	token := p.run("token", "create", "--system", provider, "--dir", p.dir)
	cmd := exec.CommandContext(p.t.Context(), "node", filepath.Join(dir, "subscriber.mjs"), p.url+"/fhir", token, folder)
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return &stranger{p.t, in, bufio.NewReader(out)}
}

type strangersReply struct {
	Error, ID, Status string
	Types             []string
	IDs               []string
	Count             int
	Numbers           []int
	Missing, Found    []int
	Nowhere           []int
	Different         []int
}

func (s *stranger) do(wish string) (r strangersReply) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.wish, wish); err != nil {
		s.t.Fatal(err)
	}
	line, err := s.reply.ReadBytes('\n')
	if err != nil {
		s.t.Fatalf("%s: %v", wish, err)
	}
	if err := json.Unmarshal(line, &r); err != nil || r.Error != "" {
		s.t.Fatalf("%s: %v %s", wish, err, line)
	}
	return r
}

// has waits until the client has been notified of n different events, whatever their order.
func (s *stranger) has(n int) {
	s.t.Helper()
	waitUntil(s.t, fmt.Sprintf("the client has %d events", n), func() bool { return len(s.do("seen").Numbers) == n })
	numbers := s.do("seen").Numbers
	slices.Sort(numbers)
	if numbers[0] != 1 || numbers[n-1] != n {
		s.t.Errorf("the numbers have a gap: %v", numbers)
	}
}

// counts waits until the hub says of the Subscription that n events have been.
func (s *stranger) counts(n int) {
	s.t.Helper()
	waitUntil(s.t, fmt.Sprintf("$status counts %d", n), func() bool { return s.do("count").Count == n })
}

// misses makes sure that the client, which has missed these, gets them by $events.
func (s *stranger) misses(numbers ...int) {
	s.t.Helper()
	caught := s.do("catchUp")
	if !slices.Equal(caught.Missing, numbers) || len(caught.Nowhere) > 0 {
		s.t.Errorf("missing %v, want %v; by $events %v", caught.Missing, numbers, caught.Found)
	}
}

// TestIndependentClient has a FHIR client from elsewhere subscribe to a live hub, miss events, and catch up, also while the
// hub is killed.
func TestIndependentClient(t *testing.T) {
	t.Parallel()
	p := subscribable(t)
	p.start()
	folder := t.TempDir()
	client := newStranger(p, "surgery", folder)
	id := client.do("subscribe").ID
	waitUntil(t, "it is active", func() bool { return client.do("read").Status == "active" })
	if ids := client.do("search").IDs; !slices.Equal(ids, []string{id}) {
		t.Errorf("found %v, want %s", ids, id)
	}
	waitUntil(t, "a heartbeat came", func() bool { return slices.Contains(client.do("seen").Types, "heartbeat") })
	if types := client.do("seen").Types; types[0] != "handshake" {
		t.Errorf("notifications: %v", types)
	}

	n := 0
	log := func(kinds ...events.Kind) {
		for _, kind := range kinds {
			n++
			p.log1(fmt.Sprint("k", n), []string{"a", "b"}[n%2], kind)
		}
	}
	log(events.Admission, events.Fall, events.Discharge)
	client.has(3)
	client.do("stop")
	log(events.Attendance, events.Admission)
	client.counts(5)
	client.misses(4, 5)
	client.do("start")
	client.has(5)

	p.kill()
	p.start()
	log(events.Fall)
	client.has(6)
	client.do("stop")
	log(events.Discharge, events.Fall)
	client.counts(8)
	p.kill()
	p.start()
	client.counts(8)
	client.misses(7, 8)
	client.do("start")
	log(events.Admission)
	client.has(9)
	if d := client.do("differences").Different; len(d) > 0 {
		t.Errorf("numbers that stand for two events: %v", d)
	}
	if out, err := validate.Run(t.Context(), folder); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
