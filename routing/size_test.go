package routing_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/routing"
)

// many writes a hub's folder with defaults and rules of each of n patients.
func many(t testing.TB, n int) *strict.Folder {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "routing"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("routing.yaml", `
groups: {pathway: [surgery, nurses, hospice]}
defaults:
  - {name: stays, on: [admission, attendance, discharge], notify: pathway}
  - {name: falls, on: fall, notify: [surgery], mandatory: true}
  - {name: night, on: [admission, fall], notify: nurses, hours: {days: [mon-fri], from: "18:30", to: "08:00"}}
  - {name: home, on: fall, notify: hospice, when: {place: [home, St Anne's]}}
`)
	for i := range n {
		id := fmt.Sprintf("p-%05d", i)
		write("routing/"+id+".yaml", fmt.Sprintf(`patient: %s
logged_by:
  ruth: {as: [dad %d], may: [log, see]}
  tom: {may: [log], until: 2027-06-30}
rules:
  - on: fall
    notify: [tom, hospice]
    acknowledge: {within: 30m, else: [nurses]}
  - name: stays
    on: [admission, attendance, discharge]
    notify: [surgery, hospice]
    content: summary
`, id, i))
	}
	return &strict.Folder{Dir: dir}
}

// loadMany returns the rules, the bytes that they hold for each patient, and the processor's time that loading took.
func loadMany(t testing.TB, n int) (*routing.Rules, float64, time.Duration) {
	t.Helper()
	folder, k := many(t, n), known()
	k.Patients = nil
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := worked(t)
	rules := routing.Load(folder, k, now)
	took := worked(t) - start
	if problems := folder.Problems(); problems.Failed() {
		t.Fatal(problems[0])
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return rules, (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / float64(n), took
}

// worked is the time of a processor that this process has had, whatever else the machine does.
func worked(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// TestDefaultsAreShared: a patient takes less than 2 KB, whatever the defaults are.
func TestDefaultsAreShared(t *testing.T) {
	rules, bytes, _ := loadMany(t, 500)
	t.Logf("%.0f bytes a patient", bytes)
	if bytes > 2048 {
		t.Errorf("%.0f bytes a patient", bytes)
	}
	runtime.KeepAlive(rules)
}

// BenchmarkTenThousand loads and checks the rules of 10,000 patients (with -short: 100), and asks for one of them. cmd/bench has its
// figures on the page.
func BenchmarkTenThousand(b *testing.B) {
	n := 10_000
	if testing.Short() {
		n = 100
	}
	rules, bytes, took := loadMany(b, n)
	asked := routing.Asked{Patient: "p-00047", Kind: events.Admission, Because: events.Fall, LoggedBy: "ruth", At: now, Place: "st anne’s", Class: "IMP"}
	b.ResetTimer()
	for b.Loop() {
		if m, _ := rules.Match(asked); len(m) != 3 {
			b.Fatal(m)
		}
	}
	b.ReportMetric(bytes, "B/patient")
	b.ReportMetric(took.Seconds(), "cpu-s/load")
}
