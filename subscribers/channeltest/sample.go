package channeltest

import (
	"fmt"
	"strings"
	"time"

	"carehub/events"
)

// Planted lists what is identifying in Sample. None of it may be in an error, a log or a mail subject.
var Planted = []string{
	"Thomas", "Ruth Example", "9990000018", "1941-03-11", "wet step", "Riverside Hospital", "8sYc2mQvT0kR4hLZ",
}

// Gossip is what test servers add to their refusals: a real server may well repeat what it was sent.
var Gossip = "about " + strings.Join(Planted, ", ")

// Sample returns a delivery of an invented patient's admission, with everything in Planted somewhere in it.
func Sample() events.Delivery { return Numbered(0) }

// Numbered returns the nth of many deliveries to one recipient. They differ in id, event and message.
func Numbered(n int) events.Delivery {
	const recipient = "riverside-surgery"
	event := events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, "p-7f3k", fmt.Sprint("key-", n))
	return events.Delivery{
		ID:        events.DeliveryID(event, recipient),
		Event:     event,
		Ref:       events.Ref(event),
		Kind:      events.Admission,
		Urgent:    true,
		Recipient: recipient,
		Channel:   "webhook",
		Name:      "Riverside Surgery",
		Content:   events.ContentLink,
		Hub:       "https://hub.example",
		Recorded:  time.Date(2026, 11, 3, 14, 32, 0, 0, time.UTC),
		Attempt:   1,
		Link:      func() string { return "https://hub.example/m/8sYc2mQvT0kR4hLZ" },
		Message:   fmt.Appendf(nil, message, events.UUID(event, recipient), events.UUID(event)),
	}
}

const message = `{"resourceType":"Bundle","id":"%s","identifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:%s"},` +
	`"type":"message","entry":[{"fullUrl":"urn:uuid:1d0c8a3e-52f5-4b53-9d7e-0f6c0e6e2a11","resource":{` +
	`"resourceType":"MessageHeader","eventCoding":{` +
	`"system":"http://hl7.org/fhir/us/davinci-alerts/CodeSystem/notification-event","code":"notification-admit"},` +
	`"source":{"endpoint":"https://hub.example/fhir"}}},` +
	`{"fullUrl":"urn:uuid:7a3f0c52-8f3e-4a55-8a4b-b9f6b3a1c0d2","resource":{"resourceType":"Patient",` +
	`"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],` +
	`"name":[{"text":"Thomas Example"}],"birthDate":"1941-03-11"}},` +
	`{"fullUrl":"urn:uuid:2b9d4e61-6c1f-4f0e-9c38-5f1d7c3e8b40","resource":{"resourceType":"Communication",` +
	`"status":"completed","payload":[{"contentString":` +
	`"Ruth Example: he slipped on the wet step & is at Riverside Hospital <A&E>"}]}}]}`
