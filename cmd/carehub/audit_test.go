package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/audit"
)

// TestAuditCommand reads over FHIR and then has the trail checked and copied out, of a hub that runs and of one that does not.
func TestAuditCommand(t *testing.T) {
	t.Parallel()
	p := subscribable(t)
	heads := filepath.Join(t.TempDir(), "heads")
	if said := p.run("audit", "verify", "--heads", heads, p.dir); said != "unbroken: 0 accesses in 0 links, head none yet" {
		t.Error(said)
	}
	p.start()
	surgery := newSubscriber(p, "surgery")
	event := p.log1("k1", "a", events.Admission)
	surgery.ask(http.MethodGet, "/fhir/Encounter?patient=p-0000", "")
	surgery.ask(http.MethodGet, "/fhir/Encounter/"+event, "")
	running := p.run("audit", "verify", "--heads", heads, p.dir)
	if !strings.HasPrefix(running, "unbroken: 2 accesses in ") {
		t.Errorf("of a hub that runs: %s", running)
	}
	exported := p.run("audit", "export", p.dir)
	p.stop()
	if said := p.run("audit", "verify", "--heads", heads, p.dir); said != running {
		t.Errorf("of one that does not: %s, before %s", said, running)
	}
	if again := p.run("audit", "export", p.dir); again != exported {
		t.Errorf("export:\n%s\nbefore:\n%s", again, exported)
	}
	lines := strings.Split(exported, "\n")
	for _, line := range lines {
		var event struct{ ResourceType string }
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.ResourceType != "AuditEvent" {
			t.Errorf("%v in %s", err, line)
		}
		for _, secret := range []string{"Thomas", "9990000018", surgery.token} {
			if strings.Contains(line, secret) {
				t.Errorf("%q stands in %s", secret, line)
			}
		}
	}
	if kept, err := os.ReadFile(heads); err != nil || len(lines) != 2 || bytes.Count(kept, []byte("\n")) != 1 {
		t.Errorf("%d lines, heads %s, %v", len(lines), kept, err)
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
