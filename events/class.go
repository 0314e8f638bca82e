package events

// Classes are the classes of an encounter that the hub takes in: codes of HL7 v3 ActCode.
var Classes = []string{"IMP", "ACUTE", "NONAC", "OBSENC", "SS", "AMB", "EMER"}

// EncounterClass is what the event says of the sort of care: what another system's message said, or else what the hub itself
// says of such a kind. A fall has none.
func (e Event) EncounterClass() string {
	switch {
	case e.Class != "":
		return e.Class
	case e.Kind == Attendance, e.Kind == Discharge && e.Ends == Attendance:
		return "AMB"
	case e.Kind == Admission, e.Kind == Discharge:
		return "IMP"
	}
	return ""
}
