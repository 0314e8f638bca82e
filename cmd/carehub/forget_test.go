package main

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// tryRun runs another carehub command that may fail, and returns all that it prints.
func (p *process) tryRun(stdin string, args ...string) (string, error) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "carehub", args...)
	cmd.Env, cmd.Stdin = quickExit(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestForgetRunning: a running hub erases a patient whom it was told about, and knows it still after it was killed.
func TestForgetRunning(t *testing.T) {
	surgery := newProvider(t, "surgery")
	var deaf atomic.Bool
	surgery.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if deaf.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return deaf.Load()
	}
	p := newProcess(t, 3, surgery)
	p.start()
	ids := map[string]string{}
	for _, patient := range []string{"p-0000", "p-0001"} {
		status, answer, err := p.post(t.Context(), "key-of-"+patient, `{"patient":"`+patient+`","kind":"admission","place":"Secretplace `+patient+`","words":"Secretwords `+patient+`"}`)
		if err != nil || status != http.StatusCreated {
			t.Fatal(status, answer, err)
		}
		ids[patient] = answer["id"].(string)
	}

	waitUntil(t, "both are told", func() bool { _, different := surgery.count(); return different == 2 })

	// The configuration still names the patient: it refuses. Then it asks, and does nothing without the id.
	if out, err := p.tryRun("", "forget", "p-0000", "--dir", p.dir, "--yes"); err == nil || !strings.Contains(out, "take p-0000 out of patients.yaml") {
		t.Errorf("with the patient in the configuration: %v, %s", err, out)
	}
	p.stop()
	p.takeOut("p-0000")
	p.start()
	if out, err := p.tryRun("p-0001\n", "forget", "p-0000", "--dir", p.dir); err == nil || !strings.Contains(out, "p-0000: 1 event, ") ||
		!strings.Contains(out, "Type p-0000 to erase it") || !strings.Contains(out, "nothing was erased") {
		t.Errorf("without the id: %v, %s", err, out)
	}

	// Killed as soon as it has begun, it goes on at the next start.
	out, err := p.tryRun("p-0000\n", "forget", "p-0000", "--dir", p.dir, "--timeout", "0s")
	p.kill()
	if err != nil || !strings.Contains(out, "begun as erasure") {
		t.Fatalf("forget: %v, %s", err, out)
	}
	p.start()
	waitUntil(t, "the patient is erased", func() bool {
		out, err := p.tryRun("", "forget", "p-0000", "--dir", p.dir)
		return err == nil && strings.Contains(out, "erased from the store")
	})

	var answer struct{ Error string }
	if status := p.get("/events/"+ids["p-0000"], &answer); status != http.StatusGone || answer.Error != "gone" {
		t.Errorf("an event of who was forgotten: %d, %v", status, answer)
	}
	if status := p.get("/events/"+ids["p-0001"], &answer); status != http.StatusOK {
		t.Errorf("an event of another: %d, %v", status, answer)
	}
	// Of the other somebody is still to be told: it refuses, until they are.
	deaf.Store(true)
	if status, answer, err := p.post(t.Context(), "later", `{"patient":"p-0001","kind":"fall"}`); err != nil || status != http.StatusCreated {
		t.Fatal(status, answer, err)
	}
	p.stop()
	p.takeOut("p-0001")
	if out, err := p.tryRun("", "forget", "p-0001", "--dir", p.dir, "--yes"); err == nil || !strings.Contains(out, "surgery is still to be told") {
		t.Errorf("with a delivery outstanding: %v, %s", err, out)
	}
	p.start()
	deaf.Store(false)
	waitUntil(t, "the fall is told", func() bool { _, different := surgery.count(); return different == 3 })
	p.stop()
	p.unnamed("p-0000", "Secretplace p-0000", "Secretwords p-0000", "ev-0000-")
	trail := p.run("audit", "export", p.dir)
	for line := range strings.Lines(trail) {
		if strings.Contains(line, `"destroy"`) && strings.Contains(line, "p-0000") {
			t.Errorf("of the erasure is on record %s", line)
		}
	}
	if !strings.Contains(trail, `"destroy"`) {
		t.Errorf("on record is %s", trail)
	}
	if out := p.run("forget", "p-0001", "--dir", p.dir, "--yes"); !strings.Contains(out, "erased from the store") {
		t.Errorf("while no hub runs: %s", out)
	}
	p.unnamed("p-0001", "Secretplace p-0001", "Secretwords p-0001", "ev-0001-", "Thomas Example", "9990000018")
}

// takeOut takes a patient out of the configuration.
func (p *process) takeOut(patient string) {
	p.t.Helper()
	file := filepath.Join(p.dir, "patients.yaml")
	text, err := os.ReadFile(file)
	if err == nil {
		lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool { return strings.HasPrefix(line, patient+":") })
		err = os.WriteFile(file, []byte(strings.Join(lines, "")+"# nobody else\n"), 0o600)
	}
	if err == nil {
		err = os.Remove(filepath.Join(p.dir, "routing", patient+".yaml"))
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// unnamed checks that none of the words stands in a file of the store.
func (p *process) unnamed(words ...string) {
	p.t.Helper()
	unnamed(p.t, filepath.Join(p.dir, "data"), words...)
}

// unnamed checks that none of the words stands in a file of a stream that NATS keeps in a folder. Raft logs of a cluster are not
// looked at: they hold copies until NATS compacts them, as docs/operators.md says.
func unnamed(t *testing.T, dir string, words ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.Contains(path, "/$SYS/_js_/") {
			return err
		}
		data, err := os.ReadFile(path)
		trail := strings.Contains(path, "/AUDIT/") // which says for good who did what about which pseudonym
		for _, word := range words {
			if trail && (strings.HasPrefix(word, "p-") || strings.HasPrefix(word, "ev-")) {
				continue
			}
			if bytes.Contains(data, []byte(word)) {
				t.Errorf("%q stands in %s", word, path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
