package intake

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"carehub/events"
)

// CloudEvents 1.0 on POST /events, in structured mode: in binary mode the patient's number would stand in a header, which
// servers and proxies log.
const (
	cloudEventJSON  = "application/cloudevents+json"
	cloudEventBatch = "application/cloudevents-batch+json"
)

// binaryMode reports whether a request is a CloudEvent in binary mode.
func binaryMode(r *http.Request) bool {
	return r.Header.Get("Ce-Id") != "" || r.Header.Get("Ce-Type") != "" || r.Header.Get("Ce-Specversion") != ""
}

// told is the answer to a CloudEvent.
type told struct {
	ID      string `json:"id,omitempty"`
	Held    string `json:"held,omitempty"`
	Message string `json:"message"`
}

func (h *Handler) cloudEvent(w http.ResponseWriter, r *http.Request, by events.Actor) {
	body, err := readBody(w, r, maxBody)
	var report Report
	if err == nil {
		report, err = ReadCloudEvent(body)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*storeTimeout)
	defer cancel()
	a, v, err := h.Receiver.Receive(ctx, Message{By: by, Report: report, Answer: h.told})
	if err != nil {
		h.refuse(w, err)
		return
	}
	how := v.how()
	h.Log.Info("cloud event", "system", by.ID, "event", v.Event, "held", v.Held, "answer", how)
	h.answered(report.Kind, how)
	a.write(w)
}

func (h *Handler) told(v Verdict) (Answer, error) {
	status, t := http.StatusCreated, told{ID: v.Event, Message: "Saved. Those who should know are being told. Reference " + events.Ref(v.Event) + "."}
	if v.Held != "" {
		status, t = http.StatusAccepted, told{Held: v.Held, Message: heldMessage + "."}
	}
	body, err := json.Marshal(t)
	return Answer{status, "application/json", append(body, '\n')}, err
}

// cloudEvent is what is read of one; other attributes are read past.
type cloudEvent struct {
	specversion, id, source, kind, time, subject, dataType string
	data, base64                                           json.RawMessage
}

// ReadCloudEvent reads one event in structured mode. Errors are *events.Error or *Refusal, and quote nothing of it.
func ReadCloudEvent(body []byte) (Report, error) {
	var e cloudEvent
	attributes := map[string]any{
		"specversion": &e.specversion, "id": &e.id, "source": &e.source, "type": &e.kind, "time": &e.time, "subject": &e.subject,
		"datacontenttype": &e.dataType, "data": &e.data, "data_base64": &e.base64,
	}
	if !utf8.Valid(body) {
		return Report{}, invalid("The body is not UTF-8.")
	}
	if err := members(body, attributes, true, ""); err != nil {
		return Report{}, err
	}
	if err := e.check(); err != nil {
		return Report{}, err
	}
	kind, _ := events.CloudEventKind(e.kind)
	r := Report{Kind: kind, From: events.Origin{Message: e.source + " " + e.id}}
	r.Patient.NHSNumber = strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimSpace(e.subject))
	occurred := e.time
	if len(e.data) > 0 && string(e.data) != "null" {
		data := map[string]any{
			"birth_date": &r.Patient.Born, "family_name": &r.Patient.Family, "name": &r.Patient.Name, "occurred": &occurred,
			"because": &r.Because, "place": &r.Place, "words": &r.Words, "test": &r.Test,
		}
		if err := members(e.data, data, false, `The fields of "data" are "birth_date", "family_name", "name", "occurred", "because", "place", "words" and "test".`); err != nil {
			return Report{}, err
		}
	}
	return r, r.finish(occurred)
}

func (e cloudEvent) check() error {
	word := func(s string, most int) bool {
		return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
	}
	_, known := events.CloudEventKind(e.kind)
	switch {
	case e.specversion != "1.0":
		return invalid(`"specversion" must be "1.0".`)
	case !word(e.id, 128) || !word(e.source, 127):
		return invalid(`"id" and "source" are needed, printable ASCII without spaces, 128 and 127 characters at the most: together they tell a repeat.`)
	case !known:
		return invalid(`"type" must be one of care-encounter-admit-1, care-encounter-attend-1, care-encounter-discharge-1 and care-fall-1.`)
	case len(e.base64) > 0:
		return invalid(`"data" must be JSON, not "data_base64".`)
	case e.dataType != "" && !strings.HasPrefix(e.dataType, "application/json"):
		return invalid(`"datacontenttype" must be "application/json".`)
	case e.subject == "" || len(e.subject) > 20:
		return invalid(`"subject" must be the patient's NHS number.`)
	}
	return nil
}

// finish checks what the event says as POST /events checks it.
func (r *Report) finish(occurred string) error {
	for _, s := range []*string{&r.Patient.Born, &r.Patient.Family, &r.Patient.Name, &r.Place, &r.Words} {
		*s = strings.TrimSpace(*s)
	}
	if occurred == "" {
		return invalid(`When did it happen? "time" is needed, with its zone as in RFC 3339.`)
	}
	same := Request{Patient: "p-00", Kind: r.Kind, Because: r.Because, Occurred: occurred, Place: r.Place}
	if err := same.checkFields(); err != nil {
		return err
	}
	for name, s := range map[string]string{"family_name": r.Patient.Family, "name": r.Patient.Name} {
		if err := checkText(name, s, events.MaxName, false); err != nil {
			return err
		}
	}
	if err := checkText("words", r.Words, events.MaxWords, true); err != nil {
		return err
	}
	if _, err := time.Parse(time.DateOnly, r.Patient.Born); err != nil {
		r.Patient.Born = "" // no whole date is none
	}
	r.Occurred, _ = same.occurred() // checked already
	return nil
}
