package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Note takes an AuditEvent that nobody waits for. It is in the chain within a moment, in a link with others, or as soon as the
// trail can be written again; after a write of which nobody knows how it went it may stand there twice, with one id. It returns
// false for one that will not be on record: too many wait, or the trail has ended.
func (t *Trail) Note(event []byte) bool {
	select {
	case <-t.done:
		return false
	default:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.noted) >= mostNoted {
		return false
	}
	t.noted = append(t.noted, event)
	select {
	case t.kick <- struct{}{}:
	default:
	}
	return true
}

// writeNoted writes all that is noted; what cannot be written stays.
func (t *Trail) writeNoted(ctx context.Context) error {
	for {
		some := t.oldestNoted()
		if len(some) == 0 {
			return nil
		}
		err := t.link(ctx, some)
		t.mu.Lock()
		if err == nil {
			t.noted = t.noted[len(some):]
		}
		waiting := len(t.noted)
		t.mu.Unlock()
		if err == nil {
			continue
		}
		if t.Failing != nil {
			t.Failing(waiting, err)
		}
		return errors.Join(fmt.Errorf("%d AuditEvents are not on record", waiting), err)
	}
}

// oldestNoted is as much of what is noted as a link takes.
func (t *Trail) oldestNoted() []json.RawMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, size := 0, 0
	for n < len(t.noted) && n < mostEntries && size < mostBytes {
		size += len(t.noted[n])
		n++
	}
	return t.noted[:n:n]
}
