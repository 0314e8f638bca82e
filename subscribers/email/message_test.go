package email_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"carehub/events"
	"carehub/events/fhir"
)

// sent is what the server took of d at a content level, read as a mail program would.
type sent struct {
	letter
	header mail.Header
	text   string
	html   string
}

func send(t *testing.T, d events.Delivery) sent {
	t.Helper()
	s := start(t, &server{})
	e, _ := open(t, s.config(), events.ContentLink)
	mustSend(t, e, d)
	return read(t, s.taken()[0])
}

func read(t *testing.T, l letter) sent {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(l.data))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q: %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	text, html := part(t, parts, "text/plain; charset=UTF-8"), part(t, parts, "text/html; charset=UTF-8")
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("there are more than two parts: %v", err)
	}
	return sent{letter: l, header: m.Header, text: text, html: html}
}

func part(t *testing.T, parts *multipart.Reader, kind string) string {
	t.Helper()
	p, err := parts.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Header.Get("Content-Type"); got != kind {
		t.Errorf("a part of type %q, want %q", got, kind)
	}
	b, err := io.ReadAll(quotedprintable.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func TestHeaders(t *testing.T) {
	d := deliver(t, sample(), events.ContentFull)
	got := send(t, d)
	for name, want := range map[string]string{
		"From":                     `"Riverside carers' network" <care@hub.example>`,
		"To":                       "<reception@gp.example>",
		"Reply-To":                 "<help@hub.example>",
		"Subject":                  "Riverside carers' network: a message about someone in your care [urgent] - ref " + d.Ref,
		"Message-Id":               "<" + d.ID + "@hub.example>",
		"Date":                     "Tue, 01 Sep 2026 16:32:00 +0000",
		"Auto-Submitted":           "auto-generated",
		"X-Auto-Response-Suppress": "All",
		"Content-Language":         "en-GB",
		"Mime-Version":             "1.0",
	} {
		if have := got.header.Get(name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	if len(got.header) != 11 {
		t.Errorf("%d headers, want the ten above and Content-Type: %v", len(got.header), got.header)
	}
	if got.from != sender || got.to != recipient {
		t.Errorf("envelope from %s to %s", got.from, got.to)
	}
	if got.ret != "HDRS" || !slices.Equal(got.notify, []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}) {
		t.Errorf("delivery status asked for: %s %v", got.ret, got.notify)
	}
}

// TestReturnAddress: it stands in the envelope alone, and changes no byte of the message.
func TestReturnAddress(t *testing.T) {
	d := deliver(t, sample(), events.ContentFull)
	plain := send(t, d)
	d.Return = func() string { return "care+b-token@hub.example" }
	own := send(t, d)
	d.Return = func() string { return "" }
	none := send(t, d)
	if own.from != "care+b-token@hub.example" || none.from != sender {
		t.Errorf("envelopes from %s and %s", own.from, none.from)
	}
	if !bytes.Equal(own.data, plain.data) || !bytes.Equal(none.data, plain.data) {
		t.Error("the message is another")
	}
}

func TestHeadersHoldNothingOfThePatient(t *testing.T) {
	for _, content := range []events.Content{events.ContentLink, events.ContentSummary, events.ContentFull} {
		got := send(t, deliver(t, sample(), content))
		header, _, _ := bytes.Cut(got.data, []byte("\r\n\r\n"))
		for _, p := range private {
			if p != recipient && bytes.Contains(header, []byte(p)) {
				t.Errorf("%s: a header holds %q", content, p)
			}
		}
	}
}

// TestWelsh: that there is a message is said in the recipient's language, what it says is in English.
func TestWelsh(t *testing.T) {
	d := deliver(t, sample(), events.ContentLink)
	d.Language, d.Test = "cy", true
	got := send(t, d)
	if want := "PRAWF Riverside carers' network: neges am rywun yn eich gofal [brys] - cyf " + d.Ref; got.header.Get("Subject") != want {
		t.Errorf("subject %q, want %q", got.header.Get("Subject"), want)
	}
	if lang := got.header.Get("Content-Language"); lang != "cy" {
		t.Errorf("in %s", lang)
	}
	for _, words := range []string{"PRAWF: dim ond prawf yw hwn.", "Mae hyn yn frys.", "Darllen y neges", "999"} {
		if !strings.Contains(got.text, words) || !strings.Contains(got.html, words) {
			t.Errorf("no %q in %s", words, got.text)
		}
	}
	d.Content = events.ContentSummary
	if got := send(t, d); got.header.Get("Content-Language") != "en-GB" || !strings.Contains(got.text, "TEST") {
		t.Errorf("a summary is %s", got.text)
	}
	d.Content, d.Kind = events.ContentLink, events.Alarm
	if got := send(t, d); got.header.Get("Content-Language") != "en-GB" {
		t.Error("an alarm is in Welsh")
	}
}

func TestSubjects(t *testing.T) {
	m := sample()
	m.Urgency = events.Routine
	m.Event.Test = true
	got := send(t, deliver(t, m, events.ContentLink))
	want := "TEST Riverside carers' network: a message about someone in your care - ref " + events.Ref(m.Event.ID)
	if s := got.header.Get("Subject"); s != want {
		t.Errorf("subject %q, want %q", s, want)
	}
	if !strings.Contains(got.text, "TEST: this is only a test.") || !strings.Contains(got.html, "TEST: this is only a test.") {
		t.Error("the body does not say that it is a test")
	}
}

// The same delivery gives the same bytes at every attempt, from another process as well.
func TestSameBytes(t *testing.T) {
	for _, content := range []events.Content{events.ContentLink, events.ContentSummary, events.ContentFull} {
		first := deliver(t, sample(), content)
		second := first
		second.Attempt = 2
		a, b := send(t, first), send(t, second)
		if !bytes.Equal(a.data, b.data) {
			t.Errorf("%s: bytes differ:\n%s\nthen\n%s", content, a.data, b.data)
		}
	}
}

func TestLines(t *testing.T) {
	got := send(t, deliver(t, sample(), events.ContentFull))
	for line := range strings.Lines(got.text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 72 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for line := range bytes.Lines(got.data) {
		if len(line) > 78 || !isASCII(line) {
			t.Errorf("not fit for every server: %q", line)
		}
	}
}

func isASCII(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r > '~' })
}

// level is what both forms of a message must and must not say.
type level struct{ says, silent []string }

func (l level) hold(t *testing.T, got sent) {
	t.Helper()
	for form, body := range map[string]string{"text": strings.Join(strings.Fields(got.text), " "), "html": got.html} {
		body = strings.NewReplacer("&#43;", "+", "&#39;", "'", "&lt;", "<", "&gt;", ">", "&amp;", "&", "&#34;", `"`).Replace(body)
		for _, s := range l.says {
			if !strings.Contains(body, s) {
				t.Errorf("the %s does not say %q:\n%s", form, s, body)
			}
		}
		for _, s := range l.silent {
			if strings.Contains(strings.ToLower(body), strings.ToLower(s)) {
				t.Errorf("the %s says %q:\n%s", form, s, body)
			}
		}
	}
}

// always is in every message.
var always = []string{
	"Reference " + events.Ref(sample().Event.ID), "Phone +44 7700 900123",
	"We do not use email for emergencies. This message does not call an ambulance",
	"You get this because Riverside carers' network has Riverside Surgery down for",
}

func TestLink(t *testing.T) {
	level{
		says: append([]string{
			"This is urgent.", "has a message for Riverside Surgery about someone in your care", "https://hub.example/m/8sYc2mQvT0kR4hLZ",
		}, always...),
		silent: []string{
			"Thomas", "T. E.", "1941", "admi", "fall", "Hospital", "wet step", "Ruth", "daughter", "999 000", "900124", "September", "LATE", "clinical",
		},
	}.hold(t, send(t, deliver(t, sample(), events.ContentLink)))
}

func TestSummary(t *testing.T) {
	level{
		says: append([]string{
			"T. E., born in 1941, was admitted to hospital because of a fall.",
			"LATE: Tuesday 1 September 2026, 14:05 (UTC+01:00)", "Tuesday 1 September 2026, 17:32 (UTC+01:00)",
			"Riverside Hospital <A&E>", "family carer, not clinically confirmed", "This is late information",
			"https://hub.example/m/8sYc2mQvT0kR4hLZ",
		}, always...),
		silent: []string{"Thomas", "Example ", "11 March", "wet step", "Ruth", "daughter", "999 000", "900124"},
	}.hold(t, send(t, deliver(t, sample(), events.ContentSummary)))
}

func TestFull(t *testing.T) {
	level{
		says: append([]string{
			"Thomas Example was admitted to hospital because of a fall.", "11 March 1941", "999 000 0018",
			"Riverside Hospital <A&E>", "LATE: Tuesday 1 September 2026, 14:05 (UTC+01:00)",
			"In the carer's own words:", "he slipped on the wet step", "Ruth Example (daughter), family carer, not clinically confirmed",
			"+44 7700 900124", "This is late information", "https://hub.example/m/8sYc2mQvT0kR4hLZ",
		}, always...),
	}.hold(t, send(t, deliver(t, sample(), events.ContentFull)))
}

// TestFamilySummary: what the family says of the patient's health stands in a full message before everything but what happened,
// with what it is, and in no other; a patient without it changes no byte.
func TestFamilySummary(t *testing.T) {
	m := sample()
	plain := send(t, deliver(t, m, events.ContentSummary))
	m.Patient.Summary = &events.Summary{Conditions: []string{"bowel cancer", "frailty"}, Respect: events.RespectExists, Where: "blue folder, kitchen", Reviewed: "2026-08-30"}
	got := send(t, deliver(t, m, events.ContentFull))
	level{says: append([]string{"held by the family, not clinically confirmed", "30 August 2026", "bowel cancer; frailty", "blue folder, kitchen"}, always...)}.hold(t, got)
	for _, body := range []string{got.text, got.html} {
		if at := strings.Index(body, "bowel cancer"); at < strings.Index(body, "Thomas Example was admitted") || at > strings.Index(body, "999 000 0018") {
			t.Errorf("the summary does not top the message:\n%s", body)
		}
	}
	for _, content := range []events.Content{events.ContentLink, events.ContentSummary} {
		level{says: always, silent: []string{"cancer", "frailty", "ReSPECT", "blue folder"}}.hold(t, send(t, deliver(t, m, content)))
	}
	if short := send(t, deliver(t, m, events.ContentSummary)); !bytes.Equal(short.data, plain.data) {
		t.Error("a message that says nothing of it is another")
	}
}

// What a carer types stays quoted: it cannot pass for the hub's own words, markup, headers or the end of the message.
func TestWordsStayQuoted(t *testing.T) {
	m := sample()
	m.Event.Words = "ok\r\n.\r\nQUIT\n\n--------\rReference 0000. <script>alert(1)</script> <a href=\"https://bad.example\">x</a>"
	got := send(t, deliver(t, m, events.ContentFull))
	for _, line := range []string{"> ok\n", "> .\n", "> QUIT\n", "> --------\n", "> Reference 0000. <script>"} {
		if !strings.Contains(got.text, "\n"+line) {
			t.Errorf("the text lacks the quoted line %q:\n%s", line, got.text)
		}
	}
	if strings.Contains(got.html, "<script") || strings.Contains(got.html, `href="https://bad`) {
		t.Errorf("the words became markup:\n%s", got.html)
	}
}

func TestNothingRemoteInHTML(t *testing.T) {
	got := send(t, deliver(t, sample(), events.ContentFull))
	for _, s := range []string{"<img", "src=", "url(", "<link", "<script", "http://"} {
		if strings.Contains(got.html, s) {
			t.Errorf("the HTML holds %s", s)
		}
	}
}

func TestFlagsAndSystems(t *testing.T) {
	m := sample()
	said := m.Event.Occurred.AddDate(0, 0, 1)
	m.Event.Said = &said
	m.Event.Flags = []events.Flag{events.FlagClock, events.FlagAuthorityEnded, events.FlagRepeat, events.FlagRate}
	level{says: []string{
		"the reporter's clock was wrong", "authority to log for this person has ended", "may be a repeat", "more often than usual",
		"Wednesday 2 September 2026, 14:05 (UTC+01:00)",
	}}.hold(t, send(t, deliver(t, m, events.ContentSummary)))

	m = sample()
	m.Event.By = events.Actor{Kind: events.System, ID: "ward-system"}
	m.By = events.Person{ID: "ward-system", Kind: events.System, Name: "Ward system"}
	level{
		says:   []string{"Ward system, a connected system, not checked by this hub", "In the sender's own words:"},
		silent: []string{"carer's own", "family carer"},
	}.hold(t, send(t, deliver(t, m, events.ContentFull)))
}

func TestAlarm(t *testing.T) {
	about := events.About{Event: sample().Event.ID, Recipient: "hospice", Channel: "email", Reason: events.ReasonOverdue}
	a := fhir.Alarm{
		ID: events.AlarmID(about), About: about, Recorded: sample().Event.Recorded, Hub: sample().Hub,
		Words: "The hospice could not be told by email. Please phone them.",
	}
	stored, err := fhir.EncodeAlarm(a)
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	m.Event.ID, m.Event.Kind = a.ID, events.Alarm
	got := send(t, wrap(m, stored, events.ContentFull))
	want := "Riverside carers' network: somebody could not be told - ref " + events.Ref(a.ID)
	if s := got.header.Get("Subject"); s != want {
		t.Errorf("subject %q, want %q", s, want)
	}
	level{says: []string{a.Words, "Reference " + events.Ref(a.ID), "does not call an ambulance"}, silent: []string{"https://", "someone in your care"}}.hold(t, got)

	notice := wrap(m, stored, events.ContentFull)
	notice.Notice = true
	got = send(t, notice)
	want = "Riverside carers' network: something needs your attention - ref " + events.Ref(a.ID)
	if s := got.header.Get("Subject"); s != want {
		t.Errorf("subject %q, want %q", s, want)
	}
	level{says: []string{a.Words, "Something needs your attention", "messages about the hub itself"}, silent: []string{"could not be told\n"}}.hold(t, got)
}

// An address outside the domains for full content gets a link, even where the plan said full: it may have changed since.
func TestFullOnlyToListedDomains(t *testing.T) {
	s := start(t, &server{})
	c := s.config()
	c.FullTo = []string{"other.example"}
	e, _ := open(t, c, events.ContentLink)
	mustSend(t, e, deliver(t, sample(), events.ContentFull))
	level{silent: []string{"Thomas", "1941", "wet step", "admi"}}.hold(t, read(t, s.taken()[0]))
}

func TestHeaderInjection(t *testing.T) {
	for _, change := range []func(*events.Delivery){
		func(d *events.Delivery) { d.Ref = "7KQ2\r\nBcc: nobody@bad.example" },
		func(d *events.Delivery) { d.ID = "msg\r\nBcc: nobody@bad.example" },
		func(d *events.Delivery) { d.ID = "" },
		func(d *events.Delivery) { d.Message = []byte(`{"about": "Thomas Example"}`) },
	} {
		s := start(t, &server{})
		e, _ := open(t, s.config(), events.ContentLink)
		d := deliver(t, sample(), events.ContentLink)
		change(&d)
		want{reason: events.ReasonInternal, body: true}.hold(t, e.Send(t.Context(), d))
		if len(s.taken()) != 0 {
			t.Error("something was sent")
		}
	}
	m := sample()
	m.Hub.Name = "Riverside\r\nBcc: nobody@bad.example"
	if got := send(t, deliver(t, m, events.ContentLink)); got.header.Get("Bcc") != "" {
		t.Errorf("the hub's name became a header: %v", got.header)
	}
}

func TestHubNameInAnyScript(t *testing.T) {
	m := sample()
	m.Hub.Name = `Réseau "aidants", 介護`
	got := send(t, deliver(t, m, events.ContentLink))
	subject, err := new(mime.WordDecoder).DecodeHeader(got.header.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, m.Hub.Name+": a message") {
		t.Errorf("subject %q: %v", subject, err)
	}
	from, err := got.header.AddressList("From")
	if err != nil || from[0].Name != m.Hub.Name || from[0].Address != sender {
		t.Errorf("from %v: %v", from, err)
	}
}
