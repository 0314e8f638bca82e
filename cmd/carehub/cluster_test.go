package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events/stream/clustertest"
)

// fleet is hubs in processes of their own that share a cluster of three NATS nodes.
type fleet struct {
	t     *testing.T
	nodes *clustertest.Cluster
	hubs  []*process
	cable *clustertest.Cable // the way of the last hub to the nodes

	mu      sync.Mutex
	worst   time.Duration // that anybody waited for an acknowledgement
	refused int           // requests that another hub had to be asked again
}

func newFleet(t *testing.T, patients int, receivers ...*provider) *fleet {
	t.Helper()
	f := &fleet{t: t, nodes: clustertest.Start(t, 3)}
	f.cable = f.nodes.Cable()
	first := newProcess(t, patients, receivers...)
	config, err := os.ReadFile(filepath.Join(first.dir, "hub.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for i, nats := range []string{f.nodes.URL(), f.nodes.URL(), f.cable.URL()} {
		hub := &process{t: t, dir: filepath.Join(t.TempDir(), "hub"), log: first.log}
		if err := os.CopyFS(hub.dir, os.DirFS(first.dir)); err != nil {
			t.Fatal(err)
		}
		address := freeAddress(t)
		hub.url = "http://" + address
		listen := "\nlisten: " + strings.TrimPrefix(first.url, "http://") // all have the same url: to the receivers they are one
		writeFile(t, filepath.Join(hub.dir, "hub.yaml"), strings.Replace(string(config), listen, "\nlisten: "+address, 1)+
			"nats: {url: \""+nats+"\", replicas: 3}\n")
		if i == 0 {
			first.token = hub.run("token", "create", "ruth", "--dir", hub.dir)
		}
		hub.token = first.token
		t.Cleanup(hub.kill)
		f.hubs = append(f.hubs, hub)
	}
	return f
}

// owns is how many partitions a hub says it delivers; 0 if it does not answer.
func (f *fleet) owns(hub *process) int {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(hub.url + "/readyz")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var body struct{ Partitions int }
	_ = json.NewDecoder(resp.Body).Decode(&body) // 0 then
	return body.Partitions
}

// shared waits until all partitions are owned, and each of these hubs owns some.
func (f *fleet) shared(what string, hubs ...*process) {
	f.t.Helper()
	began := time.Now()
	waitUntil(f.t, "the work is shared "+what, func() bool {
		total := 0
		for _, h := range hubs {
			n := f.owns(h)
			if total += n; n == 0 {
				return false
			}
		}
		return total == 4
	})
	f.t.Logf("the work is shared %s: %v", what, time.Since(began).Round(time.Millisecond))
}

// logUntil is like logUntil of one hub, but asks another when one does not take it.
func (f *fleet) logUntil(patient int, stop chan struct{}) (acked []string) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return acked
		default:
		}
		body := fmt.Sprintf(`{"patient": "p-%04d", "kind": %q, "place": "Riverside Hospital", "words": "event %d"}`,
			patient, []string{"admission", "discharge"}[n%2], n)
		id, err := f.logOne(fmt.Sprintf("key-%d-%d", patient, n), body, patient+n)
		if err != nil {
			f.t.Error(err)
			return acked
		}
		acked = append(acked, id)
		time.Sleep(20 * time.Millisecond)
	}
}

func (f *fleet) logOne(key, body string, first int) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	began, tries := time.Now(), 0
	for ; ctx.Err() == nil; tries++ {
		hub := f.hubs[(first+tries)%len(f.hubs)]
		status, answer, err := hub.post(ctx, key, body)
		switch {
		case err == nil && (status == http.StatusCreated || status == http.StatusOK):
			f.mu.Lock()
			defer f.mu.Unlock()
			f.worst, f.refused = max(f.worst, time.Since(began)), f.refused+tries
			return answer["id"].(string), nil
		case err == nil && status != http.StatusServiceUnavailable:
			return "", fmt.Errorf("status %d: %v", status, answer)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "", ctx.Err()
}

// since says what loggers met since it was last asked.
func (f *fleet) since(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.t.Logf("%s: %d requests asked again elsewhere, nobody waited longer than %v", what, f.refused, f.worst.Round(time.Millisecond))
	f.worst, f.refused = 0, 0
}

// TestThreeHubsThreeNodes: a hub is killed, a node is stopped, a hub is cut off, and all hubs are replaced one by one, while
// carers log at any of them. Then the receivers are asked: is every acknowledged event at every one of them, first
// arrivals in order, repeats with the same id and bytes?
func TestThreeHubsThreeNodes(t *testing.T) {
	const patients = 6
	receivers := []*provider{newProvider(t, "gp"), newProvider(t, "nurses")}
	f := newFleet(t, patients, receivers...)
	for _, h := range f.hubs {
		h.start()
	}
	a, b, c := f.hubs[0], f.hubs[1], f.hubs[2]
	f.shared("at the start", a, b, c)
	stop, acked := make(chan struct{}), make([][]string, patients)
	var loggers sync.WaitGroup
	for n := range patients {
		loggers.Go(func() { acked[n] = f.logUntil(n, stop) })
	}

	a.kill()
	f.shared("after a hub was killed", b, c)
	f.since("a hub killed")
	a.start()
	f.shared("after it came back", a, b, c)

	leader := slices.IndexFunc(f.nodes.Nodes, func(n *clustertest.Node) bool { return n.Leads("HUB") })
	f.nodes.Nodes[leader].Stop()
	f.shared("after a node was stopped", a, b, c)
	f.since("a node stopped")
	f.nodes.Nodes[leader].Start()

	f.cable.Cut()
	f.shared("after a hub was cut off", a, b)
	f.since("a hub cut off")
	f.cable.Mend()
	f.shared("after it was mended", a, b, c)

	for i, h := range f.hubs {
		h.stop()
		h.start()
		f.shared(fmt.Sprint("after hub ", i+1, " was replaced"), a, b, c)
	}
	f.since("all hubs replaced")

	close(stop)
	loggers.Wait()
	f.check(receivers, acked)
	for _, h := range f.hubs {
		h.stop()
	}
}

func (f *fleet) check(receivers []*provider, acked [][]string) {
	f.t.Helper()
	total := 0
	for _, ids := range acked {
		total += len(ids)
	}
	for _, r := range receivers {
		waitUntil(f.t, r.id+" has everything", func() bool { _, n := r.count(); return n >= total })
		for n, ids := range acked {
			if got := r.firsts(fmt.Sprintf("p-%04d", n)); !slices.Equal(got, ids) {
				f.t.Errorf("%s: first arrivals of patient %d are not the acknowledged events in their order: %d and %d", r.id, n, len(got), len(ids))
			}
		}
		arrived, different := r.count()
		f.t.Logf("%s: %d events acknowledged, %d repeats", r.id, total, arrived-different)
	}
}
