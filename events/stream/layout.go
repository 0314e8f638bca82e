package stream

import "carehub/events"

// Layout returns the partitions that are live, older generations first, and a channel that is closed when that changes.
func (s *Store) Layout() ([]events.Partition, <-chan struct{}) { return flat(s.Partitions()), nil }

// Layout is as in Store.
func (m *Memory) Layout() ([]events.Partition, <-chan struct{}) { return flat(m.Partitions()), nil }

// flat is the layout of a store with one generation.
func flat(partitions int) []events.Partition {
	var all []events.Partition
	for p := range partitions {
		all = append(all, events.Partition{Number: p, After: -1})
	}
	return all
}
