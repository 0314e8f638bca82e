package config_test

import (
	"testing"

	"carehub/config"
	"carehub/config/strict"
)

// FuzzLoad: whatever hub.yaml and patients.yaml hold, they are read or refused, without a panic.
func FuzzLoad(f *testing.F) {
	f.Add(minimal, "p-7f3k: {name: Thomas Example, born: 1941-03-11, basis: {kind: consent, by: a, on: 2026-10-01}}\n")
	f.Add(minimal+"mail: {host: localhost, tls: none, auth: {mechanism: PLAIN}, full_to: [a.b, c]}\negress: {allow: [127.0.0.0/8]}\n", "")
	f.Add("mail: {auth: []}\nnats: {url: 1}\nkinds: {fall: ~, x: 1}\nalarms: []\ncontact: a\n", "p-7f3k: ~\n")
	f.Add("mail: ~\negress: ~\nurl: \"http://[::1\"\nlisten: \":\"\n", "- p-7f3k\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, hub, patients string) {
		write(t, dir, "hub.yaml", hub)
		write(t, dir, "patients.yaml", patients)
		folder := &strict.Folder{Dir: dir, NoSecrets: true}
		h := config.LoadHub(folder)
		if !folder.Problems().Failed() && (h.Name == "" || h.URL == "" || len(h.Alarms.Notify) == 0 || (h.Store == "") == (h.NATS == nil)) {
			t.Errorf("incomplete, and nothing said: %+v", h)
		}
		config.LoadPatients(folder, now)
	})
}
