package stream

import (
	"context"
	"slices"
)

// Note is as in Store.
func (m *Memory) Note(ctx context.Context, value []byte, after uint64) (uint64, error) {
	if err := m.enter(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	if after != uint64(len(m.notices)) {
		return 0, conflict()
	}
	m.notices = append(m.notices, slices.Clone(value))
	m.wake()
	return uint64(len(m.notices)), nil
}

// Notices is as in Store.
func (m *Memory) Notices(ctx context.Context, after uint64, ready func(last uint64), fn func(seq uint64, value []byte) error) error {
	stored, announced := uint64(0), false
	return m.follow(ctx, func() func() error {
		if !announced && stored == 0 {
			stored = uint64(len(m.notices))
		}
		for after < uint64(len(m.notices)) && (announced || after < stored) {
			after++
			if value, seq := slices.Clone(m.notices[after-1]), after; value != nil {
				return func() error { return fn(seq, value) }
			}
		}
		if announced {
			return nil
		}
		announced = true
		return func() error { ready(stored); return nil }
	})
}

// TrimNotice is as in Store.
func (m *Memory) TrimNotice(ctx context.Context, seq uint64) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if seq > 0 && seq <= uint64(len(m.notices)) {
		m.notices[seq-1] = nil
	}
	return nil
}
