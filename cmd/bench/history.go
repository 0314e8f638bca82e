package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

var history = measurement{name: "history", title: "Ten million events in the store", long: true, run: measureHistory,
	about: "A store as it would be after years (`bench fill`), beside an empty one: the start until `/readyz` says so, after a stop in order " +
		"and after kill -9 of one that has taken events since it started (the worst of three); how long a new event takes to be accepted, at 50 a second (medians of five rounds of 20 s, in turn); and the newest page of " +
		"a patient's events, over HTTP, for three hundred patients one after another, by a hub that had nothing to do for three minutes, so that JetStream has let go of all it had read, and by one that was ready the moment before."}

// quietFor is longer than JetStream keeps what it has read: blocks ten seconds, their indexes two minutes.
const quietFor = 3 * time.Minute

func measureHistory(ctx context.Context, b *bench) ([]figure, error) {
	stored := b.some(10_000_000, 20_000)
	sc, err := b.stageOn(ctx, town{receivers: 4}.with(512), func(dir string) error {
		return b.fill(ctx, dir, "-events", stored, "-hot", b.some(80_000, 2000), "-patients", b.some(100_000, 512))
	})
	if err != nil {
		return nil, err
	}
	defer sc.end()
	var empties, fulls []outcome
	for range b.rounds {
		load := trial{pace: pace{Rate: calm, Time: b.time}}
		empty, err := b.hub(ctx, load)
		if err != nil {
			return nil, err
		}
		full, err := sc.run(load)
		if err != nil {
			return nil, err
		}
		empties, fulls = append(empties, empty), append(fulls, full)
	}
	quiet := quietFor
	if b.quick {
		quiet = time.Second
	}
	if err := sleep(ctx, quiet); err != nil {
		return nil, err
	}
	timelines, most, err := sc.timelines(ctx)
	if err != nil {
		return nil, err
	}
	stopped, killed, err := sc.restarts(ctx, 3)
	if err != nil {
		return nil, err
	}
	early, mostEarly, err := sc.timelines(ctx)
	if err != nil {
		return nil, err
	}
	accept := func(p int) figure {
		f := compare(fmt.Sprintf("accepting an event, p%d", p), "ms", fulls, empties, func(o outcome) float64 { return ms(percentile(o.accepts, p)) })
		f.Than = "empty store"
		return f
	}
	return []figure{
		figure{Name: "start after a stop", Value: stopped.Seconds(), Unit: "s"}.atMost(5).noting("%s events", stored),
		figure{Name: "start after kill -9", Value: killed.Seconds(), Unit: "s"}.atMost(15),
		accept(50).atMost(1.3), accept(99),
		{Name: "a patient's events, p50", Value: ms(percentile(timelines, 50)), Unit: "ms"},
		figure{Name: "a patient's events, p99", Value: ms(percentile(timelines, 99)), Unit: "ms"}.atMost(50),
		{Name: "memory, at most while they are asked for", Value: float64(most) / 1e6, Unit: "MB"},
		{Name: "a patient's events just after a start, p99", Value: ms(percentile(early, 99)), Unit: "ms"},
		{Name: "memory, at most while they are asked for just after a start", Value: float64(mostEarly) / 1e6, Unit: "MB"},
	}, nil
}

// fill makes a store in a hub's folder.
func (b *bench) fill(ctx context.Context, dir string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := newProcess(ctx, self, append(append([]string{"fill"}, args...), dir)...)
	p.Stdout, p.Stderr = os.Stdout, os.Stderr
	return p.Run()
}

// restarts stops and starts the hub, and kills and starts it, and returns the longest starts of each.
func (sc *scene) restarts(ctx context.Context, times int) (stopped, killed time.Duration, err error) {
	for range times {
		if err := sc.hub.stop(); err != nil {
			return 0, 0, err
		}
		if err := sc.hub.serve(ctx, sc.b.carehub); err != nil {
			return 0, 0, err
		}
		stopped = max(stopped, sc.hub.startup)
		if _, err := sc.run(trial{pace: pace{Loggers: sc.b.loggers, Time: time.Second}}); err != nil {
			return 0, 0, err
		}
		if err := sleep(ctx, 2*settled); err != nil { // or what is not in the ledger yet is delivered again, and counted
			return 0, 0, err
		}
		sc.hub.kill()
		if err := sc.hub.serve(ctx, sc.b.carehub); err != nil {
			return 0, 0, err
		}
		killed = max(killed, sc.hub.startup)
	}
	return stopped, killed, nil
}

// timelines asks for the events of three hundred patients, one after another, and returns the most memory that the hub had
// meanwhile.
func (sc *scene) timelines(ctx context.Context) (times []time.Duration, most int64, err error) {
	for n := range 300 {
		began := time.Now()
		if err := sc.timeline(ctx, patient(n)); err != nil {
			return nil, 0, fmt.Errorf("the events of a patient: %w", err)
		}
		times = append(times, time.Since(began))
		now, err := sc.hub.memory()
		if err != nil {
			return nil, 0, err
		}
		most = max(most, now)
	}
	return times, most, nil
}

func (sc *scene) timeline(ctx context.Context, patient string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+sc.hub.address+"/events?patient="+patient, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+sc.hub.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body[:min(len(body), 200)])
	}
	return err
}
