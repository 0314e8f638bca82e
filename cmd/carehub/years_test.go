package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"carehub/events/receipts"
)

// TestYears: a hub whose store grows twice under load, is killed, moves its past to the archive, is backed up while it
// runs and restored elsewhere, tells everybody everything in order and still knows of each who was told.
func TestYears(t *testing.T) {
	const patients, each = 3, 40
	gp := newProvider(t, "gp")
	hub := newProcess(t, patients, gp)
	hub.start()
	var logged [][]string
	var group sync.WaitGroup
	group.Go(func() { logged = logEach(t, hub, patients, each) })
	for _, partitions := range []string{"8", "16"} {
		waitUntil(t, "some have arrived", func() bool { _, n := gp.count(); return n >= patients*2 })
		hub.run("store", "partitions", partitions, hub.dir)
	}
	group.Wait()
	waitUntil(t, "everything has arrived", func() bool { _, n := gp.count(); return n == patients*each })
	inOrder(t, gp, logged)

	hub.kill()
	hub.start() // which looks for work at once
	waitUntil(t, "the sealed partitions are in the archive", func() bool {
		b, err := os.ReadFile(hub.log.Name())
		return err == nil && strings.Count(string(b), "a partition is in the archive") == 4+8
	})
	before := hub.timelines(patients)
	for n := range patients {
		slices.Reverse(logged[n])
		if !slices.Equal(before[n], logged[n]) {
			t.Errorf("patient %d: %v, want %v", n, before[n], logged[n])
		}
	}
	backup := filepath.Join(t.TempDir(), "backup")
	hub.run("backup", hub.dir, backup)
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has mode %v, %v", info.Mode(), err)
	}
	hub.stop()
	if err := os.Rename(filepath.Join(hub.dir, "data"), filepath.Join(hub.dir, "lost")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(hub.dir, "secrets", "store"), "a key of at least thirty-two characters")
	hub.edit("hub.yaml", "url:", "store_key: \"${file:secrets/store}\"\nurl:")
	hub.run("restore", backup, hub.dir)
	hub.start()
	if after := hub.timelines(patients); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after the restore %v, before %v", after, before)
	}
	if _, different := gp.count(); different != patients*each {
		t.Errorf("%d different messages after the restore", different)
	}
	hub.stop()
}

func (p *process) edit(file, old, replacement string) {
	p.t.Helper()
	path := filepath.Join(p.dir, file)
	b, err := os.ReadFile(path) // #nosec G304 -- the test's own
	if err != nil {
		p.t.Fatal(err)
	}
	writeFile(p.t, path, strings.Replace(string(b), old, replacement, 1))
}

// timelines are the ids of each patient's events, newest first, all of them told.
func (p *process) timelines(patients int) [][]string {
	p.t.Helper()
	all := make([][]string, patients)
	for n := range patients {
		for before := ""; ; {
			page := p.timeline(fmt.Sprintf("p-%04d", n), before)
			for _, v := range page.Events {
				all[n] = append(all[n], v.ID)
				if len(v.Recipients) != 1 || v.Recipients[0].State != "received" || v.Recipients[0].Channel != "webhook" {
					p.t.Errorf("%s: %+v", v.ID, v.Recipients)
				}
			}
			if before = page.Before; before == "" {
				break
			}
		}
	}
	return all
}

func (p *process) timeline(patient, before string) (page receipts.Timeline) {
	p.t.Helper()
	if status := p.get("/events?limit=7&patient="+patient+"&before="+before, &page); status != http.StatusOK {
		p.t.Fatal(status)
	}
	return page
}
