package main

import (
	"net"
	"sync"
	"time"
)

// wire is a proxy for TCP connections that can be cut, and made slow.
type wire struct {
	to       string
	listener net.Listener
	done     sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	broken bool          // refuses connections
	delay  time.Duration // of each piece that passes
}

func newWire(to string) (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{to: to, listener: l, open: map[net.Conn]struct{}{}}
	w.done.Go(w.serve)
	return w, nil
}

func (w *wire) address() string { return w.listener.Addr().String() }

func (w *wire) serve() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return // closed
		}
		w.done.Go(func() { w.pass(conn) })
	}
}

// pass joins one connection to another until either ends.
func (w *wire) pass(near net.Conn) {
	defer near.Close()
	far, err := net.DialTimeout("tcp", w.to, 5*time.Second)
	if err != nil {
		return
	}
	defer far.Close()
	if !w.hold(near, far) {
		return
	}
	defer w.release(near, far)
	var both sync.WaitGroup
	both.Go(func() { w.copy(far, near) })
	both.Go(func() { w.copy(near, far) })
	both.Wait()
}

func (w *wire) hold(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return false
	}
	for _, c := range conns {
		w.open[c] = struct{}{}
	}
	return true
}

func (w *wire) release(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		delete(w.open, c)
	}
}

// copy passes what comes on, late if the wire is slow. When one direction ends, both do.
func (w *wire) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		delay := w.delay
		w.mu.Unlock()
		time.Sleep(delay)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// cut breaks every connection with a reset, and refuses new ones until mend.
func (w *wire) cut(stay bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = stay
	for c := range w.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

func (w *wire) slow(delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = delay
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken, w.delay = false, 0
}

func (w *wire) close() {
	_ = w.listener.Close()
	w.cut(true)
	w.done.Wait()
}
