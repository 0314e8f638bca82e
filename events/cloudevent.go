package events

// CloudEventTypes are the types of CloudEvents that stand for the kinds of events, coming in and going out. The names are
// the project's own, in the shape of those that NHS England's Multicast Notification Service has.
var CloudEventTypes = map[Kind]string{
	Admission:  "care-encounter-admit-1",
	Attendance: "care-encounter-attend-1",
	Discharge:  "care-encounter-discharge-1",
	Fall:       "care-fall-1",

	DocumentAdded: "care-document-1", // never taken in
	Alarm:         "care-alarm-1",    // never taken in
}

// CloudEventKind is the kind that a type of CloudEvents stands for; false if it is none that can be logged.
func CloudEventKind(name string) (Kind, bool) {
	for _, kind := range Kinds {
		if CloudEventTypes[kind] == name {
			return kind, true
		}
	}
	return "", false
}
