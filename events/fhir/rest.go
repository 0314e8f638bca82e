package fhir

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Resource is one resource of a message as it is read by itself, at [base]/Type/ID. Its ids locate it: an Encounter's is
// its stay's, a Patient's the pseudonym, a Condition's of the family's summary events.ConditionID, an Organization's HubOrganization or the system's own, a RelatedPerson's
// events.RelatedID, and that of anything else the id of its event.
type Resource struct {
	Type, ID string
	Version  string    // meta.versionId: the id of the event that told of it so
	Updated  time.Time // meta.lastUpdated: when the hub took that event in
	Focus    bool      // the message is about it (MessageHeader.focus)
	JSON     []byte    // compact, with references such as Encounter/… to the others
}

// HubOrganization is the logical id of the hub's own Organization, and of its Device.
const HubOrganization = "hub"

// Address is where the resource is, relative to the base.
func (r Resource) Address() string { return r.Type + "/" + r.ID }

// Resources returns the resources of the stored message of one event as they are read one by one (FHIR R4, 3.1.0), those
// that it is about first. The header stays behind: it belongs to the message. Test and other flags of an event, which are
// the message's, stand on each resource that is of the event alone. The error is an *events.Error; an alarm, which is
// about no patient, is Invalid.
func Resources(message []byte) ([]Resource, error) {
	m, err := Decode(message)
	if err != nil {
		return nil, err
	}
	if m.Event.Kind == events.Alarm {
		return nil, invalid("an alarm is read as a message only")
	}
	var in restMessage
	if err := json.Unmarshal(message, &in); err != nil {
		return nil, &events.Error{Kind: events.Internal, Message: "the message could not be taken apart", Err: err}
	}
	return in.resources(m)
}

// restMessage is a message that Decode has found good, as far as taking it apart needs it.
type restMessage struct {
	Meta  struct{ Tag []r4.Coding }
	Entry []restEntry
}

type restEntry struct {
	FullURL  string `json:"fullUrl"`
	Resource json.RawMessage
}

func (in restMessage) resources(m Message) ([]Resource, error) {
	var header struct{ Focus []r4.Reference }
	if err := json.Unmarshal(in.Entry[0].Resource, &header); err != nil {
		return nil, &events.Error{Kind: events.Internal, Message: "the header could not be read", Err: err}
	}
	var literal []string
	familys := 0 // conditions of the summary so far
	out := make([]Resource, 0, len(in.Entry))
	for _, e := range in.Entry[1:] {
		r := Resource{Type: typeOf(e.Resource), Version: m.Event.ID, Updated: m.Event.Recorded}
		r.ID = m.restID(r.Type, e.Resource)
		if r.Type == "Condition" && isFamilys(e.Resource) {
			r.ID = events.ConditionID(m.Patient.ID, familys)
			familys++
		}
		r.Focus = slices.ContainsFunc(header.Focus, func(f r4.Reference) bool { return text(f.Reference) == e.FullURL })
		literal = append(literal, `"reference":"`+e.FullURL+`"`, `"reference":"`+r.Address()+`"`)
		if err := r.write(e.Resource, in.Meta.Tag); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	// A quotation mark that anyone typed has a backslash before it, so nothing else looks like a reference.
	references := strings.NewReplacer(literal...)
	for i := range out {
		out[i].JSON = []byte(references.Replace(string(out[i].JSON)))
	}
	slices.SortStableFunc(out, func(a, b Resource) int { return cmp.Compare(rank(a), rank(b)) })
	return out, nil
}

// rank puts what a message is about before the rest.
func rank(r Resource) int {
	if r.Focus {
		return 0
	}
	return 1
}

// restID is the logical id of a resource of the message.
func (m Message) restID(kind string, resource []byte) string {
	switch kind {
	case "Encounter":
		return cmp.Or(m.Event.Stay, m.Event.ID)
	case "Patient":
		return m.Patient.ID
	case "RelatedPerson":
		return events.RelatedID(m.By.ID, m.Patient.ID)
	case "DocumentReference":
		var d documentReference
		_ = json.Unmarshal(resource, &d) // Decode has read it
		return value(d.Identifier, m.Hub.URL+documentIDs)
	case "Device":
		return HubOrganization
	case "Organization":
		var o struct{ Identifier []r4.Identifier }
		_ = json.Unmarshal(resource, &o) // Decode has read it
		return cmp.Or(value(o.Identifier, m.Hub.URL+systemIDs), HubOrganization)
	}
	return m.Event.ID
}

// write gives the resource of a message its own id and meta.
func (r *Resource) write(resource []byte, tags []r4.Coding) error {
	head, rest, found := bytes.Cut(resource, []byte(`,"id":"`))
	_, rest, ended := bytes.Cut(rest, []byte(`"`))
	if !found || !ended || string(head) != `{"resourceType":"`+r.Type+`"` || bytes.HasPrefix(rest, []byte(`,"meta":`)) {
		return &events.Error{Kind: events.Internal, Message: "a resource is not laid out as this hub does it"}
	}
	meta := r4.Meta{VersionId: &r.Version, LastUpdated: instant(r.Updated)}
	if r.ID == r.Version || r.Type == "Encounter" {
		meta.Tag = tags
	}
	b, err := marshal(struct {
		ResourceType string  `json:"resourceType"`
		ID           string  `json:"id"`
		Meta         r4.Meta `json:"meta"`
	}{r.Type, r.ID, meta})
	if err != nil {
		return err
	}
	r.JSON = append(bytes.TrimSuffix(b, []byte("}")), rest...)
	return nil
}

// Stay is an Encounter as the newest of its versions has it, with what a discharge does not say of how the stay began. The
// versions are of one stay, newest first, and at least one.
func Stay(versions []Resource) (Resource, error) {
	newest := versions[0]
	var now encounter
	if err := json.Unmarshal(newest.JSON, &now); err != nil {
		return newest, unmerged(err)
	}
	for _, v := range versions[1:] {
		var began encounter
		if err := json.Unmarshal(v.JSON, &began); err != nil {
			return newest, unmerged(err)
		}
		told := began.Status != r4.EncounterStatusFinished && len(began.StatusHistory) == 0 // how it began
		if told && (now.Status == r4.EncounterStatusFinished || len(now.StatusHistory) > 0) {
			now.beganAs(began)
			b, err := marshal(now)
			newest.JSON = b
			return newest, err
		}
	}
	return newest, nil
}

func (e *encounter) beganAs(began encounter) {
	e.Type, e.ReasonCode, e.ReasonReference = began.Type, began.ReasonCode, began.ReasonReference
	if len(e.Location) == 0 {
		e.Location = began.Location
	}
	if e.Period == nil {
		e.Period = began.Period
	}
	if e.Period != nil && began.Period != nil && !moment(began.Period.Start).After(moment(e.Period.End)) {
		e.Period.Start = began.Period.Start
	}
}

func unmerged(err error) error {
	return &events.Error{Kind: events.Internal, Message: "the stay could not be put together", Err: err}
}

// Organization is the resource of the hub, where id is HubOrganization, or of one of the systems that log.
func Organization(hub events.Sender, id, name string) (Resource, error) {
	hub = cleanHub(hub)
	o := organization(hub, id)
	if id != HubOrganization {
		who := (&draft{Message: Message{Hub: hub, By: events.Person{ID: id, Kind: events.System, Name: clean(name)}}})
		who.ids.by = id
		o = who.system()
		o.Text = narrative(cmp.Or(clean(name), id))
	}
	plain, err := marshal(o)
	if err != nil {
		return Resource{}, err
	}
	r := Resource{Type: "Organization", ID: id, Version: events.Hash(plain)[:16]}
	o.Meta = &r4.Meta{VersionId: &r.Version}
	r.JSON, err = marshal(o)
	return r, err
}
