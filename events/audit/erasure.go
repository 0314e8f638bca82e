package audit

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"carehub/events"
)

const (
	lifecycle  = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
	erasureIDs = "/id/erasure" // below the hub's URL
	adminIDs   = "/id/admin"   // login names on the hub's machine
)

// Erasure is the AuditEvent of a patient who was forgotten: that it was done, by whom and when, and nothing of whom. Its id is
// random and the same in each AuditEvent of one erasure.
func Erasure(hub events.Sender, id, by string, asked, done time.Time) ([]byte, error) {
	return json.Marshal(object{
		"resourceType": "AuditEvent",
		"id":           uuid.NewString(),
		"type":         coding(lifecycle, "destroy", "Destroy/Delete Record Lifecycle Event"),
		"action":       "D",
		"period":       object{"start": asked.UTC().Format(time.RFC3339Nano), "end": done.UTC().Format(time.RFC3339Nano)},
		"recorded":     done.UTC().Format(time.RFC3339Nano),
		"outcome":      "0",
		"agent": list{
			object{"type": object{"coding": list{coding(dicom, "110150", "Application")}}, "requestor": false, "who": object{"display": hub.Name}},
			object{"type": object{"coding": list{coding("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "AUT", "author (originator)")}}, "requestor": true,
				"who": object{"identifier": identifier(hub.URL+adminIDs, by)}},
		},
		"source": object{"site": hub.Name, "observer": object{"display": hub.Name}, "type": list{coding(sourceTypes, "4", "Application Server")}},
		"entity": list{object{"type": coding(entityTypes, "1", "Person"), "role": coding(objectRoles, "1", "Patient"),
			"what": object{"identifier": identifier(hub.URL+erasureIDs, id)}}},
	})
}
