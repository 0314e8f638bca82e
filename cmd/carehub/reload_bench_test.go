package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"carehub/config/strict"
)

// BenchmarkLoad is what of a reload is reading, checking and compiling, in time of processors, to look at with -cpuprofile. What a hub
// takes for all of it is the measurement reload of cmd/bench.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	manyPatients(b, dir, 10_000)
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

// manyPatients writes the folder of a hub with n of them.
func manyPatients(b *testing.B, dir string, n int) {
	b.Helper()
	files := map[string]string{
		"hub.yaml": "name: Test hub\ncontact: {phone: \"+44 7700 900123\", email: help@hub.example}\nalarms: {notify: [surgery]}\n" +
			"url: http://127.0.0.1\nlisten: 127.0.0.1:0\negress: {allow: [127.0.0.0/8]}\n",
		"carers.yaml":              "ruth: {name: Ruth Example, relationship: daughter, phone: \"+44 7700 900124\"}\n",
		"subscribers/surgery.yaml": "id: surgery\nname: The surgery\nphone: \"01234 567890\"\nchannels:\n  - webhook: {url: \"http://127.0.0.1:1\", secret: \"${file:secrets/key}\"}\n",
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
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
