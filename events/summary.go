package events

// Summary is what a patient's family chose to tell of the patient's health. It is no clinical record: wherever it is shown,
// it says that it is family-held and not clinically confirmed, and when somebody last checked it.
type Summary struct {
	Conditions []string // in the family's words, which nobody codes; the main one first
	Respect    Respect
	Where      string // the ReSPECT form is, if there is one
	Reviewed   string // YYYY-MM-DD
}

// Respect says whether there is a ReSPECT form: a plan made with the patient for care in an emergency.
type Respect string

// Nobody has said, it exists, there is none.
const (
	RespectUnsaid Respect = ""
	RespectExists Respect = "exists"
	RespectNone   Respect = "none"
)

// Limits of a Summary. It tops messages that are read in a hurry, and goes into each.
const (
	MaxConditions = 12
	MaxCondition  = 120 // runes of a condition, and of where the form is
)
