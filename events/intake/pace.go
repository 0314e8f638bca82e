package intake

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"carehub/events"
)

// How fast one logger may log without being marked. No carer comes near it; a broken program does.
const (
	burst     = 30
	every     = 2 * time.Second
	maxPacing = 10_000 // loggers watched at once; beyond that all start afresh
)

// pace watches how fast each logger logs.
type pace struct {
	mu       sync.Mutex
	limiters map[events.Actor]*rate.Limiter
}

// over counts one event and reports whether it came too fast.
func (p *pace) over(by events.Actor, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limiter, ok := p.limiters[by]
	if !ok {
		if p.limiters == nil || len(p.limiters) >= maxPacing {
			p.limiters = map[events.Actor]*rate.Limiter{}
		}
		limiter = rate.NewLimiter(rate.Every(every), burst)
		p.limiters[by] = limiter
	}
	return !limiter.AllowN(now, 1)
}
