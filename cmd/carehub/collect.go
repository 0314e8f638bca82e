package main

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// Go collects garbage when as much has come together as was in use before. Much of what a hub has in use is buffers, the
// store's above all, which cost the collector nothing to look at: it may come more often while they are many, and nothing
// is collected in vain where there are few.
const (
	collectEvery = time.Second
	collectAim   = 160 << 20 // bytes that a hub should do with, garbage included, if it can
	collectLeast = 64 << 20  // bytes of garbage that a collection is worth in any case
)

// collectAt is the garbage, in percent of what is in use, at which it is to be collected: GOGC. live is the bytes in use,
// scanned those of them that the collector has to look through.
func collectAt(live, scanned uint64) int {
	garbage := max(collectLeast, scanned)
	if live < collectAim {
		garbage = max(garbage, collectAim-live)
	}
	if live == 0 || garbage >= live {
		return 100
	}
	return int(100 * garbage / live) // #nosec G115 -- below 100
}

// keepCollecting sets GOGC by what is in use until ctx ends, unless an admin has set it.
func keepCollecting(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	for now := 100; ; {
		select {
		case <-ctx.Done():
			debug.SetGCPercent(100)
			return nil
		case <-time.After(collectEvery):
		}
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}}
		metrics.Read(sample)
		at := collectAt(sample[0].Value.Uint64(), sample[1].Value.Uint64())
		if at < now*9/10 || at > now*11/10 { // setting it stops the world for a moment
			debug.SetGCPercent(at)
			now = at
		}
	}
}

// limitMemory has the collector make every effort above nine tenths of what a container may have, unless an admin has set
// GOMEMLIMIT. Without a limit of the container it does nothing.
func limitMemory(containerMax string) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	text, err := os.ReadFile(containerMax) // #nosec G304 -- the kernel's
	if err != nil {
		return
	}
	most, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" where there is none
	if err == nil && most > 0 && most < math.MaxInt64/10 {
		debug.SetMemoryLimit(most / 10 * 9)
	}
}

// containerMax says how much memory a container may have (cgroup v2, seen from within).
const containerMax = "/sys/fs/cgroup/memory.max"
