package fhirapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// disorder is how far apart the times and the order of events may be, after a clock was set or between hubs: a search that
// wants only what is newer looks so much further back.
const disorder = 24 * time.Hour

// page is what one answer holds.
type page struct {
	resources []fhir.Resource
	next      *Page // nil: that was all
}

// search finds what the asker may see of what is asked for, newest first.
func (a *API) search(ctx context.Context, by events.Actor, q query) (page, error) {
	if q.IDs != nil {
		return a.byID(ctx, by, q)
	}
	p := page{}
	seen, last, looked := slices.Clone(q.Seen), q.Before, 0
	err := a.walk(ctx, by, q.Patient, q.Before, func(st events.Stored) (bool, error) {
		e := st.Record.Event
		if q.past(e.Recorded) {
			return false, nil
		}
		before := slices.Clone(seen)
		fresh, err := a.fresh(ctx, by, st, q, &seen)
		if err != nil {
			return false, err
		}
		looked++
		if len(p.resources) > 0 && len(p.resources)+len(fresh) > q.Count || looked > cmp.Or(a.MostLooked, 1000) {
			p.next = &Page{Before: last, Seen: before}
			return false, nil
		}
		p.resources = append(p.resources, fresh...)
		last = st.Place()
		seen = slices.DeleteFunc(seen, func(id string) bool { return id == e.ID }) // no older event tells of it
		return true, nil
	})
	return p, err
}

// fresh are the resources of an event that no newer event has told of, and that are as asked. What is left out for its
// time is seen all the same: an older version must not take its place.
func (a *API) fresh(ctx context.Context, by events.Actor, st events.Stored, q query, seen *[]string) ([]fhir.Resource, error) {
	if e := st.Record.Event; !q.wants(e.Recorded) {
		ids, err := a.recurring(by, st, q.Type)
		*seen = append(*seen, ids...)
		return nil, err
	}
	all, err := a.resources(by, st, q.Type)
	if err != nil {
		return nil, err
	}
	var some []fhir.Resource
	for _, r := range all {
		if slices.Contains(*seen, r.ID) {
			continue
		}
		*seen = append(*seen, r.ID)
		if r.Type == "Encounter" && st.Record.Event.Kind == events.Discharge {
			earlier, err := a.stay(ctx, by, q.Patient, r.ID, st.Place())
			if err != nil {
				return nil, err
			}
			if r, err = fhir.Stay(append([]fhir.Resource{r}, earlier...)); err != nil {
				return nil, err
			}
		}
		some = append(some, r)
	}
	return some, nil
}

// recurring are the ids of the resources of a type that an event tells of, if others may tell of them too.
func (a *API) recurring(by events.Actor, st events.Stored, resource string) (ids []string, err error) {
	e := st.Record.Event
	switch {
	case resource == "Encounter" && stayOf(e) != "":
		ids = []string{stayOf(e)}
	case resource == "RelatedPerson" && e.By.Kind == events.Carer:
		ids = []string{events.RelatedID(e.By.ID, e.Patient)}
	case resource == "Condition":
		var all []fhir.Resource
		all, err = a.resources(by, st, resource)
		for _, r := range all {
			if r.ID != e.ID {
				ids = append(ids, r.ID)
			}
		}
	}
	return ids, err
}

// byID finds each by itself.
func (a *API) byID(ctx context.Context, by events.Actor, q query) (p page, err error) {
	for i, id := range q.IDs {
		if !validID(id) || slices.Contains(q.IDs[:i], id) || q.Patient != "" && patientOf(q.Type, id) != q.Patient {
			continue
		}
		r, err := a.find(ctx, by, q.Type, id)
		switch {
		case err == nil && q.wants(r.Updated):
			p.resources = append(p.resources, r)
		case err != nil && !events.IsMissing(err):
			return p, err
		}
	}
	return p, nil
}

// wants reports whether what was last changed at t is as asked.
func (q query) wants(t time.Time) bool {
	return !slices.ContainsFunc(q.Updated, func(b bound) bool { return !b.holds(t) })
}

// past reports whether nothing from this time back can be wanted.
func (q query) past(t time.Time) bool {
	return slices.ContainsFunc(q.Updated, func(b bound) bool {
		return slices.Contains([]string{"eq", "gt", "sa", "ge"}, b.Prefix) && t.Add(disorder).Before(b.From)
	})
}

// The Bundle that a search is answered with (R4, 3.1.1.4.1). It has no id and no time: what is the same is the same bytes.
type searchSet struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Link         []link  `json:"link"`
	Entry        []match `json:"entry,omitempty"`
}

type link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type match struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource"`
	Search   struct {
		Mode string `json:"mode"`
	} `json:"search"`
}

// set writes the answer. Its links hold the pseudonym and no identifier.
func (a *API) set(q query, p page) ([]byte, error) {
	at := a.Hub().URL + base
	set := searchSet{ResourceType: "Bundle", Type: "searchset", Link: []link{{"self", a.self(q, at+"/"+q.Type)}}}
	if p.next != nil {
		set.Link = append(set.Link, link{"next", at + "/" + q.Type + "?" + pageParameter + "=" + a.sealPage(q, *p.next)})
	}
	for _, r := range p.resources {
		set.add("match", at+"/"+r.Address(), r.JSON)
	}
	if len(q.ignored) > 0 {
		set.add("outcome", "", fhir.Outcome("warning", "not-supported", "Ignored, for they are not supported here: "+strings.Join(q.ignored, ", ")+"."))
	}
	return encode(set)
}

func (s *searchSet) add(mode, address string, resource []byte) {
	m := match{FullURL: address, Resource: resource}
	m.Search.Mode = mode
	s.Entry = append(s.Entry, m)
}

// self is the search as the hub understood it.
func (a *API) self(q query, at string) string {
	if q.identified {
		at += "/_search"
	}
	if !q.Before.IsZero() {
		return at + "?" + url.Values{pageParameter: {a.sealPage(q, q.Page)}}.Encode()
	}
	return at + "?" + q.used().Encode()
}
