package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"carehub/events"
)

// backlogFindings are what a run with a dead recipient has found.
type backlogFindings struct {
	Parked       int     `json:"parked"`
	IdleMB       float64 `json:"idle_mb"`   // resident memory of a hub with an empty store
	ParkedMB     float64 `json:"parked_mb"` // with the backlog
	RestartedMB  float64 `json:"restarted_mb"`
	Stopped      float64 `json:"stopped_s"`    // from the start until somebody else is told of a new event, after a stop in order
	Killed       float64 `json:"killed_s"`     // the same after kill -9
	DrainSeconds float64 `json:"drain_s"`      // until the recipient has everything once it is back
	DrainMB      float64 `json:"drain_mb"`     // the most while draining
	Lost         int     `json:"lost"`         // must be 0
	OutOfOrder   int     `json:"out_of_order"` // must be 0
	ToldMB       float64 `json:"told_mb"`      // the same events in the store, all told, after a restart: the store keeps an index of them too
	LoadSeconds  float64 `json:"load_s"`
}

// runParked logs events while one of two recipients is dead, looks at what that costs, and lets the recipient come back.
func runParked(ctx context.Context, set settings) error {
	f, err := park(ctx, set)
	if err != nil {
		return err
	}
	if set.json {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(f)
	} else {
		err = f.print()
	}
	if f.Lost+f.OutOfOrder > 0 {
		err = errors.New("a promise was broken")
	}
	return err
}

func (f *backlogFindings) print() error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(t, what+"\t"+format+"\n", args...) }
	row("parked for one dead recipient", "%d, in %.0f s", f.Parked, f.LoadSeconds)
	row("memory of an idle hub", "%.0f MB", f.IdleMB)
	row("memory with the backlog", "%.0f MB, %.0f MB above idle", f.ParkedMB, f.ParkedMB-f.IdleMB)
	row("memory after a restart", "%.0f MB, %.0f MB above idle", f.RestartedMB, f.RestartedMB-f.IdleMB)
	row("start to telling others, after a stop", "%.1f s", f.Stopped)
	row("start to telling others, after kill -9", "%.1f s", f.Killed)
	row("drained", "in %.0f s, %.0f a second, at most %.0f MB", f.DrainSeconds, float64(f.Parked)/f.DrainSeconds, f.DrainMB)
	row("memory when all have been told", "%.0f MB: the backlog had %.0f MB above that", f.ToldMB, f.RestartedMB-f.ToldMB)
	row("lost, out of order", "%d, %d", f.Lost, f.OutOfOrder)
	return t.Flush()
}

// backlog is a run.
type backlog struct {
	*world
	*backlogFindings
	news int // events logged to see whether the hub works
}

func park(ctx context.Context, set settings) (*backlogFindings, error) {
	set.recipients, set.hubs, set.nats, set.patients = 2, 1, 0, max(set.patients, min(1000, set.n/10))
	w, err := newWorld(ctx, set)
	if err != nil {
		return nil, err
	}
	defer w.close()
	b := &backlog{world: w, backlogFindings: &backlogFindings{Parked: set.n}}
	if b.IdleMB, err = b.memory(ctx); err != nil {
		return nil, err
	}
	w.wires[1].cut(true)
	began := time.Now()
	l, err := startLoggers(ctx, w, set.n)
	if err != nil {
		return nil, err
	}
	if err := l.await(); err != nil {
		return nil, err
	}
	b.LoadSeconds = time.Since(began).Seconds()
	return b.backlogFindings, b.examine(ctx, l)
}

// examine looks at the hub with its backlog, before and after restarts, and lets it drain.
func (b *backlog) examine(ctx context.Context, l *loggers) (err error) {
	hub := b.hubs[0]
	if err := b.told(ctx, l); err != nil { // all before it have been told, too, and what is to be parked is
		return err
	}
	if b.ParkedMB, err = b.memory(ctx); err != nil {
		return err
	}
	if err := hub.stop(); err != nil {
		return err
	}
	if b.Stopped, err = b.starts(ctx, l); err != nil {
		return err
	}
	hub.kill()
	if b.Killed, err = b.starts(ctx, l); err != nil {
		return err
	}
	if b.RestartedMB, err = b.memory(ctx); err != nil {
		return err
	}
	if err := b.drain(ctx, l); err != nil {
		return err
	}
	hub.kill()
	if _, err := b.starts(ctx, l); err != nil {
		return err
	}
	b.ToldMB, err = b.memory(ctx)
	return err
}

// starts starts the hub and returns how long it takes until somebody is told of something new.
func (b *backlog) starts(ctx context.Context, l *loggers) (seconds float64, err error) {
	began := time.Now()
	if err := b.hubs[0].start(ctx); err != nil {
		return 0, err
	}
	err = b.told(ctx, l)
	return time.Since(began).Seconds(), err
}

// told logs an event and waits until the recipient who is well has it.
func (b *backlog) told(ctx context.Context, l *loggers) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b.news++
	body := fmt.Sprintf(`{"patient": %q, "kind": "fall", "words": "news %d"}`, patient(0), b.news)
	client := l.client
	defer client.CloseIdleConnections()
	id := ""
	for ; id == ""; _ = pause(ctx, 20*time.Millisecond) {
		var status int
		if id, status, _ = l.post(ctx, b.hubs[0], fmt.Sprint("news-", b.news), body); ctx.Err() != nil {
			return fmt.Errorf("news were not taken: status %d", status)
		}
	}
	l.acked[0] = append(l.acked[0], ack{Event: id, At: time.Now().UnixNano()})
	for {
		v, err := b.view(ctx, client, b.hubs[0], id)
		if err == nil && v.Recipients[0].State.Told() {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return errors.New("news did not arrive")
		}
	}
}

// drain lets the dead recipient come back and waits until it has everything, or nothing has come for a quarter of an hour
// and more: so long may be the pause between two attempts.
func (b *backlog) drain(ctx context.Context, l *loggers) error {
	var began, last time.Time // of what it has been told
	lines, mended := &tally{to: b.recipient(1), of: b.seen}, time.Now()
	b.wires[1].mend()
	for had := 0; had < int(l.total.Load())+b.news; {
		now, err := lines.count()
		if err != nil {
			return err
		}
		if now > had && began.IsZero() {
			began = time.Now()
		}
		if now > had {
			had, last = now, time.Now()
		}
		mb, err := rss(b.hubs[0])
		if err != nil {
			return err
		}
		b.DrainMB = max(b.DrainMB, mb)
		if time.Since(later(mended, last)) > 20*time.Minute {
			break // what is missing is for the judge
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	b.DrainSeconds = last.Sub(began).Seconds()
	return b.judgeBacklog(l)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// tally counts the different events that a recipient has taken, reading on in the receivers' file.
type tally struct {
	to, of string
	from   int64
	taken  map[string]bool
}

func (t *tally) count() (int, error) {
	f, err := os.Open(t.of)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Seek(t.from, io.SeekStart); err != nil {
		return 0, err
	}
	if t.taken == nil {
		t.taken = map[string]bool{}
	}
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil { // its end, or of what is written of a line so far
			return len(t.taken), nil
		}
		t.from += int64(len(line))
		var a arrival
		if err := json.Unmarshal(line, &a); err != nil {
			return 0, err
		}
		if a.To == t.to && a.Did == takes && a.Kind != events.Alarm {
			t.taken[a.Event] = true
		}
	}
}

func (b *backlog) judgeBacklog(l *loggers) error {
	r, err := readRecord(b.seen)
	if err != nil {
		return err
	}
	f := &findings{}
	for n, acks := range l.acked {
		for to := range b.settings.recipients {
			f.arrivals(r, b.recipient(to), patient(n), acks)
		}
	}
	b.Lost, b.OutOfOrder = f.Lost, f.OutOfOrder
	return nil
}

// memory is what the hub has in memory once it has nothing to do, in MB.
func (b *backlog) memory(ctx context.Context) (float64, error) {
	if err := pause(ctx, b.rest); err != nil {
		return 0, err
	}
	return rss(b.hubs[0])
}

// rss is a process's resident memory in MB (proc(5), VmRSS).
func rss(h *hub) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.running.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	return float64(kb) / 1024, err
}
