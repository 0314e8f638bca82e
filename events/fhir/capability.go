package fhir

import (
	"time"

	"carehub/events"
)

// Served is one type of resource that the hub serves, as a CapabilityStatement has it.
type Served struct {
	Type         string
	Interactions []string // FHIR's codes: read, vread, search-type, create, …
	Search       []SearchParameter
	Operations   []Operation
	Profiles     []string    // supportedProfile
	Extensions   []Extension // on the resource itself
	Versioned    bool        // versions can be read
	Notes        string      // documentation, may be empty
}

// SearchParameter is one that a search of a type takes.
type SearchParameter struct {
	Name          string `json:"name"`
	Type          string `json:"type"`
	Documentation string `json:"documentation,omitempty"`
}

// Operation is one beginning with $, on a type or on the whole server.
type Operation struct {
	Name       string `json:"name"` // without the $
	Definition string `json:"definition"`
}

// Extension is one whose value is a canonical address, such as a subscription topic.
type Extension struct {
	URL            string `json:"url"`
	ValueCanonical string `json:"valueCanonical,omitempty"`
}

// Server is all that the hub serves by FHIR. Each part of the hub adds what it does.
type Server struct {
	Resources  []Served
	Operations []Operation // of the whole server
	TokenURL   string      // where OAuth2 access tokens come from
	// ReliableCache is for how long $process-message answers a repeat as it did the first time; 0 where it takes nothing in.
	ReliableCache time.Duration
}

// Capability is the hub's CapabilityStatement (FHIR R4, 5.2): exactly what is there.
func Capability(hub events.Sender, published time.Time, s Server) ([]byte, error) {
	rest := map[string]any{
		"mode":     "server",
		"security": s.security(),
	}
	if len(s.Resources) > 0 {
		rest["resource"] = s.resources()
	}
	if len(s.Operations) > 0 {
		rest["operation"] = s.Operations
	}
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
		"format":      []string{MediaType, "json"},
		"rest":        []any{rest},
		"messaging":   []any{s.messaging(hub)},
	})
}

const (
	securityServices = "http://terminology.hl7.org/CodeSystem/restful-security-service"
	messageTransport = "http://terminology.hl7.org/CodeSystem/message-transport"
	oauthURIs        = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
)

// security says how to sign in: SMART on FHIR's extension, for clients that do not look for .well-known.
func (s Server) security() map[string]any {
	out := map[string]any{
		"cors":        false,
		"service":     []any{concept(coding(securityServices, "SMART-on-FHIR", "SMART-on-FHIR"))},
		"description": "A token of the hub, or an OAuth2 access token by client credentials (SMART Backend Services): Authorization: Bearer …",
	}
	if s.TokenURL != "" {
		out["extension"] = []any{map[string]any{
			"url": oauthURIs, "extension": []any{map[string]string{"url": "token", "valueUri": s.TokenURL}},
		}}
	}
	return out
}

func (s Server) resources() []any {
	all := make([]any, 0, len(s.Resources))
	for _, r := range s.Resources {
		interactions := make([]map[string]string, 0, len(r.Interactions))
		for _, code := range r.Interactions {
			interactions = append(interactions, map[string]string{"code": code})
		}
		out := map[string]any{"type": r.Type, "interaction": interactions, "versioning": "no-version"}
		if r.Versioned {
			out["versioning"], out["readHistory"], out["conditionalRead"] = "versioned", true, "full-support"
		}
		for name, list := range map[string]struct {
			n int
			v any
		}{"searchParam": {len(r.Search), r.Search}, "operation": {len(r.Operations), r.Operations},
			"supportedProfile": {len(r.Profiles), r.Profiles}, "extension": {len(r.Extensions), r.Extensions},
			"documentation": {len(r.Notes), r.Notes}} {
			if list.n > 0 {
				out[name] = list.v
			}
		}
		all = append(all, out)
	}
	return all
}

// messaging declares $process-message, in both directions where the hub takes messages in.
func (s Server) messaging(hub events.Sender) map[string]any {
	modes, documentation := []string{"sender"}, "Sends admission, attendance, discharge, fall and document messages to the recipients that each patient's rules name"
	out := map[string]any{}
	if s.ReliableCache > 0 {
		modes, documentation = append(modes, "receiver"), documentation+", and takes them, but for documents, from registered systems at $process-message; there it also takes what a named person answers to one: "+
			"a Communication inResponseTo the hub's, whose sender is a Practitioner or PractitionerRole in the Bundle"
		out["endpoint"] = []any{map[string]any{"protocol": coding(messageTransport, "http", ""), "address": hub.URL + endpoint + "/$process-message"}}
		out["reliableCache"] = int(s.ReliableCache.Minutes())
	}
	var supported []any
	for _, mode := range modes {
		for _, kind := range events.Routed {
			if mode == "receiver" && kind == events.DocumentAdded {
				continue
			}
			supported = append(supported, map[string]string{"mode": mode, "definition": hub.URL + endpoint + "/MessageDefinition/" + string(kind)})
		}
	}
	if s.ReliableCache > 0 {
		supported = append(supported, map[string]string{"mode": "receiver", "definition": hub.URL + endpoint + "/MessageDefinition/answer"})
	}
	out["documentation"], out["supportedMessage"] = documentation+".", supported
	return out
}

// PatientSystem is the system of the identifiers that are pseudonyms.
func PatientSystem(hub events.Sender) string { return hub.URL + patientIDs }
