package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"carehub/events/fhir/validate"
	"carehub/events/intake"
)

// TestFullRun does with one hub all that this build can do, well and badly, with debugging on, and then looks at all that
// it said to anybody: identities stand where they belong and nowhere else, and everything sent is valid FHIR.
func TestFullRun(t *testing.T) {
	r := newFullRun(t)
	r.start()
	r.ruth, r.tom = r.token("ruth"), r.token("tom")
	r.events()
	r.mistakes()
	r.wait()
	t.Run("nothing leaks", func(t *testing.T) { r.noLeak(t) })
	t.Run("valid FHIR", func(t *testing.T) { r.valid(t) })
}

// fullRun is a town where identities are words that nothing else contains, every provider misbehaves at first, and mail
// takes a password.
type fullRun struct {
	*town
	subjects  func() []string
	ruth, tom string
	ids       []string // of the events that ruth logged
	answers   []string // of the API, to what was in order
	errors    []string // its messages, to what was not
	pages     []string // that take no code, and mails of the hub's own
}

func newFullRun(t *testing.T) *fullRun {
	w, nats := newTownOn(t)
	captureLogs(t, w.log)
	w.edit("patients.yaml", "Thomas Example", "Zachariah Quillfeather")
	w.edit("carers.yaml", "Ruth Example", "Philippa Dandelion")
	w.edit("carers.yaml", "Tom Example", "Barnaby Thistle")
	w.edit("routing/p-7f3k.yaml", "[dad]", "[daddykins]")
	w.edit("routing/p-7f3k.yaml", "[grandad]", "[grandpops]")
	w.edit("patients.yaml", "p-7f3k:", "p-9qq9: {name: Wilhelmina Oddfellow, born: 1938-12-05}\np-7f3k:")
	writeFile(t, filepath.Join(w.dir, "routing/p-9qq9.yaml"), "patient: p-9qq9\nlogged_by: {ruth: {as: [auntiekins], may: [log, see]}}\n"+
		"rules:\n  - {on: [admission, attendance, discharge], notify: [riverside-surgery]}\n") // a fall would reach nobody
	w.edit("hub.yaml", "notify: [admin-on-call]", "notify: [admin-on-call, duty-line]")
	w.edit("subscribers/duty-line.yaml", "phone:", "channels:\n  - webhook: {url: \"http://"+w.surgery.address()+
		"/alarms\", secret: \"${file:secrets/riverside-surgery}\"}\nphone:")
	w.secure("correct-horse-battery")
	w.misbehave()
	return &fullRun{town: w, subjects: nats.eavesdrop()}
}

// captureLogs takes what anybody logs in this process.
func captureLogs(t *testing.T, to *journal) {
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
}

// misbehave has everybody answer with what they should keep to themselves: the message itself, names, addresses.
func (w *town) misbehave() {
	echo := func(rw http.ResponseWriter, r *http.Request, status int) {
		rw.Header().Set("Location", "/elsewhere?nhs=9990000018&name=Quillfeather")
		rw.Header().Set("Content-Type", "application/fhir+json")
		rw.WriteHeader(status)
		_ = r.Write(rw)
	}
	var busy atomic.Int64
	w.surgery.answers(func(rw http.ResponseWriter, r *http.Request) {
		switch busy.Add(1) {
		case 1:
			echo(rw, r, http.StatusInternalServerError)
		case 2:
			echo(rw, r, http.StatusTemporaryRedirect)
		default:
			w.surgery.stands.ServeHTTP(rw, r)
		}
	})
	w.nurses.answers(func(rw http.ResponseWriter, r *http.Request) { echo(rw, r, http.StatusGone) })
	w.hospice.answers(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/fhir+json")
		rw.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = rw.Write([]byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"no Zachariah Quillfeather, 9990000018"}]}`))
	})
	var late atomic.Bool
	w.mail.refuse(func(to string) error {
		switch {
		case to == "nurses@hospice.example":
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<" + to + "> knows no Quillfeather"}
		case to == "team@frailty.example" && late.CompareAndSwap(false, true):
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "<" + to + "> is busy with Quillfeather"}
		}
		return nil
	})
}

// events logs one of each, and what is stored though something is wrong with it.
func (r *fullRun) events() {
	for _, body := range []string{
		`{"text": "daddykins admitted at \"Old Mill Infirmary\" 20m ago", "words": "He wears the tartan slippers."}`,
		`{"patient": "p-7f3k", "kind": "discharge", "place": "Old Mill Infirmary", "words": "He wears the tartan slippers."}`,
		`{"patient": "daddykins", "kind": "attendance", "occurred": "2031-01-01T00:00:00Z"}`,
		`{"text": "daddykins fell 3h ago"}`,
		`{"text": "daddykins fell and was admitted at \"Old Mill Infirmary\""}`,
		`{"text": "daddykins fell", "test": true}`,
		`{"text": "auntiekins fell"}`,
		`{"text": "auntiekins came home"}`,
	} {
		r.ids = append(r.ids, r.logs(r.ruth, body).ID)
	}
	r.logs(r.tom, `{"text": "grandpops came home", "words": "He wears the tartan slippers."}`)
}

// mistakes makes every sort of request that the doors refuse, each full of what they should not repeat.
func (r *fullRun) mistakes() {
	for body, want := range map[string]int{
		`{"text": "Zachariah Quillfeather fell at \"Old Mill Infirmary\""}`:                           400,
		`{"text": "daddykins nearly fell, tartan slippers"}`:                                          400,
		`{"patient": "Zachariah Quillfeather", "kind": "fall"}`:                                       400,
		`{"patient": "p-9990000018", "kind": "fall"}`:                                                 403,
		`{"patient": "p-7f3k", "kind": "tartan slippers"}`:                                            400,
		`{"patient": "p-7f3k", "kind": "fall", "place": "` + strings.Repeat("Infirmary ", 20) + `"}`:  400,
		`{"patient": "p-7f3k", "kind": "fall", "words": "` + strings.Repeat("slippers ", 200) + `"}`:  400,
		`{"patient": "p-7f3k", "kind": "fall", "words": "` + strings.Repeat("slippers ", 9000) + `"}`: 413,
		`{"patient": "p-7f3k", "kind": "fall", "occurred": "11 March 1941"}`:                          400,
		`{"patient": "p-7f3k", "kind": "fall", "words": "tartan slippers"`:                            400,
		`{"patient": "p-7f3k", "kind": "fall", "nhs_number": "9990000018"}`:                           400,
		`Zachariah Quillfeather`: 400,
		`{"patient": "p-7f3k", "kind": "discharge", "words": "not as before: tartan slippers"}`:        409, // the key of the first
		`{"text": "daddykins admitted at \"Old Mill Infirmary\" 20m ago", "words": "Other slippers."}`: 409,
	} {
		r.refused(want, func() (int, string) { return r.post(r.ruth, "key-1", body) })
	}
	r.refused(400, func() (int, string) { return r.post(r.ruth, "Quillfeather's key", `{"text": "daddykins fell"}`) })
	for _, token := range []string{"", "Quillfeather", r.ruth + "x"} {
		r.refused(401, func() (int, string) { return r.post(token, "key", `{"text": "daddykins fell"}`) })
	}
	for _, path := range []string{"/events/Quillfeather", "/events/" + r.ids[0] + "x", "/events/9990000018/stream"} {
		r.refused(404, func() (int, string) { return r.ask(http.MethodGet, path, r.ruth, "") })
	}
	r.refused(404, func() (int, string) { return r.ask(http.MethodGet, "/events/"+r.ids[0], r.tom, "") }) // may only log
	_, page := r.ask(http.MethodGet, "/m/Quillfeather", "", "")
	r.errors = append(r.errors, page)
}

// refused notes what the API says to a request that it refuses. Understood and suggestion, which say back to a carer what
// they have just written, and the names that they use, are left out.
func (r *fullRun) refused(want int, ask func() (int, string)) {
	r.t.Helper()
	status, answer := ask()
	var refused intake.Refused
	err := json.Unmarshal([]byte(answer), &refused)
	if err != nil || status != want || refused.Error == "" || refused.Message == "" {
		r.t.Errorf("status %d, want %d: %v: %s", status, want, err, answer)
	}
	r.errors = append(r.errors, refused.Message)
}

// wait ends when everything has been tried and told, alarms too, and somebody has read what there is to read.
func (r *fullRun) wait() {
	waitUntil(r.t, "the nurses' webhook is paused", func() bool {
		return strings.Contains(r.carehub("endpoint", "list", "--dir", r.dir), "PAUSED by a 410")
	})
	r.nurses.answers(nil)
	r.carehub("endpoint", "resume", "district-nurses", "--dir", r.dir)
	for _, id := range r.ids {
		if v := r.view(r.ruth, id); len(v.Recipients) > 0 {
			r.settled(r.ruth, id)
		}
		_, answer := r.ask(http.MethodGet, "/events/"+id, r.ruth, "")
		r.answers = append(r.answers, answer)
		r.answers = append(r.answers, r.streamed(id)...)
	}
	waitUntil(r.t, "the alarms have arrived", func() bool { // the nurses' pause, the hospice, nobody to tell
		return len(r.mail.to("on-call@riverside.example")) >= 3 && len(r.alarms()) >= 3
	})
	waitUntil(r.t, "tom's event has arrived", func() bool { return len(r.mail.to("team@frailty.example")) >= 7 })
	for _, link := range r.mail.links("team@frailty.example") {
		if status, page := r.submits(r.reader(), link, "code", code); status != http.StatusOK || !strings.Contains(page, "Quillfeather") {
			r.t.Errorf("a link has status %d", status)
		}
	}
	r.trust()
	if status, preview := r.post(r.ruth, "", `{"text": "daddykins fell", "dry_run": true}`); status != http.StatusOK {
		r.t.Errorf("a dry run: %s", preview)
	}
}

// trust has tom's inbox verified anew and looked after, for what its mail and pages may tell.
func (r *fullRun) trust() {
	r.carehub("subscriber", "verify", "tom", "--dir", r.dir)
	link := r.asked("tom@home.example", 1)
	look := func(status int, page string) {
		if status >= http.StatusInternalServerError {
			r.t.Errorf("status %d: %s", status, page)
		}
		r.pages = append(r.pages, page)
	}
	look(r.ask(http.MethodGet, strings.TrimPrefix(link, r.url), "", ""))
	look(r.submits(r.reader(), link, "code", "1234"))
	look(r.submits(r.reader(), link, "code", "83-boat"))
	look(r.submits(r.reader(), link, "code", "83-boat"))
	for _, link := range r.mail.links("tom@home.example") {
		if link != "" {
			look(r.submits(r.reader(), link, "code", "0000"))
		}
	}
	for _, raw := range r.mail.to("tom@home.example") {
		if strings.Contains(raw, "/inbox/") {
			r.pages = append(r.pages, unfolded(strings.ReplaceAll(raw, "tom@home.example", "")))
		}
	}
}

func (r *fullRun) streamed(id string) (frames []string) {
	if len(r.view(r.ruth, id).Recipients) == 0 {
		return nil
	}
	for _, data := range r.stream(r.ruth, id) {
		frames = append(frames, data)
	}
	return frames
}

// alarms are those that the duty line got.
func (r *fullRun) alarms() (all []request) {
	for _, req := range r.surgery.all() {
		if req.url == "/alarms" {
			all = append(all, req)
		}
	}
	return all
}

// identities are what the fixtures know of people.
var identities = struct{ told, forms, addresses, pseudonyms, kinds []string }{
	told: []string{"Zachariah", "Quillfeather", "9990000018", "1941-03-11", "Wilhelmina", "Oddfellow", "1938-12-05", "Philippa", "Dandelion",
		"+44 7700 900124", "Barnaby", "Thistle", "+44 7700 900125", "Old Mill Infirmary", "tartan slippers"},
	// What is told in other forms, and what nobody is told.
	forms: []string{"999 000 0018", "999-000-0018", "11/03/1941", "11 March 1941", "11 Mar", "March 11", "19410311", "Infirmary", "slippers",
		"7700900124", "7700 900124", "7700900125", "bowel", "blue folder", "daddykins", "grandpops", "auntiekins"},
	addresses: []string{"team@frailty.example", "nurses@hospice.example", "reception@surgery.example", "ruth@home.example",
		"tom@home.example", "on-call@riverside.example"},
	pseudonyms: []string{"p-7f3k", "ev-7f3k", "p-9qq9", "ev-9qq9"},
	kinds:      []string{"admission", "admitted", "attendance", "discharge", "came home", "a fall", "fell"},
}

// secrets are what only its holder may know.
func (r *fullRun) secrets() []string {
	all := []string{r.ruth, r.tom, "correct-horse-battery", "hospice-bearer-token",
		base64.StdEncoding.EncodeToString([]byte("\x00care@riverside.example\x00correct-horse-battery"))}
	for _, s := range []*system{r.surgery, r.nurses} {
		all = append(all, strings.TrimPrefix(s.stands.secret, "whsec_"))
	}
	for _, address := range identities.addresses {
		for _, link := range r.mail.links(address) {
			if link != "" {
				all = append(all, link[strings.LastIndex(link, "/"):])
			}
		}
	}
	link := r.asked("tom@home.example", 1)
	return append(all, link[strings.LastIndex(link, "/"):], "83BOAT", "83-boat", hashedCode)
}

// noLeak looks everywhere. Allowed are: names and the rest in messages, mail and the page behind its link; to carers, the
// names of who is told; pseudonyms and kinds in logs, NATS subjects and answers of the API; a kind in metrics; a mailbox
// in the To of its mail; ids of subscribers and carers, which the admin chooses, in logs and NATS subjects.
func (r *fullRun) noLeak(t *testing.T) {
	for i := range r.answers { // tom, as somebody who is told
		r.answers[i] = strings.ReplaceAll(r.answers[i], "Barnaby Thistle", "")
	}
	_, metrics := r.ask(http.MethodGet, "/metrics", "", "")
	private := slices.Concat(identities.told, identities.forms, identities.addresses, r.secrets())
	strict := slices.Concat(private, identities.pseudonyms)
	mute := slices.Concat(strict, identities.kinds)
	urls, headers := r.requests()
	for _, surface := range []struct {
		name    string
		said    []string
		private []string
	}{
		{"log", strings.Split(r.log.String(), "\n"), private},
		{"metrics", strings.Split(metrics, "\n"), strict},
		{"NATS subject", r.subjects(), private},
		{"URL", urls, mute},
		{"header", headers, mute},
		{"mail header", r.mailHeaders(t), mute},
		{"page without a code", r.pages, slices.Concat(identities.told, identities.forms, identities.addresses, identities.pseudonyms, []string{"83BOAT", hashedCode})},
		{"API error", r.errors, strict},
		{"API answer", r.answers, private},
	} {
		if len(surface.said) < 5 {
			t.Errorf("%s: nothing to look at: %q", surface.name, surface.said)
		}
		for _, line := range surface.said {
			for _, word := range surface.private {
				if strings.Contains(strings.ToLower(line), strings.ToLower(word)) {
					t.Errorf("%s tells %q: %.300s", surface.name, word, line)
				}
			}
		}
	}
	r.planted(t)
}

// planted makes sure that the identities were there to be leaked.
func (r *fullRun) planted(t *testing.T) {
	var sent strings.Builder
	for _, s := range []*system{r.surgery, r.nurses, r.hospice} {
		for _, req := range s.all() {
			sent.Write(req.body)
		}
	}
	for _, word := range identities.told {
		if !strings.Contains(sent.String(), word) {
			t.Errorf("nobody was told %q", word)
		}
	}
	for _, kind := range []string{"attempt", "event refused", "read refused", "configuration"} {
		if !strings.Contains(r.log.String(), `"msg":"`+kind+`"`) {
			t.Errorf("the log has no line %q", kind)
		}
	}
}

// requests are the URLs and headers that providers were sent, the FHIR server's own token left out.
func (r *fullRun) requests() (urls, headers []string) {
	for _, s := range []*system{r.surgery, r.nurses, r.hospice} {
		for _, req := range s.all() {
			urls = append(urls, req.url)
			header := req.header.Clone()
			header.Del("Authorization")
			headers = append(headers, fmt.Sprint(header))
		}
	}
	return urls, headers
}

// mailHeaders are those of all mail, but for To.
func (r *fullRun) mailHeaders(t *testing.T) (all []string) {
	for _, l := range r.mail.all() {
		m, err := mail.ReadMessage(strings.NewReader(l.Raw))
		if err != nil {
			t.Fatal(err)
		}
		delete(m.Header, "To")
		all = append(all, fmt.Sprint(m.Header))
	}
	return all
}

// valid has independent engines judge everything that went out as FHIR.
func (r *fullRun) valid(t *testing.T) {
	dir := t.TempDir()
	n := 0
	write := func(body []byte) {
		n++
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.json", n)), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for _, s := range []*system{r.surgery, r.nurses, r.hospice} {
		for _, req := range s.all() {
			if !seen[string(req.body)] {
				seen[string(req.body)] = true
				write(req.body)
			}
		}
	}
	_, metadata := r.ask(http.MethodGet, "/fhir/metadata", "", "")
	write([]byte(metadata))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := validate.Run(ctx, dir); err != nil || n < 20 {
		t.Errorf("%d messages: %v\n%s", n, err, out)
	}
}
