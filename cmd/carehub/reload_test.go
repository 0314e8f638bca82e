package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/stream"
)

// reload has the running hub read its folder, and returns what the command says and whether it succeeded.
func (w *town) reload() (string, bool) {
	w.t.Helper()
	var out bytes.Buffer
	cmd := rootCommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"reload", w.dir})
	err := cmd.ExecuteContext(w.t.Context())
	if err != nil {
		fmt.Fprintln(&out, err)
	}
	return out.String(), err == nil
}

// TestReload: a URL is put right and the backlog drains; a bad edit keeps the last good rules running, and is said everywhere; a
// restart with it starts from the copy in the store.
func TestReload(t *testing.T) {
	w := newTown(t)
	right := w.surgery.address()
	w.edit("subscribers/riverside-surgery.yaml", right, "127.0.0.1:1")
	w.start()
	ruth := w.token("ruth")
	first, second := w.logs(ruth, `{"patient": "dad", "kind": "fall"}`), w.logs(ruth, `{"patient": "dad", "kind": "discharge"}`)
	waitUntil(t, "the surgery is known to be away", func() bool { return row(w.view(ruth, first.ID), "riverside-surgery").State == events.Retrying })

	t.Run("URL put right", func(t *testing.T) {
		w.edit("subscribers/riverside-surgery.yaml", "127.0.0.1:1", right)
		if said, ok := w.reload(); !ok {
			t.Fatal(said)
		}
		w.settled(ruth, first.ID)
		w.settled(ruth, second.ID)
	})
	t.Run("keys that wait", func(t *testing.T) {
		w.edit("hub.yaml", "url: ", "url: https://elsewhere.example #")
		said, ok := w.reload()
		if !ok || !strings.Contains(said, "hub.yaml: url has changed and waits for a restart\n") {
			t.Error(said)
		}
		w.edit("hub.yaml", "url: https://elsewhere.example #", "url: ")
	})
	t.Run("gap", w.gap)
	t.Run("bad edit", func(t *testing.T) { w.badEdit(ruth) })
	t.Run("restart", func(t *testing.T) {
		w.stop()
		w.start()
		if status, body := w.ask(http.MethodGet, "/readyz", "", ""); status != http.StatusOK || !strings.Contains(body, `"source":"store"`) {
			t.Errorf("status %d: %s", status, body)
		}
		w.settled(ruth, w.logs(ruth, `{"patient": "dad", "kind": "admission", "place": "Royal"}`).ID)
		w.edit("routing/p-7f3k.yaml", "hospise", "hospice")
		if said, ok := w.reload(); !ok {
			t.Error(said)
		}
		if v := w.series(w.scrape(), "carehub_config_ok"); v != 1 {
			t.Errorf("carehub_config_ok is %v", v)
		}
	})
	t.Run("rules gone", func(t *testing.T) { w.rulesGone(ruth) })
}

// rulesGone starts the hub without the files of the rules: it goes on with those that it had, and with the files as soon as they are back.
func (w *town) rulesGone(ruth string) {
	waitUntil(w.t, "the copy is kept", func() bool { return w.series(w.scrape(), "carehub_config_kept") == 1 })
	w.stop()
	file, away := filepath.Join(w.dir, "routing", "p-7f3k.yaml"), filepath.Join(w.t.TempDir(), "p-7f3k.yaml")
	if err := os.Rename(file, away); err != nil {
		w.t.Fatal(err)
	}
	w.start()
	if status, body := w.ask(http.MethodGet, "/readyz", "", ""); status != http.StatusOK || !strings.Contains(body, `"source":"store"`) {
		w.t.Errorf("status %d: %s", status, body)
	}
	told := w.settled(ruth, w.logs(ruth, `{"patient": "dad", "kind": "fall", "place": "the garden"}`).ID)
	if row(told, "hospice").State != events.Received {
		w.t.Errorf("the hospice: %v", row(told, "hospice").State)
	}
	if err := os.Rename(away, file); err != nil {
		w.t.Fatal(err)
	}
	if said, ok := w.reload(); !ok {
		w.t.Error(said)
	}
}

// gap puts a folder in force that has an error with which a hub can run: reload and /readyz say so.
func (w *town) gap(t *testing.T) {
	for gaps, mode := range []os.FileMode{0o600, 0o644, 0o600} {
		gaps %= 2 // the first and the last are as they should be
		if err := os.Chmod(filepath.Join(w.dir, "patients.yaml"), mode); err != nil {
			t.Fatal(err)
		}
		said, ok := w.reload()
		_, ready := w.ask(http.MethodGet, "/readyz", "", "")
		if !ok || strings.Count(said, "patients.yaml:1:1: others than its owner may read") != gaps || strings.Count(ready, `"gaps":1`) != gaps {
			t.Errorf("%o: %s\n%s", mode, said, ready)
		}
	}
}

func (w *town) badEdit(ruth string) {
	waitUntil(w.t, "the copy is kept", func() bool { return w.series(w.scrape(), "carehub_config_kept") == 1 })
	w.edit("routing/p-7f3k.yaml", "hospice", "hospise")
	said, ok := w.reload()
	if ok || !strings.Contains(said, `routing/p-7f3k.yaml:`) || !strings.Contains(said, "not in force") {
		w.t.Error(said)
	}
	if status, body := w.ask(http.MethodGet, "/readyz", "", ""); status != http.StatusOK || !strings.Contains(body, "carehub check") {
		w.t.Errorf("status %d: %s", status, body)
	}
	waitUntil(w.t, "the alarm is stored", func() bool { return w.series(w.scrape(), "carehub_alarms_total", "reason=reload") == 1 })
	w.edit("routing/p-7f3k.yaml", "hospise", "hospicc") // of another wrong edit within the hour people are not told anew
	if _, ok := w.reload(); ok {
		w.t.Error("in force")
	}
	w.edit("routing/p-7f3k.yaml", "hospicc", "hospise")
	if _, ok := w.reload(); ok {
		w.t.Error("in force")
	}
	if v := w.series(w.scrape(), "carehub_alarms_total", "reason=reload"); v != 1 {
		w.t.Errorf("carehub_alarms_total is %v", v)
	}
	if v := w.series(w.scrape(), "carehub_config_ok"); v != 0 {
		w.t.Errorf("carehub_config_ok is %v", v)
	}
	told := w.settled(ruth, w.logs(ruth, `{"patient": "dad", "kind": "attendance"}`).ID)
	if row(told, "hospice").State != events.Received {
		w.t.Errorf("the hospice: %v", row(told, "hospice").State)
	}
}

// TestWatch: an edit is taken when two looks find the same, also one that keeps size and time, and one of a secret.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) { writeFile(t, filepath.Join(dir, name), text) }
	write("hub.yaml", "a: 1\n")
	write("routing/p-aa.yaml", "b: 1\n")
	write("secret", "one")
	read := &strict.Folder{Dir: dir, Snapshot: strict.Take(dir, ourFolders...)}
	if _, err := read.Named("secret"); err != nil {
		t.Fatal(err)
	}
	write("secret", "rotated before it was settled")
	w := newWatch(read, []byte("key"))
	quiet := func(when string) {
		t.Helper()
		if w.look() != nil {
			t.Errorf("%s: taken", when)
		}
	}
	taken := func(when string) {
		t.Helper()
		found := w.look()
		if found == nil {
			t.Fatalf("%s: not taken", when)
		}
		w.settle(found)
	}
	quiet("rotated, once")
	taken("rotated")
	write("data/store", "that the hub made")
	quiet("nothing has changed")
	write("hub.yaml", "a: 2\n")
	quiet("once")
	write("routing/p-aa.yaml", "b: 2\n")
	quiet("changing")
	taken("unchanged since")
	quiet("settled")
	write("secret", "two")
	quiet("secret, once")
	taken("secret")
	old := time.Now().Add(-time.Hour)
	write("hub.yaml", "a: 3\n")
	if err := os.Chtimes(filepath.Join(dir, "hub.yaml"), old, old); err != nil {
		t.Fatal(err)
	}
	quiet("time set back, once")
	taken("time set back")
	write("routing/p-aa.yaml", "b: 3\n")
	write("routing/p-aa.yaml", "b: 2\n")
	quiet("put back")
	quiet("put back, still")
}

// TestFolderCopy: a copy comes back as it was, a new one leaves nothing of the old, and nothing is left when it is dropped.
func TestFolderCopy(t *testing.T) {
	store := stream.NewMemory(1)
	c := folderCopy{store}
	noise := make([]byte, 3*copyPart) // that does not compress
	for i := range noise {
		noise[i] = byte(i*i>>7) ^ byte(i*31>>3) ^ events.Hash([]byte{byte(i), byte(i >> 8), byte(i >> 16)})[0]
	}
	files := map[string][]byte{"hub.yaml": []byte("name: Test\n"), "routing/p-aa.yaml": noise}
	keys := func() (n int) {
		if err := store.HubList(t.Context(), copyPrefix, func(string, []byte, uint64) { n++ }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for n := range 3 {
		if err := c.put(t.Context(), fmt.Sprint("hash-", n), files); err != nil {
			t.Fatal(err)
		}
		back, err := c.get(t.Context())
		if err != nil || len(back) != 2 || !bytes.Equal(back["routing/p-aa.yaml"], noise) {
			t.Fatalf("%d files, %v", len(back), err)
		}
		if n := keys(); n < 3 || n > 5 {
			t.Errorf("%d records", n)
		}
	}
	if err := c.drop(t.Context()); err != nil || keys() != 0 {
		t.Errorf("%d records are left, %v", keys(), err)
	}
	if _, err := c.get(t.Context()); err == nil {
		t.Error("a copy that was dropped comes back")
	}
}

// TestCopyIsMadeAgain: a copy that was erased with a patient is made again of what is in force.
func TestCopyIsMadeAgain(t *testing.T) {
	r := newTown(t).open().reloads
	r.keep(t.Context())
	if err := r.copy.drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.miss(t.Context())
	r.keep(t.Context())
	if files, err := r.copy.get(t.Context()); err != nil || len(files) == 0 || !r.state().Kept {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// TestLostRulesAreRefused: a folder whose routing files are not there is no wish to tell nobody, and each refused edit is heard of.
func TestLostRulesAreRefused(t *testing.T) {
	w := newTown(t)
	r := w.open().reloads
	lost := func(want string) {
		t.Helper()
		_, err := loadOf(&strict.Folder{Dir: w.dir, Snapshot: strict.Take(w.dir, ourFolders...)}, r.hub.current())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want %s", err, want)
		}
		r.alarmed = true
		r.refuse(want, err)
		if r.alarmed {
			t.Error("nobody hears of another refused edit")
		}
	}
	if err := os.Rename(filepath.Join(w.dir, "routing/p-7f3k.yaml"), filepath.Join(w.dir, "p-7f3k")); err != nil {
		t.Fatal(err)
	}
	lost("routing:1:1: no patient has rules any more")
	text, err := os.ReadFile(filepath.Join(w.dir, "p-7f3k"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(w.dir, "routing/p-9x2m.yaml"), strings.ReplaceAll(string(text), "p-7f3k", "p-9x2m"))
	lost("p-7f3k had rules and has none now")
}

// TestAskedReadsAgain: whoever asks for a reload is not told that nothing has changed because a file's size and times say so.
func TestAskedReadsAgain(t *testing.T) {
	const dir = "../../config/strict/testdata/again" // written long ago
	file := func(s *strict.Snapshot) *byte { return &s.Files()["hub.yaml"][0] }
	w := newWatch(&strict.Folder{Dir: dir, Snapshot: strict.Take(dir)}, []byte("key"))
	before := file(w.last)
	if file(w.take()) != before {
		t.Fatal("a look reads what has not been written since")
	}
	if file(w.now(t.Context()).Snapshot) == before {
		t.Error("asked, it does not read it")
	}
}
