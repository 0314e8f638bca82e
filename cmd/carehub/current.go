package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"carehub/events"
)

// The configuration in force is one folder, read whole, which another one takes the place of at one moment. Whoever works on an
// event or a request takes the folder once and keeps to it; what lives as long as the hub asks again each time.

// newHub returns a hub that will run with f.
func newHub(f *folder, log *slog.Logger) *hub {
	h := &hub{log: log, meter: newMeter(), started: time.Now()}
	f.start = f.asked()
	h.adopt(f)
	return h
}

// current is the folder in force. It does not change.
func (h *hub) current() *folder { return h.running.Load() }

// desk is the configuration in force with the Subscriptions of this hub.
func (h *hub) desk() desk { return desk{h.current(), h.subscriptions} }

// adopt puts a folder in force, which no hub has had before, and returns the one before it; nil if it is the first.
func (h *hub) adopt(f *folder) (before *folder) {
	f.replaced, f.replace = context.WithCancel(context.Background())
	before = h.running.Swap(f)
	if before != nil {
		before.replace()
	}
	return before
}

// equip gives channels what the store has for them. Those that have come from the folder before have it already.
func (h *hub) equip(c *channels) {
	if !c.equipped[c.webhook] {
		c.webhook.Remember(h.learned)
	}
	if !c.equipped[c.push] {
		c.push.Remember(h.pushKeys, h.devices)
	}
	c.equipped[c.webhook], c.equipped[c.push] = true, true
}

// inForce returns the folder in force.
type inForce func() *folder

// always is for commands, which end before another folder could come.
func always(f *folder) inForce { return func() *folder { return f } }

func (now inForce) sender() events.Sender { return now().sender() }

func (now inForce) zone() *time.Location { return now().hub.Location }

// Do sends a request by the client of the folder in force.
func (now inForce) Do(r *http.Request) (*http.Response, error) { return now().channels.http.Do(r) }

// anew serves each request by doors that were made for the folder in force, until ctx ends: a request is answered by one
// folder from beginning to end. The doors of a folder close, which ends what streams, when another takes its place.
func (h *hub) anew(ctx context.Context, doors func(d desk, closing <-chan struct{}) http.Handler) http.Handler {
	var mu sync.Mutex
	var of *folder
	var made http.Handler
	now := func() http.Handler {
		d := h.desk()
		mu.Lock()
		defer mu.Unlock()
		if of != d.folder {
			of = d.folder
			closing, closeDoors := context.WithCancel(ctx)
			context.AfterFunc(of.replaced, closeDoors)
			made = doors(d, closing.Done())
		}
		return made
	}
	now()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now().ServeHTTP(w, r) })
}
