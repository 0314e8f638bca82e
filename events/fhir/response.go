package fhir

import (
	"encoding/json"
	"slices"
)

// Response is what a receiver's answer to a message says. The zero Response says nothing.
type Response struct {
	// Code is MessageHeader.response.code: ok, transient-error, fatal-error, or "" where the answer has none.
	Code string
	// Duplicate is set when an OperationOutcome has an issue of code duplicate: the receiver has the message already.
	Duplicate bool
}

// ReadResponse reads the body of an answer to $process-message (FHIR R4, 2.4.5): a message Bundle with a response, an
// OperationOutcome, or both. Anything else is the zero Response; it never fails.
func ReadResponse(body []byte) Response {
	if len(body) > MaxMessage {
		return Response{}
	}
	var r answer
	if json.Unmarshal(body, &r) != nil {
		return Response{}
	}
	out := Response{Duplicate: r.duplicate()}
	if r.ResourceType != "Bundle" {
		return out
	}
	for _, e := range r.Entry {
		var inner answer
		if json.Unmarshal(e.Resource, &inner) != nil {
			continue
		}
		out.Duplicate = out.Duplicate || inner.duplicate()
		if inner.ResourceType == "MessageHeader" && known(inner.Response.Code) {
			out.Code = inner.Response.Code
		}
	}
	return out
}

// answer is as much of a Bundle, MessageHeader or OperationOutcome as matters here. One part that cannot be read must not
// hide the others, so entries are left raw.
type answer struct {
	ResourceType string `json:"resourceType"`
	Entry        []struct {
		Resource json.RawMessage `json:"resource"`
	} `json:"entry"`
	Response struct {
		Code string `json:"code"`
	} `json:"response"`
	Issue []struct {
		Code string `json:"code"`
	} `json:"issue"`
}

func (a answer) duplicate() bool {
	return a.ResourceType == "OperationOutcome" &&
		slices.ContainsFunc(a.Issue, func(i struct {
			Code string `json:"code"`
		}) bool {
			return i.Code == "duplicate"
		})
}

func known(code string) bool {
	return code == "ok" || code == "transient-error" || code == "fatal-error"
}

// Outcome writes an OperationOutcome of one issue: the body of every refusal at a FHIR door. severity is one of fatal,
// error, warning and information, code one of FHIR's issue-type codes; diagnostics are plain words with nothing about a
// patient, and may be empty.
func Outcome(severity, code, diagnostics string) []byte {
	return Outcomes(Issue{Severity: severity, Code: code, Diagnostics: diagnostics})
}
