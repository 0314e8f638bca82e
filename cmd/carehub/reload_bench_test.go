package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/intake"
)

// BenchmarkReload has a hub with 10,000 patients reload again and again while fifty events a second are logged and told. It gives how
// long a reload takes (s/op), and how long the slowest of a hundred events took to arrive, with reloads and without.
func BenchmarkReload(b *testing.B) {
	arrived := make(chan string, 1<<16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 0, 8<<10)
		for chunk := make([]byte, 8<<10); ; {
			n, err := r.Body.Read(chunk)
			body = append(body, chunk[:n]...)
			if err != nil {
				break
			}
		}
		if nonce, is := challengeIn(body); is {
			echoChallenge(w, nonce)
			return
		}
		if m, err := fhir.Decode(body); err == nil {
			arrived <- m.Event.ID
		}
	}))
	defer server.Close()
	dir := b.TempDir()
	manyPatients(b, dir, server.URL, 10_000)
	f, err := loadForUse(dir)
	if err != nil {
		b.Fatal(err)
	}
	h := newHub(f, slog.New(slog.DiscardHandler))
	defer h.close()
	if err := h.open(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	down := make(chan error, 1)
	go func() { down <- h.run(ctx) }()
	delays := func(during func()) []time.Duration {
		over := make(chan struct{})
		go func() { during(); close(over) }()
		var all []time.Duration
		for n := 0; ; n++ {
			select {
			case <-over:
				if len(all) > 0 {
					slices.Sort(all)
					return all
				}
			default:
			}
			began := time.Now()
			result, err := h.intake.Log(ctx, events.Actor{Kind: events.Carer, ID: "ruth"},
				intake.Request{Patient: fmt.Sprintf("p-%05d", n%100), Kind: "fall", Key: fmt.Sprint(began.UnixNano())})
			if err != nil {
				b.Fatal(err)
			}
			for id := ""; id != result.Stored.Record.Event.ID; {
				id = <-arrived
			}
			all = append(all, time.Since(began))
			time.Sleep(max(0, 20*time.Millisecond-time.Since(began)))
		}
	}
	delays(func() { time.Sleep(2 * time.Second) })
	calm := delays(func() { time.Sleep(10 * time.Second) })
	b.ResetTimer()
	busy := delays(func() {
		for b.Loop() {
			h.reloads.change(func(s *reloadState) { s.Hash = "" })
			if s, err := h.reloads.ask(ctx); err != nil || !s.ok() {
				b.Error(err, s.Problems)
			}
		}
	})
	report := func(name string, all []time.Duration) {
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name+"-median-ms")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, name+"-p99-ms")
		b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, name+"-max-ms")
	}
	report("calm", calm)
	report("busy", busy)
	stop()
	if err := <-down; err != nil {
		b.Error(err)
	}
}

func manyPatients(b *testing.B, dir, url string, n int) {
	files := map[string]string{
		"hub.yaml": "name: Test hub\ncontact: {phone: \"+44 7700 900123\", email: help@hub.example}\nalarms: {notify: [surgery]}\n" +
			"url: http://127.0.0.1\nlisten: 127.0.0.1:0\negress: {allow: [127.0.0.0/8]}\n",
		"carers.yaml":              "ruth: {name: Ruth Example, relationship: daughter, phone: \"+44 7700 900124\"}\n",
		"subscribers/surgery.yaml": "id: surgery\nname: The surgery\nphone: \"01234 567890\"\nchannels:\n  - webhook: {url: \"" + url + "\", secret: \"${file:secrets/key}\"}\n",
		"secrets/key":              testSecret,
	}
	var people strings.Builder
	for n := range n {
		id := fmt.Sprintf("p-%05d", n)
		fmt.Fprintf(&people, "%s: {name: Thomas Example, born: 1941-03-11}\n", id)
		files["routing/"+id+".yaml"] = "patient: " + id + "\nlogged_by:\n  ruth: {as: [dad " + id + "], may: [log, see]}\nrules:\n" +
			"  - on: [admission, attendance, discharge]\n    notify: [surgery]\n  - on: fall\n    notify: [surgery]\n"
	}
	files["patients.yaml"] = people.String()
	for name, text := range files {
		path := filepath.Join(dir, name)
		write(b, path, text)
	}
}

func write(b *testing.B, path, text string) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLoad is what of a reload is reading, checking and compiling, in time of processors.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	manyPatients(b, dir, "http://127.0.0.1:1", 10_000)
	f, err := loadForUse(dir)
	if err != nil {
		b.Fatal(err)
	}
	before := processorTime(b)
	for b.Loop() {
		if _, err := loadOf(&strict.Folder{Dir: dir, Snapshot: strict.Take(dir, ourFolders...)}, f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
