package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// result of one measurement.
type result struct {
	events int
	rate   float64       // events a second, stored and with all four
	p50    time.Duration // of an accepted event: until it was known to be stored
	cpu    time.Duration // of the hub's process, for each event
}

// rawFsync measures single fsyncs of 3 KB, one after another, for a second.
func (b *bench) rawFsync(ctx context.Context) (float64, error) {
	f, err := os.Create(filepath.Join(b.dir, "fsync")) // #nosec G304 -- the bench's own folder
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block, n, start := make([]byte, 3<<10), 0, time.Now()
	for time.Since(start) < time.Second && ctx.Err() == nil {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// journal is a file with group commit: whoever comes while an fsync runs shares the next one.
type journal struct {
	file  *os.File
	in    chan commit
	ended chan error
}

type commit struct {
	data []byte
	done chan struct{}
}

func openJournal(path string) (*journal, error) {
	f, err := os.Create(path) // #nosec G304 -- the bench's own folder
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, in: make(chan commit, 1024), ended: make(chan error, 1)}
	go func() { j.ended <- j.run() }()
	return j, nil
}

func (j *journal) run() error {
	var buf bytes.Buffer
	var waiting []commit
	for c := range j.in {
		buf.Reset()
		waiting = append(waiting[:0], c)
		buf.Write(c.data)
		for more := true; more; {
			select {
			case c, ok := <-j.in:
				if more = ok; ok {
					waiting = append(waiting, c)
					buf.Write(c.data)
				}
			default:
				more = false
			}
		}
		if _, err := j.file.Write(buf.Bytes()); err != nil {
			return err
		}
		if err := j.file.Sync(); err != nil {
			return err
		}
		for _, c := range waiting {
			close(c.done)
		}
	}
	return j.file.Close()
}

// raw does the least that the promise needs, as fast as plain Go can: each logger has its event fsynced, then posts it to
// the four receivers over kept connections.
func (b *bench) raw(ctx context.Context) (result, error) {
	j, err := openJournal(filepath.Join(b.dir, "journal"))
	if err != nil {
		return result{}, err
	}
	body := b.sample
	client := b.client()
	defer client.CloseIdleConnections()
	var n atomic.Int64
	times := make([][]time.Duration, b.loggers)
	start := time.Now()
	err = b.each(ctx, func(ctx context.Context, logger int) error {
		began := time.Now()
		c := commit{body, make(chan struct{})}
		j.in <- c
		<-c.done
		times[logger] = append(times[logger], time.Since(began))
		id := "raw_" + strconv.FormatInt(n.Add(1), 36)
		for r := range 4 {
			if err := post(ctx, client, b.receivers+"/r"+strconv.Itoa(r), id, body); err != nil {
				return err
			}
		}
		return nil
	})
	took := time.Since(start)
	close(j.in)
	if jerr := <-j.ended; err == nil {
		err = jerr
	}
	if err != nil {
		return result{}, err
	}
	return result{events: int(n.Load()), rate: float64(n.Load()) / took.Seconds(), p50: median(times)}, b.awaitAll(ctx, int(n.Load()))
}

func post(ctx context.Context, client *http.Client, url, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("webhook-id", id)
	req.Header.Set("Content-Type", "application/fhir+json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("receiver answered %d", resp.StatusCode)
	}
	return nil
}

// each runs do in a loop in every logger until the round's time is over.
func (b *bench) each(ctx context.Context, do func(ctx context.Context, logger int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	until := time.Now().Add(b.time)
	var wg sync.WaitGroup
	for logger := range b.loggers {
		wg.Go(func() {
			for time.Now().Before(until) && ctx.Err() == nil {
				if err := do(ctx, logger); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func median(times [][]time.Duration) time.Duration {
	all := slices.Concat(times...)
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)/2]
}
