package receipts

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/page"
)

var key = []byte("a secret of thirty-two characters")

func TestLinks(t *testing.T) {
	links := Links{Key: key, Base: "https://hub.example"}
	event := events.NewID(ruth, "p-7f3k", "k")
	link := links.For(event, "ruth-example")
	if link != links.For(event, "ruth-example") {
		t.Error("a link is another each time")
	}
	token, ok := strings.CutPrefix(link, "https://hub.example/m/")
	if gotEvent, recipient, opened := links.Open(token); !ok || !opened || gotEvent != event || recipient != "ruth-example" {
		t.Errorf("%s opens as %s %s", link, gotEvent, recipient)
	}
	for i := range token { // whichever character is changed
		forged := token[:i] + string(token[i]^1) + token[i+1:]
		if _, _, ok := links.Open(forged); ok {
			t.Errorf("%s opens, forged at %d", forged, i)
		}
	}
	for _, recipient := range []string{"a", "ab", "abc"} { // the last character may have bits to spare
		token, open := tokenOf(links.For(event, recipient)), 0
		for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			if _, _, ok := links.Open(token[:len(token)-1] + string(last)); ok {
				open++
			}
		}
		if open != 1 {
			t.Errorf("%d tokens open for %s", open, recipient)
		}
	}
	for name, other := range map[string]string{"": "", "short": token[:20], "longer": token + "AAAA", "other recipient": tokenOf(links.For(event, "ruth-exampla"))} {
		if _, recipient, ok := links.Open(other); ok && recipient == "ruth-example" {
			t.Errorf("%s: opens", name)
		}
	}
	if _, _, ok := (Links{Key: []byte("another")}).Open(token); ok {
		t.Error("opens with another key")
	}
	if tokenOf(links.For(event, "a")) == tokenOf(links.For(event, "b")) {
		t.Error("two recipients have one link")
	}
}

func tokenOf(link string) string { return link[strings.LastIndex(link, "/")+1:] }

// bedside is a page about one admission.
func bedside(m fhir.Message, now time.Time, err error) (*Page, string) {
	var answered []string
	p := &Page{
		Links: Links{Key: key, Base: "https://hub.example"},
		Open:  func(context.Context, string, string) (fhir.Message, error) { return m, err },
		Writer: page.Writer{Log: slog.New(slog.DiscardHandler), Hub: func() events.Sender {
			return events.Sender{Name: "Riverside carers' network", Phone: "+44 7700 900123"}
		}},
		Porter: &porter{known: true},
		Answer: func(_ context.Context, event, recipient string, ack events.Ack) error {
			if ack.Name == "" {
				return &events.Error{Kind: events.Invalid, Message: "Please give your name."}
			}
			answered = append(answered, recipient+" "+string(ack.Answer)+" "+ack.Name+" "+ack.Line+" "+ack.Via)
			return nil
		},
		Answered: func(context.Context, string, string) *events.Ack {
			if len(answered) == 0 {
				return nil
			}
			return &events.Ack{Answer: events.Acting, Name: "Jo <Smith>", At: now}
		},
		Zone:  func() *time.Location { return london },
		Clock: func() time.Time { return now },
		Log:   slog.New(slog.DiscardHandler),
	}
	return p, tokenOf(p.Links.For(m.Event.ID, "hospice"))
}

// porter lets in whoever has the code 7291, or everybody.
type porter struct {
	known bool
	tried []string // code and whose
}

func (p *porter) Knows(_ *http.Request, recipient string) bool {
	return p.known && recipient == "hospice"
}

func (p *porter) Admit(w http.ResponseWriter, _ *http.Request, recipient, link, code string) error {
	p.tried = append(p.tried, code+" "+recipient)
	switch {
	case link == "":
		return errors.New("no link")
	case code == "away":
		return errors.New("the store is away: Thomas")
	case code != "7291":
		return &events.Error{Kind: events.Forbidden, Message: "That is not the code."}
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"})
	return nil
}

func (p *porter) Inbox(string) string { return "https://hub.example/inbox/settings" }

// TestPageAsksForTheCode: without it nothing of the message is shown, whatever is sent.
func TestPageAsksForTheCode(t *testing.T) {
	p, token := bedside(told(), friday, nil)
	gate := &porter{}
	p.Porter = gate
	secret := func(page string) bool {
		return strings.Contains(page, "Thomas") || strings.Contains(page, "dmitted") || strings.Contains(page, "Riverside &lt;")
	}
	page := open(p, http.MethodGet, token)
	if page.Code != 200 || secret(page.Body.String()) || !strings.Contains(page.Body.String(), `<form method="post">`) || len(gate.tried) != 0 {
		t.Errorf("%d %s", page.Code, page.Body)
	}
	for code, want := range map[string]int{"": 403, "0000": 403, "away": 503, "7291": 303} {
		page := post(p, token, code)
		if page.Code != want || secret(page.Body.String()) {
			t.Errorf("%q: %d %s", code, page.Code, page.Body)
		}
		if want != 303 && !strings.Contains(page.Body.String(), `role="alert"`) {
			t.Errorf("%q: nothing is said to be wrong", code)
		}
		if want == 303 && (page.Header().Get("Location") != token || page.Header().Get("Set-Cookie") == "") {
			t.Errorf("it leads to %v", page.Header())
		}
	}
	if page := post(p, token+"A", "7291"); page.Code != 404 {
		t.Errorf("a forged link: %d", page.Code)
	}
	p.Clock = func() time.Time { return friday.Add(LinkLife) }
	if page := post(p, token, "7291"); page.Code != 410 {
		t.Errorf("after 14 days: %d", page.Code)
	}
}

// TestPageTakesAnAnswer: of whoever has given the code, with a name, by POST alone.
func TestPageTakesAnAnswer(t *testing.T) {
	p, token := bedside(told(), friday, nil)
	shown := func() string { return open(p, http.MethodGet, token).Body.String() }
	if page := shown(); !strings.Contains(page, "We&#39;re acting on it") || strings.Contains(page, "answered at") {
		t.Errorf("before: %s", page)
	}
	if page := send(p, token, "answer=acting&name=&line=We+ring+today"); page.Code != 422 || !strings.Contains(page.Body.String(), `value="We ring today"`) || !strings.Contains(page.Body.String(), `role="alert"`) {
		t.Errorf("without a name: %d %s", page.Code, page.Body)
	}
	if page := send(p, token, "answer=acting&name=+Jo+Smith+&line=We+ring+today"); page.Code != 303 || page.Header().Get("Location") != token {
		t.Errorf("%d %v", page.Code, page.Header())
	}
	if page := shown(); !strings.Contains(page, "Jo &lt;Smith&gt; answered at 15:00: We&#39;re acting on it") {
		t.Errorf("after: %s", page)
	}
	p.Porter = &porter{}
	if page := send(p, token, "answer=seen&name=Robot"); page.Code != 403 {
		t.Errorf("without the code: %d", page.Code)
	}
}

func post(p *Page, token, code string) *httptest.ResponseRecorder {
	return send(p, token, "code="+code)
}

func send(p *Page, token, form string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/m/x", strings.NewReader(form))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetPathValue("token", token)
	response := httptest.NewRecorder()
	p.ServeHTTP(response, request)
	return response
}

func told() fhir.Message {
	return fhir.Message{
		Event: events.Event{ID: events.NewID(ruth, "p-7f3k", "k"), Patient: "p-7f3k", Kind: events.Admission, Because: events.Fall,
			Occurred: friday.Add(-3 * time.Hour), Recorded: friday, By: ruth, Place: "Riverside <Hospital>", Words: "Very pale.\n<script>alert(1)</script>",
			Flags: []events.Flag{events.FlagLate}},
		Patient: events.Patient{ID: "p-7f3k", Name: "Thomas Example", Born: "1941-03-11", NHSNumber: "9990000018"},
		By:      events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example", Relationship: "daughter"},
	}
}

func open(p *Page, method, token string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, "/m/x", nil)
	request.SetPathValue("token", token)
	response := httptest.NewRecorder()
	p.ServeHTTP(response, request)
	return response
}

func TestPageSaysWhatHappened(t *testing.T) {
	p, token := bedside(told(), friday, nil)
	response := open(p, http.MethodGet, token)
	page := response.Body.String()
	for _, want := range []string{
		"Admitted to hospital after a fall", "Thomas Example, born 11 March 1941", "999 000 0018", "Friday 20 November 2026, 12:00 GMT",
		"Friday 20 November 2026, 15:00 GMT", "Riverside &lt;Hospital&gt;", "carer&#39;s own words", "&lt;script&gt;", "Ruth Example, daughter",
		"Family carer, not clinically confirmed", "Late information", events.Ref(told().Event.ID), `href="tel:&#43;447700900123"`, "+44 7700 900123"[1:],
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if title, _, _ := strings.Cut(page, "</title>"); strings.Contains(title, "dmitted") {
		t.Errorf("the title of the window, which the browser keeps, tells: %s", title)
	}
	if response.Code != 200 || strings.Contains(page, "<script") {
		t.Errorf("%d %s", response.Code, page)
	}
}

func TestPageOfASummerNight(t *testing.T) {
	m := told()
	for given, want := range map[string]string{
		"2026-10-25T00:30:00Z": "Sunday 25 October 2026, 01:30 BST",
		"2026-10-25T01:30:00Z": "Sunday 25 October 2026, 01:30 GMT",
		"2027-03-28T01:30:00Z": "Sunday 28 March 2027, 02:30 BST",
	} {
		at, err := time.Parse(time.RFC3339, given)
		if err != nil {
			t.Fatal(err)
		}
		m.Event.Occurred, m.Event.Recorded = at, at
		p, token := bedside(m, at, nil)
		if page := open(p, http.MethodGet, token).Body.String(); !strings.Contains(page, want) {
			t.Errorf("%s: the page lacks %q", given, want)
		}
	}
}

func TestPageMarksTestsAndAlarms(t *testing.T) {
	m := told()
	m.Event.Test = true
	p, token := bedside(m, friday, nil)
	if page := open(p, http.MethodGet, token).Body.String(); !strings.Contains(page, "TEST: ") || !strings.Contains(page, "It did not happen") {
		t.Error("a test does not look like one")
	}
	alarm := fhir.Message{Event: events.Event{ID: events.AlarmID(events.About{Event: "x"}), Kind: events.Alarm, Recorded: friday, Words: "Please call the hospice."}}
	p, token = bedside(alarm, friday, nil)
	page := open(p, http.MethodGet, token).Body.String()
	if !strings.Contains(page, "Somebody could not be told") || !strings.Contains(page, "Please call the hospice.") || strings.Contains(page, "Name not given") {
		t.Errorf("alarm: %s", page)
	}
}

// TestEveryPage holds what is true of each page, whatever it says.
func TestEveryPage(t *testing.T) {
	gone := &events.Error{Kind: events.NotFound, Message: "no"}
	for name, c := range map[string]struct {
		method string
		wrong  string // appended to the token
		now    time.Time
		err    error
		status int
		silent bool // about what happened
	}{
		"read":               {http.MethodGet, "", friday.Add(LinkLife - time.Second), nil, 200, false},
		"head":               {http.MethodHead, "", friday, nil, 200, false},
		"after 14 days":      {http.MethodGet, "", friday.Add(LinkLife), nil, 410, true},
		"wrong token":        {http.MethodGet, "A", friday, nil, 404, true},
		"no longer theirs":   {http.MethodGet, "", friday, gone, 404, true},
		"store away":         {http.MethodGet, "", friday, errors.New("closed"), 503, true},
		"wrong code":         {http.MethodPost, "", friday, nil, 403, true},
		"delete":             {http.MethodDelete, "", friday, nil, 405, true},
		"options, by a form": {http.MethodOptions, "", friday, nil, 405, true},
	} {
		p, token := bedside(told(), c.now, c.err)
		response := open(p, c.method, token+c.wrong)
		page := response.Body.String()
		if response.Code != c.status {
			t.Errorf("%s: %d", name, response.Code)
		}
		for _, want := range []string{"This page does not call an ambulance. In an emergency call 999.", "7700 900123", `name="viewport"`} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: lacks %q", name, want)
			}
		}
		for _, detail := range []string{"Thomas", "1941", "Admitted", "Ruth", "Riverside &lt;"} {
			if c.silent && strings.Contains(page, detail) {
				t.Errorf("%s: holds %q", name, detail)
			}
		}
		headers := response.Header()
		if headers.Get("Referrer-Policy") != "no-referrer" || headers.Get("Cache-Control") != "no-store" || headers.Get("X-Robots-Tag") != "noindex" {
			t.Errorf("%s: %v", name, headers)
		}
		if strings.Contains(headers.Get("Content-Security-Policy"), "unsafe") || !strings.Contains(headers.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", name, headers)
		}
	}
}
