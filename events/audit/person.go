package audit

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"carehub/events"
)

// Session is somebody who signs in or out. Where By is an organisation, Name is of the person who signed in for it.
type Session struct {
	By   events.Actor
	Name string
	Out  bool
	How  string // they signed in: invitation, passkey or oidc
	From string // network address of the browser
	At   time.Time
}

// Event is the AuditEvent of a session, as DICOM has it (PS3.15 A.5.3.12, User Authentication).
func (s Session) Event(hub events.Sender) ([]byte, error) {
	what := coding(dicom, "110122", "Login")
	if s.Out {
		what = coding(dicom, "110123", "Logout")
	}
	user := object{"requestor": true, "who": object{"identifier": identifier(hub.URL+idsOf(s.By.Kind), s.By.ID)}}
	if s.Name != "" {
		user["name"] = s.Name
	}
	if s.From != "" {
		user["network"] = object{"address": s.From, "type": "2"}
	}
	event := done(hub, coding(dicom, "110114", "User Authentication"), what, "E", s.At, user)
	if s.How != "" {
		event["entity"] = list{object{"type": coding(entityTypes, "2", "System Object"), "what": object{"display": s.How}}}
	}
	return json.Marshal(event)
}

// Revocation is the AuditEvent of an admin's taking back what lets a carer in: sessions, invitations, passkeys. by is the login
// name of the admin on the hub's machine.
func Revocation(hub events.Sender, carer, by string, at time.Time) ([]byte, error) {
	event := done(hub, coding(dicom, "110113", "Security Alert"), coding(dicom, "110137", ""), "D", at,
		object{"requestor": true, "who": object{"identifier": identifier(hub.URL+adminIDs, by)}})
	event["entity"] = list{object{"type": coding(entityTypes, "1", "Person"), "role": coding(objectRoles, "6", "User"),
		"what": object{"identifier": identifier(hub.URL+carerIDs, carer)}}}
	return json.Marshal(event)
}

// Configuration is the AuditEvent of a configuration that has come into force. folder and rules are hashes, of which only folder
// takes a key to make; source says where it was read.
func Configuration(hub events.Sender, folder, rules, source string, at time.Time) ([]byte, error) {
	event := done(hub, coding(dicom, "110113", "Security Alert"), coding(dicom, "110131", "Software Configuration"), "U", at)
	event["entity"] = list{object{"type": coding(entityTypes, "2", "System Object"),
		"what":   object{"identifier": identifier(hub.URL+folderIDs, folder)},
		"detail": list{object{"type": "rules", "valueString": rules}, object{"type": "source", "valueString": source}}}}
	return json.Marshal(event)
}

const folderIDs = "/id/configuration" // hashes of it, below the hub's URL

// done is an AuditEvent of what was done at the hub, by others or by itself.
func done(hub events.Sender, kind, what object, action string, at time.Time, by ...any) object {
	itself := object{"type": object{"coding": list{coding(dicom, "110150", "Application")}}, "requestor": len(by) == 0, "who": object{"display": hub.Name}}
	return object{
		"resourceType": "AuditEvent",
		"id":           uuid.NewString(),
		"type":         kind,
		"subtype":      list{what},
		"action":       action,
		"recorded":     at.UTC().Format(time.RFC3339Nano),
		"outcome":      "0",
		"agent":        append(list(by), itself),
		"source":       object{"site": hub.Name, "observer": object{"display": hub.Name}, "type": list{coding(sourceTypes, "4", "Application Server")}},
	}
}
