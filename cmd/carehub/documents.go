package main

import (
	"context"
	"net"
	"net/http"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/audit"
	"carehub/events/documents"
	"carehub/events/phone"
	"carehub/routing"
)

// newDocuments is who keeps what is attached.
func (h *hub) newDocuments() *documents.Keeper {
	there := heldToo{h.archive, h.held, h.store.Full}
	return &documents.Keeper{Store: h.store, Clock: time.Now, Zone: func() *time.Location { return h.desk().Zone() }, Log: h.log, Gone: h.forgotten.Gone,
		Exists: func(ctx context.Context, event string) (bool, error) {
			_, err := there.Find(ctx, event)
			if status := events.KindOf(err).Status(); err != nil && (status == http.StatusNotFound || status == http.StatusGone) { // of a patient who was forgotten
				return false, nil
			}
			return err == nil, err
		}}
}

// attached freezes what the rows of one match may have of the documents of an event.
func attached(e *events.Event, m routing.Match, rows []events.Recipient) []events.Recipient {
	var may []events.DocumentKind
	for _, given := range m.Attach {
		may = append(may, events.DocumentKind(given))
	}
	for _, d := range e.Documents {
		for i := range rows {
			if events.Attaches(may, d.Kind) && !slices.Contains(rows[i].Attach, d.Kind) {
				rows[i].Attach = append(rows[i].Attach, d.Kind)
			}
		}
	}
	return rows
}

// keep stores a file that a carer attaches to an event that is to come. The pages have asked whether they may log.
func (h *hub) keep(ctx context.Context, by events.Actor, patient, key string, kind events.DocumentKind, file []byte) (events.Document, error) {
	kept, err := h.documents.Keep(ctx, events.NewID(by, patient, key), kind, file)
	if why := documents.Why(err); why != "" {
		h.log.Info("a file is not taken", "why", why)
		return kept, &phone.Unfit{Why: why}
	}
	return kept, err
}

// keptFor are documents that were kept for an event before.
func (h *hub) keptFor(ctx context.Context, by events.Actor, patient, key string, ids []string) ([]events.Document, error) {
	all, err := h.documents.For(ctx, events.NewID(by, patient, key), ids)
	if why := documents.Why(err); why != "" {
		return nil, &phone.Unfit{Why: why}
	}
	return all, err
}

var errNoDocument = &events.Error{Kind: events.NotFound, Message: "There is no such document here."}

// contentOf is a document of an event.
func (h *hub) contentOf(ctx context.Context, e events.Event, id string) (events.Document, int, []byte, error) {
	i := slices.IndexFunc(e.Documents, func(d events.Document) bool { return d.ID == id })
	if i < 0 {
		return events.Document{}, 0, nil, errNoDocument
	}
	content, err := h.documents.Content(ctx, e.Documents[i])
	return e.Documents[i], i, content, err
}

// opened is a document of an event, unless that was taken back or undone. It returns once the access is on record.
func (h *hub) opened(r *http.Request, by events.Actor, st events.Stored, id string) (d events.Document, n int, content []byte, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	e := st.Record.Event
	gone, err := h.retracted(ctx, e.ID)
	if gone || e.Correction.Retracts() || h.held.Undone(e.ID) {
		err = errNoDocument
	}
	if err == nil {
		d, n, content, err = h.contentOf(ctx, e, id)
	}
	access := audit.Access{By: by, Interaction: "read", Type: "Binary", ID: d.ID, Patient: e.Patient, At: time.Now()}
	access.From, _, _ = net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		access.Refused = events.KindOf(err)
	}
	if unwritten := h.audit(ctx, access); unwritten != nil {
		return d, 0, nil, &events.Error{Kind: events.Unavailable, Message: "not on record", Err: unwritten}
	}
	return d, n, content, err
}

// uncorrected is the event that stands before all corrections of it: its plan says who may have what is attached.
func (h *hub) uncorrected(ctx context.Context, event string) (events.Stored, error) {
	for {
		st, err := h.archive.Find(ctx, event)
		if err != nil || st.Record.Event.Corrects == "" {
			return st, err
		}
		event = st.Record.Event.Corrects
	}
}

// hasDocuments are the documents of an event, or of what it corrects, that a recipient may have.
func (h *hub) hasDocuments(ctx context.Context, event, recipient string) (some []events.Document) {
	st, err := h.uncorrected(ctx, event)
	if err != nil {
		return nil
	}
	if gone, err := h.retracted(ctx, st.Record.Event.ID); err != nil || gone {
		return nil
	}
	for _, to := range st.Record.Plan.Recipients {
		for _, d := range st.Record.Event.Documents {
			if to.ID == recipient && to.MayHave(d) {
				some = append(some, d)
			}
		}
	}
	return some
}

// documentBehind gives out what a recipient may have, behind their link.
func (h *hub) documentBehind(r *http.Request, event, recipient, id string) (events.Document, int, []byte, error) {
	if !slices.ContainsFunc(h.hasDocuments(r.Context(), event, recipient), func(d events.Document) bool { return d.ID == id }) {
		return events.Document{}, 0, nil, errNoDocument
	}
	st, err := h.uncorrected(r.Context(), event)
	if err != nil {
		return events.Document{}, 0, nil, err
	}
	by := events.Actor{Kind: events.System, ID: recipient}
	if s, ok := h.current().register.Lookup(recipient); ok && s.Carer {
		by.Kind = events.Carer
	}
	return h.opened(r, by, st, id)
}

// retracted reports whether an event was taken back, at once or after it was corrected in another way. What was attached to it is then
// shown to nobody: it may be about somebody else.
func (h *hub) retracted(ctx context.Context, event string) (bool, error) {
	for {
		st, err := h.archive.Find(ctx, events.CorrectionID(event))
		switch {
		case err != nil && events.KindOf(err) == events.NotFound:
			return false, nil
		case err != nil || st.Record.Event.Correction.Retracts():
			return err == nil, err
		}
		event = st.Record.Event.ID
	}
}
