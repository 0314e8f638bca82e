package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The receivers of the demo stand in for providers' systems: they check what they get as a real one would, and answer.
// They are not part of the hub.

// receiver is one stand-in receiver.
type receiver struct {
	say    func(format string, args ...any)
	name   string
	secret string        // whsec_…; empty for the FHIR server, which takes a bearer token
	token  string        // expected by the FHIR server
	delay  time.Duration // before it answers
	fails  int           // how many first attempts it answers with 503
	mute   bool          // it answers challenges like anything else

	mu   sync.Mutex
	seen map[string]bool
}

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2<<20))
	if err != nil {
		http.Error(w, "cannot read", http.StatusBadRequest)
		return
	}
	if err := s.verify(r.Header, body); err != nil {
		s.say("%s refused a message: %v", s.name, err)
		http.Error(w, "signature or token not accepted", http.StatusUnauthorized)
		return
	}
	if nonce, is := challengeIn(body); is && !s.mute {
		s.say("%s has confirmed its address (signature verified)", s.name)
		echoChallenge(w, nonce)
		return
	}
	if s.failing() {
		s.say("%s is busy and answers 503", s.name)
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	select {
	case <-time.After(s.delay):
	case <-r.Context().Done():
		return
	}
	s.take(w, r, body)
}

func (s *receiver) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails--
	return s.fails >= 0
}

func (s *receiver) verify(h http.Header, body []byte) error {
	if s.secret == "" {
		if h.Get("Authorization") != "Bearer "+s.token {
			return fmt.Errorf("wrong bearer token")
		}
		return nil
	}
	hook, err := standardwebhooks.NewWebhook(s.secret)
	if err != nil {
		return err
	}
	return hook.Verify(body, h)
}

// take answers, and drops a repeat by its id as every receiver should.
func (s *receiver) take(w http.ResponseWriter, r *http.Request, body []byte) {
	id := r.Header.Get("webhook-id") + r.Header.Get("X-Request-Id")
	s.mu.Lock()
	repeat := s.seen[id]
	s.seen[id] = true
	s.mu.Unlock()
	if repeat {
		s.say("%s has this already and drops the repeat", s.name)
	} else {
		proof := "signature verified"
		if s.secret == "" {
			proof = "bearer token checked"
		}
		s.say("%s took %s (%s)", s.name, whatItSays(body), proof)
	}
	if s.secret == "" {
		w.Header().Set("Content-Type", "application/fhir+json")
		_, _ = io.WriteString(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}`)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// whatItSays reads the event's code out of a FHIR message, as a receiver would to sort it.
func whatItSays(body []byte) string {
	var bundle struct {
		Entry []struct {
			Resource struct {
				EventCoding struct {
					Display string `json:"display"`
				} `json:"eventCoding"`
			} `json:"resource"`
		} `json:"entry"`
	}
	if json.Unmarshal(body, &bundle) != nil || len(bundle.Entry) == 0 {
		return "something that is no FHIR message"
	}
	return strconv.Quote(bundle.Entry[0].Resource.EventCoding.Display)
}

// listenNear listens on the address, or on any free port of the same host if it is taken.
func listenNear(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l, nil
	}
	host, _, _ := net.SplitHostPort(address)
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}
