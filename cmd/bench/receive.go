package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// receive is the receivers' process: four endpoints, /r0 to /r3, that read the body, take its id and answer 204; /count
// says how many different messages each has, /last the bytes of one, /reset forgets. It ends with its standard input.
func receive() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r := &receivers{}
	r.reset()
	srv := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close()
	}()
	fmt.Println(l.Addr())
	if err := srv.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

type receivers struct {
	four [4]receiver
}

type receiver struct {
	mu   sync.Mutex
	ids  map[string]struct{}
	last []byte
}

func (r *receivers) reset() {
	for i := range r.four {
		r.four[i].mu.Lock()
		r.four[i].ids, r.four[i].last = map[string]struct{}{}, nil
		r.four[i].mu.Unlock()
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

func (r *receivers) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case "/count":
		var counts [4]int
		for i := range r.four {
			r.four[i].mu.Lock()
			counts[i] = len(r.four[i].ids)
			r.four[i].mu.Unlock()
		}
		_ = json.NewEncoder(w).Encode(counts)
	case "/last":
		r.four[0].mu.Lock()
		defer r.four[0].mu.Unlock()
		_, _ = w.Write(r.four[0].last)
	case "/reset":
		r.reset()
	default:
		r.take(w, req)
	}
}

func (r *receivers) take(w http.ResponseWriter, req *http.Request) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	n, err := io.ReadFull(req.Body, *buf)
	if err != nil && err != io.ErrUnexpectedEOF {
		http.Error(w, "cannot read", http.StatusBadRequest)
		return
	}
	c := &r.four[req.URL.Path[len(req.URL.Path)-1]-'0']
	c.mu.Lock()
	c.ids[req.Header.Get("webhook-id")] = struct{}{}
	if c.last == nil {
		c.last = append([]byte(nil), (*buf)[:n]...)
	}
	c.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
