package forget

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"

	"carehub/events"
)

// names tells what names a patient: their pseudonym, or an id that begins with it.
type names struct {
	patient string
	text    *regexp.Regexp
}

func namesOf(patient string) names {
	bare := strings.TrimPrefix(patient, "p-")
	// An id of theirs is an event's (ev-7f3k-…), or a resource's below FHIR (7f3k-… with the hash of an event).
	return names{patient, regexp.MustCompile(`(^|[^a-z0-9-])(p-` + bare + `([^a-z0-9]|$)|(ev-)?` + bare + `-[a-z2-7]{26})`)}
}

// event reports whether an id is of an event of the patient.
func (n names) event(id string) bool { return events.PatientOf(id) == n.patient }

func (n names) about(a events.About) bool {
	return a.Of(func(patient string) bool { return patient == n.patient })
}

// value reports whether JSON names the patient, also where bytes stand in it as base64.
func (n names) value(b []byte) bool {
	if n.text.Match(b) {
		return true
	}
	var v any
	return json.Unmarshal(b, &v) == nil && n.within(v)
}

func (n names) within(v any) bool {
	switch v := v.(type) {
	case string:
		bytes, err := base64.StdEncoding.DecodeString(v)
		return err == nil && len(bytes) > 0 && n.text.Match(bytes)
	case []any:
		for _, one := range v {
			if n.within(one) {
				return true
			}
		}
	case map[string]any:
		for _, one := range v {
			if n.within(one) {
				return true
			}
		}
	}
	return false
}

// kept are records that may name a patient and stay: the work itself, which goes last, and Subscriptions, which are their
// provider's own and may be about others, too.
var kept = []string{workPrefix, "hub.subscription."}

// copies are of the configuration: what stands in them cannot be told from outside. The hub makes another of what it has next.
const copies = "hub.folder."

// record reports whether a record of the hub's is to be erased.
func (n names) record(key string, value []byte) bool {
	for _, prefix := range kept {
		if strings.HasPrefix(key, prefix) {
			return false
		}
	}
	return strings.HasPrefix(key, copies) || n.text.MatchString(key) || n.value(value)
}
