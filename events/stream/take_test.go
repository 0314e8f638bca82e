package stream

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSideBySide: sixteen ledgers that do not answer hold up nobody for longer than one does, and no more than that are asked at once.
func TestSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var partitions []int
		for p := range atOnce + 1 {
			partitions = append(partitions, p)
		}
		began := time.Now()
		var done atomic.Int32
		sideBySide(partitions, func(int) { time.Sleep(tryFor); done.Add(1) })
		if took := time.Since(began); took != 2*tryFor || int(done.Load()) != len(partitions) {
			t.Errorf("%d of %d after %v", done.Load(), len(partitions), took)
		}
	})
}
