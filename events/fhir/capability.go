package fhir

import (
	"time"

	"carehub/events"
)

// Capability is the hub's CapabilityStatement (FHIR R4, 5.2): that it sends event messages. What it takes in by FHIR is
// declared here once it takes it in.
func Capability(hub events.Sender, published time.Time) ([]byte, error) {
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
		"messaging": []map[string]any{{
			"documentation": "Sends admission, attendance, discharge and fall messages to the recipients that each patient's rules name.",
		}},
	})
}
