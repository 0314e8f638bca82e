package signup

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"carehub/events"
	"carehub/events/fhir"
)

// The most Subscriptions of one provider.
const maxOwned = 1000

// resource is what the scopes call what is here.
const resource = "Subscription"

// Routes adds the doors of Subscriptions below /fhir. A Subscription is its provider's alone: to everybody else it does
// not exist.
func (s *Service) Routes(handle func(pattern string, handler func(http.ResponseWriter, *http.Request))) {
	for _, door := range []struct {
		pattern string
		do      func(w http.ResponseWriter, r *http.Request) error
	}{
		{"POST /fhir/Subscription", s.make},
		{"GET /fhir/Subscription", s.search},
		{"POST /fhir/Subscription/_search", s.search},
		{"GET /fhir/Subscription/{id}", s.get},
		{"PUT /fhir/Subscription/{id}", s.update},
		{"DELETE /fhir/Subscription/{id}", s.delete},
		{"GET /fhir/Subscription/$status", s.statuses},
		{"POST /fhir/Subscription/$status", s.statuses},
		{"GET /fhir/Subscription/{id}/$status", s.status},
		{"POST /fhir/Subscription/{id}/$status", s.status},
		{"GET /fhir/Subscription/{id}/$events", s.events},
		{"POST /fhir/Subscription/{id}/$events", s.events},
	} {
		handle(door.pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := door.do(w, r); err != nil {
				s.refuse(w, err)
			}
		})
	}
}

// errVersion is the answer to a condition that does not hold.
var errVersion = errors.New("the Subscription is not of this version")

// refuse writes an OperationOutcome.
func (s *Service) refuse(w http.ResponseWriter, err error) {
	status, code, words := http.StatusInternalServerError, "exception", "Something went wrong here. Please try again."
	refusal, is := errors.AsType[*events.Error](err)
	switch {
	case errors.Is(err, errVersion):
		status, code, words = http.StatusPreconditionFailed, "conflict", "The Subscription has changed since. Read it again."
	case is && refusal.Kind != events.Internal:
		status, code, words = fhir.StatusOf(refusal.Kind), fhir.IssueType(refusal.Kind), refusal.Message
	default:
		s.Log.Error("subscription request failed", "error", err.Error())
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="carehub"`)
	}
	s.write(w, status, fhir.Outcome("error", code, words))
}

func (s *Service) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", fhir.MediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone
}

// who returns the provider whose system sends a request.
func (s *Service) who(r *http.Request, access string) (string, error) {
	by, err := s.Permits(r, resource, access)
	if err != nil {
		return "", err
	}
	if _, registered := s.Desk.Provider(by.ID); !registered || by.Kind != events.System {
		return "", &events.Error{Kind: events.Forbidden, Message: "Subscriptions are for the systems of registered providers."}
	}
	return by.ID, nil
}

// own returns a Subscription of whoever sends the request.
func (s *Service) own(r *http.Request, access string) (*Subscription, error) {
	by, err := s.who(r, access)
	if err != nil {
		return nil, err
	}
	sub := s.Get(r.PathValue("id"))
	if sub == nil || sub.Owner != by {
		return nil, errNoSubscription
	}
	return sub, nil
}

// asked reads a Subscription from a request and judges it: what it says, where it points to, and whom it is about.
func (s *Service) asked(r *http.Request, by string) (whole object, w wire, set settings, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, w, set, &events.Error{Kind: events.TooLarge, Message: "The Subscription is too large."}
	}
	if err != nil {
		return nil, w, set, &events.Error{Kind: events.Invalid, Message: "The request could not be read.", Err: err}
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); media != fhir.MediaType && media != "application/json" {
		return nil, w, set, &events.Error{Kind: events.Invalid, Message: "Send a Subscription as " + fhir.MediaType + "."}
	}
	if whole, w, set, err = s.parser.parse(body); err != nil {
		return nil, w, set, err
	}
	for _, f := range set.filters {
		for _, patient := range f.patients {
			if !s.Desk.Concerns(by, patient) {
				return nil, w, set, &events.Error{Kind: events.Forbidden, Message: "The filter names a patient of whom you are not told."}
			}
		}
	}
	return whole, w, set, nil
}

// reach makes sure that the hub may call an endpoint.
func (s *Service) reach(r *http.Request, set *settings) error {
	if err := s.Reachable(r.Context(), set.url.Hostname()); err != nil {
		return wrong(".channel.endpoint", "cannot be used: its host is not to be found, or is in a network that this hub does not call")
	}
	return nil
}

func (s *Service) make(w http.ResponseWriter, r *http.Request) error {
	by, err := s.who(r, "c")
	if err != nil {
		return err
	}
	whole, asked, set, err := s.asked(r, by)
	if err != nil {
		return err
	}
	switch {
	case asked.Status != Requested:
		return wrong(".status", "must be requested; the hub makes it active once the endpoint has answered its handshake")
	case len(s.Of(by)) >= maxOwned:
		return &events.Error{Kind: events.Conflict, Message: "You have as many Subscriptions as a provider can have. Delete some."}
	case !set.End.IsZero() && !set.End.After(s.Clock()):
		return wrong(".end", "has passed")
	}
	if err := set.unmask(nil); err != nil {
		return err
	}
	if err := s.reach(r, &set); err != nil {
		return err
	}
	if whole, err = hide(whole, set.Headers); err != nil {
		return err
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	now := s.now()
	sub := &Subscription{ID: events.NewSubscriptionID(random), Owner: by, Version: 1, Created: now, Updated: now, Status: Requested, Set: set, As: whole}
	if err := s.create(r.Context(), sub); err != nil {
		return err
	}
	s.Log.Info("a subscription was made", "subscription", sub.ID, "for", by, "topic", set.Topic, "content", string(set.Content))
	w.Header().Set("Location", s.base()+"/Subscription/"+sub.ID+"/_history/1")
	return s.show(w, r, http.StatusCreated, sub)
}

// show answers with a Subscription.
func (s *Service) show(w http.ResponseWriter, r *http.Request, status int, sub *Subscription) error {
	body, err := sub.JSON()
	if err != nil {
		return err
	}
	w.Header().Set("ETag", sub.ETag())
	w.Header().Set("Last-Modified", sub.Updated.UTC().Format(http.TimeFormat))
	if r.Method != http.MethodGet && strings.Contains(r.Header.Get("Prefer"), "return=minimal") {
		w.WriteHeader(status)
		return nil
	}
	s.write(w, status, body)
	return nil
}

func (s *Service) get(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.own(r, "r")
	if err != nil {
		return err
	}
	if match := r.Header.Get("If-None-Match"); match != "" && sub.matches(match) {
		w.Header().Set("ETag", sub.ETag())
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return s.show(w, r, http.StatusOK, sub)
}

// matches reports whether a condition names this version; by FHIR's rules all are compared weakly.
func (s *Subscription) matches(condition string) bool {
	for tag := range strings.SplitSeq(condition, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || "W/"+strings.TrimPrefix(tag, "W/") == s.ETag() {
			return true
		}
	}
	return false
}

func (s *Service) update(w http.ResponseWriter, r *http.Request) error {
	seen, err := s.own(r, "u")
	if err != nil {
		return err
	}
	whole, asked, set, err := s.asked(r, seen.Owner)
	if err != nil {
		return err
	}
	if asked.ID != seen.ID {
		return wrong(".id", "must be the one in the address")
	}
	if asked.Status != Off && !set.End.IsZero() && !set.End.After(s.Clock()) {
		return wrong(".end", "has passed")
	}
	if set.Endpoint != seen.Set.Endpoint || asked.Status == Requested {
		if err := s.reach(r, &set); err != nil {
			return err
		}
	}
	changed, err := s.change(r.Context(), seen.ID, func(now *Subscription) error {
		if match := r.Header.Get("If-Match"); match != "" && !(&Subscription{Version: now.Version - 1}).matches(match) {
			return errVersion
		}
		now.Updated = s.now()
		return now.become(asked.Status, set, whole)
	})
	if err != nil {
		return err
	}
	s.Log.Info("a subscription was changed", "subscription", changed.ID, "for", changed.Owner, "status", string(changed.Status))
	return s.show(w, r, http.StatusOK, changed)
}

// become makes of a Subscription what its subscriber asks for. One whose endpoint is another, or who asks for it, must
// shake hands again; otherwise the status stays what it is, unless it is to be off.
func (s *Subscription) become(status Status, set settings, whole object) error {
	set.Headers = slices.Clone(set.Headers) // it may be asked of another version again
	known := s.Set.Headers
	if !set.sameHost(s.Set) { // whoever may change a Subscription may still not have its secrets sent to themselves
		known = nil
	}
	if err := set.unmask(known); err != nil {
		return err
	}
	hidden, err := hide(slices.Clone(whole), set.Headers)
	if err != nil {
		return err
	}
	elsewhere := set.Endpoint != s.Set.Endpoint || !slices.Equal(set.Headers, s.Set.Headers)
	switch {
	case status == Off && s.Status != Off:
		s.Status, s.Farewell = Off, true
	case status == Off || s.Status == Off && status != Requested:
	case status == Requested || elsewhere:
		s.Status, s.Farewell = Requested, false
	}
	if s.Status != Errored {
		s.Error = ""
	}
	s.Set, s.As = set, hidden
	return nil
}

func (s *Service) delete(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.own(r, "d")
	if err != nil {
		return err
	}
	err = s.remove(r.Context(), sub.ID, func(now *Subscription) error {
		if match := r.Header.Get("If-Match"); match != "" && !(&Subscription{Version: now.Version - 1}).matches(match) {
			return errVersion
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Log.Info("a subscription was deleted", "subscription", sub.ID, "for", sub.Owner)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// search finds the provider's Subscriptions by url, status and _id.
func (s *Service) search(w http.ResponseWriter, r *http.Request) error {
	by, err := s.who(r, "s")
	if err != nil {
		return err
	}
	ask, err := parameters(r, "url", "status", "_id", "_format")
	if err != nil {
		return err
	}
	var addresses []string
	found := [][]byte{}
	for _, sub := range s.Of(by) {
		if !ask.has("url", sub.Set.Endpoint) || !ask.has("status", string(sub.Status)) || !ask.has("_id", sub.ID) {
			continue
		}
		body, err := sub.JSON()
		if err != nil {
			return err
		}
		addresses, found = append(addresses, "Subscription/"+sub.ID), append(found, body)
	}
	self := s.base() + "/Subscription"
	if r.Method == http.MethodGet && r.URL.RawQuery != "" {
		self += "?" + url.Values(ask).Encode()
	}
	bundle, err := fhir.EncodeSearch(s.base(), addresses, found, self)
	if err == nil {
		s.write(w, http.StatusOK, bundle)
	}
	return err
}
