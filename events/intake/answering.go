package intake

import (
	"context"
	"net/http"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// Acknowledge stores what a named person answers to what a system's organisation was told, and returns when that is durable; ack is
// nil where no person is named, and only who asks is looked at then. Its error is an *events.Error of kind NotFound alike where
// there is no such event and where they were not told of it.
type Acknowledge func(ctx context.Context, by events.Actor, event string, ack *events.Ack) error

var errOther = &events.Error{Kind: events.Conflict, Message: "MessageHeader.response.identifier is not the id of the message that told you of this event. Nothing was saved."}

// answering is a message that answers one of the hub's: taken in once, like any other, and then for the person who wrote it.
func (h *MessageHandler) answering(by events.Actor, in fhir.Incoming) Message {
	said := *in.Answering
	return Message{
		By: by, Envelope: in.Bundle, Report: Report{From: in.From},
		Form: strings.Join([]string{in.Wanted, in.Reply.Event, in.Endpoint, said.Event, string(said.Answer), said.Name, said.Role, said.Line, said.To}, "\n"),
		Do: func(ctx context.Context, now time.Time) (Verdict, error) {
			return Verdict{Answered: true, At: now}, h.answered(ctx, by, said, now)
		},
		Answer: func(v Verdict) (Answer, error) {
			first := fhir.Issue{Severity: "information", Code: "informational", Diagnostics: "Saved, and shown by name to the family. Reference " + events.Ref(said.Event) + "."}
			if !said.ByPerson() {
				first.Diagnostics = "That your system has the message is known. No person is named here, so it still counts as seen by nobody."
			}
			return h.answer(in.Reply, by, http.StatusOK, fhir.ResponseOK, v.At, append([]fhir.Issue{first}, in.Notes...)...)
		},
	}
}

func (h *MessageHandler) answered(ctx context.Context, by events.Actor, said fhir.Answering, now time.Time) error {
	if said.Event == "" { // a bare response, which says nothing that the hub has not heard when it sent
		return nil
	}
	var ack *events.Ack
	if said.ByPerson() {
		ack = &events.Ack{Answer: said.Answer, Name: said.Name, Role: said.Role, Line: said.Line, At: now, Via: "fhir"}
	}
	if said.To != "" && said.To != fhir.MessageID(said.Event, by.ID) {
		return errOther
	}
	return h.Acknowledge(ctx, by, said.Event, ack)
}
