package events

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// HubPatient stands in the patient's place in the ids and subjects of alarms, which are about no patient.
const HubPatient = "hub"

var (
	lower     = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	spoken    = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)
	namespace = uuid.MustParse("6f1e8a0c-54b7-5a0e-9f0b-6d1c3b9d5a11")

	patientID = regexp.MustCompile(`^p-[a-z0-9]{2,32}$`)
	eventID   = regexp.MustCompile(`^(ev-[a-z0-9]{2,32}|al)-[a-z2-7]{26}$`)
	name      = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
)

// ValidPatient reports whether s has the form of a patient's pseudonym: p- and 2 to 32 of a-z 0-9.
func ValidPatient(s string) bool { return patientID.MatchString(s) }

// ValidName reports whether s can name a subscriber or carer: lower-case letters, digits and inner hyphens, 64 at the most.
func ValidName(s string) bool { return name.MatchString(s) }

// ValidID reports whether s has the form of an event id.
func ValidID(s string) bool { return eventID.MatchString(s) }

// digest hashes parts so that no two lists of parts hash alike.
func digest(parts ...string) []byte {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// NewID derives an event's id from who logs it, about whom, under which idempotency key. There is no time in it: the same
// key is the same event for ever. It holds the patient's pseudonym, so that the id alone says where the event is stored.
func NewID(by Actor, patient, key string) string {
	hash := lower.EncodeToString(digest("event", string(by.Kind), by.ID, patient, key))[:26]
	return "ev-" + strings.TrimPrefix(patient, "p-") + "-" + hash
}

// AlarmID derives the id of an alarm from what it is about, so that one trouble is one alarm over any restart.
func AlarmID(a About) string {
	return "al-" + lower.EncodeToString(digest("alarm", a.Event, a.Recipient, a.Channel, string(a.Reason)))[:26]
}

// PatientOf returns the patient that an event id stands for, HubPatient for alarms, "" if it is no event id.
func PatientOf(id string) string {
	if !ValidID(id) {
		return ""
	}
	if strings.HasPrefix(id, "al-") {
		return HubPatient
	}
	return "p-" + id[len("ev-"):len(id)-27]
}

// DeliveryID is the stable id of one event to one recipient: what a receiver drops repeats by.
func DeliveryID(event, recipient string) string {
	return "msg_" + lower.EncodeToString(digest("delivery", event, recipient))[:26]
}

// Ref is a short reference to an event that people can read out on the phone, such as 7KQ2. It is not unique.
func Ref(event string) string { return spoken.EncodeToString(digest("ref", event))[:4] }

// UUID derives a version 5 UUID (RFC 9562, 5.5) from parts, for FHIR ids.
func UUID(parts ...string) string { return uuid.NewSHA1(namespace, digest(parts...)).String() }

// Hash is a short hash of bytes for comparing requests and rules; 32 characters.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return lower.EncodeToString(sum[:])[:32]
}
