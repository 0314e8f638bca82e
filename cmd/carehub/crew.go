package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// crew is the parts of a hub that work at the same time. One that fails, or ends by itself, has fail called, which takes the
// others down in order, for a supervisor to start all anew.
type crew struct {
	fail   func()
	failed chan error // the first failure
}

// shift is parts that are stopped together. It must end.
type shift struct {
	crew *crew
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup
}

func (c *crew) shift(ctx context.Context) *shift {
	ctx, stop := context.WithCancel(ctx)
	return &shift{crew: c, ctx: ctx, stop: stop}
}

// run starts a part, which goes on until the shift is stopped.
func (s *shift) run(part string, run func(context.Context) error) {
	s.work.Go(func() {
		err := run(s.ctx)
		if s.ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		select {
		case s.crew.failed <- fmt.Errorf("%s: %w", part, err):
		default: // what failed first is what matters
		}
		s.crew.fail()
	})
}

// end stops all parts and waits for them.
func (s *shift) end() {
	s.stop()
	s.work.Wait()
}

// await waits for all channels to be closed. It returns false when ctx ends first.
func await(ctx context.Context, all ...<-chan struct{}) bool {
	for _, one := range all {
		select {
		case <-one:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
