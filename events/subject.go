package events

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// Subjects are promises to NATS clients. p is the partition, a number below the store's partition count.
//
//	care.<p>.<patient>.<event>.<kind>          EVENTS  the event as a FHIR message Bundle
//	plan.<p>.<patient>.<event>.<n>             EVENTS  part n of a plan too large for a header
//	led.<p>.<page>                             LEDGER  outcomes of the recipients of 16 neighbouring events
//	led.<p>.<page>.<seq>.<n>                   LEDGER  outcomes n*128 … of an event with more recipients than that
//	park.<p>.<recipient>.<page>                LEDGER  which of 256 neighbouring events this recipient still waits for
//	cur.<p>                                    LEDGER  every event up to this sequence is settled or parked
//	own.<p>                                    LEDGER  which hub the partition belongs to, on an external server
//	arch.<v>.<n>                               ARCHIVE part n of volume v of the archive
//	att.<recipient>.<channel>                  ATTEMPTS the delivery log of an endpoint: attempts of about a second each
//	audit.chain                                AUDIT   who has read what, each link with the hash of the one before
//	note                                       NOTICES the numbers of events in subscriptions, in order
//	hub.<what>.<name>                          HUB     tokens, secrets, the format of the store, beats: signs of life of hubs,
//	                                                   other systems' messages that were seen or are held, who was forgotten
//
// Reserved for what is to come: hold, due, ack, told (by patient and event), beat (by partition), in LEDGER.

// PartitionOf returns the partition of a patient, as NATS's own partition() mapping does: fnv32a % n.
func PartitionOf(patient string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(patient))   // never fails
	return int(h.Sum32() % uint32(n)) // #nosec G115 -- n is a small positive count
}

// CareSubject is where an event is stored.
func CareSubject(p int, patient, event string, kind Kind) string {
	return fmt.Sprintf("care.%d.%s.%s.%s", p, patient, event, kind)
}

// PlanSubject is where part n of a large plan is stored.
func PlanSubject(p int, patient, event string, n int) string {
	return fmt.Sprintf("plan.%d.%s.%s.%d", p, patient, event, n)
}

// LedSubject is the ledger record of one page of events.
func LedSubject(p int, page uint64) string { return fmt.Sprintf("led.%d.%d", p, page) }

// LedPartSubject is the ledger record of part n of the recipients of one event with many.
func LedPartSubject(p int, page, seq uint64, n int) string {
	return fmt.Sprintf("led.%d.%d.%d.%d", p, page, seq, n)
}

// ParkSubject is the ledger record of what a recipient waits for among the events of one page.
func ParkSubject(p int, recipient string, page uint64) string {
	return fmt.Sprintf("park.%d.%s.%d", p, recipient, page)
}

// CursorSubject is the ledger's cursor of a partition.
func CursorSubject(p int) string { return fmt.Sprintf("cur.%d", p) }

// OwnSubject is the ledger's record of which hub a partition belongs to.
func OwnSubject(p int) string { return fmt.Sprintf("own.%d", p) }

// AttemptSubject is the delivery log of one channel of a recipient.
func AttemptSubject(recipient, channel string) string { return "att." + recipient + "." + channel }

// ParseCare splits a care subject; ok is false for any other.
func ParseCare(subject string) (patient, event string, kind Kind, ok bool) {
	t := strings.Split(subject, ".")
	if len(t) != 5 || t[0] != "care" {
		return "", "", "", false
	}
	return t[2], t[3], Kind(t[4]), true
}
