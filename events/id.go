package events

import (
	"crypto/sha1" // #nosec G505 -- the hash of UUIDs of version 5, which keep nothing secret
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// HubPatient stands in the patient's place in the ids and subjects of alarms, which are about no patient.
const HubPatient = "hub"

var (
	lower     = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	spoken    = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)
	namespace = uuid.MustParse("6f1e8a0c-54b7-5a0e-9f0b-6d1c3b9d5a11")
)

const (
	letters  = "abcdefghijklmnopqrstuvwxyz"
	digits   = "0123456789"
	hashSize = 26 // characters of the hash at the end of an id
)

// ValidPatient reports whether s has the form of a patient's pseudonym: p- and 2 to 32 of a-z 0-9.
func ValidPatient(s string) bool {
	rest, ok := strings.CutPrefix(s, "p-")
	return ok && pseudonym(rest)
}

// pseudonym reports whether s is a patient's without the p-.
func pseudonym(s string) bool { return len(s) >= 2 && len(s) <= 32 && only(s, letters+digits) }

// ValidName reports whether s can name a subscriber or carer: lower-case letters, digits and inner hyphens, 64 at the most.
func ValidName(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && only(s, letters+digits+"-") && s[0] != '-' && s[len(s)-1] != '-'
}

// ValidID reports whether s has the form of an event id.
func ValidID(s string) bool { return PatientOf(s) != "" }

// only reports whether all of s is in set. It is asked several times for each event, too often for a regular expression.
func only(s, set string) bool {
	for i := range len(s) {
		if strings.IndexByte(set, s[i]) < 0 {
			return false
		}
	}
	return true
}

// digest hashes parts so that no two lists of parts hash alike.
func digest(parts ...string) [sha256.Size]byte {
	b := make([]byte, 0, 512) // on the stack, as long as nothing is longer
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(p))), p...)
	}
	return sha256.Sum256(b)
}

// hashed is the digest of parts as it stands in ids.
func hashed(parts ...string) string {
	sum := digest(parts...)
	return lower.EncodeToString(sum[:])[:hashSize]
}

// NewID derives an event's id from who logs it, about whom, under which idempotency key. There is no time in it: the same
// key is the same event for ever. It holds the patient's pseudonym, so that the id alone says where the event is stored.
func NewID(by Actor, patient, key string) string {
	return "ev-" + strings.TrimPrefix(patient, "p-") + "-" + hashed("event", string(by.Kind), by.ID, patient, key)
}

// AlarmID derives the id of an alarm from what it is about, so that one trouble is one alarm over any restart.
func AlarmID(a About) string {
	return "al-" + hashed("alarm", a.Event, a.Recipient, a.Channel, string(a.Reason))
}

// subscriptionPrefix begins the ids of FHIR Subscriptions, which stand in plans as recipients of their own.
const subscriptionPrefix = "sub-"

// NewSubscriptionID makes the id of a FHIR Subscription of random bytes, of which there should be 16.
func NewSubscriptionID(random []byte) string {
	return subscriptionPrefix + hashed("subscription", string(random))
}

// IsSubscription reports whether a recipient's id is that of a FHIR Subscription.
func IsSubscription(id string) bool {
	rest, ok := strings.CutPrefix(id, subscriptionPrefix)
	return ok && len(rest) == hashSize && only(rest, letters+"234567")
}

// PatientOf returns the patient that an event id stands for, HubPatient for alarms, "" if it is no event id.
func PatientOf(id string) string {
	at := len(id) - hashSize
	if at < 1 || id[at-1] != '-' || !only(id[at:], letters+"234567") {
		return ""
	}
	if id[:at] == "al-" {
		return HubPatient
	}
	if who, ok := strings.CutPrefix(id[:at-1], "ev-"); ok && pseudonym(who) {
		return "p-" + who
	}
	return ""
}

// RelatedID is the logical id of a carer in relation to a patient. It says where the patient's events are, and not who the
// carer is.
func RelatedID(carer, patient string) string {
	return strings.TrimPrefix(patient, "p-") + "-" + hashed("related", carer, patient)
}

// ConditionID is the logical id of a condition of a patient's summary, by its place there. It says where the patient's events
// are, and not what the condition is.
func ConditionID(patient string, place int) string {
	return strings.TrimPrefix(patient, "p-") + "-" + hashed("condition", patient, strconv.Itoa(place))
}

// DeliveryID is the stable id of one event to one recipient: what a receiver drops repeats by.
func DeliveryID(event, recipient string) string {
	return "msg_" + hashed("delivery", event, recipient)
}

// Ref is a short reference to an event that people can read out on the phone, such as 7KQ2. It is not unique.
func Ref(event string) string {
	sum := digest("ref", event)
	return spoken.EncodeToString(sum[:])[:4]
}

// UUID derives a version 5 UUID (RFC 9562, 5.5) from parts, for FHIR ids. It is uuid.NewSHA1 without what that allocates.
func UUID(parts ...string) string {
	name := digest(parts...)
	var both [len(namespace) + sha256.Size]byte
	copy(both[copy(both[:], namespace[:]):], name[:])
	sum := sha1.Sum(both[:]) // #nosec G401 -- see above
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// Hash is a short hash of bytes for comparing requests and rules; 32 characters.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return lower.EncodeToString(sum[:])[:32]
}
