// Package fhirapi is what a provider's system can read over FHIR's RESTful API (R4): of the patients about whom the rules
// name it, what it has been told, and nothing else. Whatever it may not see is answered as what does not exist.
//
// The ids locate what they name, so there is no index: they hold the pseudonym and the event, and the store is asked for
// those. fhirapi.go has the routes, find.go what an id stands for, search.go and params.go searching, page.go the links to
// the next page, answer.go what goes back.
package fhirapi

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// readTimeout is how long the store may take for one request.
const readTimeout = 10 * time.Second

// Source is where events are.
type Source interface {
	Find(ctx context.Context, id string) (events.Stored, error)
	Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error)
}

// API answers reads and searches. All fields are required.
type API struct {
	Source Source
	// Permits is who asks, if their credential has this access ("r" or "s") to this type of resource.
	Permits func(r *http.Request, resource, access string) (events.Actor, error)
	// Names reports whether the rules in force name the asker for a patient; Told whether the asker was told of an event, is
	// registered, and is named for it still.
	Names func(by events.Actor, patient string) bool
	Told  func(ctx context.Context, by events.Actor, st events.Stored) (bool, error)
	// Identified is the patient with an NHS number; "" if there is none.
	Identified func(nhsNumber string) string
	// Organization is the name of another organisation whose system logs about the asker's patients.
	Organization func(by events.Actor, id string) (name string, ok bool)
	// Content is what a document holds.
	Content func(ctx context.Context, d events.Document) ([]byte, error)
	// MostLooked is how many events one page looks at, where few of them are as asked: 1000 unless set. A page may be empty and have a next.
	MostLooked int
	Hub        func() events.Sender
	Zone       func() *time.Location // of dates without a time
	// Audit returns once the access is on record. Nothing is answered before.
	Audit func(ctx context.Context, a Access) error
	Key   []byte // secret of the hub, 32 bytes: what seals the links to the next page
	Clock func() time.Time
	Log   *slog.Logger
}

// Access is one read or search, as the audit trail has it.
type Access struct {
	By          events.Actor
	Interaction string // read, vread or search-type
	Type, ID    string // what was asked for; no ID in a search
	Patient     string // whom it was about; "" where nobody can tell
	Query       string // of a search: the parameters that were used, an identifier replaced by the pseudonym
	Refused     events.ErrorKind
	From        string // the client's network address, without port
	Request     string // X-Request-Id, if the client sent one
	At          time.Time
}

// Types are the resources that can be read and searched.
var Types = []string{"Bundle", "Communication", "Condition", "DocumentReference", "Encounter", "Location", "Organization",
	"Patient", "Provenance", "RelatedPerson"}

// base is the path that all of this is under.
const base = "/fhir"

// Register adds the routes, each with the type of resource in its pattern.
func (a *API) Register(handle func(pattern string, handler func(http.ResponseWriter, *http.Request))) {
	for _, t := range Types {
		at := base + "/" + t
		handle("GET "+at+"/{id}", a.reading(t, "read"))
		handle("GET "+at+"/{id}/_history/{version}", a.reading(t, "vread"))
		handle("GET "+at, a.searching(t))
		handle("POST "+at+"/_search", a.searching(t))
	}
	handle("GET "+base+"/Binary/{id}", a.readBinary)
}

// Served is what the CapabilityStatement says of these routes.
func Served() []fhir.Served {
	var all []fhir.Served
	for _, t := range Types {
		s := fhir.Served{Type: t, Interactions: []string{"read", "vread", "search-type"}, Versioned: true}
		for _, p := range parameters(t) {
			if !slices.Contains(control, p.Name) {
				s.Search = append(s.Search, p)
			}
		}
		all = append(all, s)
	}
	return append(all, fhir.Served{Type: "Binary", Interactions: []string{"read"}, Notes: "The content of a DocumentReference."})
}

func (a *API) reading(resource, interaction string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
		defer cancel()
		access := a.access(r, interaction, resource)
		found, err := a.read(ctx, r, &access)
		if err = a.audited(ctx, &access, err); err != nil {
			a.refuse(w, r, err)
			return
		}
		a.answerResource(w, r, found)
	}
}

// read is what one id stands for, to whoever asks.
func (a *API) read(ctx context.Context, r *http.Request, access *Access) (found fhir.Resource, err error) {
	if access.By, err = a.Permits(r, access.Type, "r"); err != nil {
		return found, err
	}
	if err := acceptable(r, r.URL.Query().Get("_format")); err != nil {
		return found, err
	}
	id, version := r.PathValue("id"), r.PathValue("version")
	if exposed(r.URL.Query()) || tenDigits.MatchString(id) {
		return found, errExposed()
	}
	access.Patient = patientOf(access.Type, id)
	if !validID(id) || access.Patient == "" && access.Type != "Organization" {
		return found, missing()
	}
	access.ID = id
	if version != "" {
		return a.findVersion(ctx, access.By, access.Type, id, version)
	}
	return a.find(ctx, access.By, access.Type, id)
}

func (a *API) searching(resource string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
		defer cancel()
		access := a.access(r, "search-type", resource)
		set, err := a.searchFor(ctx, w, r, &access)
		if err = a.audited(ctx, &access, err); err != nil {
			a.refuse(w, r, err)
			return
		}
		a.answer(w, r, http.StatusOK, set)
	}
}

func (a *API) searchFor(ctx context.Context, w http.ResponseWriter, r *http.Request, access *Access) ([]byte, error) {
	by, err := a.Permits(r, access.Type, "s")
	if access.By = by; err != nil {
		return nil, err
	}
	q, err := a.asked(w, r, access.Type, by)
	access.Patient, access.Query = q.Patient, q.used().Encode()
	if err != nil {
		return nil, err
	}
	found, err := a.search(ctx, by, q)
	if err != nil {
		return nil, err
	}
	return a.set(q, found)
}
