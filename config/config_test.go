package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"carehub/config"
	"carehub/config/strict"
	"carehub/config/strict/stricttest"
	"carehub/events"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func TestBroken(t *testing.T) {
	stricttest.Broken(t, "testdata/broken/*.txtar", func(folder *strict.Folder) {
		config.LoadHub(folder)
		config.LoadPatients(folder, now)
	})
}

const minimal = `
name: Riverside
contact: {phone: "01234", email: help@hub.example}
alarms: {notify: admin}
url: https://hub.example/
`

func load(t *testing.T, hub string) *config.Hub {
	t.Helper()
	folder := &strict.Folder{Dir: t.TempDir()}
	write(t, folder.Dir, "hub.yaml", hub)
	h := config.LoadHub(folder)
	if problems := folder.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return h
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDefaults(t *testing.T) {
	h := load(t, minimal)
	if h.URL != "https://hub.example" || h.Listen != "127.0.0.1:8080" || filepath.Base(h.Store) != "data" || h.NATS != nil || h.Mail != nil {
		t.Errorf("got %+v", h)
	}
	if h.Location.String() != "Europe/London" {
		t.Errorf("got time zone %s", h.Location)
	}
	urgent := config.Kind{Urgency: events.Urgent, FallbackAfter: 5 * time.Minute, AlarmAfter: 15 * time.Minute}
	routine := config.Kind{Urgency: events.Routine, FallbackAfter: 30 * time.Minute, AlarmAfter: 2 * time.Hour}
	for _, k := range events.Kinds {
		want := urgent
		if k == events.Discharge {
			want = routine
		}
		if h.Kinds[k] != want {
			t.Errorf("%s: got %+v", k, h.Kinds[k])
		}
	}
}

func TestKindOverridesOnlyWhatItSays(t *testing.T) {
	h := load(t, minimal+"kinds: {fall: {alarm_after: 10m}}\n")
	want := config.Kind{Urgency: events.Urgent, FallbackAfter: 5 * time.Minute, AlarmAfter: 10 * time.Minute}
	if h.Kinds[events.Fall] != want {
		t.Errorf("got %+v", h.Kinds[events.Fall])
	}
}

func TestMail(t *testing.T) {
	t.Setenv("CAREHUB_TEST_PASSWORD", "hunter2")
	h := load(t, minimal+`
mail: {host: smtp.example, from: care@hub.example, rate: 20, full_to: [NHS.example],
  auth: {mechanism: SCRAM-SHA-256, user: care, password: "${env:CAREHUB_TEST_PASSWORD}"}}
`)
	if h.Mail.Port != 587 || h.Mail.TLS != config.TLSMandatory || h.Mail.FullTo[0] != "nhs.example" {
		t.Errorf("got %+v", h.Mail)
	}
	if h.Mail.Auth.Password.Reveal() != "hunter2" {
		t.Error("the password was not read")
	}
}

// TestCertificate: a client certificate is read with its key; where secrets are not, its place is kept.
func TestCertificate(t *testing.T) {
	const external = minimal + `
mail: {host: smtp.example, from: care@hub.example, auth: {mechanism: EXTERNAL, client_cert: client.pem, client_key: "${file:key.pem}"}}
`
	folder := &strict.Folder{Dir: t.TempDir(), NoSecrets: true}
	write(t, folder.Dir, "hub.yaml", external)
	if h := config.LoadHub(folder); len(folder.Problems()) > 0 || h.Mail.Auth.Certificate == nil {
		t.Errorf("without secrets: %v", folder.Problems())
	}
	folder = &strict.Folder{Dir: folder.Dir}
	write(t, folder.Dir, "client.pem", "no certificate")
	write(t, folder.Dir, "key.pem", "no key")
	config.LoadHub(folder)
	want := "hub.yaml:7:80: client_cert and client_key must be a PEM certificate and its key"
	if got := folder.Problems().Error(); got != want {
		t.Errorf("got %s", got)
	}
}

func TestNATSTakesTheStoresPlace(t *testing.T) {
	h := load(t, minimal+"nats: {url: \"tls://n1.example:4222, tls://n2.example:4222\", creds: hub.yaml, replicas: 3}\n")
	if h.Store != "" || h.NATS == nil || !filepath.IsAbs(h.NATS.Creds) {
		t.Errorf("got store %q and nats %+v", h.Store, h.NATS)
	}
}

func TestEgress(t *testing.T) {
	e := load(t, minimal+"egress: {allow: [127.0.0.0/8, 10.0.0.0/8, fd00::/8]}\n").Egress
	for host, want := range map[string]bool{
		"127.0.0.1": true, "localhost": true, "10.9.8.7": true, "::ffff:10.9.8.7": true, "[fd00::1]": true,
		"192.168.1.1": false, "11.0.0.1": false, "localhost.example": false, "": false, "::1": false,
	} {
		if e.Allows(host) != want {
			t.Errorf("%q: got %v", host, !want)
		}
	}
	if (config.Egress{}).Allows("localhost") {
		t.Error("nothing is allowed unless hub.yaml says so")
	}
}

func TestPatients(t *testing.T) {
	folder := &strict.Folder{Dir: t.TempDir()}
	write(t, folder.Dir, "patients.yaml", `
p-7f3k:
  name: Thomas Örn Example
  born: 1941-03-11
  gender: male
  nhs_number: "9990000018"
  basis: {kind: lpa-health, by: Ruth Example, on: 2026-10-01}
  summary: {conditions: [frailty], respect: {exists: true, where: kitchen}, reviewed: 2026-10-01}
`)
	p := config.LoadPatients(folder, now)["p-7f3k"]
	if problems := folder.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	want := events.Patient{ID: "p-7f3k", Name: "Thomas Örn Example", Born: "1941-03-11", NHSNumber: "9990000018", Gender: "male",
		Summary: &events.Summary{Conditions: []string{"frailty"}, Respect: events.RespectExists, Where: "kitchen", Reviewed: "2026-10-01"}}
	if !reflect.DeepEqual(p.Events("p-7f3k"), want) {
		t.Errorf("got %+v", p.Events("p-7f3k"))
	}
	if p.Hint() != "TÖE 1941" {
		t.Errorf("got hint %q", p.Hint())
	}
	if !p.Summary.Respect.Exists || p.Basis.By != "Ruth Example" || p.Pos.Line != 2 {
		t.Errorf("got %+v", p)
	}
}

// TestWithoutPatients: in CI the private files are missing, which is said and no error.
func TestWithoutPatients(t *testing.T) {
	folder := &strict.Folder{Dir: t.TempDir(), NoSecrets: true}
	if config.LoadPatients(folder, now) != nil {
		t.Error("patients out of nowhere")
	}
	problems := folder.Problems()
	if len(problems) != 1 || problems.Failed() {
		t.Errorf("got %v", problems)
	}
}

// TestLoadStore: where the store is can be told of a hub.yaml that cannot be parsed, or it is not guessed.
func TestLoadStore(t *testing.T) {
	for _, tt := range []struct{ hub, store, nats string }{
		{minimal, "data", ""},
		{minimal + "store: events\n", "events", ""},
		{minimal + "store: events # here\noops: [\n", "events", ""},
		{minimal + "oops: [\n  a,\nstore: events\n", "events", ""},
		{minimal + "store_key: ${file:key}\noops: [\n", "data", ""},
		{"name: \"Riverside\nstore:\n\n  events\nurl: \x01\n", "events", ""},
		{"oops: [\n", "data", ""},
		{"nats: {url: \"nats://nats:4222\", replicas: 3}\noops: [\n", "", "nats://nats:4222"},
		{"nats:\n  url: nats://nats:4222\n  # three\n  replicas: 3\noops: [\n", "", "nats://nats:4222"},
		{"nats: {url: [\n", "", ""},
		{"store: [\n", "", ""},
		{"{\"name\": \"Riverside\", \"store\": \"events\"}\n", "events", ""},
	} {
		dir := t.TempDir()
		write(t, dir, "hub.yaml", tt.hub)
		h := config.LoadStore(dir)
		nats := ""
		if h.NATS != nil {
			nats = h.NATS.URL
		}
		store := h.Store
		if store != "" {
			store = filepath.Base(store)
		}
		if store != tt.store || nats != tt.nats {
			t.Errorf("%q: got store %q and nats %q", tt.hub, store, nats)
		}
	}
	if h := config.LoadStore(t.TempDir()); h.Store != "" || h.NATS != nil {
		t.Errorf("without hub.yaml: %q", h.Store)
	}
}
