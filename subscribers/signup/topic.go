package signup

import (
	"net/url"
	"slices"
	"strings"

	"carehub/events"
)

// topics are the events of each SubscriptionTopic. A fall that led to an admission is news of a fall too, as it is for the
// routing rules; that somebody was seen and not admitted is in attendance.
var topics = map[string][]events.Kind{
	"admission":  {events.Admission},
	"attendance": {events.Attendance},
	"discharge":  {events.Discharge},
	"fall":       {events.Fall},
	"any":        events.Routed,
}

// Topics are the names of the topics, as they stand in their canonical addresses.
var Topics = []string{"any", "admission", "attendance", "discharge", "fall"}

const (
	topicPath  = "/fhir/SubscriptionTopic/"
	topicAlias = "http://hl7.org/SubscriptionTopic/"
)

// TopicURL is the canonical address of a topic of the hub at this URL.
func TopicURL(hub, topic string) string { return hub + topicPath + topic }

// topicOf returns the topic that a canonical address names, "" if it is none of this hub's.
func topicOf(hub, canonical string) string {
	for _, prefix := range []string{hub + topicPath, topicAlias} {
		if name, ok := strings.CutPrefix(canonical, prefix); ok && slices.Contains(Topics, name) {
			return name
		}
	}
	return ""
}

// filter is one backport-filter-criteria: all that it asks for must hold. An empty list asks for nothing.
type filter struct {
	patients []string // any of them
	classes  []string // of the encounter, any of them
}

// filterable are the resources that events are about. Only an encounter has a class.
var filterable = []string{"Encounter", "Condition", "Communication"}

// classes are the codes of v3-ActCode that a filter may name.
var classes = []string{"IMP", "EMER", "AMB", "HH", "FLD", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "VR"}

// readFilter reads a filter such as Encounter?patient=Patient/p-7f3k&class=IMP,EMER.
func readFilter(hub, text string) (f filter, wrong string) {
	resource, query, _ := strings.Cut(text, "?")
	values, err := url.ParseQuery(query)
	if err != nil || !slices.Contains(filterable, resource) || query == "" {
		return f, "is not understood: it must be such as Encounter?patient=Patient/p-7f3k or Encounter?class=IMP"
	}
	for name, all := range values {
		if len(all) > 1 {
			return f, "names " + name + " twice; separate alternatives by commas"
		}
		given := strings.Split(all[0], ",")
		switch {
		case name == "patient" || name == "subject":
			for _, p := range given {
				p = strings.TrimPrefix(strings.TrimPrefix(p, hub+"/fhir/"), "Patient/")
				f.patients = append(f.patients, p)
			}
		case name == "class" && resource == "Encounter":
			for _, c := range given {
				c = strings.TrimPrefix(c, "http://terminology.hl7.org/CodeSystem/v3-ActCode|")
				if !slices.Contains(classes, c) {
					return f, "has a class that is no encounter class of v3-ActCode, such as IMP, EMER or AMB"
				}
				f.classes = append(f.classes, c)
			}
		default:
			return f, "filters by something else than patient or, of an Encounter, class"
		}
	}
	return f, ""
}

func (f filter) matches(e *events.Event) bool {
	return (len(f.patients) == 0 || slices.Contains(f.patients, e.Patient)) &&
		(len(f.classes) == 0 || slices.Contains(f.classes, classOf(e)))
}

// classOf is the class of an event's encounter as its message has it, "" of a fall alone.
func classOf(e *events.Event) string {
	switch {
	case e.Kind == events.Attendance, e.Ends == events.Attendance:
		return "AMB"
	case e.Kind == events.Admission, e.Kind == events.Discharge:
		return "IMP"
	}
	return ""
}

// concerns reports whether an event is one that the subscription asks for. Filters all must match (R5, Subscription.filterBy).
func (s *settings) concerns(e *events.Event) bool {
	kinds := topics[s.Topic]
	if !slices.Contains(kinds, e.Kind) && (e.Because == "" || !slices.Contains(kinds, e.Because)) {
		return false
	}
	return !slices.ContainsFunc(s.filters, func(f filter) bool { return !f.matches(e) })
}
