package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// rawJob is what the raw limit is asked for.
type rawJob struct {
	Pace       pace
	AtOnce     int // POSTs at a time for one event
	Dir        string
	Addresses  []string // of the receivers
	Recipients int
	Sample     sample // what the hub sent, to the byte
	Tell       bool   // nothing but what was logged the last time
}

// raw is the process of the raw limit: the least that the promise needs, as fast as plain Go can. Each event is fsynced
// together with those that come at the same time, then posted to its receivers over kept connections.
func raw(ctx context.Context, _ []string) error {
	var d diary
	return answer(func(job rawJob) (any, error) {
		if job.Tell {
			return d.all, nil
		}
		d.all = nil
		j, err := openJournal(job.Dir)
		if err != nil {
			return nil, err
		}
		p := newPoster(job)
		defer p.client.CloseIdleConnections()
		err = job.Pace.each(ctx, func(ctx context.Context, n int, due time.Time) error {
			if err := j.write(job.Sample.Body); err != nil {
				return err
			}
			d.add(strconv.Itoa(n), due)
			return p.toAll(ctx, n)
		})
		return len(d.all), errors.Join(err, j.close())
	})
}

// poster posts the sample, each time under another id of the same length.
type poster struct {
	rawJob
	client *http.Client
	urls   []*url.URL
}

func newPoster(job rawJob) *poster {
	p := &poster{rawJob: job, client: &http.Client{Timeout: time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}}
	for n := range job.Recipients {
		p.urls = append(p.urls, &url.URL{Scheme: "http", Host: job.Addresses[n%hosts], Path: "/r" + strconv.Itoa(n)})
	}
	for _, unsaid := range []string{"Content-Length", "Accept-Encoding"} { // the client's own business
		p.Sample.Header.Del(unsaid)
	}
	return p
}

// toAll posts event n to everyone, so many at once.
func (p *poster) toAll(ctx context.Context, n int) error {
	if p.AtOnce <= 1 {
		for r := range p.urls {
			if err := p.post(ctx, n, r); err != nil {
				return err
			}
		}
		return nil
	}
	var work sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, min(p.AtOnce, len(p.urls)))
	for w := range errs {
		work.Go(func() {
			for r := int(next.Add(1)) - 1; r < len(p.urls) && errs[w] == nil; r = int(next.Add(1)) - 1 {
				errs[w] = p.post(ctx, n, r)
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

func (p *poster) post(ctx context.Context, n, r int) error {
	header := maps.Clone(p.Sample.Header)
	header["Webhook-Id"] = []string{rawID(strconv.Itoa(n), "r"+strconv.Itoa(r))}
	req := &http.Request{Method: http.MethodPost, URL: p.urls[r], Header: header, ContentLength: int64(len(p.Sample.Body)),
		Body:    io.NopCloser(bytes.NewReader(p.Sample.Body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.Sample.Body)), nil }}
	resp, err := p.client.Do(req.WithContext(ctx))
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

// rawID is the raw limit's delivery id, as long as the hub's.
func rawID(event, recipient string) string {
	id := event + recipient
	return "msg_" + strings.Repeat("0", 26-len(id)) + id
}
