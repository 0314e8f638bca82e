package fhir

import (
	"time"

	"carehub/events"
)

// Capability is the hub's CapabilityStatement (FHIR R4, 5.2): that it sends event messages and takes them in. cache is how
// long the answer to a message can be repeated.
func Capability(hub events.Sender, published time.Time, cache time.Duration) ([]byte, error) {
	return marshal(map[string]any{
		"resourceType": "CapabilityStatement",
		"status":       "active",
		"date":         published.Format(time.RFC3339),
		"kind":         "instance",
		"software":     map[string]string{"name": "carehub", "version": hub.Version},
		"implementation": map[string]string{
			"description": "carehub at " + hub.Name, "url": hub.URL + "/fhir",
		},
		"fhirVersion": "4.0.1",
		"format":      []string{"application/fhir+json"},
		"messaging":   []map[string]any{messaging(hub, cache)},
	})
}

// messaging declares $process-message, in both directions.
func messaging(hub events.Sender, cache time.Duration) map[string]any {
	var supported []map[string]string
	for _, mode := range []string{"sender", "receiver"} {
		for _, kind := range events.Kinds {
			supported = append(supported, map[string]string{"mode": mode, "definition": hub.URL + "/fhir/MessageDefinition/" + string(kind)})
		}
	}
	return map[string]any{
		"documentation": "Sends admission, attendance, discharge and fall messages to the recipients that each patient's rules name, and " +
			"takes them from registered systems at $process-message: " + admitEvent + ", " + visitEvent + ", " + dischargeEvent + ", " + conditionEvent +
			" of " + notificationEvent + ".",
		"endpoint": []map[string]any{{
			"protocol": coding("http://terminology.hl7.org/CodeSystem/message-transport", "http", ""), "address": hub.URL + endpoint + "/$process-message",
		}},
		"reliableCache":    int(cache.Minutes()),
		"supportedMessage": supported,
	}
}
