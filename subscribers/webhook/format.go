package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
)

// form is how a delivery is written: a pure function of what is stored, so that every attempt sends the same bytes.
type form struct {
	contentType string
	body        func(events.Delivery) ([]byte, error)
}

var forms = map[string]form{
	"fhir":        {fhir.MediaType, func(d events.Delivery) ([]byte, error) { return d.Message, nil }},
	"cloudevents": {"application/cloudevents+json", cloudEvent},
	"thin":        {"application/json", thin},
}

// formOf returns the form of a name; empty is fhir.
func formOf(name string) (form, error) {
	if name == "" {
		name = "fhir"
	}
	f, ok := forms[name]
	if !ok {
		near := strict.DidYouMean(name, []string{"fhir", "cloudevents", "thin"})
		return f, &subscribers.FieldError{Field: "format", Message: "must be fhir, cloudevents or thin" + near}
	}
	return f, nil
}

// event is the attributes of a CloudEvent (CloudEvents 1.0.2, JSON format, structured mode). The shape is a promise.
type event struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Delivery        string    `json:"carehubdelivery"`
	Reference       string    `json:"carehubreference"`
	Test            bool      `json:"carehubtest,omitempty"`
}

// cloudEvent is the FHIR message as the data of a CloudEvent. All attributes are in the body: none of them, and nothing of
// the patient, is in a header.
func cloudEvent(d events.Delivery) ([]byte, error) {
	head, err := json.Marshal(event{SpecVersion: "1.0", ID: d.Event, Source: d.Hub, Type: events.CloudEventTypes[d.Kind],
		Subject: events.PatientOf(d.Event), Time: d.Recorded.UTC(), DataContentType: fhir.MediaType,
		Delivery: d.ID, Reference: d.Ref, Test: d.Test})
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(head)+len(d.Message)+16)
	body = append(append(body, head[:len(head)-1]...), `,"data":`...)
	return append(append(body, d.Message...), '}'), nil
}

// signal is a thin body: that there is something to read, and where. The shape is a promise.
type signal struct {
	Type      string     `json:"type"`
	Timestamp time.Time  `json:"timestamp"`
	Data      signalData `json:"data"`
}

type signalData struct {
	Event     string `json:"event"`
	Reference string `json:"reference"`
	Test      bool   `json:"test,omitempty"`
	URL       string `json:"url,omitempty"`  // GET it with a token of your organisation: who has been told
	FHIR      string `json:"fhir,omitempty"` // the message itself, likewise
	Words     string `json:"words,omitempty"`
}

// thin says nothing clinical, not even the kind of event. An alarm is no patient's, and there is nothing to fetch: its
// words are in it.
func thin(d events.Delivery) ([]byte, error) {
	s := signal{Type: "carehub.event", Timestamp: d.Recorded.UTC(), Data: signalData{Event: d.Event, Reference: d.Ref, Test: d.Test}}
	if d.Kind == events.Alarm {
		m, err := fhir.Decode(d.Message)
		if err != nil {
			return nil, fmt.Errorf("read the alarm: %w", err)
		}
		s.Type, s.Data.Words = "carehub.alarm", m.Event.Words
		return json.Marshal(s)
	}
	s.Data.URL, s.Data.FHIR = d.Hub+"/events/"+d.Event, d.Hub+"/fhir/Bundle/"+d.Event
	return json.Marshal(s)
}
