package events

// Correction says what was wrong with an event that another one corrects.
type Correction string

// The corrections. All but WrongTime take the event back. Whoever was meant, or what really happened, is logged as an event of
// its own: a correction never names another patient.
const (
	Retracted   Correction = "retracted"    // it should not have been logged
	WrongPerson Correction = "wrong-person" // it happened to somebody else
	WrongEvent  Correction = "wrong-event"  // something else happened
	WrongTime   Correction = "wrong-time"   // it happened, at another time, which the correction gives
)

// Corrections lists them.
var Corrections = []Correction{Retracted, WrongPerson, WrongEvent, WrongTime}

// Known reports whether c is one of them.
func (c Correction) Known() bool { return correctionWords[c] != "" }

// Retracts reports whether nothing is left of the event.
func (c Correction) Retracts() bool { return c.Known() && c != WrongTime }

// Words stand before what a correction repeats of the event. They are fixed, and name nobody. "" for no correction.
func (c Correction) Words() string { return correctionWords[c] }

var correctionWords = map[Correction]string{
	Retracted:   "CORRECTION: this is taken back. It was logged by mistake. Please do not act on it, and correct your records.",
	WrongPerson: "CORRECTION: this is taken back. It was logged about the wrong person. Please do not act on it, and correct your records.",
	WrongEvent:  "CORRECTION: this is taken back. It is not what happened. Please do not act on it, and correct your records.",
	WrongTime:   "CORRECTION: the time that was given before is wrong. This is the right one. Please correct your records.",
}

// CorrectionID is the id of the event that corrects another one. There is one for each event: a correction that is wrong itself
// is corrected in turn. No idempotency key holds a space, so that no other event has it.
func CorrectionID(event string) string {
	return NewID(Actor{Kind: Hub, ID: HubPatient}, PatientOf(event), "corrects "+event)
}
