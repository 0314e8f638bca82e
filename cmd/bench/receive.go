package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// hosts is how many addresses the receivers have, unless it matters; receiver r is at address r modulo that.
const hosts = 4

// wish is what the receivers' process is asked for.
type wish struct {
	Do         string // open, await, sample, arrivals, forget, hang, break, release
	Recipients int    // open: how many
	Hosts      int    // open: at how many addresses
	Of         []int  // which of them; nil: all
	Each       int    // await: how many different messages each must have
}

// sample is a message as it arrived.
type sample struct {
	Header http.Header
	Body   []byte
}

// receive is the receivers' process. A receiver reads the message, notes its id and when, and answers 204.
func receive(ctx context.Context, _ []string) error {
	r := &receivers{released: make(chan struct{})}
	defer r.close()
	return answer(func(w wish) (any, error) {
		switch w.Do {
		case "open":
			return r.open(w.Recipients, w.Hosts)
		case "await":
			return r.await(ctx, w)
		case "sample":
			return r.sample.Load(), nil
		case "arrivals":
			return r.arrivals(w.Of), nil
		case "forget":
			r.forget()
			return nil, nil
		case "hang":
			for _, n := range w.Of {
				r.all[n].hangs.Store(true)
			}
			return nil, nil
		case "break":
			for _, n := range w.Of {
				r.all[n].broken.Store(true)
			}
			return nil, nil
		case "release":
			close(r.released)
			return nil, nil
		}
		return nil, errors.New("unknown wish " + w.Do)
	})
}

type receivers struct {
	all      []receiver
	count    atomic.Int64 // different messages
	sample   atomic.Pointer[sample]
	released chan struct{} // closed when those that hang may answer
	servers  []*http.Server
}

type receiver struct {
	hangs  atomic.Bool
	broken atomic.Bool // it closes each connection without an answer
	mu     sync.Mutex
	at     map[string]int64 // when each message arrived first, Unix nanoseconds, by its id
}

// open starts n receivers, and returns the addresses they are at.
func (r *receivers) open(n, hosts int) (addresses []string, err error) {
	r.all = make([]receiver, n)
	for range hosts {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		srv := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
		r.servers = append(r.servers, srv)
		go func() { _ = srv.Serve(l) }()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

func (r *receivers) close() {
	for _, s := range r.servers {
		_ = s.Close()
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// ServeHTTP takes a message for /r and the receiver's number.
func (r *receivers) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	size, err := io.ReadFull(req.Body, *buf)
	n, bad := strconv.Atoi(req.URL.Path[len("/r"):])
	if err != io.ErrUnexpectedEOF || bad != nil || n >= len(r.all) {
		http.Error(w, "cannot read", http.StatusBadRequest)
		return
	}
	if req.Header.Get("Content-Type") == "application/json" { // the hub's challenge: its type, and a nonce to echo
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write((*buf)[:size])
		return
	}
	if r.all[n].broken.Load() {
		panic(http.ErrAbortHandler)
	}
	if r.all[n].hangs.Load() {
		select {
		case <-r.released:
		case <-req.Context().Done():
			return
		}
	}
	r.take(&r.all[n], cmp.Or(req.Header.Get("Webhook-Id"), req.Header.Get("X-Request-Id"))) // notifications have the second only
	if r.sample.Load() == nil {
		r.sample.Store(&sample{req.Header.Clone(), append([]byte(nil), (*buf)[:size]...)})
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receivers) take(one *receiver, id string) {
	now := time.Now().UnixNano()
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.at == nil {
		one.at = map[string]int64{}
	}
	if _, repeat := one.at[id]; !repeat {
		one.at[id] = now
		r.count.Add(1)
	}
}

// await waits until each of the receivers named has so many different messages, and says when the last of them arrived.
func (r *receivers) await(ctx context.Context, w wish) (last int64, err error) {
	of := r.which(w.Of)
	const patience = 2 * time.Minute // without any message
	moved, count := time.Now(), int64(-1)
	for ctx.Err() == nil && time.Since(moved) < patience {
		if now := r.count.Load(); now != count {
			moved, count = time.Now(), now
		}
		if count >= int64(len(of)*w.Each) && r.have(of, w.Each) {
			return r.last(of), nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return 0, fmt.Errorf("of %d messages to each of %d receivers %d have arrived", w.Each, len(of), count)
}

func (r *receivers) which(of []int) []int {
	if of != nil {
		return of
	}
	for n := range r.all {
		of = append(of, n)
	}
	return of
}

func (r *receivers) have(of []int, each int) bool {
	for _, n := range of {
		one := &r.all[n]
		one.mu.Lock()
		all := len(one.at) == each
		one.mu.Unlock()
		if !all {
			return false
		}
	}
	return true
}

func (r *receivers) last(of []int) (last int64) {
	for _, n := range of {
		one := &r.all[n]
		one.mu.Lock()
		for _, at := range one.at {
			last = max(last, at)
		}
		one.mu.Unlock()
	}
	return last
}

// arrivals says when each message arrived, by its id.
func (r *receivers) arrivals(of []int) map[string]int64 {
	all := map[string]int64{}
	for _, n := range r.which(of) {
		one := &r.all[n]
		one.mu.Lock()
		for id, at := range one.at {
			all[id] = at
		}
		one.mu.Unlock()
	}
	return all
}

// forget begins anew.
func (r *receivers) forget() {
	for n := range r.all {
		one := &r.all[n]
		one.mu.Lock()
		clear(one.at)
		one.mu.Unlock()
	}
	r.count.Store(0)
}
