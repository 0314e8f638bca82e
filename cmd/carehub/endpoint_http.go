package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/signup"
)

// endpointPatience is how long one answer about an endpoint may take: an attempt at it, and a bit.
const endpointPatience = 2 * time.Minute

// routes is what a provider may ask about its own endpoints, with a token of its system:
//
//	GET  /endpoints                         how they stand
//	GET  /endpoints/{channel}/log           the delivery log; since, limit; also of a FHIR Subscription, by its id
//	POST /endpoints/{channel}/{action}      test, rotate-secret, pause, resume, redeliver, recover
func (d endpointDesk) routes(mux *doors, authenticate func(*http.Request) (events.Actor, error), draining <-chan struct{}, log *slog.Logger) {
	asking := &turns{of: map[string]int{}}
	own := func(handle func(w http.ResponseWriter, r *http.Request, by string) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			by, err := authenticate(r)
			if err == nil && by.Kind != events.System {
				err = &events.Error{Kind: events.Forbidden, Message: "Only a provider's system has endpoints."}
			}
			if err == nil && !asking.begin(by.ID) {
				err = &events.Error{Kind: events.Busy, Message: "Too many of your requests are being worked on. Wait for their answers."}
			} else if err == nil {
				defer asking.end(by.ID)
			}
			if err == nil {
				err = handle(w, r, by.ID)
			}
			if err != nil {
				refuseEndpoint(w, err, log)
			}
		}
	}
	mux.HandleFunc("GET /endpoints", own(func(w http.ResponseWriter, _ *http.Request, by string) error {
		answerJSON(w, d.list(by))
		return nil
	}))
	mux.HandleFunc("GET /endpoints/{channel}/log", own(func(w http.ResponseWriter, r *http.Request, by string) error {
		ask, err := askedByQuery(r)
		if err != nil {
			return err
		}
		return d.serve(w, r, draining, by, by+"/"+r.PathValue("channel"), "log", ask)
	}))
	mux.HandleFunc("POST /endpoints/{channel}/{action}", own(func(w http.ResponseWriter, r *http.Request, by string) error {
		ask, err := askedByBody(r)
		if err != nil {
			return err
		}
		return d.serve(w, r, draining, by, by+"/"+r.PathValue("channel"), r.PathValue("action"), ask)
	}))
}

// askedAtOnce is how many requests of one provider about its endpoints are worked on at a time: each may call an endpoint, beside
// the limits of what is delivered there, whose host others may share.
const askedAtOnce = 4

// turns counts what is being worked on for each provider.
type turns struct {
	mu sync.Mutex
	of map[string]int
}

func (t *turns) begin(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[id] >= askedAtOnce {
		return false
	}
	t.of[id]++
	return true
}

func (t *turns) end(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[id]--; t.of[id] == 0 {
		delete(t.of, id)
	}
}

// adminRoutes is the same for the admin, about everybody's endpoints.
func (d endpointDesk) adminRoutes(mux *http.ServeMux, draining <-chan struct{}) {
	mux.HandleFunc("GET /endpoints", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, d.list(""), nil) })
	mux.HandleFunc("POST /endpoints/{subscriber}/{channel}/{action}", func(w http.ResponseWriter, r *http.Request) {
		ask, err := askedByBody(r)
		if err == nil {
			err = d.serve(w, r, draining, "", r.PathValue("subscriber")+"/"+r.PathValue("channel"), r.PathValue("action"), ask)
		}
		if err != nil {
			adminAnswer(w, nil, err)
		}
	})
}

// serve does what is asked and writes each answer as it comes: one JSON value, or of recover one a line. After the first
// it cannot fail but by ending early, which its missing last line tells.
func (d endpointDesk) serve(w http.ResponseWriter, r *http.Request, draining <-chan struct{}, by, endpoint, action string, ask endpointAsk) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	control, said := http.NewResponseController(w), false
	_ = control.SetWriteDeadline(time.Now().Add(endpointPatience))
	err := d.do(ctx, by, endpoint, action, ask, func(answer any) error {
		if !said {
			kind := "application/json"
			if action == "recover" {
				kind = "application/x-ndjson"
			}
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "no-store")
			said = true
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			return err
		}
		_ = control.SetWriteDeadline(time.Now().Add(endpointPatience))
		return control.Flush()
	})
	if said {
		return nil
	}
	return err
}

// do finds the endpoint and the action.
func (d endpointDesk) do(ctx context.Context, by, endpoint, action string, ask endpointAsk, say func(any) error) error {
	act, known := endpointActions[action]
	if !known {
		return &events.Error{Kind: events.NotFound, Message: "There is no such thing to do with an endpoint."}
	}
	if id := d.subscription(by, endpoint); id != "" && action == "log" {
		return act(d, ctx, by, endpointAt{id, subscribers.Channel{Channel: events.Channel{Key: signup.ChannelType, Type: signup.ChannelType}}}, ask, say)
	}
	s, c, err := d.folder.endpointOf(endpoint)
	if err != nil {
		return err
	}
	return act(d, ctx, by, endpointAt{s.ID, c}, ask, say)
}

// subscription is the id of the FHIR Subscription that is meant, if one is, and that by may ask about: the admin about any,
// as id/subscription, a provider about its own, as provider/id. It has a delivery log like any endpoint; all else about it
// is asked for below /fhir/Subscription.
func (d endpointDesk) subscription(by, endpoint string) string {
	id, own, _ := strings.Cut(endpoint, "/")
	if by == "" && events.IsSubscription(id) {
		return id
	}
	if d.subs == nil || !events.IsSubscription(own) {
		return ""
	}
	if sub := d.subs.Get(own); sub == nil || sub.Owner != by {
		return ""
	}
	return own
}

func askedByQuery(r *http.Request) (ask endpointAsk, err error) {
	if since := r.URL.Query().Get("since"); since != "" {
		if ask.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return ask, &events.Error{Kind: events.Invalid, Message: "since is a time such as 2026-11-25T14:30:00Z."}
		}
	}
	if limit := r.URL.Query().Get("limit"); limit != "" {
		if ask.Limit, err = strconv.Atoi(limit); err != nil || ask.Limit < 1 {
			return ask, &events.Error{Kind: events.Invalid, Message: "limit is a number from 1 to 1000."}
		}
	}
	return ask, nil
}

// askedByBody reads a JSON object, which may be missing.
func askedByBody(r *http.Request) (ask endpointAsk, err error) {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 4<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ask); err != nil && !errors.Is(err, io.EOF) {
		return ask, &events.Error{Kind: events.Invalid, Message: "The body must be a JSON object with event, since, limit or all, or empty.", Err: err}
	}
	return ask, nil
}

func answerJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Cache-Control", "no-store")
	reply(w, http.StatusOK, body)
}

func refuseEndpoint(w http.ResponseWriter, err error, log *slog.Logger) {
	refusal, ok := errors.AsType[*events.Error](err)
	if !ok {
		refusal = &events.Error{Kind: events.Internal, Message: "The hub failed.", Err: err}
		log.Error("endpoint request failed", "error", err.Error())
	}
	switch refusal.Kind {
	case events.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case events.Unavailable, events.Busy:
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Cache-Control", "no-store")
	reply(w, refusal.Kind.Status(), map[string]string{"error": string(refusal.Kind), "message": strings.TrimSpace(refusal.Message)})
}
