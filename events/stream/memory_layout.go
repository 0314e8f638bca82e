package stream

import (
	"context"
	"time"

	"carehub/events"
)

// Layout is as in Store.
func (m *Memory) Layout() ([]events.Partition, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.format.live(), m.grown
}

// Partitions is as in Store.
func (m *Memory) Partitions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.format.Partitions
}

// adopt makes f the format. The lock is held.
func (m *Memory) adopt(f format) {
	m.format = f
	close(m.grown)
	m.grown = make(chan struct{})
	m.wake()
}

// check refuses a partition that has no streams. The lock is held.
func (m *Memory) check(p int) error {
	if m.events[p] == nil {
		_, err := streamOf(nil, p)
		return err
	}
	return nil
}

// Grow is as in Store.
func (m *Memory) Grow(ctx context.Context, partitions int) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if partitions == 0 {
		partitions = m.format.Partitions
	}
	if err := m.format.checkGrowth(partitions); err != nil {
		return err
	}
	next := m.format.grown(partitions)
	m.stand(next.newest())
	m.adopt(next)
	return nil
}

// Fill is as in Store, but for the time, which Memory does not know.
func (m *Memory) Fill(ctx context.Context) (messages uint64, since time.Time, err error) {
	if err := m.enter(ctx); err != nil {
		return 0, since, err
	}
	defer m.mu.Unlock()
	g := m.format.newest()
	for p := g.First; p < g.First+g.Partitions; p++ {
		messages += uint64(len(m.events[p]))
	}
	return messages, since, nil
}

// Retire is as in Store.
func (m *Memory) Retire(ctx context.Context, p int) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if err := m.format.checkRetirement(p); err != nil {
		return err
	}
	m.adopt(m.format.archived(p))
	return nil
}

// Retired is as in Store.
func (m *Memory) Retired() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.format.retired()
}

// Clear is as in Store.
func (m *Memory) Clear(ctx context.Context, retired []int) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, p := range m.format.cleared(retired) {
		delete(m.events, p)
		delete(m.ledger, p)
	}
	for id, at := range m.places {
		if m.events[at.partition] == nil {
			delete(m.places, id)
		}
	}
	m.adopt(m.format.trimmed(func(p int) bool { return m.events[p] != nil }))
	return nil
}

// Timeline is as in Store.
func (m *Memory) Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var found []events.Stored
	for _, p := range m.format.chain(patient) {
		for i := len(m.events[p]); i > 0 && len(found) < limit; i-- {
			at := events.Place{Partition: p, Seq: uint64(i)} // #nosec G115 -- a length
			of, _, _, ok := events.ParseCare(m.events[p][i-1].subject)
			if !ok || of != patient || !before.IsZero() && !at.Before(before) {
				continue
			}
			stored, _, err := m.at(p, at.Seq)
			if err != nil {
				return nil, err
			}
			found = append(found, stored)
		}
	}
	return found, nil
}

// Several is as in Store.
func (m *Memory) Several(ctx context.Context, places []events.Place) (found []events.Stored, err error) {
	for _, at := range places {
		stored, ok, err := m.At(ctx, at.Partition, at.Seq)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, stored)
		}
	}
	return found, nil
}
