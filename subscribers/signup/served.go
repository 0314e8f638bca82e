package signup

import "carehub/events/fhir"

// Served is what a hub at this URL does with Subscriptions, as its CapabilityStatement has it.
func Served(hub string) fhir.Served {
	const operations = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-"
	s := fhir.Served{Type: "Subscription", Interactions: []string{"create", "read", "update", "delete", "search-type"},
		Search: []fhir.SearchParameter{
			{Name: "_id", Type: "token"},
			{Name: "status", Type: "token"},
			{Name: "url", Type: "uri", Documentation: "The address that notifications go to."},
		},
		Operations: []fhir.Operation{{Name: "status", Definition: operations + "status"}, {Name: "events", Definition: operations + "events"}},
		Profiles:   []string{backport + "backport-subscription"},
		Notes: "Topic-based, as Subscriptions R5 Backport has it for R4. Channel rest-hook only. Filters by patient and by the class of an encounter. " +
			"Only about patients of whom the hub's rules tell the subscriber, whatever it asks for."}
	for _, topic := range Topics {
		s.Extensions = append(s.Extensions, fhir.Extension{URL: backport + "capabilitystatement-subscriptiontopic-canonical", ValueCanonical: TopicURL(hub, topic)})
	}
	return s
}
