package routing

import (
	"maps"
	"strings"

	"carehub/config/strict"
	"carehub/events"
)

// The forms of names and ids, as events.ValidName and events.ValidPatient have them.
const (
	nameForm    = `^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`
	patientForm = `^p-[a-z0-9]{2,32}$`
)

// dayForm is a day or a range of days.
var dayForm = "^(" + strings.Join(weekdays, "|") + ")(-(" + strings.Join(weekdays, "|") + "))?$"

const timeForm = `^([01][0-9]|2[0-3]):[0-5][0-9]$`

// Subjects describe routing.yaml and a patient's file.
func Subjects() []strict.Subject {
	ofAll := strict.Subject{Name: "routing", Title: "carehub: routing.yaml, what the rules of all patients share", Of: shared{}, Needed: []string{"defaults.*.name"},
		Parts: map[string]any{"groups.key": strict.Pattern(nameForm), "groups.*": strict.Raw{"anyOf": []any{
			map[string]any{"type": "string", "minLength": 1}, map[string]any{"type": "array", "minItems": 1, "uniqueItems": true, "items": map[string]any{"type": "string"}}}}},
		Says: map[string]string{
			"groups":   "a name for several recipients, usable wherever a rule names some; no groups in groups",
			"defaults": "rules of every patient, beside those of their own file",
		}}
	ofOne := strict.Subject{Name: "patient-rules", Title: "carehub: routing/p-….yaml, who may log for a patient and who is told", Of: file{},
		Parts: map[string]any{"patient": strict.Pattern(patientForm), "defaults": strict.Enum{"none"},
			"logged_by.*.may.*": strict.Enum{string(Log), string(See)}},
		Says: map[string]string{
			"patient":           "the patient's pseudonym, as the file is named",
			"logged_by":         "carers, and subscribers whose systems log",
			"logged_by.*.as":    "what they call the patient",
			"logged_by.*.may":   "log events, see what was logged and who was told",
			"logged_by.*.until": "the last day; after it what they log is still passed on, marked so",
			"defaults":          "none: no rules but those of this file, and the mandatory ones of routing.yaml",
			"rules":             "all that match apply; the recipients are their union",
		}}
	describeRule(ofAll, "defaults.*", "what patients' files call it, to replace it")
	describeRule(ofOne, "rules.*", "of the default in routing.yaml that this rule replaces")
	return []strict.Subject{ofAll, ofOne}
}

// describeRule adds what holds of a rule, of a patient or of all.
func describeRule(s strict.Subject, at, name string) {
	kinds := make(strict.Enum, len(events.Routed))
	for i, kind := range events.Routed {
		kinds[i] = string(kind)
	}
	contents := make(strict.Enum, len(events.Contents))
	for i, content := range events.Contents {
		contents[i] = string(content)
	}
	for key, part := range map[string]any{
		"on.*": kinds, "hours.*.days.*": strict.Pattern(dayForm), "hours.*.from": strict.Pattern(timeForm), "hours.*.to": strict.Pattern(timeForm),
		"when.class.*": strict.Enum(events.Classes), "content": contents, "attach.*": strict.Enum(documents),
	} {
		s.Parts[at+"."+key] = part
	}
	if at == "defaults.*" {
		s.Parts[at+".name"] = strict.Pattern(nameForm)
	}
	says := map[string]string{
		"name":               name,
		"on":                 "kinds of events",
		"notify":             "who is told: subscribers, carers and groups",
		"acknowledge":        "that a named person of each recipient answers, or others are told",
		"acknowledge.within": "how long they have, from 1m to 72h",
		"acknowledge.else":   "who is told if they do not, one after another, each with the same time",
		"acknowledge.any":    "an answer of any recipient is enough",
		"hours":              "when the rule holds, by the clock on the wall; one window or a list of them",
		"hours.*.days":       "on which the window begins: mon, or mon-fri; every day if there are none",
		"hours.*.from":       "a time of day in quotes; whole days without from and to",
		"hours.*.to":         "the first minute that is not in the window; before from: of the next day",
		"hours.*.zone":       "an IANA time zone, by default the hub's",
		"when":               "what the event must say: one of the places and one of the classes",
		"when.place":         "exact but for case, spaces, hyphens and apostrophes",
		"when.class":         "of the encounter, by HL7 v3 ActCode; a fall has none",
		"until":              "the last day on which the rule holds",
		"content":            "the most that mails may tell; it never widens what a channel is set to",
		"attach":             "kinds of documents that may go to these recipients",
		"mandatory":          "no patient's file can take it away, and routes diff refuses to lose it",
	}
	maps.Insert(s.Says, func(yield func(string, string) bool) {
		for key, text := range says {
			if !yield(at+"."+key, text) {
				return
			}
		}
	})
}
