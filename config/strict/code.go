package strict

// Code names a sort of problem for machines, and for whoever looks it up in docs/check.md. A code is a promise: its meaning
// does not change and it is never used again for another.
type Code string

// The codes: CH1 is about files and their form, CH2 about names, CH3 about who is told, CH4 about privacy.
const (
	Unreadable     Code = "CH101"
	PrivateMissing Code = "CH102"
	FileName       Code = "CH103"
	Syntax         Code = "CH104"
	Refused        Code = "CH105"
	Twice          Code = "CH106"
	UnknownKey     Code = "CH111"
	Missing        Code = "CH112"
	NoValue        Code = "CH113"
	WrongType      Code = "CH114"
	Later          Code = "CH115"
	BadValue       Code = "CH116"
	Conflict       Code = "CH117"
	SecretValue    Code = "CH118"
	NamedFile      Code = "CH119"

	BadID            Code = "CH201"
	TakenID          Code = "CH202"
	OtherName        Code = "CH203"
	UnknownRecipient Code = "CH204"
	UnknownChannel   Code = "CH205"
	Unreachable      Code = "CH206"
	NoChannel        Code = "CH207"
	AlarmUnreachable Code = "CH208"
	ChannelSettings  Code = "CH209"
	UnknownKind      Code = "CH210"
	UnknownPatient   Code = "CH211"
	EmptyGroup       Code = "CH212"
	GroupInGroup     Code = "CH213"
	UnknownDefault   Code = "CH214"
	CarersChannel    Code = "CH215"
	Unruled          Code = "CH216"
	Stranger         Code = "CH217"
	SamePerson       Code = "CH218"

	NoRules         Code = "CH301"
	ReachesNobody   Code = "CH302"
	ReachesLogger   Code = "CH303"
	OnlyInboxes     Code = "CH304"
	DeadRule        Code = "CH311"
	AddsNothing     Code = "CH312"
	NobodyLogs      Code = "CH313"
	Alias           Code = "CH314"
	Escalation      Code = "CH315"
	Covered         Code = "CH316"
	Hasty           Code = "CH317"
	Unused          Code = "CH318"
	LongQuiet       Code = "CH319"
	AuthorityEnded  Code = "CH321"
	AuthorityEnding Code = "CH322"
	BasisEnded      Code = "CH323"
	BasisEnding     Code = "CH324"
	SilentHours     Code = "CH331"
	SilentElsewhere Code = "CH332"
	NoTime          Code = "CH333"
	FallClass       Code = "CH334"
	RuleEnded       Code = "CH335"
	RuleEnding      Code = "CH336"
	Mandatory       Code = "CH337"
	UnusedDefault   Code = "CH338"
	WholeMessage    Code = "CH339"
	Restricted      Code = "CH341"
	StillHears      Code = "CH342"

	Identifies   Code = "CH401"
	LooksLikeNHS Code = "CH402"
	Unverified   Code = "CH404"
	OpenToOthers Code = "CH403"
)

// Codes is every code with its title.
var Codes = map[Code]string{
	Unreadable:       "a file or folder cannot be read",
	PrivateMissing:   "a private file is not here",
	FileName:         "a file that nothing reads",
	Syntax:           "not readable as YAML",
	Refused:          "YAML that is not accepted",
	Twice:            "the same thing given twice",
	UnknownKey:       "unknown key",
	Missing:          "a required key is missing",
	NoValue:          "a key without a value",
	WrongType:        "a value of the wrong type",
	Later:            "not supported yet",
	BadValue:         "a value that is not accepted",
	Conflict:         "keys that do not go together",
	SecretValue:      "a secret that is written out or cannot be read",
	NamedFile:        "a named file cannot be used",
	BadID:            "not a valid id",
	TakenID:          "an id that is taken",
	OtherName:        "id and file name differ",
	UnknownRecipient: "nobody has this id",
	UnknownChannel:   "unknown channel",
	Unreachable:      "a subscriber who cannot be reached",
	NoChannel:        "a recipient without a channel",
	AlarmUnreachable: "an alarm recipient without a channel",
	ChannelSettings:  "a channel that cannot be opened",
	UnknownKind:      "unknown kind of event",
	UnknownPatient:   "rules for a patient whom patients.yaml does not name",
	EmptyGroup:       "a group of nobody",
	GroupInGroup:     "a group in a group",
	UnknownDefault:   "no default has this name",
	CarersChannel:    "a channel that only a carer can use",
	Unruled:          "a test case for a patient without rules",
	Stranger:         "somebody whom only carers.yaml could know",
	SamePerson:       "two patients who may be one",
	NoRules:          "a patient without rules",
	ReachesNobody:    "a kind that reaches nobody",
	ReachesLogger:    "a kind that reaches only whoever logged it",
	DeadRule:         "a rule that can never tell anyone",
	AddsNothing:      "a rule that adds nothing",
	NobodyLogs:       "nobody may log",
	Alias:            "an alias that carers could not use",
	Escalation:       "an escalation that adds nobody",
	OnlyInboxes:      "an urgent kind that reaches only inboxes",
	Covered:          "a rule that others cover",
	Hasty:            "an escalation before the next channel is tried",
	LongQuiet:        "quiet hours that leave next to no time",
	Unused:           "somebody whom nothing names",
	AuthorityEnded:   "an authority has ended",
	AuthorityEnding:  "an authority ends within 30 days",
	BasisEnded:       "a consent or other basis has ended",
	BasisEnding:      "a consent or other basis ends within 30 days",
	SilentHours:      "hours at which a kind reaches nobody",
	SilentElsewhere:  "a kind that reaches nobody unless it says where",
	NoTime:           "hours that are none",
	FallClass:        "a class asked of a fall",
	RuleEnded:        "a rule has ended",
	RuleEnding:       "a rule ends within 30 days",
	Mandatory:        "a mandatory default replaced",
	UnusedDefault:    "a default or group that nothing uses",
	WholeMessage:     "a ceiling that a channel does not keep",
	Restricted:       "carers of a restricted patient",
	StillHears:       "a carer who is kept out, and hears all the same",
	Identifies:       "something that identifies a patient or carer where it does not belong",
	LooksLikeNHS:     "what looks like an NHS number where it does not belong",
	Unverified:       "an address that nobody has verified",
	OpenToOthers:     "a private file that others may read",
}
