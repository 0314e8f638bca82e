package fhir

import (
	"time"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// The resources below are those of golang-fhir-models with its traps worked around, here and nowhere else:
//
//   - Its MarshalJSON methods escape & < > whatever the encoder is told. The Other… types have the same fields without
//     those methods, and lack resourceType: each resource here adds it.
//   - Of a required choice ([x]) it writes every member, filled or not, which is not valid FHIR. Shadowing the members
//     leaves out the empty ones.
//   - Entries of a bundle are raw JSON, which would mean encoding every resource twice.
//   - It never checks resourceType, and a code that is missing becomes the first of its list: Decode looks itself.
//   - Its errors quote what they could not read: Decode does not pass them on.

type bundle struct {
	ResourceType string `json:"resourceType"`
	r4.OtherBundle
	Entry []entry `json:"entry"`
}

type entry struct {
	FullUrl  string `json:"fullUrl"`
	Resource any    `json:"resource"`
}

type messageHeader struct {
	ResourceType string `json:"resourceType"`
	r4.OtherMessageHeader
	EventUri *string `json:"eventUri,omitempty"` // a choice: eventCoding is the one used
}

type communication struct {
	ResourceType string `json:"resourceType"`
	r4.OtherCommunication
	Payload []payload `json:"payload"`
}

// payload is a choice of three of which only the string is used.
type payload struct {
	ContentString string `json:"contentString"`
}

type encounter struct {
	ResourceType string `json:"resourceType"`
	r4.OtherEncounter
}

type condition struct {
	ResourceType string `json:"resourceType"`
	r4.OtherCondition
}

type list struct {
	ResourceType string `json:"resourceType"`
	r4.OtherList
}

type patient struct {
	ResourceType string `json:"resourceType"`
	r4.OtherPatient
}

type relatedPerson struct {
	ResourceType string `json:"resourceType"`
	r4.OtherRelatedPerson
}

type organizationResource struct {
	ResourceType string `json:"resourceType"`
	r4.OtherOrganization
}

type deviceResource struct {
	ResourceType string `json:"resourceType"`
	r4.OtherDevice
}

type location struct {
	ResourceType string `json:"resourceType"`
	r4.OtherLocation
}

type provenance struct {
	ResourceType string `json:"resourceType"`
	r4.OtherProvenance
}

type operationOutcome struct {
	ResourceType string  `json:"resourceType"`
	ID           *string `json:"id,omitempty"`
	Issue        []issue `json:"issue"`
}

// issue has plain strings where the library has numbers whose zero is a real code ("fatal", "invalid").
type issue struct {
	Severity    string   `json:"severity"`
	Code        string   `json:"code"`
	Diagnostics *string  `json:"diagnostics,omitempty"`
	Expression  []string `json:"expression,omitempty"`
}

func urn(id string) string { return "urn:uuid:" + id }

func ref(id string) r4.Reference { return r4.Reference{Reference: new(urn(id))} }

func named(id, display string) r4.Reference {
	return r4.Reference{Reference: new(urn(id)), Display: optional(display)}
}

func identifier(system, value string) r4.Identifier {
	return r4.Identifier{System: &system, Value: &value}
}

func coding(system, code, display string) r4.Coding {
	return r4.Coding{System: &system, Code: &code, Display: optional(display)}
}

func concept(codings ...r4.Coding) r4.CodeableConcept {
	return r4.CodeableConcept{Coding: codings}
}

// instant writes a time with its offset (FHIR R4 instant and dateTime, 2.24.0.1).
func instant(t time.Time) *string { return new(t.Format(time.RFC3339Nano)) }

// optional leaves out what is empty: FHIR has no empty strings.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// text is what an optional string holds.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
