package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/audit"
	"carehub/events/fhir/validate"
)

// TestAuditCommand does one of each that is put on record, and then has the trail checked and copied out, of a hub that runs and of
// one that does not.
func TestAuditCommand(t *testing.T) {
	t.Parallel()
	p := subscribable(t)
	heads := filepath.Join(t.TempDir(), "heads")
	if said := p.run("audit", "verify", "--heads", heads, p.dir); said != "unbroken: 0 entries in 0 links, head none yet" {
		t.Error(said)
	}
	p.start()
	surgery := newSubscriber(p, "surgery")
	event := p.log1("k1", "a", events.Admission)
	surgery.ask(http.MethodGet, "/fhir/Encounter?patient=p-0000", "")
	surgery.ask(http.MethodGet, "/fhir/Encounter/"+event, "")
	surgery.ask(http.MethodPost, "/events/"+event+"/ack", `{"answer":"acting","name":"Jo Smith","line":"We ring Thomas."}`)
	p.signIn("ruth")
	p.run("revoke", "ruth", "--dir", p.dir)
	running := ""
	waitUntil(t, "all is on record", func() bool {
		running = p.run("audit", "verify", "--heads", heads, p.dir)
		return strings.HasPrefix(running, "unbroken: 7 entries in ")
	})
	exported := p.run("audit", "export", p.dir)
	p.stop()
	if said := p.run("audit", "verify", "--heads", heads, p.dir); said != running {
		t.Errorf("of one that does not: %s, before %s", said, running)
	}
	if again := p.run("audit", "export", p.dir); again != exported {
		t.Errorf("export:\n%s\nbefore:\n%s", again, exported)
	}
	dir := t.TempDir()
	var done []string
	for n, line := range strings.Split(exported, "\n") {
		var event struct {
			ResourceType string
			Subtype      []struct{ Code string }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.ResourceType != "AuditEvent" {
			t.Errorf("%v in %s", err, line)
		}
		done = append(done, event.Subtype[0].Code)
		writeFile(t, filepath.Join(dir, strconv.Itoa(n)+".json"), line)
		for _, secret := range []string{"Thomas", "9990000018", "Jo Smith", "We ring", surgery.token} {
			if strings.Contains(line, secret) {
				t.Errorf("%q stands in %s", secret, line)
			}
		}
	}
	slices.Sort(done)
	if want := []string{"110122", "110131", "110137", "create", "operation", "read", "search-type"}; !slices.Equal(done, want) {
		t.Errorf("on record is %q", done)
	}
	if kept, err := os.ReadFile(heads); err != nil || !strings.HasPrefix(string(kept), `{"n":`) {
		t.Errorf("heads %s, %v", kept, err)
	}
	if out, err := validate.Run(t.Context(), dir); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	p.run("invite", "ruth", "--dir", p.dir)
	p.run("revoke", "ruth", "--dir", p.dir)
	if said := p.run("audit", "verify", "--heads", heads, p.dir); !strings.HasPrefix(said, "unbroken: 8 entries in ") {
		t.Errorf("after a command alone: %s", said)
	}
	p.start() // with the configuration that is on record already
	writeFile(t, filepath.Join(p.dir, "routing/p-0002.yaml"), "patient: p-0002\nlogged_by: {ruth: {as: [dad c], may: [log, see]}}\nrules: [{on: [fall], notify: [surgery]}]\n")
	p.run("reload", p.dir)
	waitUntil(t, "the new one is on record", func() bool {
		return strings.HasPrefix(p.run("audit", "verify", p.dir), "unbroken: 9 entries in ")
	})
	if n := strings.Count(p.run("audit", "export", p.dir), `"110131"`); n != 2 {
		t.Errorf("%d configurations are on record", n)
	}
}

func TestTrailThatIsCutShort(t *testing.T) {
	for answer, want := range map[string]string{
		"": "did not finish",
		"1 {\"v\":1,\"n\":1,\"prev\":\"\",\"entries\":[]}\n": "did not finish",
		"one {}\nend\n": "cannot be read",
		"2 {\"v\":1,\"n\":2,\"prev\":\"\",\"entries\":[]}\nend\n": "broken at link 1",
	} {
		if _, err := audit.Verify(context.Background(), linesOfTrail{strings.NewReader(answer)}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestHeadsThatWereKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "heads")
	chain := "1 {\"v\":1,\"n\":1,\"prev\":\"\",\"entries\":[]}\nend\n"
	verify := func() error {
		kept, err := readHeads(file)
		if err != nil {
			return err
		}
		head, err := audit.Verify(context.Background(), linesOfTrail{strings.NewReader(chain)}, nil, kept...)
		if err != nil {
			return err
		}
		return addHead(file, kept, head)
	}
	for range 2 {
		if err := verify(); err != nil {
			t.Fatal(err)
		}
	}
	chain = "1 {\"v\":1,\"n\":1,\"prev\":\"\",\"entries\":[{}]}\nend\n"
	broken, isBroken := errors.AsType[*audit.Broken](verify())
	if !isBroken || broken.N != 1 {
		t.Errorf("a trail that was written anew: %v", broken)
	}
	chain = endOfTrail
	if broken, isBroken = errors.AsType[*audit.Broken](verify()); !isBroken || broken.N != 1 {
		t.Errorf("a trail that was cut off: %v", broken)
	}
	writeFile(t, file, "{\"n\":1,\"hash\":\"aa\"}\nnonsense\n")
	if err := verify(); err == nil || !strings.Contains(err.Error(), file+":2:") {
		t.Error(err)
	}
}
