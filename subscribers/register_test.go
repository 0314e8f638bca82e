package subscribers_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"carehub/config/strict"
	"carehub/config/strict/stricttest"
	"carehub/events"
	"carehub/subscribers"
)

// letter is a channel type with one key, like email.
type letter struct{ To string }

func (letter) Open(decode func(into any) error) (subscribers.Endpoint, error) {
	var s struct {
		To string `yaml:"to,required"`
	}
	if err := decode(&s); err != nil {
		return nil, err
	}
	return letter{s.To}, nil
}

func (letter) Send(context.Context, events.Delivery) error { return nil }

// hook is a channel type that judges for itself.
type hook struct{}

func (hook) Open(decode func(into any) error) (subscribers.Endpoint, error) {
	var s struct {
		URL    string   `yaml:"url"`
		Format string   `yaml:"format"`
		Tags   []string `yaml:"tags"`
	}
	if err := decode(&s); err != nil {
		return nil, err
	}
	if i := slices.Index(s.Tags, "bad"); i >= 0 {
		return nil, &subscribers.FieldError{Field: "tags.1", Message: "is bad"}
	}
	if !strings.HasPrefix(s.URL, "https://") {
		return nil, &subscribers.FieldError{Field: "url", Message: "must begin with https://"}
	}
	return letter{s.URL}, nil
}

// note takes no settings.
type note struct{}

func (note) Open(decode func(any) error) (subscribers.Endpoint, error) {
	return nil, decode(&struct{}{})
}

var types = map[string]subscribers.Type{"email": letter{}, "webhook": hook{}, "push": note{}}

func TestBroken(t *testing.T) {
	stricttest.Broken(t, "testdata/broken/*.txtar", func(folder *strict.Folder) { subscribers.Load(folder, types) })
}

const sound = `
-- carers.yaml --
ruth: {name: Ruth Example, relationship: daughter, phone: "01", channels: [{email: {to: ruth@home.example, content: summary}}]}
-- subscribers/surgery.yaml --
id: surgery
name: Surgery
ods: A99999
phone: "02"
quiet_hours: {from: "22:00", to: "07:00", zone: Europe/London}
channels:
  - webhook: {url: https://surgery.example, rate: 120, concurrency: 2}
  - email: {to: one@surgery.example}
  - email: {to: two@surgery.example, content: full}
-- subscribers/duty-line.yaml --
id: duty-line
name: Duty line
phone: "03"
`

func TestLoad(t *testing.T) {
	folder := &strict.Folder{Dir: stricttest.Write(t, txtar.Parse([]byte(sound)))}
	r := subscribers.Load(folder, types)
	if problems := folder.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	var ids []string
	for _, s := range r.All() {
		ids = append(ids, s.ID)
	}
	if !slices.Equal(ids, []string{"duty-line", "ruth", "surgery"}) {
		t.Errorf("got %v", ids)
	}
	surgery, _ := r.Lookup("surgery")
	var channels []events.Channel
	for _, c := range surgery.Channels {
		channels = append(channels, c.Channel)
	}
	want := []events.Channel{
		{Key: "webhook", Type: "webhook"},
		{Key: "email", Type: "email", Content: events.ContentLink},
		{Key: "email-2", Type: "email", Content: events.ContentFull},
	}
	if !slices.Equal(channels, want) || surgery.Channels[2].Endpoint != (letter{"two@surgery.example"}) {
		t.Errorf("got %+v", surgery.Channels)
	}
	if surgery.Channels[0].Limits != (subscribers.Limits{Rate: 120, Concurrency: 2}) || surgery.Channels[1].Limits != (subscribers.Limits{}) {
		t.Errorf("limits %+v", surgery.Channels)
	}
	if surgery.Name != "Surgery" || surgery.ODS != "A99999" || surgery.Phone != "02" || surgery.Carer {
		t.Errorf("got %+v", surgery)
	}
	if q := surgery.Quiet; q == nil || *q != (events.Quiet{From: "22:00", To: "07:00", Zone: "Europe/London"}) {
		t.Errorf("quiet hours %+v", q)
	}
	if _, ok := r.Lookup("nobody"); ok {
		t.Error("found nobody")
	}
}

func TestPerson(t *testing.T) {
	folder := &strict.Folder{Dir: stricttest.Write(t, txtar.Parse([]byte(sound)))}
	r := subscribers.Load(folder, types)
	for id, want := range map[string]events.Person{
		"ruth":    {ID: "ruth", Kind: events.Carer, Name: "Ruth Example", Relationship: "daughter", Phone: "01"},
		"surgery": {ID: "surgery", Kind: events.System, Name: "Surgery"},
	} {
		if got, ok := r.Person(id); !ok || got != want {
			t.Errorf("%s: got %+v", id, got)
		}
	}
	if ruth, _ := r.Lookup("ruth"); !ruth.Carer || len(ruth.Channels) != 1 {
		t.Errorf("got %+v", ruth)
	}
}
