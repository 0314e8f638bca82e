package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// owner is the record own.<p>: which hub a partition belongs to. The shape is a promise.
type owner struct {
	V   int    `json:"v"`
	Hub string `json:"hub"` // "" if it is free
}

func (l *Leases) record(hub string) []byte {
	value, err := json.Marshal(owner{V: 1, Hub: hub})
	if err != nil {
		panic(err) // a number and a word
	}
	return value
}

// ownerOf reads whom a partition belongs to, from the leader of its ledger.
func (l *Leases) ownerOf(ctx context.Context, p int) (hub string, seq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor) // others wait for their turn
	defer cancel()
	from, err := l.store.ledgerOf(p)
	if err != nil {
		return "", 0, err
	}
	msg, err := l.store.lastMsg(ctx, from, events.OwnSubject(p))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	var o owner
	if err := json.Unmarshal(msg.Data, &o); err != nil || o.V != 1 {
		return "", 0, fmt.Errorf("record %s cannot be read by this build", events.OwnSubject(p))
	}
	return o.Hub, msg.Sequence, nil
}

// own makes a partition this hub's if its record still has a sequence.
func (l *Leases) own(ctx context.Context, p int, seq uint64) (uint64, error) {
	return l.change(ctx, p, l.id, seq)
}

func (l *Leases) change(ctx context.Context, p int, hub string, seq uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	msg := &nats.Msg{Subject: events.OwnSubject(p), Data: l.record(hub)}
	future, err := l.store.publish(ctx, msg, jetstream.WithExpectLastSequencePerSubject(seq))
	if err != nil {
		return 0, err
	}
	ack, err := l.store.await(ctx, future)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// refused reports whether a write failed because the partition's record has another sequence.
func refused(err error) bool { return hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence) }

// resume brings a hold up to date with the partition's record after a write was refused or its fate is unknown: the
// record may be one that this hub wrote without hearing of it. Otherwise the partition is lost. Called with h.writing held.
func (l *Leases) resume(ctx context.Context, p int, h *holding) error {
	hub, seq, err := l.ownerOf(ctx, p)
	if err != nil {
		return err
	}
	if hub == l.id {
		h.seq = seq
		return nil
	}
	h.gone = true
	l.lose(p, h)
	return l.fenced(p)
}

func (l *Leases) fenced(p int) error {
	return &events.Error{Kind: events.Unavailable, Message: "Another hub has taken over.", Err: fmt.Errorf("partition %d: %w", p, events.ErrFenced)}
}

// lose forgets a hold.
func (l *Leases) lose(p int, h *holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[p] == h {
		delete(l.held, p)
		l.wake()
	}
}

// put writes entries to a partition's ledger, all or none of them, if the partition is this hub's. Errors are those of
// Store.Put, and events.ErrFenced.
func (l *Leases) put(ctx context.Context, p int, entries []events.Entry) error {
	l.mu.Lock()
	h := l.held[p]
	l.mu.Unlock()
	if h == nil {
		return l.fenced(p)
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	for len(entries) > 0 {
		n := handful(entries)
		if err := l.putSome(ctx, p, h, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// handful is how many entries go into one batch: not more than a server holds together without effort.
func handful(entries []events.Entry) int {
	size := 0
	for n, e := range entries {
		if size += len(e.Value); n == window || n > 0 && size > maxPayload {
			return n
		}
	}
	return len(entries)
}

// putSome writes one batch. One that is not answered is sent again: if it was stored after all, the record's sequence says
// so, and if it still comes later, it is refused. One that is stored has won the record, as win would: it is the same
// compare-and-set, sent after the epoch was read.
func (l *Leases) putSome(ctx context.Context, p int, h *holding, entries []events.Entry) error {
	for {
		if h.gone {
			return l.fenced(p)
		}
		l.mu.Lock()
		epoch, began := l.epoch, time.Now()
		l.mu.Unlock()
		try, cancel := context.WithTimeout(ctx, tryFor)
		last, err := l.batch(try, p, h.seq, entries)
		cancel()
		if err == nil {
			h.seq = last - uint64(len(entries))
			l.won(h, epoch, began)
			l.bury(p, h.seq+1, entries)
			return nil
		}
		if !refused(err) && !electing(err) || pause(ctx) != nil {
			return err
		}
		if err := l.resume(ctx, p, h); err != nil {
			return err
		}
	}
}

// batch sends the partition's record and the entries as one atomic batch (NATS ADR-50), and returns the sequence of the
// last of them. It is stored as a whole if the record's sequence is still the one given, else not at all.
func (l *Leases) batch(ctx context.Context, p int, seq uint64, entries []events.Entry) (uint64, error) {
	id := rand.Text()
	mark := func(subject string, n int, value []byte) *nats.Msg {
		return &nats.Msg{Subject: subject, Data: value, Header: nats.Header{
			"Nats-Batch-Id": {id}, "Nats-Batch-Sequence": {strconv.Itoa(n + 1)}}}
	}
	first := mark(events.OwnSubject(p), 0, l.record(l.id))
	first.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(seq, 10))
	last := len(entries) - 1
	for n := range entries {
		if n == 0 {
			if err := l.store.writes.PublishMsg(first); err != nil {
				return 0, unsaved(err)
			}
		}
		msg := mark(entries[n].Key, n+1, entries[n].Value)
		if n < last {
			if err := l.store.writes.PublishMsg(msg); err != nil {
				return 0, unsaved(err)
			}
			continue
		}
		msg.Header.Set("Nats-Batch-Commit", "1")
		future, err := l.store.publish(ctx, msg)
		if err != nil {
			return 0, err
		}
		ack, err := l.store.await(ctx, future)
		if err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	}
	return seq, nil
}

// bury removes the marks of deleted keys, which begin at a sequence. That may fail: a mark counts as no value.
func (l *Leases) bury(p int, seq uint64, entries []events.Entry) {
	for i, e := range entries {
		if len(e.Value) == 0 {
			l.inter(grave{p, seq + uint64(i)}) // #nosec G115 -- an index
		}
	}
}

// stumbled has the mark of a deleted key removed that was left: its hub was killed before, or had too many. l may be nil.
func (l *Leases) stumbled(p int, seq uint64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	held := l.held[p] != nil
	l.mu.Unlock()
	if held {
		l.inter(grave{p, seq})
	}
}

// inter leaves out what there is no room for: it is found again at the next List.
func (l *Leases) inter(g grave) {
	select {
	case l.graves <- g:
	default:
	}
}

// grave is the mark of a deleted key.
type grave struct {
	p   int
	seq uint64
}

// digLoop removes marks, one at a time.
func (l *Leases) digLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case g := <-l.graves:
			l.dig(ctx, g)
		}
	}
}

func (l *Leases) dig(ctx context.Context, g grave) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if from, err := l.store.ledgerOf(g.p); err == nil {
		_ = from.DeleteMsg(ctx, g.seq) // overwritten, or of no importance
	}
}

// win takes the record of a held partition again, after this hub has been late: others may have decided to take it. Where a
// batch is being written, that may win it.
func (l *Leases) win(ctx context.Context, p int, h *holding, epoch int) error {
	if !l.idle(h) {
		return nil
	}
	defer h.writing.Unlock()
	return l.rewrite(ctx, p, h, epoch)
}

// rewrite writes the record of a held partition anew. Called with h.writing held.
func (l *Leases) rewrite(ctx context.Context, p int, h *holding, epoch int) error {
	if h.gone {
		return l.fenced(p)
	}
	began := time.Now()
	seq, err := l.own(ctx, p, h.seq)
	if refused(err) {
		if err = l.resume(ctx, p, h); err == nil {
			began = time.Now()
			seq, err = l.own(ctx, p, h.seq)
		}
	}
	if err != nil {
		return err
	}
	h.seq = seq
	l.won(h, epoch, began)
	return nil
}

// won takes note that the record of a hold was written after the beginning of an epoch, by what was sent from began on.
func (l *Leases) won(h *holding, epoch int, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.epoch = max(h.epoch, epoch)
	h.proved = began
}

// idle locks a hold for the sharing goroutine, which waits for no batch: that may take as long as an election.
func (l *Leases) idle(h *holding) bool {
	if h.writing.TryLock() {
		return true
	}
	time.AfterFunc(l.times.Beat/2, l.soon)
	return false
}

// free lets others have a partition that the engine has stopped delivering.
func (l *Leases) free(ctx context.Context, p int, h *holding) error {
	if !l.idle(h) {
		return nil
	}
	defer h.writing.Unlock()
	if _, err := l.change(ctx, p, "", h.seq); refused(err) {
		if err := l.resume(ctx, p, h); err != nil {
			return err
		}
		return errors.New("not freed yet")
	} else if err != nil {
		return err
	}
	h.gone = true
	l.lose(p, h)
	l.log.Info("partition released", "partition", p)
	return nil
}
