package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go keeps about as much memory again as is in use, for as long as it runs. A hub that has been busy, or has just read its
// backlog, holds on to what nobody needs any more, the store's caches above all; once it is quiet it gives that back.
const (
	thriftEvery = 15 * time.Second // longer than the store keeps a cache that nobody uses
	thriftQuiet = 48 << 20         // bytes allocated since the last look at the most, some thirty events a second or a few blocks of the store: it is quiet
	thriftWorth = 8 << 20          // bytes allocated since memory was given back at the least: it is worth a collection
	thriftLapse = 10               // quiet looks in a row after which the store has dropped what it keeps for two minutes, its index of each block
)

// thrift decides when memory is given back.
type thrift struct {
	seen  uint64 // bytes allocated by the last look
	given uint64 // bytes allocated when memory was last given back
	quiet int    // looks in a row that found the hub quiet
}

// due takes the bytes allocated since the start, and reports whether memory is to be given back now.
func (t *thrift) due(allocated uint64) bool {
	t.quiet++
	if allocated-t.seen > thriftQuiet {
		t.quiet = 0
	}
	t.seen = allocated
	if t.quiet == 0 || allocated-t.given < thriftWorth && t.quiet != thriftLapse {
		return false
	}
	t.given = allocated
	return true
}

// saveMemory gives memory back to the system whenever there is something to give back and the hub is quiet, until ctx ends.
// What trim lets go of goes with it.
func saveMemory(ctx context.Context, trim func()) error {
	for t := (thrift{}); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(thriftEvery):
		}
		if t.due(allocated()) {
			trim()
			runtime.GC() // what lies in pools goes with the second collection
			debug.FreeOSMemory()
		}
	}
}

// allocated is how many bytes have been allocated since the start.
func allocated() uint64 {
	sample := [1]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample[:])
	return sample[0].Value.Uint64()
}
