package fhir_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"carehub/events/fhir"
)

// TestCapability has the validators judge what the hub says of itself, with nothing served and with all that there can be.
func TestCapability(t *testing.T) {
	all := fhir.Server{
		TokenURL: hub.URL + "/oauth/token", ReliableCache: 48 * time.Hour,
		Operations: []fhir.Operation{{Name: "process-message", Definition: "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message"}},
		Resources: []fhir.Served{
			{Type: "Encounter", Interactions: []string{"read", "search-type"}, Versioned: true, Search: []fhir.SearchParameter{{Name: "patient", Type: "reference"}}},
			{Type: "Subscription", Interactions: []string{"create", "delete"}, Notes: "rest-hook only",
				Profiles:   []string{"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription"},
				Operations: []fhir.Operation{{Name: "status", Definition: "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-status"}},
				Extensions: []fhir.Extension{{URL: "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical", ValueCanonical: "https://hub.example/fhir/SubscriptionTopic/any"}}},
		},
	}
	dir := t.TempDir()
	for name, server := range map[string]fhir.Server{"nothing": {}, "all": all} {
		b, err := fhir.Capability(hub, at(1, 0), server)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir)
}
