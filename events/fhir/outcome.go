package fhir

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Issue is one thing that an OperationOutcome says. Severity is one of fatal, error, warning and information, Code one of
// FHIR's issue-type codes. Diagnostics are plain words with nothing about a patient. Expression is the element that they are
// about, as FHIRPath names it; empty where it is about no element.
type Issue struct{ Severity, Code, Diagnostics, Expression string }

// StatusOf is the HTTP status of a refusal at a FHIR door (R4, 3.1.0.4): 422 for Invalid, else that of its kind.
func StatusOf(kind events.ErrorKind) int {
	if kind == events.Invalid {
		return http.StatusUnprocessableEntity
	}
	return kind.Status()
}

// IssueType is FHIR's word for a kind of error. A Conflict is no duplicate: senders take that for a message that got
// through, and this one did not.
func IssueType(kind events.ErrorKind) string {
	return cmp.Or(issueTypes[kind], "exception")
}

var issueTypes = map[events.ErrorKind]string{
	events.Invalid: "invalid", events.Unauthenticated: "login", events.Forbidden: "forbidden", events.NotFound: "not-found", events.Gone: "deleted",
	events.Conflict: "conflict", events.TooLarge: "too-long", events.Busy: "throttled", events.Unavailable: "transient",
}

// Outcomes writes an OperationOutcome of several issues.
func Outcomes(issues ...Issue) []byte {
	// A struct of strings cannot fail to marshal.
	b, _ := marshal(outcomeOf(issues))
	return b
}

func outcomeOf(issues []Issue) operationOutcome {
	out := operationOutcome{ResourceType: "OperationOutcome"}
	for _, i := range issues {
		next := issue{Severity: i.Severity, Code: i.Code, Diagnostics: optional(clean(i.Diagnostics))}
		if i.Expression != "" {
			next.Expression = []string{i.Expression}
		}
		out.Issue = append(out.Issue, next)
	}
	return out
}

// WantsBundle reports whether the sender asked for a response Bundle to a message that went well, or did not.
func (r Reply) WantsBundle(well bool) bool {
	answerable := r.Message != "" && r.Event != ""
	return answerable && (r.Wanted == "always" || r.Wanted == "on-success" && well || r.Wanted == "on-error" && !well)
}

// The codes of a response (FHIR R4, response-code).
const (
	ResponseOK        = "ok"
	ResponseTransient = "transient-error"
	ResponseFatal     = "fatal-error"
)

var responseCodes = map[string]r4.ResponseType{
	ResponseOK: r4.ResponseTypeOk, ResponseTransient: r4.ResponseTypeTransientError, ResponseFatal: r4.ResponseTypeFatalError,
}

// Respond writes the Bundle that answers a message (FHIR R4, 2.4.3): what became of it, and the issues. to is the system
// that sent the message, which its ids are derived from.
func (r Reply) Respond(hub events.Sender, to, code string, at time.Time, issues ...Issue) ([]byte, error) {
	hub = cleanHub(hub)
	when := *instant(at)
	ids := references{
		bundle: events.UUID("response bundle", hub.URL, to, r.Message, when), header: events.UUID("response", hub.URL, to, r.Message, when),
		event: events.UUID("response outcome", hub.URL, to, r.Message, when),
	}
	h := messageHeader{ResourceType: "MessageHeader", OtherMessageHeader: r4.OtherMessageHeader{
		Id:          &ids.header,
		EventCoding: coding(notificationEvent, r.Event, ""),
		Source:      r4.MessageHeaderSource{Name: &hub.Name, Software: new("carehub"), Version: optional(hub.Version), Endpoint: hub.URL + endpoint},
		Response:    &r4.MessageHeaderResponse{Identifier: r.Message, Code: responseCodes[code], Details: new(ref(ids.event))},
	}}
	if absolute(r.Endpoint) {
		h.Destination = []r4.MessageHeaderDestination{{Endpoint: r.Endpoint}}
	}
	outcome := outcomeOf(issues)
	outcome.ID = &ids.event
	return marshal(bundle{
		ResourceType: "Bundle",
		OtherBundle:  r4.OtherBundle{Id: &ids.bundle, Type: r4.BundleTypeMessage, Timestamp: &when},
		Entry:        []entry{{urn(ids.header), h}, {urn(ids.event), outcome}},
	})
}

func absolute(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && len(s) <= 2048 && !strings.ContainsAny(s, " \t\r\n\"<>\\^`{|}")
}
