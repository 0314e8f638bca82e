package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
)

// subscribable is a hub with a surgery that has no channel but what it subscribes to, and a hospice that has a webhook;
// the surgery is told of p-0000 and p-0001, the hospice of p-0001 and p-0002.
func subscribable(t *testing.T) *process {
	hospice := newProvider(t, "hospice")
	p := newProcess(t, 3, hospice)
	writeFile(t, filepath.Join(p.dir, "subscribers/surgery.yaml"), "id: surgery\nname: Riverside Surgery\nphone: \"01234 567891\"\n")
	for n, told := range []string{"surgery", "surgery, hospice", "hospice"} {
		id := fmt.Sprintf("p-%04d", n)
		writeFile(t, filepath.Join(p.dir, "routing/"+id+".yaml"), "patient: "+id+"\nlogged_by: {ruth: {as: [dad "+string(rune('a'+n))+"], may: [log, see]}}\n"+
			"rules:\n  - {on: [admission, attendance, discharge, fall], notify: ["+told+"]}\n")
	}
	return p
}

// subscriber is a provider's system: it calls the hub with its token, and has a server that takes notifications.
type subscriber struct {
	p      *process
	token  string
	server *httptest.Server

	mu      sync.Mutex
	answer  int // 0: 200
	bodies  [][]byte
	headers []http.Header
}

func newSubscriber(p *process, id string) *subscriber {
	s := &subscriber{p: p, token: p.run("token", "create", "--system", id, "--dir", p.dir)}
	s.server = httptest.NewServer(s)
	p.t.Cleanup(s.server.Close)
	return s
}

func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != 0 {
		w.WriteHeader(s.answer)
		return
	}
	s.bodies, s.headers = append(s.bodies, body), append(s.headers, r.Header.Clone())
}

func (s *subscriber) answers(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = status
}

// told is what has been notified so far.
func (s *subscriber) told() (all []notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, body := range s.bodies {
		all = append(all, readNotice(s.p.t, body))
	}
	return all
}

// numbers are those of the events among what was notified, in the order of arrival, each once.
func (s *subscriber) numbers() (numbers []string) {
	for _, n := range s.told() {
		for _, number := range n.numbers {
			if !slices.Contains(numbers, number) {
				numbers = append(numbers, number)
			}
		}
	}
	return numbers
}

// notice is what matters of a notification.
type notice struct {
	kind, status, since, subscription string
	numbers, focus                    []string
}

func readNotice(t *testing.T, body []byte) (n notice) {
	t.Helper()
	type parameter struct {
		Name, ValueCode, ValueString string
		ValueReference               struct{ Reference string }
		Part                         []struct {
			Name, ValueString string
			ValueReference    struct{ Reference string }
		}
	}
	var b struct {
		Entry []struct {
			Resource struct{ Parameter []parameter }
		}
	}
	if err := json.Unmarshal(body, &b); err != nil || len(b.Entry) == 0 {
		t.Fatalf("not a notification: %v %s", err, body)
	}
	for _, p := range b.Entry[0].Resource.Parameter {
		switch p.Name {
		case "type":
			n.kind = p.ValueCode
		case "status":
			n.status = p.ValueCode
		case "subscription":
			n.subscription = p.ValueReference.Reference
		case "events-since-subscription-start":
			n.since = p.ValueString
		case "notification-event":
			for _, part := range p.Part {
				switch part.Name {
				case "event-number":
					n.numbers = append(n.numbers, part.ValueString)
				case "focus":
					n.focus = append(n.focus, part.ValueReference.Reference)
				}
			}
		}
	}
	return n
}

// ask sends a request of the system to the hub, and returns status, headers and body.
func (s *subscriber) ask(method, path, body string, header ...string) (int, http.Header, []byte) {
	s.p.t.Helper()
	req, err := http.NewRequestWithContext(s.p.t.Context(), method, s.p.url+path, strings.NewReader(body))
	if err != nil {
		s.p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.p.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.p.t.Fatal(err)
	}
	conforms(s.p.t, method, path, resp.StatusCode, resp.Header, answer)
	return resp.StatusCode, resp.Header, answer
}

// wanted is a Subscription as a system sends it, with extensions of its own that must come back.
func (s *subscriber) wanted(topic, content, filter string) string {
	criteria := `[{"url":"https://surgery.example/why","valueString":"ours"}`
	if filter != "" {
		criteria += `,{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-filter-criteria","valueString":"` + filter + `"}`
	}
	return `{"resourceType":"Subscription","meta":{"profile":["http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription"]},` +
		`"status":"requested","reason":"Tests <of> carehub","_reason":{"extension":[{"url":"https://surgery.example/note","valueDecimal":1.50}]},` +
		`"criteria":"` + s.p.url + `/fhir/SubscriptionTopic/` + topic + `","_criteria":{"extension":` + criteria + `]},` +
		`"channel":{"type":"rest-hook","endpoint":"` + s.server.URL + `/hook","payload":"application/fhir+json",` +
		`"_payload":{"extension":[{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content","valueCode":"` + content + `"}]},` +
		`"header":["Authorization: Bearer very-secret"]}}`
}

// subscribe makes a Subscription and waits until it is active.
func (s *subscriber) subscribe(topic, content, filter string) (id string) {
	s.p.t.Helper()
	status, header, body := s.ask("POST", "/fhir/Subscription", s.wanted(topic, content, filter))
	if status != http.StatusCreated {
		s.p.t.Fatalf("subscribe: %d %s", status, body)
	}
	id = s.is(body).ID
	if want := s.p.url + "/fhir/Subscription/" + id + "/_history/1"; header.Get("Location") != want || header.Get("ETag") != `W/"1"` {
		s.p.t.Errorf("Location %s, ETag %s", header.Get("Location"), header.Get("ETag"))
	}
	s.becomes(id, "active")
	return id
}

type subscription struct {
	ID, Status, Error string
	Channel           struct{ Header []string }
}

func (s *subscriber) is(body []byte) (sub subscription) {
	s.p.t.Helper()
	if err := json.Unmarshal(body, &sub); err != nil {
		s.p.t.Fatalf("%v: %s", err, body)
	}
	return sub
}

// becomes waits until a Subscription has a status.
func (s *subscriber) becomes(id, status string) {
	s.p.t.Helper()
	waitUntil(s.p.t, "the subscription is "+status, func() bool {
		_, _, body := s.ask("GET", "/fhir/Subscription/"+id, "")
		return s.is(body).Status == status
	})
}

// log logs an event as Ruth.
func (p *process) log1(key, patient string, kind events.Kind) (id string) {
	p.t.Helper()
	status, answer, err := p.post(context.Background(), key, fmt.Sprintf(`{"patient":"dad %s","kind":"%s"}`, patient, kind))
	if err != nil || status != http.StatusCreated {
		p.t.Fatalf("log: %d %v %v", status, answer, err)
	}
	return answer["id"].(string)
}

func TestSubscriptionIsToldAndCatchesUp(t *testing.T) {
	t.Parallel()
	p := subscribable(t)
	p.start()
	surgery := newSubscriber(p, "surgery")
	id := surgery.subscribe("any", "full-resource", "")
	event := p.log1("k1", "a", events.Admission)
	p.log1("k2", "b", events.Fall)
	p.log1("k3", "c", events.Fall) // the surgery is not told of
	waitUntil(t, "two events have come", func() bool { return len(surgery.numbers()) == 2 })

	surgery.answers(http.StatusServiceUnavailable)
	p.log1("k4", "a", events.Discharge)
	p.log1("k5", "b", events.Admission)
	var missed []byte
	waitUntil(t, "both are in $events", func() bool {
		_, _, missed = surgery.ask("GET", "/fhir/Subscription/"+id+"/$events?eventsSinceNumber=3", "")
		return len(readNotice(t, missed).numbers) == 2
	})
	p.kill()
	p.start()
	surgery.answers(0)
	waitUntil(t, "all four have come", func() bool { return len(surgery.numbers()) == 4 })
	p.log1("k6", "a", events.Fall)
	waitUntil(t, "the fifth has come", func() bool { return len(surgery.numbers()) == 5 })
	if numbers := slices.Sorted(slices.Values(surgery.numbers())); !slices.Equal(numbers, []string{"1", "2", "3", "4", "5"}) {
		t.Errorf("numbers: %v", numbers)
	}
	first := surgery.told()[0]
	if first.kind != "handshake" || first.status != "requested" || first.since != "0" || first.subscription != p.url+"/fhir/Subscription/"+id {
		t.Errorf("handshake: %+v", first)
	}
	for _, h := range surgery.headers {
		if h.Get("Authorization") != "Bearer very-secret" || h.Get("Content-Type") != "application/fhir+json" {
			t.Errorf("headers %v", h)
		}
	}
	surgery.seesReceipt(event, id)
	surgery.seesLog(id)
	p.noSecrets(t)
}

// seesLog makes sure that the provider sees what it answered to the notifications of its Subscription, and nobody else does.
func (s *subscriber) seesLog(id string) {
	s.p.t.Helper()
	waitUntil(s.p.t, "the delivery log has what came", func() bool {
		status, _, body := s.ask("GET", "/endpoints/"+id+"/log", "")
		return status == http.StatusOK && bytes.Contains(body, []byte(`"result":"delivered","status":2`))
	})
	other := newSubscriber(s.p, "hospice")
	if status, _, body := other.ask("GET", "/endpoints/"+id+"/log", ""); status != http.StatusNotFound {
		s.p.t.Errorf("another's log: %d %s", status, body)
	}
	if status, _, body := s.ask("POST", "/endpoints/"+id+"/pause", ""); status != http.StatusNotFound {
		s.p.t.Errorf("pausing a Subscription as an endpoint: %d %s", status, body)
	}
}

// TestSubscriptionThatIsNotActive: as long as nothing is told by it, it does not hide that its provider can only be phoned.
func TestSubscriptionThatIsNotActive(t *testing.T) {
	t.Parallel()
	p := subscribable(t)
	p.start()
	surgery := newSubscriber(p, "surgery")
	surgery.answers(http.StatusServiceUnavailable)
	if status, _, body := surgery.ask("POST", "/fhir/Subscription", surgery.wanted("any", "id-only", "")); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	event := p.log1("k1", "a", events.Admission)
	waitUntil(t, "that they must be phoned is said", func() bool { return p.state(event, "surgery") == string(events.Refused) })
}

// seesReceipt makes sure that the provider sees an event that its Subscription was told of.
func (s *subscriber) seesReceipt(event, id string) {
	s.p.t.Helper()
	status, _, body := s.ask("GET", "/events/"+event, "")
	if status != http.StatusOK || !bytes.Contains(body, []byte(`"id":"`+id+`","for":"surgery"`)) {
		s.p.t.Errorf("receipt: %d %s", status, body)
	}
}

func (p *process) noSecrets(t *testing.T) {
	t.Helper()
	log, err := os.ReadFile(p.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"very-secret", "/hook", "Thomas", "9990000018"} {
		if bytes.Contains(log, []byte(secret)) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// TestSubscriptionsOfSeveralHubs has events logged at three hubs on one cluster, one of which is killed: the numbers have no
// gap, and only one hub sends heartbeats.
func TestSubscriptionsOfSeveralHubs(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 8, newProvider(t, "hospice"))
	for _, hub := range f.hubs {
		hub.start()
	}
	at := newSubscriber(f.hubs[0], "hospice")
	body := strings.Replace(at.wanted("any", "id-only", ""), at.p.url, f.public(t), 1)
	body = strings.Replace(body, `"type":"rest-hook"`, `"extension":[{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-heartbeat-period",`+
		`"valueUnsignedInt":5}],"type":"rest-hook"`, 1)
	var made []byte
	waitUntil(t, "the hub knows the token, and has made the Subscription", func() bool {
		var status int
		status, _, made = at.ask("POST", "/fhir/Subscription", body)
		if status != http.StatusCreated && status != http.StatusUnauthorized {
			t.Fatalf("%d %s", status, made)
		}
		return status == http.StatusCreated
	})
	subscription := at.is(made).ID
	at.becomes(subscription, "active")
	const each = 10
	var loggers sync.WaitGroup
	for h, hub := range f.hubs {
		waitUntil(t, "the hub knows of it", func() bool {
			other := &subscriber{p: hub, token: at.token}
			code, _, _ := other.ask("GET", "/fhir/Subscription/"+subscription, "")
			return code == http.StatusOK
		})
		loggers.Go(func() {
			for n := range each {
				key := fmt.Sprintf("hub-%d-event-%d", h, n)
				code, answer, err := hub.post(context.Background(), key, fmt.Sprintf(`{"patient":"dad %c","kind":"fall"}`, 'a'+n%8))
				if err != nil || code != http.StatusCreated {
					t.Errorf("%s: %d %v %v", key, code, answer, err)
				}
			}
		})
	}
	loggers.Wait()
	f.hubs[1].kill()
	at.hears(subscription, each*len(f.hubs))
	for n, number := range sortedNumbers(t, at.numbers()) {
		if number != n+1 {
			t.Fatalf("number %d stands where %d should", number, n+1)
		}
	}
	beats := func() (n int) {
		for _, told := range at.told() {
			if told.kind == "heartbeat" {
				n++
			}
		}
		return n
	}
	before := beats()
	waitUntil(t, "a heartbeat comes", func() bool { return beats() > before })
	if n := beats(); n != before+1 {
		t.Errorf("%d heartbeats at once", n-before)
	}
}

// hears waits until all numbers have come, for as long as more of them come. If none does for two minutes it says what is
// missing, and what the hubs know of that.
func (s *subscriber) hears(id string, all int) {
	s.p.t.Helper()
	have, since := s.numbers(), time.Now()
	for len(have) < all {
		if now := s.numbers(); len(now) > len(have) {
			have, since = now, time.Now()
		}
		if time.Since(since) > 2*time.Minute {
			s.tellMissing(id, have, all)
			s.p.t.Fatalf("waited in vain until all have come: %d of %d", len(have), all)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *subscriber) tellMissing(id string, have []string, all int) {
	for _, path := range []string{"/fhir/Subscription/" + id, "/fhir/Subscription/" + id + "/$status", "/endpoints/" + id + "/log"} {
		status, _, body := s.ask("GET", path, "")
		s.p.t.Logf("%s: %d %s", path, status, body)
	}
	for n := range all {
		if number := strconv.Itoa(n + 1); !slices.Contains(have, number) {
			_, _, body := s.ask("GET", "/fhir/Subscription/"+id+"/$events?eventsSinceNumber="+number+"&eventsUntilNumber="+number, "")
			s.p.t.Logf("number %s has not come: %s", number, body)
		}
	}
	log := s.p.logged()
	s.p.t.Logf("the hubs' log ends with\n%s", log[max(0, len(log)-30000):])
}

// public is the address that all hubs of a fleet have.
func (f *fleet) public(t *testing.T) string {
	t.Helper()
	settings, err := os.ReadFile(filepath.Join(f.hubs[0].dir, "hub.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(settings), "\nurl: ")
	url, _, _ := strings.Cut(rest, "\n")
	return url
}

func sortedNumbers(t *testing.T, texts []string) (numbers []int) {
	t.Helper()
	for _, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}
