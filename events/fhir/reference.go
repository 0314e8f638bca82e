package fhir

import (
	"fmt"
	"strings"
	"time"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// What is attached to an event travels as a DocumentReference for each document: what it is, how large, its hashes, and where those who
// may have it can fetch it. Its content is not in the message as it is stored, for not everybody who hears of a document may have it;
// Embed puts it there for those who want and may.

type documentReference struct {
	ResourceType string `json:"resourceType"`
	r4.OtherDocumentReference
}

const (
	documentIDs     = "/id/document"
	documentKinds   = "/CodeSystem/document-kind"
	sha256Extension = "/StructureDefinition/sha-256" // of an attachment, in hex; FHIR R4's own hash is SHA-1
)

// BinaryPath is where the content of a document is, below the hub's URL.
func BinaryPath(document string) string { return endpoint + "/Binary/" + document }

var restricted = []r4.CodeableConcept{concept(coding(confidentiality, "R", "restricted"))}

func (m *draft) documentID(i int) string {
	return events.UUID("document", m.Hub.URL, m.Event.Documents[i].ID)
}

func (m *draft) documentReference(i int) documentReference {
	d := m.Event.Documents[i]
	added := instant(d.Added)
	r := r4.OtherDocumentReference{
		Id:            new(m.documentID(i)),
		Text:          narrative(m.mark() + describe(d) + ". " + m.attachedBy()),
		Identifier:    []r4.Identifier{identifier(m.Hub.URL+documentIDs, d.ID)},
		Status:        r4.DocumentReferenceStatusCurrent,
		Type:          &r4.CodeableConcept{Coding: []r4.Coding{coding(m.Hub.URL+documentKinds, string(d.Kind), "")}, Text: new(d.Kind.Words())},
		Subject:       new(named(m.ids.patient, m.Patient.Name)),
		Date:          added,
		Custodian:     new(named(m.ids.hub, m.Hub.Name)),
		Description:   new(describe(d)),
		SecurityLabel: restricted,
		Content: []r4.DocumentReferenceContent{{Attachment: r4.Attachment{
			Extension:   []r4.Extension{{Url: m.Hub.URL + sha256Extension, ValueString: &d.SHA256}},
			ContentType: &d.Media, Url: new(m.Hub.URL + BinaryPath(d.ID)), Size: &d.Size, Hash: &d.SHA1,
			Title: new(d.FileName(i)), Creation: added,
		}}},
	}
	if m.Event.Correction.Retracts() {
		r.Status = r4.DocumentReferenceStatusEnteredInError
	}
	if m.Event.Kind.OfStay() {
		r.Context = &r4.DocumentReferenceContext{Encounter: []r4.Reference{ref(m.ids.encounter)}}
	} else {
		r.Context = &r4.DocumentReferenceContext{Period: &r4.Period{Start: &m.occurred.instant}}
	}
	return documentReference{"DocumentReference", r}
}

// documents are references to all that is attached.
func (m *draft) documents() (all []r4.Reference) {
	for i, d := range m.Event.Documents {
		all = append(all, named(m.documentID(i), d.Kind.Words()))
	}
	return all
}

func (m *draft) attachedBy() string {
	if m.By.Kind == events.Carer {
		return "Attached by a family carer, not clinically confirmed."
	}
	return "Attached by a connected system, not checked by this hub."
}

// describe says what a document is, and nothing of what is in it.
func describe(d events.Document) string {
	what, size := d.Kind.Words(), max(1, d.Size>>10)
	media := "PDF"
	if d.Media == events.JPEG {
		media = "JPEG"
	}
	return fmt.Sprintf("%s%s, attached on %s (%s, %d KB)", strings.ToUpper(what[:1]), what[1:], d.Added.Format("2 January 2006"), media, size)
}

// documentLines say for a person that there is something to read, and how those who do not have it come to it.
func (m *draft) documentLines() (lines []string) {
	for _, d := range m.Event.Documents {
		lines = append(lines, "With it: "+describe(d)+".")
	}
	if len(lines) > 0 {
		lines = append(lines, "If you were not given what is with it, and need it, please ask whoever reported this.")
	}
	return lines
}

// documented holds for documents that can be written and read back.
func documented(e events.Event) bool {
	for _, d := range e.Documents {
		if !d.Kind.Known() || d.Media != events.PDF && d.Media != events.JPEG || events.PatientOfDocument(d.ID) != e.Patient ||
			d.Size <= 0 || len(d.SHA256) != 64 || d.SHA1 == "" || !timed(d.Added) {
			return false
		}
	}
	return len(e.Documents) <= events.MaxDocuments && (e.Kind != events.DocumentAdded || len(e.Documents) > 0)
}

// attached reads a document's reference back.
func (c *contents) attached(r documentReference) events.Document {
	hub := c.hub().URL
	d := events.Document{ID: value(r.Identifier, hub+documentIDs), Added: moment(r.Date)}
	if r.Type != nil {
		d.Kind = events.DocumentKind(code(*r.Type, hub+documentKinds))
	}
	if len(r.Content) == 0 {
		return d
	}
	a := r.Content[0].Attachment
	d.Media, d.SHA1 = text(a.ContentType), text(a.Hash)
	if a.Size != nil {
		d.Size = *a.Size
	}
	for _, x := range a.Extension {
		if x.Url == hub+sha256Extension {
			d.SHA256 = text(x.ValueString)
		}
	}
	return d
}

// occurredWith is when a document that is an event of its own happened.
func (c *contents) occurredWith() time.Time {
	if len(c.documents) == 0 || c.documents[0].Context == nil || c.documents[0].Context.Period == nil {
		return time.Time{}
	}
	return moment(c.documents[0].Context.Period.Start)
}

// binary is a Binary (FHIR R4, 2.38). Its data is base64, by json.
type binary struct {
	ResourceType    string       `json:"resourceType"`
	ID              string       `json:"id"`
	ContentType     string       `json:"contentType"`
	SecurityContext r4.Reference `json:"securityContext"`
	Data            []byte       `json:"data"`
}

// Binary is the content of a document as a resource.
func Binary(d events.Document, content []byte) ([]byte, error) {
	return marshal(binary{"Binary", d.ID, d.Media, r4.Reference{Reference: new("DocumentReference/" + d.ID)}, content})
}

// Embed adds the content of documents to a message that Envelope.To gave, as Binary entries with the addresses that the
// DocumentReferences have. The message is otherwise as it was.
func Embed(message []byte, hub string, documents []events.Document, content func(events.Document) ([]byte, error)) ([]byte, error) {
	const end = "}]}"
	if !strings.HasSuffix(string(message[max(0, len(message)-len(end)):]), end) {
		return nil, unaddressable("the end of its entries was not found")
	}
	out := append([]byte{}, message[:len(message)-2]...)
	for _, d := range documents {
		held, err := content(d)
		if err != nil {
			return nil, err
		}
		b, err := marshal(entry{hub + BinaryPath(d.ID), binary{"Binary", d.ID, d.Media, r4.Reference{Reference: new(urn(events.UUID("document", hub, d.ID)))}, held}})
		if err != nil {
			return nil, err
		}
		out = append(append(out, ','), b...)
	}
	return append(out, "]}"...), nil
}
