package signup

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"carehub/events"
	"carehub/events/fhir"
)

// maxEvents is how many events one answer to $events holds at the most.
const maxEvents = 100

// statusNow is the answer to $status for one Subscription.
func (s *Service) statusNow(sub *Subscription) fhir.Notification {
	n := s.notification(sub, fhir.QueryStatus)
	n.ID = events.UUID("status", sub.ID, strconv.FormatUint(sub.Version, 10))
	if sub.Status == Errored {
		n.Error = sub.Error
	}
	return n
}

func (s *Service) status(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.own(r, "r")
	if err != nil {
		return err
	}
	body, err := fhir.EncodeStatuses([]fhir.Notification{s.statusNow(sub)})
	if err == nil {
		s.write(w, http.StatusOK, body)
	}
	return err
}

// statuses answers $status for all of the provider's Subscriptions, or those that id and status name.
func (s *Service) statuses(w http.ResponseWriter, r *http.Request) error {
	by, err := s.who(r, "r")
	if err != nil {
		return err
	}
	q, err := parameters(r, "id", "status", "_format")
	if err != nil {
		return err
	}
	ids := splitAll(q["id"]) // of which each names one more, unlike a search
	var all []fhir.Notification
	for _, sub := range s.Of(by) {
		if q.has("status", string(sub.Status)) && (len(ids) == 0 || slices.Contains(ids, sub.ID)) {
			all = append(all, s.statusNow(sub))
		}
	}
	body, err := fhir.EncodeStatuses(all)
	if err == nil {
		s.write(w, http.StatusOK, body)
	}
	return err
}

func splitAll(values []string) (all []string) {
	for _, v := range values {
		all = append(all, strings.Split(v, ",")...)
	}
	return all
}

// span is what $events is asked for.
type span struct {
	from, to uint64
	content  Content
}

// events answers $events: what the subscriber may have missed, by number. Of an event that the rules in force do not let
// its provider know any more the number is all that is said, so that there is no gap to wonder at.
func (s *Service) events(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.own(r, "r")
	if err != nil {
		return err
	}
	q, err := parameters(r, "eventsSinceNumber", "eventsUntilNumber", "content", "_format")
	if err != nil {
		return err
	}
	ask, err := q.span(sub, s.Last(sub.ID))
	if err != nil {
		return err
	}
	n := s.notification(sub, fhir.QueryEvent)
	n.ID = events.UUID("notification", sub.ID, fhir.QueryEvent, n.At.Format(instantForm))
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	ids, first := s.Between(sub.ID, ask.from, ask.to, maxEvents)
	var patients []string
	for i, id := range ids {
		told, err := s.recall(r.Context(), sub, id, first+uint64(i), ask.content) // #nosec G115 -- an index
		if err != nil {
			return err
		}
		n.Events = append(n.Events, told)
		if patient := events.PatientOf(id); len(told.Resources) > 0 && !slices.Contains(patients, patient) {
			patients = append(patients, patient)
		}
	}
	for _, patient := range patients { // before the answer: what is not on record is not given
		if err := s.Audit(r.Context(), Recall{sub.Owner, sub.ID, patient, from, s.Clock()}); err != nil {
			return err
		}
	}
	body, err := n.Encode()
	if err == nil {
		s.write(w, http.StatusOK, body)
	}
	return err
}

// span reads what is asked for. Content beyond what the Subscription is for is not given.
func (q query) span(sub *Subscription, last uint64) (a span, err error) {
	a = span{1, last, sub.Set.Content}
	for name, to := range map[string]*uint64{"eventsSinceNumber": &a.from, "eventsUntilNumber": &a.to} {
		if len(q[name]) == 0 {
			continue
		}
		if *to, err = strconv.ParseUint(q[name][0], 10, 63); err != nil || len(q[name]) > 1 {
			return a, &events.Error{Kind: events.Invalid, Message: name + " must be the number of an event, once."}
		}
	}
	a.from, a.to = max(a.from, 1), min(a.to, last)
	if len(q["content"]) > 0 {
		content := Content(q["content"][0])
		if !slices.Contains(levels, content) {
			return a, &events.Error{Kind: events.Invalid, Message: "content must be empty, id-only or full-resource."}
		}
		a.content = levels[min(slices.Index(levels, content), slices.Index(levels, sub.Set.Content))]
	}
	return a, nil
}

// recall is an event of a Subscription as its provider may know of it now.
func (s *Service) recall(ctx context.Context, sub *Subscription, id string, number uint64, content Content) (fhir.Notified, error) {
	st, err := s.Find(ctx, id)
	switch {
	case events.IsMissing(err): // its time to be kept is over, or its patient was forgotten
		return fhir.Notified{Number: number, At: sub.Created}, nil
	case err != nil:
		return fhir.Notified{}, err
	case !s.Desk.MayBeTold(&st.Record, sub.Owner):
		content = Empty
	}
	for _, to := range st.Record.Plan.Recipients {
		if to.ID == sub.ID {
			content = content.within(to.Content)
		}
	}
	return s.notified(number, st.Record.Event.Recorded, content, id, st.Message)
}
