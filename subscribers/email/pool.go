package email

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	idleTime   = 30 * time.Second // how long a connection is kept without work
	maxPerConn = 100              // messages over one connection; some servers count them
)

// pool keeps up to cap(slots) connections. Each is used by one attempt at a time; the one used last is used next, so that
// quiet hours close the others.
type pool struct {
	dial  func(context.Context) (*session, error)
	slots chan struct{} // one for each attempt under way

	mu     sync.Mutex
	idle   []*session
	closed bool

	base   context.Context // ends every attempt and every QUIT
	cancel context.CancelFunc
	work   sync.WaitGroup // attempts and QUITs under way
}

func newPool(size int, dial func(context.Context) (*session, error)) *pool {
	base, cancel := context.WithCancel(context.Background())
	return &pool{dial: dial, slots: make(chan struct{}, size), base: base, cancel: cancel}
}

// send hands m over on a connection that is free, or on a new one. A kept connection that no longer takes messages is
// replaced by a new one, once, as nothing of the message was sent; any other error is final for this attempt.
func (p *pool) send(ctx context.Context, m message) error {
	if !p.enter() {
		return at(stepQueue, errClosed)
	}
	defer p.work.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.base, func() { cancel(errClosed) })()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return at(stepQueue, context.Cause(ctx))
	}
	if s := p.take(); s != nil {
		if err := p.use(ctx, s, m); !stale(err) {
			return err
		}
	}
	s, err := p.dial(ctx)
	if err != nil {
		return err
	}
	return p.use(ctx, s, m)
}

// enter counts an attempt in, unless the pool is closed.
func (p *pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.work.Add(1)
	}
	return !p.closed
}

// stale reports whether a connection was dead before the message: it broke, or what looks like a reply to MAIL is the
// server's farewell to a connection that lay idle, under any code.
func stale(err error) bool {
	f, ok := errors.AsType[*fault](err)
	return ok && f.at == stepMail
}

func (p *pool) use(ctx context.Context, s *session, m message) error {
	err := s.send(ctx, m)
	p.give(s)
	return err
}

// take returns the connection used last, nil if none is idle.
func (p *pool) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	s := p.idle[last]
	p.idle = p.idle[:last]
	s.expiry.Stop()
	return s
}

// give takes a connection back, or ends it when it has served its time.
func (p *pool) give(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s.unusable:
		s.drop()
	case p.closed || s.sent >= maxPerConn:
		p.end(s)
	default:
		s.expiry = time.AfterFunc(idleTime, func() { p.expire(s) })
		p.idle = append(p.idle, s)
	}
}

// expire ends s if nobody has taken it meanwhile.
func (p *pool) expire(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, s); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		p.end(s)
	}
}

// end says QUIT without making anybody wait for it but close. p.mu is held, so that close cannot miss it.
func (p *pool) end(s *session) { p.work.Go(func() { s.quit(p.base) }) }

// close refuses new attempts, waits for those under way and takes leave of the server. When ctx ends it breaks off
// whatever is left, and waits for that. It may be called again.
func (p *pool) close(ctx context.Context) {
	defer p.cancel()
	defer context.AfterFunc(ctx, p.cancel)()
	p.mu.Lock()
	p.closed = true
	for _, s := range p.idle {
		s.expiry.Stop()
		p.end(s)
	}
	p.idle = nil
	p.mu.Unlock()
	p.work.Wait()
}
