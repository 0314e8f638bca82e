package inbox

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"carehub/events"
	"carehub/subscribers/endpoints"
)

// When the keeper looks what is due: when it hears of a change, and in any case now and then.
const (
	lookEvery  = time.Hour
	sendEvery  = time.Minute // as long as a mail waits to be tried again
	tendGather = time.Second // more may change: looking at every inbox takes its time
	sendGather = 20 * time.Millisecond
)

// Run sends what is to be sent and keeps all times until ctx ends. Every hub may run it: what is due is taken by
// compare-and-set on the record, so that one of them does it.
func (k *Keeper) Run(ctx context.Context) error {
	var work sync.WaitGroup
	work.Go(func() { k.loop(ctx, tendGather, k.tendAll) })
	work.Go(func() { k.loop(ctx, sendGather, k.sendAll) })
	work.Wait()
	return nil
}

// loop looks until ctx ends: after every change, and at the latest when the look before said so.
func (k *Keeper) loop(ctx context.Context, gather time.Duration, look func(context.Context) (again time.Duration)) {
	for ctx.Err() == nil {
		changed, woken := k.Registry.Changed(), k.news() // before looking: what changes meanwhile is looked at again
		again := look(ctx)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-woken:
		case <-time.After(again):
		}
		select {
		case <-ctx.Done():
		case <-time.After(gather):
		}
	}
}

// tendAll sees to every inbox once.
func (k *Keeper) tendAll(ctx context.Context) time.Duration {
	for _, s := range k.Everyone() {
		for _, b := range boxes(s) {
			if err := k.tend(ctx, b); err != nil && ctx.Err() == nil {
				k.Log.Error("an inbox is not looked after", "recipient", b.subscriber, "channel", b.channel, "error", err.Error())
			}
		}
	}
	return lookEvery
}

// errNothing ends a change that has turned out to have nothing to do.
var errNothing = errors.New("nothing to do")

// tend brings the record of an inbox up to date, and has the alarm recipients told of what they have to know.
func (k *Keeper) tend(ctx context.Context, b box) error {
	if err := k.tell(ctx, b); err != nil {
		return err
	}
	known := k.record(b.place)
	if !upkeep(&known, b, time.Now()) {
		return nil
	}
	return k.note(ctx, b.place, func(rec *endpoints.Record) bool { return upkeep(rec, b, time.Now()) })
}

// note changes a record if what reports that there is anything to change.
func (k *Keeper) note(ctx context.Context, at place, what func(*endpoints.Record) bool) error {
	_, err := k.change(ctx, at, func(rec *endpoints.Record) error {
		if !what(rec) {
			return errNothing
		}
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// tell raises the alarms that are due, and then notes that. Whoever raises one again, after a crash or in another hub, raises
// the same one.
func (k *Keeper) tell(ctx context.Context, b box) error {
	rec, now := k.record(b.place), time.Now().UTC().Truncate(time.Second)
	if unread(rec, now) {
		if err := k.tellUnread(ctx, b, rec.Inbox.Beat.Nonce, now); err != nil {
			return err
		}
	}
	if untold(rec.Inbox.Guesses) {
		return k.tellLocked(ctx, b, rec.Inbox.Guesses.Locked, now)
	}
	return nil
}

func (k *Keeper) tellUnread(ctx context.Context, b box, nonce string, now time.Time) error {
	if err := k.alarm(ctx, b, "unread-"+nonce, events.ReasonUnread, ""); err != nil {
		return err
	}
	return k.note(ctx, b.place, func(rec *endpoints.Record) bool {
		asked := &rec.Inbox.Beat
		due := asked.Nonce == nonce && asked.Alarmed.IsZero()
		if due {
			asked.Alarmed = now
		}
		return due
	})
}

func (k *Keeper) tellLocked(ctx context.Context, b box, locked, now time.Time) error {
	if err := k.alarm(ctx, b, "locked-"+stamp(b.place, locked), events.ReasonLocked, ""); err != nil {
		return err
	}
	return k.note(ctx, b.place, func(rec *endpoints.Record) bool {
		g := &rec.Inbox.Guesses
		due := g.Locked.Equal(locked) && untold(*g)
		if due {
			g.Alarmed = now
		}
		return due
	})
}

// untold reports whether there were too many wrong codes and nobody knows.
func untold(g endpoints.Guesses) bool { return !g.Locked.IsZero() && g.Alarmed.IsZero() }

// upkeep does what time has made due to a record and reports whether that was anything. It sends nothing.
func upkeep(rec *endpoints.Record, b box, now time.Time) (changed bool) {
	registered := b.mail.Address()
	in := &rec.Inbox
	do := func(due bool, what func()) {
		if due {
			what()
			changed = true
		}
	}
	do(!in.Away.Until.IsZero() && !in.Away.Now(now), func() { in.Away = endpoints.Away{} })
	from := endpoints.Hash(registered)
	do(in.Successor.To != "" && in.Successor.From != from, func() { in.Successor = endpoints.Successor{} })
	do(in.Handover.To != "" && (in.Handover.From != from || !in.Handover.Ask.Open(now)), func() { in.Handover = endpoints.Handover{} })
	target := endpoints.Hash(rec.Address(registered))
	do(in.Verify.Nonce != "" && (in.Verify.Target != target || !in.Verify.Open(now)), func() { in.Verify = endpoints.Ask{} })
	g := in.Guesses
	do(g.Count > 0 && g.Over(now) && !untold(g), func() { in.Guesses = endpoints.Guesses{} })
	return beat(rec, registered, now) || changed
}

// beat keeps the times of the monthly question whether anybody reads the inbox.
func beat(rec *endpoints.Record, registered string, now time.Time) bool {
	in, address := &rec.Inbox, rec.Address(registered)
	switch b := &in.Beat; {
	case b.Nonce != "" && (b.Target != endpoints.Hash(address) || !rec.IsVerified(address)):
		*b = endpoints.Ask{}
	case !rec.IsVerified(address) || in.Away.Now(now):
		return false
	case b.Nonce == "" && !now.Before(nextBeat(rec)), b.Nonce != "" && !b.Open(now):
		*b = newAsk(address, wordsBeat, now, BeatEvery)
	case b.Nonce == "":
		return false
	case b.Mail.Words == wordsBeat && sentFor(b.Mail, now) >= RemindIn:
		b.Mail = endpoints.Mail{N: b.Mail.N + 1, Words: wordsReminder, At: now.UTC().Truncate(time.Second)}
	default:
		return false
	}
	return true
}

// unread reports whether nobody has answered for so long that a person should know.
func unread(rec endpoints.Record, now time.Time) bool {
	b := rec.Inbox.Beat
	return b.Mail.Words == wordsReminder && b.Alarmed.IsZero() && sentFor(b.Mail, now) >= UnreadIn-RemindIn && !rec.Inbox.Away.Now(now)
}

// sentFor is how long ago a mail was sent; less than nothing if it was not. One that could not be is an alarm of its own.
func sentFor(m endpoints.Mail, now time.Time) time.Duration {
	if m.Sent.IsZero() {
		return -1
	}
	return now.Sub(m.Sent)
}

// nextBeat is when the next question is due: a month after somebody last showed that they read the inbox, less up to three
// days, so that inboxes that were verified together are not all asked together.
func nextBeat(rec *endpoints.Record) time.Time {
	alive := rec.Verified
	if rec.Inbox.Alive.After(alive) {
		alive = rec.Inbox.Alive
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(rec.Subscriber + "." + rec.Channel)) // never fails
	return alive.Add(BeatEvery - time.Duration(h.Sum32()%(72*60))*time.Minute)
}

// wait notes that something could not be sent to an inbox for want of a verified address, without waiting for anything.
func (k *Keeper) wait(at place, address string) {
	if knows(k.record(at).Inbox.Verify, address, time.Now()) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting[at] = true
	close(k.woken)
	k.woken = make(chan struct{})
}

// news returns a channel that is closed when something waits.
func (k *Keeper) news() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.woken
}

// announce has those for whom something waits told so: once a day at the most, whatever comes.
func (k *Keeper) announce(ctx context.Context) {
	k.mu.Lock()
	waiting := k.waiting
	k.waiting = map[place]bool{}
	k.mu.Unlock()
	for at := range waiting {
		b, ok := k.find(at)
		if !ok {
			continue
		}
		_, err := k.change(ctx, at, func(rec *endpoints.Record) error { return notice(rec, b, time.Now()) })
		if err != nil && !errors.Is(err, errNothing) && ctx.Err() == nil {
			k.Log.Error("an unverified address is not told that something waits", "recipient", at.subscriber, "error", err.Error())
		}
	}
}

// knows reports whether an address has had a mail about its verification of late.
func knows(a endpoints.Ask, address string, now time.Time) bool {
	return a.Target == endpoints.Hash(address) && now.Sub(a.Mail.At) < NoticeEach
}

// notice puts the mail that something waits into a record. A link that was sent already goes on working.
func notice(rec *endpoints.Record, b box, now time.Time) error {
	address := rec.Address(b.mail.Address())
	ask := &rec.Inbox.Verify
	switch {
	case rec.IsVerified(address) || knows(*ask, address, now):
		return errNothing
	case ask.Target == endpoints.Hash(address) && ask.Open(now.Add(NoticeEach)):
		ask.Mail = endpoints.Mail{N: ask.Mail.N + 1, Words: wordsWaiting, At: now.UTC().Truncate(time.Second)}
	default:
		*ask = newAsk(address, wordsWaiting, now, LinkLife)
	}
	return nil
}
