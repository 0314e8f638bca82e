package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/audit"
	"carehub/events/fhir"
	"carehub/events/fhirapi"
	"carehub/events/intake"
	"carehub/routing"
	"carehub/subscribers/signup"
)

// fhirAPI is what providers' systems can read.
func (h *hub) fhirAPI(d desk, src source) *fhirapi.API {
	return &fhirapi.API{Source: h.archive, Permits: h.permits, Names: d.reads, Told: d.toldOf(src), Identified: d.identified,
		Organization: d.organization, Content: h.documents.Content, Hub: d.sender, Zone: d.Zone, Key: h.pages, Clock: time.Now, Log: h.log,
		Audit: func(ctx context.Context, a fhirapi.Access) error {
			return h.audit(ctx, audit.Access{By: a.By, Interaction: a.Interaction, Type: a.Type, ID: a.ID, Patient: a.Patient, Query: a.Query,
				Refused: a.Refused, From: a.From, Request: a.Request, At: a.At})
		}}
}

// audit puts an access on record, durably.
func (h *hub) audit(ctx context.Context, a audit.Access) error {
	event, err := audit.Event(h.current().sender(), a)
	if err != nil {
		return err
	}
	return h.trail.Append(ctx, event)
}

// concerns reports whether the rules in force name a provider for a patient at all.
func (d desk) concerns(by events.Actor, patient string) bool {
	_, registered := d.register.Lookup(by.ID)
	return registered && by.Kind == events.System && d.names(by.ID, patient)
}

// names reports whether any rule of a patient names somebody. After the last day of a rule it does as long as a delivery may
// take, so that what was taken in before can be delivered, read and answered.
func (f *folder) names(who, patient string) bool {
	return slices.Contains(f.rules.Recipients(patient, f.today().Add(-giveUpAfter)), who)
}

// namesFor reports whether the rules in force still name somebody for such an event as one that was taken in.
func (f *folder) namesFor(who string, e *events.Event) bool {
	return f.rules.Names(who, askedOf(e), e.Recorded)
}

// isStepFor reports whether the rules in force still have somebody told of such an event if others do not answer.
func (f *folder) isStepFor(who string, e *events.Event) bool {
	return f.rules.IsStep(who, askedOf(e), e.Recorded)
}

// askedOf is an event as the rules see it, whether it comes in now or came in long ago.
func askedOf(e *events.Event) routing.Asked {
	return routing.Asked{Patient: e.Patient, Kind: e.Kind, Because: e.Because, LoggedBy: e.By.ID, At: e.Recorded,
		Place: e.Place, Class: e.EncounterClass()}
}

// today is now where the hub is.
func (f *folder) today() time.Time { return time.Now().In(f.hub.Location) }

// told reports whether a provider was told of an event, and would be today: the frozen plan has it, it is registered, and
// the rules in force name it still.
func (d desk) told(by events.Actor, rec *events.Record) bool {
	e := &rec.Event
	return d.concerns(by, e.Patient) && d.namesFor(by.ID, e) &&
		slices.ContainsFunc(rec.Plan.Recipients, func(r events.Recipient) bool { return r.Is(by.ID) && !r.Step })
}

// reads reports whether the rules in force name a provider for a patient, be it as one who is told when others do not answer.
func (d desk) reads(by events.Actor, patient string) bool {
	return d.concerns(by, patient) || d.isSystem(by.ID) && slices.ContainsFunc(events.Routed, func(kind events.Kind) bool {
		return d.rules.IsStep(by.ID, routing.Asked{Patient: patient, Kind: kind}, d.today().Add(-giveUpAfter))
	})
}

// toldOf reports whether a provider was told of an event, be it because others did not answer, and would be today.
func (d desk) toldOf(src source) func(context.Context, events.Actor, events.Stored) (bool, error) {
	return func(ctx context.Context, by events.Actor, st events.Stored) (bool, error) {
		rec := &st.Record
		if d.told(by, rec) {
			return true, nil
		}
		i := slices.IndexFunc(rec.Plan.Recipients, func(r events.Recipient) bool { return r.Step && r.Is(by.ID) })
		if i < 0 || !d.isSystem(by.ID) || !d.isStepFor(by.ID, &rec.Event) {
			return false, nil
		}
		all, err := src.Receipts(ctx, st)
		return err == nil && all[i].State != events.Spared && all[i].State != events.Withdrawn, err
	}
}

// identified is the patient with an NHS number, which is as it was written or in groups.
func (d desk) identified(nhsNumber string) string {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(nhsNumber)
	for id, p := range d.patients {
		if digits != "" && p.NHSNumber == digits {
			return id
		}
	}
	return ""
}

// organization is the name of an organisation that a provider hears of: itself, or one whose system may log about a
// patient of theirs, or might once.
func (d desk) organization(by events.Actor, id string) (string, bool) {
	s, registered := d.register.Lookup(id)
	if !registered || s.Carer {
		return "", false
	}
	logs := func(patient string) bool {
		return d.rules.May(id, patient, routing.Log, time.Time{}) != routing.No && d.concerns(by, patient)
	}
	return s.Name, id == by.ID || slices.ContainsFunc(d.rules.Patients(), logs)
}

// metadata declares what this server does by FHIR. It needs no login.
func (h *hub) metadata(w http.ResponseWriter, _ *http.Request) {
	body, err := fhir.Capability(h.current().sender(), h.started, h.served())
	if err != nil {
		h.log.Error("capability statement", "error", err.Error())
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", fhir.MediaType)
	_, _ = w.Write(body)
}

// served is what each part of the hub serves by FHIR.
func (h *hub) served() fhir.Server {
	return fhir.Server{Resources: append(fhirapi.Served(), signup.Served(h.current().hub.URL)), TokenURL: h.oauth.TokenURL(), ReliableCache: intake.Cache}
}
