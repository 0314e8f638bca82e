package audit

import (
	"cmp"
	"time"

	"carehub/events"
)

// Access is what somebody did with what the hub has of a patient: over the RESTful API or at a page.
type Access struct {
	By          events.Actor
	Name        string // of the person, where By is an organisation and they signed in for it
	Interaction string // read, vread, search-type, create or operation
	Type, ID    string // what was asked for; no ID in a search
	Patient     string // whom it was about; "" where nobody can tell
	Query       string // of a search or an operation, without identifiers
	Refused     events.ErrorKind
	From        string // network address of the client
	Request     string // X-Request-Id
	At          time.Time
}

// Code systems and profiles of the Basic Audit Log Patterns (IHE ITI BALP 1.1.3).
const (
	auditTypes   = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	interactions = "http://hl7.org/fhir/restful-interaction"
	dicom        = "http://dicom.nema.org/resources/ontology/DCM"
	entityTypes  = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	objectRoles  = "http://terminology.hl7.org/CodeSystem/object-role"
	sourceTypes  = "http://terminology.hl7.org/CodeSystem/security-source-type"
	balpEntities = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
	balpProfiles = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

	systemIDs  = "/id/system" // below the hub's URL, as in its messages
	carerIDs   = "/id/carer"
	patientIDs = "/id/patient"
)

const create = "create" // the restful-interaction

type (
	object = map[string]any
	list   = []any
)

// searches reports whether the access asks for what it does not name.
func (a Access) searches() bool { return a.Interaction == "search-type" }

// layOut is the AuditEvent as the profiles have it. The query of a search is in base64 already.
func layOut(hub events.Sender, a Access, id, recorded string) object {
	operation := a.Interaction == "operation"
	search := a.searches() || operation
	action := "R"
	switch {
	case search:
		action = "E"
	case a.Interaction == create:
		action = "C"
	}
	event := object{
		"resourceType": "AuditEvent",
		"id":           id,
		"type":         coding(auditTypes, "rest", "RESTful Operation"),
		"subtype":      list{coding(interactions, a.Interaction, "")},
		"action":       action,
		"recorded":     recorded,
		"outcome":      "0",
		"agent":        agents(hub, a, search || a.Interaction == create),
		"source": object{
			"site":     hub.Name,
			"observer": object{"display": hub.Name},
			"type":     list{coding(sourceTypes, "4", "Application Server")},
		},
		"entity": entities(hub, a, search),
	}
	if a.Refused != "" {
		event["outcome"], event["outcomeDesc"] = outcome(a.Refused), string(a.Refused)
	} else if !operation {
		event["meta"] = object{"profile": list{balpProfiles + profile(a, search)}}
	}
	return event
}

// outcome is minor where the client is at fault, serious where the hub is (R4, audit-event-outcome).
func outcome(refused events.ErrorKind) string {
	if refused == events.Internal || refused == events.Unavailable {
		return "8"
	}
	return "4"
}

func profile(a Access, search bool) string {
	what := "Read"
	switch {
	case search:
		what = "Query"
	case a.Interaction == create:
		what = "Create"
	}
	if a.Patient != "" {
		return "Patient" + what
	}
	return what
}

// agents are the client and the hub. What is read flows to the client, so that it is the destination; a query, or what is
// created, comes from it, so that it is the source.
func agents(hub events.Sender, a Access, sends bool) list {
	source, destination := coding(dicom, "110153", "Source Role ID"), coding(dicom, "110152", "Destination Role ID")
	client, server := destination, source
	if sends {
		client, server = source, destination
	}
	requestor := object{
		"type": object{"coding": list{client}}, "requestor": true,
		"who":     object{"identifier": identifier(hub.URL+idsOf(a.By.Kind), a.By.ID)},
		"network": object{"address": cmp.Or(a.From, "unknown"), "type": "2"},
	}
	if a.Name != "" {
		requestor["name"] = a.Name
	}
	return list{
		requestor,
		object{
			"type": object{"coding": list{server}}, "requestor": false,
			"who":     object{"display": hub.Name},
			"network": object{"address": hub.URL + "/fhir", "type": "5"},
		},
	}
}

// idsOf is the system of the ids of such an actor.
func idsOf(kind events.ActorKind) string {
	if kind == events.Carer {
		return carerIDs
	}
	return systemIDs
}

func entities(hub events.Sender, a Access, search bool) list {
	var all list
	if a.Patient != "" {
		all = append(all, object{
			"type": coding(entityTypes, "1", "Person"), "role": coding(objectRoles, "1", "Patient"),
			"what": object{"reference": "Patient/" + a.Patient, "identifier": identifier(hub.URL+patientIDs, a.Patient)},
		})
	}
	system := coding(entityTypes, "2", "System Object")
	switch {
	case a.Interaction == "operation":
		all = append(all, object{"type": system, "role": coding(objectRoles, "4", "Domain Resource"),
			"what": object{"reference": a.Type + "/" + a.ID}, "description": a.Query})
	case search:
		all = append(all, object{"type": system, "role": coding(objectRoles, "24", "Query"), "query": a.Query})
	case a.ID != "":
		all = append(all, object{"type": system, "role": coding(objectRoles, "4", "Domain Resource"),
			"what": object{"reference": a.Type + "/" + a.ID}})
	default:
		all = append(all, object{"type": system, "role": coding(objectRoles, "4", "Domain Resource"), "what": object{"display": a.Type}})
	}
	if a.Request != "" {
		all = append(all, object{"type": coding(balpEntities, "XrequestId", ""), "what": object{"identifier": object{"value": a.Request}}})
	}
	return all
}

func coding(system, code, display string) object {
	c := object{"system": system, "code": code}
	if display != "" {
		c["display"] = display
	}
	return c
}

func identifier(system, value string) object { return object{"system": system, "value": value} }
