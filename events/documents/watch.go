package documents

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"time"
)

const (
	slowest  = 10 * time.Second // to read one PDF
	most     = 96 << 20         // bytes that the hub may hold more than before, while a PDF is read
	lookFrom = 32 << 20         // bytes more, after which it is looked again how many there are
	lookEach = time.Millisecond // in which no more than a few megabytes can be filled
	heap     = "/memory/classes/heap/objects:bytes"
)

var errUnfolds = errors.New("the file unfolds to too much")

// watch is the context that a PDF is read in: it ends with its time, and when what the hub holds grows by too much, for a few megabytes of
// a file can unfold to any size in more ways than can be counted beforehand: streams that overlap, that are packed, that have nothing but
// small objects in them. The library asks after every object whether to go on.
type watch struct {
	context.Context
	base, next uint64 // bytes: at the beginning, and at which it is looked again
	looked     time.Time
}

func newWatch(ctx context.Context) *watch {
	base := held()
	return &watch{Context: ctx, base: base, next: base + most}
}

// Err is why not to go on.
func (w *watch) Err() error {
	if err := w.Context.Err(); err != nil {
		return err
	}
	if time.Since(w.looked) < lookEach {
		return nil
	}
	if held() > w.next {
		runtime.GC() // without what is held by nobody
		now := held()
		if now > w.base+most {
			return errUnfolds
		}
		w.next = now + lookFrom
	}
	w.looked = time.Now()
	return nil
}

// held is how many bytes the hub's objects have, with those that nobody holds any more and that are not collected yet.
func held() uint64 {
	sample := []metrics.Sample{{Name: heap}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
