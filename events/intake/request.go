package intake

import (
	"encoding/json"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// Request is one event as its logger puts it: either a sentence in Text, or Patient and Kind with what else there is.
// Words and Test go with both. Its JSON form is the body of POST /events, and the hash of that form tells a repeat from
// a reused key: a field that is added must be left out when empty.
type Request struct {
	Text     string      `json:"text,omitempty"`
	Patient  string      `json:"patient,omitempty"` // an id, or what this logger calls the patient
	Kind     events.Kind `json:"kind,omitempty"`
	Because  events.Kind `json:"because,omitempty"`
	Occurred string      `json:"occurred,omitempty"` // RFC 3339, with its zone; empty: now, by the hub's clock
	Place    string      `json:"place,omitempty"`
	Words    string      `json:"words,omitempty"`
	Test     bool        `json:"test,omitempty"`

	Key    string `json:"-"` // idempotency key; not needed for a dry run
	DryRun bool   `json:"-"` // say what would happen, save nothing
	// Documents are what is attached. Only a door at which they were kept before sets them.
	Documents []events.Document `json:"-"`
	// Single refuses a possible repeat with ErrRepeat, for a door at which somebody is asked whether it is one.
	Single bool `json:"-"`
	// Hold is how long it can be undone before anybody is told, at a door where a person may have slipped. A fall is never held.
	Hold time.Duration `json:"-"`
}

// hash is over the request as given. What the hub fills in, such as the time, is another at each try.
func (r Request) hash() string {
	given, _ := json.Marshal(r) // strings and a bool always marshal
	for _, d := range r.Documents {
		given = append(given, d.ID...)
	}
	return events.Hash(given)
}

// trimmed drops the space around each text.
func (r Request) trimmed() Request {
	for _, s := range []*string{&r.Text, &r.Patient, &r.Occurred, &r.Place, &r.Words} {
		*s = strings.TrimSpace(*s)
	}
	return r
}

// check refuses what is wrong whoever asks.
func (r Request) check() error {
	if err := r.checkKey(); err != nil {
		return err
	}
	fields := r.Patient != "" || r.Kind != "" || r.Because != "" || r.Occurred != "" || r.Place != ""
	if r.Text != "" && fields {
		return invalid(`Give either "text" or "patient", "kind" and so on, not both.`)
	}
	if err := checkText("words", r.Words, events.MaxWords, true); err != nil {
		return err
	}
	if r.Text != "" {
		return nil // Parse does the rest
	}
	return r.checkFields()
}

func (r Request) checkKey() error {
	unprintable := func(c rune) bool { return c <= ' ' || c > '~' }
	switch {
	case r.DryRun:
		return nil
	case r.Key == "":
		return invalid("An Idempotency-Key header is required: any text that is new for each event and stays the same when " +
			"the same request is repeated, such as a random UUID. It keeps a repeat from being taken for a second event.")
	case len(r.Key) > events.MaxKey || strings.ContainsFunc(r.Key, unprintable):
		return invalid("An Idempotency-Key has at most 128 characters, printable ASCII without spaces.")
	}
	return nil
}

func (r Request) checkFields() error {
	switch {
	case r.Patient == "" || r.Kind == "":
		return invalid(`Give "patient" and "kind", or "text".`)
	case !r.Kind.Known():
		var kinds []string
		for _, k := range events.Kinds {
			kinds = append(kinds, string(k))
		}
		return &Refusal{
			Reason:     invalid(`"kind" must be one of ` + strings.Join(kinds, ", ") + "."),
			Suggestion: strings.TrimPrefix(strict.DidYouMean(string(r.Kind), kinds), "; "),
		}
	case r.Kind == events.DocumentAdded && len(r.Documents) == 0:
		return invalid(`A document comes by a carer's page only, where it can be attached.`)
	case r.Because != "" && (r.Because != events.Fall || !r.Kind.OpensStay()):
		return invalid(`"because" can only be "fall", on an admission or attendance.`)
	}
	if err := checkText("patient", r.Patient, maxText, false); err != nil {
		return err
	}
	if err := checkText("place", r.Place, events.MaxPlace, false); err != nil {
		return err
	}
	_, err := r.occurred()
	return err
}

// occurred is the time given, zero if there is none. FHIR R4 (2.24.0.1) has no offsets beyond 14 hours and no year 0.
func (r Request) occurred() (time.Time, error) {
	if r.Occurred == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, r.Occurred)
	_, offset := t.Zone()
	if err != nil || t.Year() < 1 || max(offset, -offset) > 14*60*60 {
		return time.Time{}, invalid(`"occurred" must be a time with its zone as in RFC 3339: 2026-10-25T14:30:00+01:00.`)
	}
	return t, nil
}
