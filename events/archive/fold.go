package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/klauspost/compress/zstd"

	"carehub/events"
)

// What one volume takes at the most of a partition: it is sorted in memory, where an event takes about a kilobyte.
const (
	foldEvents = 1 << 16
	foldBytes  = 64 << 20
)

// fold moves a drained partition, whose last event is given, into volumes and retires it. After a crash it goes on where
// the record says.
func (a *Archive) fold(ctx context.Context, p int, last uint64) error {
	rec, _, err := a.record(ctx)
	if err != nil {
		return err
	}
	for from := rec.Folded[p]; from < last; {
		batch, err := a.gather(ctx, p, from, last)
		if err != nil {
			return err
		}
		if err := a.write(ctx, p, from, batch); err != nil {
			return err
		}
		from = batch.upTo
	}
	if err := a.load(ctx); err != nil {
		return err
	}
	a.opt.Log.Info("a partition is in the archive", "partition", p, "last", last)
	return a.opt.Store.Retire(ctx, p)
}

// lastEvent is the sequence of the newest event of a partition. Behind it there may be what is none.
func (a *Archive) lastEvent(ctx context.Context, p int) (uint64, error) {
	last, err := a.opt.Store.Last(ctx, p)
	for ; err == nil && last > 0; last-- {
		_, is, err := a.opt.Store.At(ctx, p, last)
		if is || err != nil && events.KindOf(err) != events.Internal {
			return last, err
		}
	}
	return last, err
}

// batch is events of one partition in memory, each compressed by itself.
type batch struct {
	events []held
	bytes  int
	upTo   uint64 // sequence of the last
	code   *zstd.Encoder
	decode *zstd.Decoder
	room   []byte // to compress into: a slice made for each has room for an event that is not compressed
}

// held is an event in memory.
type held struct {
	shelf string
	seq   uint64
	bytes []byte
}

var errEnough = errors.New("enough")

// gather reads events after a sequence, until there are enough for a volume, with how telling their recipients ended.
func (a *Archive) gather(ctx context.Context, p int, from, last uint64) (*batch, error) {
	b := &batch{}
	err := a.opt.Store.Read(ctx, p, from, func(st events.Stored) error {
		if err := a.take(ctx, b, st); err != nil {
			return err
		}
		b.upTo = st.Seq
		if st.Seq >= last || len(b.events) >= foldEvents || b.bytes >= foldBytes {
			return errEnough
		}
		if len(b.events)%256 == 0 {
			return a.pace(ctx)
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		return nil, err
	}
	slices.SortFunc(b.events, func(x, y held) int { return cmp.Or(cmp.Compare(x.shelf, y.shelf), cmp.Compare(x.seq, y.seq)) })
	return b, nil
}

// take keeps an event, with how telling its recipients ended, unless its patient was forgotten.
func (a *Archive) take(ctx context.Context, b *batch, st events.Stored) error {
	if a.forgotten(outlineOf(st)) {
		return nil
	}
	outcomes, err := a.opt.Outcomes(ctx, st)
	if err != nil {
		return err
	}
	e, err := newEntry(st, outcomes)
	if err == nil {
		b.add(shelf(st.Record.Event.Patient, st.Record.Event.ID), st.Seq, e)
	}
	return err
}

// add keeps an event. The first is the dictionary of all: they are much alike.
func (b *batch) add(shelf string, seq uint64, e entry) {
	raw := e.appendTo(nil)
	if b.code == nil {
		b.code = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderDictRaw(1, raw)))
		b.decode = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderDictRaw(1, raw)))
	}
	b.room = b.code.EncodeAll(raw, b.room[:0])
	h := held{shelf: shelf, seq: seq, bytes: bytes.Clone(b.room)}
	b.events = append(b.events, h)
	b.bytes += len(h.bytes)
}

func (b *batch) entry(h held) (entry, error) {
	raw, err := b.decode.DecodeAll(h.bytes, nil)
	if err != nil {
		return entry{}, err
	}
	all, err := split(raw)
	if err != nil {
		return entry{}, err
	}
	return all[0], nil
}

// write makes a volume of a batch and takes it into the record.
func (a *Archive) write(ctx context.Context, p int, from uint64, b *batch) error {
	number, err := a.number(ctx)
	if err != nil {
		return err
	}
	w, err := newWriter(ctx, a.opt.Store, info{Number: number}, len(b.events), a.pace)
	if err != nil {
		return err
	}
	for _, h := range b.events {
		e, err := b.entry(h)
		if err != nil {
			return err
		}
		o, err := e.outline()
		if err != nil {
			return err
		}
		if err := w.add(ctx, o, e); err != nil {
			return err
		}
	}
	var made []info
	if w.Events > 0 {
		v, err := w.finish(ctx)
		if err != nil {
			return err
		}
		made = append(made, v.info)
	}
	return a.update(ctx, func(r *record) error {
		if r.Folded[p] != from {
			return errElsewhere
		}
		if r.Folded == nil {
			r.Folded = map[int]uint64{}
		}
		r.Folded[p] = b.upTo
		r.Volumes = append(r.Volumes, made...)
		return nil
	})
}
