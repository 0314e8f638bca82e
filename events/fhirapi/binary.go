package fhirapi

import (
	"context"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"carehub/events"
	"carehub/events/fhir"
)

// readBinary is GET /fhir/Binary/{id}: the content of a document, for whom the rules gave it to when the event was taken in. It is
// answered as it is, or as a resource to who asks for FHIR (R4, 3.1.0.2).
func (a *API) readBinary(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	access := a.access(r, "read", "Binary")
	d, content, err := a.binary(ctx, r, &access)
	var resource []byte
	if asResource(r) && err == nil {
		resource, err = fhir.Binary(d, content)
	}
	if err = a.audited(ctx, &access, err); err != nil {
		a.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("X-Security-Context", "DocumentReference/"+d.ID)
	if resource != nil {
		a.answer(w, r, http.StatusOK, resource)
		return
	}
	h.Set("Content-Type", d.Media)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Content-Disposition", "attachment")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(content) // a client that is gone can ask again
}

// asResource reports whether a request asks for FHIR and nothing else first.
func asResource(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	media, _, _ := mime.ParseMediaType(first)
	return media == fhir.MediaType || media == "application/json"
}

func (a *API) binary(ctx context.Context, r *http.Request, access *Access) (d events.Document, content []byte, err error) {
	if access.By, err = a.Permits(r, "Binary", "r"); err != nil {
		return d, nil, err
	}
	id := r.PathValue("id")
	if access.Patient = events.PatientOfDocument(id); access.Patient == "" {
		return d, nil, missing()
	}
	access.ID = id
	d, may, err := a.given(ctx, access.By, access.Patient, id)
	switch {
	case err != nil:
		return d, nil, err
	case !may:
		return d, nil, missing()
	}
	content, err = a.Content(ctx, d)
	if err != nil && events.KindOf(err) != events.NotFound {
		err = unreadable(err)
	}
	return d, content, err
}

// given looks for a document among what the asker was told of, and says whether they may have it: not once its event was taken back, for
// then it may be somebody else's.
func (a *API) given(ctx context.Context, by events.Actor, patient, id string) (d events.Document, may bool, err error) {
	err = a.walk(ctx, by, patient, events.Place{}, func(st events.Stored) (bool, error) {
		e := st.Record.Event
		i := slices.IndexFunc(e.Documents, func(d events.Document) bool { return d.ID == id })
		switch {
		case i < 0, e.Corrects != "" && !e.Correction.Retracts(): // another time is of no matter here
			return true, nil
		case e.Correction.Retracts():
			return false, nil
		}
		d = e.Documents[i]
		may = slices.ContainsFunc(st.Record.Plan.Recipients, func(to events.Recipient) bool { return to.Is(by.ID) && to.MayHave(d) })
		return false, nil
	})
	return d, may, err
}
