package stream

import (
	"context"
	"sync"

	"github.com/bits-and-blooms/bloom/v3"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// filters know, of each sealed partition, which ids it cannot hold, so that a new event asks none of them (one id in ten
// thousand asks for nothing). A partition without a filter yet is asked.
type filters struct {
	mu  sync.RWMutex
	all map[int]*bloom.BloomFilter
}

const falseHits = 0.0001

func (f *filters) mayHold(p int, id string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	filter := f.all[p]
	return filter == nil || filter.TestString(id)
}

func (f *filters) set(p int, filter *bloom.BloomFilter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[int]*bloom.BloomFilter{}
	}
	f.all[p] = filter
}

// keep leaves the filters of the partitions that are still there, and returns those that have none.
func (f *filters) keep(sealed []int) (missing []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := map[int]*bloom.BloomFilter{}
	for _, p := range sealed {
		if f.all[p] == nil {
			missing = append(missing, p)
			continue
		}
		kept[p] = f.all[p]
	}
	f.all = kept
	return missing
}

// makeFilters makes those of the sealed partitions, now and whenever the layout changes.
func (s *Store) makeFilters(ctx context.Context) {
	for {
		l := s.layout.Load()
		var sealed []int
		for _, g := range l.format.Generations[:len(l.format.Generations)-1] {
			for p := g.First; p < g.First+g.Partitions; p++ {
				if l.events[p] != nil {
					sealed = append(sealed, p)
				}
			}
		}
		for _, p := range s.filters.keep(sealed) {
			filter, err := filterOf(ctx, l.events[p], p)
			if err != nil {
				break // asking the partition itself is slower, and right
			}
			s.filters.set(p, filter)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.replaced:
		}
	}
}

func filterOf(ctx context.Context, from jetstream.Stream, p int) (*bloom.BloomFilter, error) {
	info, err := from.Info(ctx, jetstream.WithSubjectFilter(events.CareSubject(p, "*", "*", "*")))
	if err != nil {
		return nil, err
	}
	filter := bloom.NewWithEstimates(uint(max(len(info.State.Subjects), 1)), falseHits) // #nosec G115 -- a length
	for subject := range info.State.Subjects {
		if _, id, _, ok := events.ParseCare(subject); ok {
			filter.AddString(id)
		}
	}
	return filter, nil
}
