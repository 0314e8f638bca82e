package fhirapi

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"carehub/events"
	"carehub/events/fhir"
)

// most is how many events are taken from the store at once.
const most = 50

// relatedSize is how long what follows the pseudonym in a RelatedPerson's id is.
var relatedSize = len(events.RelatedID("", ""))

// patientOf is the patient that an id has in it; "" where it has none.
func patientOf(resource, id string) string {
	switch resource {
	case "Organization":
		return ""
	case "Patient":
		if events.ValidPatient(id) {
			return id
		}
		return ""
	case "RelatedPerson", "DocumentReference":
		return patientBefore(id)
	case "Condition":
		if patient := patientBefore(id); patient != "" {
			return patient
		}
	}
	if patient := events.PatientOf(id); patient != events.HubPatient {
		return patient
	}
	return ""
}

// patientBefore is the patient of an id that begins with the pseudonym, as those of what belongs to a patient and to no event
// do; "" where it does not.
func patientBefore(id string) string {
	if at := len(id) - relatedSize; at > 0 && id[at] == '-' && events.ValidPatient("p-"+id[:at]) {
		return "p-" + id[:at]
	}
	return ""
}

// find is the resource as it is now, if the asker may see it; NotFound otherwise. The rules are asked before the store, so
// that a patient of others takes no longer than one who does not exist.
func (a *API) find(ctx context.Context, by events.Actor, resource, id string) (fhir.Resource, error) {
	if resource == "Organization" {
		return a.organization(by, id)
	}
	patient := patientOf(resource, id)
	if patient == "" || !a.Names(by, patient) {
		return fhir.Resource{}, missing()
	}
	switch resource {
	case "Encounter":
		versions, err := a.stay(ctx, by, patient, id, events.Place{})
		if err != nil || len(versions) == 0 {
			return fhir.Resource{}, cmp.Or(err, missing())
		}
		return fhir.Stay(versions)
	case "Patient", "RelatedPerson", "DocumentReference":
		return a.newest(ctx, by, patient, resource, id)
	case "Condition": // of what happened, or of the family's summary
		if !events.ValidID(id) {
			return a.newest(ctx, by, patient, resource, id)
		}
	}
	return a.ofEvent(ctx, by, resource, id, id)
}

// findVersion is the resource as an event told of it.
func (a *API) findVersion(ctx context.Context, by events.Actor, resource, id, version string) (fhir.Resource, error) {
	patient := patientOf(resource, id)
	switch {
	case resource == "Organization":
		now, err := a.organization(by, id)
		if err == nil && now.Version != version {
			err = missing()
		}
		return now, err
	case patient == "" || events.PatientOf(version) != patient || !a.Names(by, patient):
		return fhir.Resource{}, missing()
	case resource != "Encounter":
		return a.ofEvent(ctx, by, resource, id, version)
	}
	versions, err := a.stay(ctx, by, patient, id, events.Place{})
	if err != nil {
		return fhir.Resource{}, err
	}
	for i, v := range versions {
		if v.Version == version {
			return fhir.Stay(versions[i:])
		}
	}
	return fhir.Resource{}, missing()
}

// walk calls fn with the events about a patient that the asker was told of, newest first, from before a place on, until it
// wants no more.
func (a *API) walk(ctx context.Context, by events.Actor, patient string, before events.Place, fn func(events.Stored) (more bool, err error)) error {
	for a.Names(by, patient) {
		some, err := a.Source.Timeline(ctx, patient, before, most)
		if err != nil {
			return unreadable(err)
		}
		for _, st := range some {
			before = st.Place()
			told, err := a.Told(ctx, by, st)
			if err != nil {
				return unreadable(err)
			}
			if !told {
				continue
			}
			if more, err := fn(st); err != nil || !more {
				return err
			}
		}
		if len(some) < most {
			break
		}
	}
	return nil
}

// event is the stored event, if the asker was told of it.
func (a *API) event(ctx context.Context, by events.Actor, id string) (events.Stored, error) {
	st, err := a.Source.Find(ctx, id)
	told := false
	if err == nil {
		told, err = a.Told(ctx, by, st)
	}
	switch {
	case events.KindOf(err) == events.Gone:
		return st, err
	case err != nil && events.KindOf(err) != events.NotFound:
		return st, unreadable(err)
	case !told:
		return events.Stored{}, missing()
	}
	return st, nil
}

// ofEvent is one resource as one event told of it.
func (a *API) ofEvent(ctx context.Context, by events.Actor, resource, id, event string) (fhir.Resource, error) {
	st, err := a.event(ctx, by, event)
	if err != nil {
		return fhir.Resource{}, err
	}
	all, err := a.resources(by, st, resource)
	if err != nil {
		return fhir.Resource{}, err
	}
	for _, r := range all {
		if r.ID == id {
			return r, nil
		}
	}
	return fhir.Resource{}, missing()
}

// newest is a patient, a carer or a condition of the summary as the newest event tells of them.
func (a *API) newest(ctx context.Context, by events.Actor, patient, resource, id string) (found fhir.Resource, err error) {
	err = a.walk(ctx, by, patient, events.Place{}, func(st events.Stored) (bool, error) {
		e := st.Record.Event
		if resource == "RelatedPerson" && (e.By.Kind != events.Carer || events.RelatedID(e.By.ID, patient) != id) {
			return true, nil
		}
		all, err := a.resources(by, st, resource)
		if at := slices.IndexFunc(all, func(r fhir.Resource) bool { return r.ID == id }); err == nil && at >= 0 {
			found = all[at]
		}
		return found.ID == "", err
	})
	if err == nil && found.ID == "" {
		err = missing()
	}
	return found, err
}

// stay are the versions of an Encounter that the asker was told of before a place, newest first.
func (a *API) stay(ctx context.Context, by events.Actor, patient, id string, before events.Place) (versions []fhir.Resource, err error) {
	began, err := a.Source.Find(ctx, id) // a place to stop at; it need not be an event that the asker knows
	if events.KindOf(err) == events.Gone {
		return nil, err
	}
	if err != nil && events.KindOf(err) != events.NotFound {
		return nil, unreadable(err)
	}
	err = a.walk(ctx, by, patient, before, func(st events.Stored) (bool, error) {
		if st.Place().Before(began.Place()) {
			return false, nil
		}
		if stayOf(st.Record.Event) != id {
			return true, nil
		}
		all, err := a.resources(by, st, "Encounter")
		versions = append(versions, all...)
		return true, err
	})
	return versions, err
}

// stayOf is the id of the Encounter that an event tells of; "" if it tells of none.
func stayOf(e events.Event) string {
	if !e.Kind.OpensStay() && e.Kind != events.Discharge {
		return ""
	}
	return cmp.Or(e.Stay, e.ID)
}

// resources are those of one type that an event tells of.
func (a *API) resources(by events.Actor, st events.Stored, resource string) ([]fhir.Resource, error) {
	if resource == "Bundle" {
		b, err := letter(by, st)
		return []fhir.Resource{b}, err
	}
	all, err := fhir.Resources(st.Message)
	if err != nil {
		return nil, &events.Error{Kind: events.Internal, Message: "This cannot be read just now.", Err: err}
	}
	var some []fhir.Resource
	for _, r := range all {
		if r.Type == resource {
			some = append(some, r)
		}
	}
	return some, nil
}

// letter is the message as it went to the asker, under the id that it is read by: all else of it is what was sent.
func letter(by events.Actor, st events.Stored) (fhir.Resource, error) {
	e := st.Record.Event
	r := fhir.Resource{Type: "Bundle", ID: e.ID, Version: e.ID, Updated: e.Recorded}
	var to events.Recipient
	for _, row := range st.Record.Plan.Recipients {
		if row.Is(by.ID) {
			to = row
			break
		}
	}
	envelope, err := fhir.Open(st.Message, e.ID)
	if err != nil {
		return r, err
	}
	sent, err := envelope.To(fhir.Destination{Recipient: to.ID, Name: to.Name, Endpoint: st.Record.Plan.Hub + "/id/subscriber/" + to.ID})
	if err != nil {
		return r, err
	}
	var was struct{ ID json.RawMessage }
	if err := json.Unmarshal(sent, &was); err != nil {
		return r, &events.Error{Kind: events.Internal, Message: "This cannot be read just now.", Err: err}
	}
	r.JSON = []byte(strings.Replace(string(sent), `"id":`+string(was.ID), `"id":"`+r.ID+`"`, 1))
	return r, nil
}

// organization is the hub, the asker, or whose system logs about the asker's patients.
func (a *API) organization(by events.Actor, id string) (fhir.Resource, error) {
	if id == fhir.HubOrganization {
		return fhir.Organization(a.Hub(), id, "")
	}
	name, ok := a.Organization(by, id)
	if !ok {
		return fhir.Resource{}, missing()
	}
	return fhir.Organization(a.Hub(), id, name)
}
