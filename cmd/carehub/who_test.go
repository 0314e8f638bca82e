package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carehub/config"
)

// TestHeadline: initials and year of birth are for somebody at a terminal, nowhere else.
func TestHeadline(t *testing.T) {
	f := &folder{patients: config.Patients{"p-7f3k": {Patient: config.Patient{Name: "Thomas Example", Born: "1941-03-11"}}}}
	q := question{patient: "p-7f3k", kind: "fall"}
	if got := f.headline(q, true); got != "p-7f3k (TE 1941): fall" {
		t.Errorf("at a terminal: %s", got)
	}
	if got := f.headline(q, false); got != "p-7f3k: fall" {
		t.Errorf("elsewhere: %s", got)
	}
}

func TestIsTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) || isTerminal(new(strings.Builder)) {
		t.Error("taken for a terminal")
	}
	t.Setenv("CI", "true")
	if isTerminal(os.Stdout) {
		t.Error("nobody watches a terminal in CI")
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", 2 * time.Hour: "2h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s", 10 * time.Hour: "10h",
	} {
		if got := short(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
