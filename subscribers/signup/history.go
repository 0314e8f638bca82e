package signup

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// How far back a subscriber can catch up.
const (
	Memory    = 31 * 24 * time.Hour // of events by their numbers
	tidyEvery = time.Hour
)

// baseKey is where the store keeps the newest numbers of subscriptions of which the log may not speak any more.
const baseKey = "hub.notices.base"

type base struct {
	V    int               `json:"v"`
	Last map[string]uint64 `json:"last"`
}

func (n *Numbers) loadBase(ctx context.Context) error {
	value, _, ok, err := n.store.HubGet(ctx, baseKey)
	if err != nil || !ok {
		return err
	}
	var b base
	if err := json.Unmarshal(value, &b); err != nil {
		return fmt.Errorf("the numbers of subscriptions cannot be read: %w", err)
	}
	if b.V > noticeVersion {
		return fmt.Errorf("the numbers of subscriptions are of a newer version, %d", b.V)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for sub, number := range b.Last {
		n.last[sub] = max(n.last[sub], number)
	}
	return nil
}

// tidy forgets what is older than Memory, here and in the log. What fails is done the next time.
func (n *Numbers) tidy(ctx context.Context) {
	old := n.forget(n.clock().Add(-Memory))
	if len(old) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tidyEvery/2)
	defer cancel()
	if n.saveBase(ctx) != nil {
		return
	}
	for _, seq := range old {
		if n.log.TrimNotice(ctx, seq) != nil || n.dropErased(ctx, seq) != nil {
			return
		}
	}
}

// forget lets go of the notices from before a time, and returns their sequences.
func (n *Numbers) forget(before time.Time) (gone []uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.ages) > 0 && n.ages[0].at.Before(before) {
		gone = append(gone, n.ages[0].seq)
		n.ages = n.ages[1:]
	}
	if len(gone) == 0 {
		return nil
	}
	upto := gone[len(gone)-1]
	for id, e := range n.known {
		if e.seq <= upto {
			delete(n.known, id)
		}
	}
	for sub, s := range n.series {
		for len(s.events) > 0 && s.events[0].seq <= upto {
			s.events[0] = nil
			s.events = s.events[1:]
			s.from++
		}
		if len(s.events) == 0 {
			delete(n.series, sub)
		}
	}
	return gone
}

// saveBase stores the newest numbers, of which those of other hubs may be higher.
func (n *Numbers) saveBase(ctx context.Context) error {
	value, revision, _, err := n.store.HubGet(ctx, baseKey)
	if err != nil {
		return err
	}
	var b base
	if len(value) > 0 {
		if err := json.Unmarshal(value, &b); err != nil {
			return err
		}
	}
	n.mu.Lock()
	now := base{V: noticeVersion, Last: maps.Clone(n.last)}
	n.mu.Unlock()
	for sub, number := range b.Last {
		now.Last[sub] = max(now.Last[sub], number)
	}
	maps.DeleteFunc(now.Last, func(sub string, _ uint64) bool { return n.Exists != nil && !n.Exists(sub) })
	if value, err = json.Marshal(now); err != nil {
		return err
	}
	_, err = n.store.HubPut(ctx, baseKey, value, revision)
	return err
}
