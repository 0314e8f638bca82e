package signup

import (
	"sync"

	"carehub/events/fhir"
)

// shelfSize is how many events are kept taken apart: one that goes to a thousand Subscriptions is taken apart once.
const shelfSize = 64

// shelf has the resources of the events that were sent last. It is safe for concurrent use.
type shelf struct {
	mu    sync.Mutex
	byID  map[string]func() ([]fhir.Resource, error)
	order []string // oldest first
}

// resources are those of an event's message, which it is given by whoever comes first.
func (s *shelf) resources(event string, message []byte) ([]fhir.Resource, error) {
	s.mu.Lock()
	of := s.byID[event]
	if of == nil {
		of = sync.OnceValues(func() ([]fhir.Resource, error) { return fhir.Resources(message) })
		if s.byID == nil {
			s.byID = map[string]func() ([]fhir.Resource, error){}
		}
		s.byID[event] = of
		if s.order = append(s.order, event); len(s.order) > shelfSize {
			delete(s.byID, s.order[0])
			s.order = s.order[1:]
		}
	}
	s.mu.Unlock()
	return of()
}
