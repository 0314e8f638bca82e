package receipts

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"carehub/events"
)

const (
	keepAlive  = 15 * time.Second
	maxStreams = 256
	slowest    = 10 * time.Second // that a client may take to read what was sent, before it is dropped
)

// counter holds the number of open streams under a limit.
type counter struct{ n atomic.Int64 }

func (c *counter) enter(limit int64) bool {
	if c.n.Add(1) > limit {
		c.leave()
		return false
	}
	return true
}

func (c *counter) leave() { c.n.Add(-1) }

// Stream sends server-sent events (WHATWG HTML, 9.2): first "receipts" with the whole View, then one "receipt" with the
// Recipient for each change, and "settled" whenever the hub is done with every recipient, after which a client that only
// waits for that may leave. A client that comes back gets the whole View again.
func (h *Handler) Stream(w http.ResponseWriter, r *http.Request) {
	stored, err := h.find(r)
	if err == nil && !h.streams.enter(cmp.Or(h.MaxStreams, maxStreams)) {
		err = &events.Error{Kind: events.Unavailable, Message: "Too many are watching just now. GET /events/{id} still answers."}
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	defer h.streams.leave()
	changed, stop := h.Source.Watch(stored.Record.Event.ID) // before the first look, so that nothing is missed
	defer stop()
	view, err := h.view(r.Context(), stored)
	if err != nil {
		h.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
	if r.Method != http.MethodHead {
		s := &stream{w: w, rc: http.NewResponseController(w)}
		defer s.release()
		h.follow(r, s, stored, view, changed)
	}
}

// follow sends the view and then its changes, until the client leaves or is too slow, the server drains, or the client
// may no longer see the event.
func (h *Handler) follow(r *http.Request, s *stream, stored events.Stored, view View, changed <-chan struct{}) {
	s.add("receipts", view)
	if view.Settled() {
		s.add("settled", struct{}{})
	}
	alive := time.NewTicker(cmp.Or(h.KeepAlive, keepAlive))
	defer alive.Stop()
	for s.flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case <-h.Draining:
			return
		case <-alive.C:
			s.comment("keep-alive")
		case <-changed:
		}
		by, err := h.authenticate(r)
		if err != nil || !h.MaySee(by, stored.Record) {
			return
		}
		next, err := h.view(r.Context(), stored)
		if err != nil {
			continue // the next tick or sign of life tries again
		}
		s.changes(view, next)
		view = next
	}
}

// stream writes server-sent events.
type stream struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	buf bytes.Buffer
	id  int
}

func (s *stream) add(name string, data any) {
	s.id++
	fmt.Fprintf(&s.buf, "id: %d\nevent: %s\ndata: %s\n", s.id, name, encode(data)) // encode ends the line
}

func (s *stream) comment(text string) { fmt.Fprintf(&s.buf, ": %s\n\n", text) }

// changes adds an event for each recipient whose state is another than before.
func (s *stream) changes(before, now View) {
	was := map[string]Recipient{}
	for _, r := range before.Recipients {
		was[r.ID] = r
	}
	for _, r := range now.Recipients {
		if old := was[r.ID]; !old.At.Equal(r.At) || old.State != r.State || old.Channel != r.Channel || old.Words != r.Words {
			s.add("receipt", r)
		}
	}
	if !before.Settled() && now.Settled() {
		s.add("settled", struct{}{})
	}
}

// flush sends what was added, or fails when the client does not take it in time.
func (s *stream) flush() error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(slowest)); err != nil {
		return err
	}
	if _, err := s.buf.WriteTo(s.w); err != nil {
		return err
	}
	return s.rc.Flush()
}

// release lifts the deadline, for the next request on this connection.
func (s *stream) release() { _ = s.rc.SetWriteDeadline(time.Time{}) }
