package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestGarbageIsCollectedSoonerWhereThatIsCheap(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live, scanned uint64
		percent       int
		why           string
	}{
		{0, 0, 100, "nothing is known yet"},
		{10, 5, 100, "a small hub is left alone"},
		{75, 40, 100, "the double of it is no more than the aim"},
		{90, 40, 77, "it stays at the aim"},
		{400, 50, 16, "it is above the aim, and what has come together is worth it"},
		{400, 300, 75, "looking through so much must be worth it"},
		{2000, 1900, 95, "nearly all has to be looked through"},
		{3000, 200, 6, "nearly all is buffers"},
	} {
		if got := collectAt(c.live*mb, c.scanned*mb); got != c.percent {
			t.Errorf("%d MB of which %d are scanned: %d, want %d: %s", c.live, c.scanned, got, c.percent, c.why)
		}
	}
}

func TestMemoryOfAContainerIsALimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	file := filepath.Join(t.TempDir(), "memory.max")
	limitMemory(file)
	for _, c := range []struct {
		says  string
		limit int64
	}{{"max\n", before}, {"nonsense", before}, {"1073741824\n", 966367638}} {
		if err := os.WriteFile(file, []byte(c.says), 0o600); err != nil {
			t.Fatal(err)
		}
		if limitMemory(file); debug.SetMemoryLimit(-1) != c.limit {
			t.Errorf("%q: the limit is %d, want %d", c.says, debug.SetMemoryLimit(-1), c.limit)
		}
	}
}
