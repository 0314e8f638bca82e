package fhir

import (
	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Code systems and identifier systems of others.
// NHSNumber is the system of identifiers that are NHS numbers.
const NHSNumber = "https://fhir.nhs.uk/Id/nhs-number"

const (
	notificationEvent  = "http://hl7.org/fhir/us/davinci-alerts/CodeSystem/notification-event"
	messageReasons     = "http://terminology.hl7.org/CodeSystem/message-reasons-encounter"
	messageReasonBars  = "https://fhir.nhs.uk/CodeSystem/message-reason-bars"
	actCode            = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	actReason          = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	snomed             = "http://snomed.info/sct"
	communicationKinds = "http://terminology.hl7.org/CodeSystem/communication-category"
	participantKinds   = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
	conditionClinical  = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	conditionVerified  = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
	conditionCategory  = "http://terminology.hl7.org/CodeSystem/condition-category"
	personRoles        = "https://fhir.hl7.org.uk/CodeSystem/UKCore-AdditionalPersonRelationshipRole"
	odsCode            = "https://fhir.nhs.uk/Id/ods-organization-code"
	confidentiality    = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
	uriIDs             = "urn:ietf:rfc:3986"
	nhsNumberStatus    = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland"

	nhsNumberStatusExtension = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
	alternateReference       = "http://hl7.org/fhir/StructureDefinition/alternate-reference"
)

// What a hub names itself, below its own URL.
const (
	patientIDs   = "/id/patient"
	stayIDs      = "/id/encounter"
	eventIDs     = "/id/event"
	carerIDs     = "/id/carer"
	systemIDs    = "/id/system"
	recipientIDs = "/id/subscriber"
	messageIDs   = "/id/message/" // and the id of the system whose message it is
	hubIDsystem  = "/id/hub"

	correctionCodes = "/CodeSystem/correction"
	flagCodes       = "/CodeSystem/event-flag"
	hubEvents       = "/CodeSystem/hub-event"
	reasonCodes     = "/CodeSystem/delivery-reason"
	channelCodes    = "/CodeSystem/channel"

	saidExtension = "/StructureDefinition/said-time" // the time the logger gave where the hub did not believe it
	endpoint      = "/fhir"
)

// Profiles whose cardinalities every message with them satisfies.
const (
	bundleProfile = "http://hl7.org/fhir/us/davinci-alerts/StructureDefinition/notifications-bundle"
	headerProfile = "http://hl7.org/fhir/us/davinci-alerts/StructureDefinition/notifications-messageheader"
)

const (
	testFlag   = "test"
	alarmEvent = "delivery-alarm"
)

// shape is how one kind of event looks in FHIR.
type shape struct {
	event     r4.Coding
	reason    *r4.CodeableConcept
	status    r4.EncounterStatus
	class     r4.Coding
	encounter r4.CodeableConcept // Encounter.type
	title     string
	sentence  string // follows the patient's name
}

var (
	isNew     = coding(messageReasonBars, "new", "")
	isUpdate  = coding(messageReasonBars, "update", "")
	isDelete  = coding(messageReasonBars, "delete", "")
	isEdit    = coding(messageReasons, "edit", "Edit")
	inpatient = coding(actCode, "IMP", "inpatient encounter")

	fall = concept(coding(snomed, "1912002", "Fall"))
)

// shapes has a row for every kind that can be logged. A carer's "A&E" is never parsed, so an attendance is ambulatory; a
// discharge says nothing of how the stay began, so its type is the discharge.
var shapes = map[events.Kind]shape{
	events.Admission: {
		event:     coding(notificationEvent, "notification-admit", "Admit Notification"),
		reason:    new(concept(coding(messageReasons, "admit", "Admit"), isNew)),
		status:    r4.EncounterStatusInProgress,
		class:     inpatient,
		encounter: concept(coding(snomed, "32485007", "Hospital admission")),
		title:     "Admission to hospital",
		sentence:  "was admitted to hospital",
	},
	events.Attendance: {
		event:     coding(notificationEvent, "notification-outpatient-visit", "Outpatient Visit Notification"),
		reason:    new(concept(isNew)),
		status:    r4.EncounterStatusInProgress,
		class:     coding(actCode, "AMB", "ambulatory"),
		encounter: r4.CodeableConcept{Text: new("Seen, not admitted")},
		title:     "Attendance, not admitted",
		sentence:  "was seen but not admitted",
	},
	events.Discharge: {
		event:     coding(notificationEvent, "notification-discharge", "Discharge Notification"),
		reason:    new(concept(coding(messageReasons, "discharge", "Discharge"), isNew)),
		status:    r4.EncounterStatusFinished,
		class:     inpatient,
		encounter: concept(coding(snomed, "58000006", "Patient discharge")),
		title:     "Discharge",
		sentence:  "was discharged",
	},
	events.Fall: {
		event:    coding(notificationEvent, "notification-new-condition", "New Condition Notification"),
		reason:   new(concept(isNew)),
		title:    "Fall",
		sentence: "had a fall",
	},
	events.DocumentAdded: {
		event:    coding(notificationEvent, "notification-summary-report", "Summary Report Notification"),
		reason:   new(concept(isNew)),
		title:    "Document",
		sentence: "has a document that was passed on",
	},
}

// kindOf finds the kind that a header's event code stands for.
func kindOf(event r4.Coding) events.Kind {
	for _, kind := range events.Routed {
		if s := shapes[kind]; text(event.System) == *s.event.System && text(event.Code) == *s.event.Code {
			return kind
		}
	}
	return ""
}
