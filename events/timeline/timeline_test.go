package timeline

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need Europe/London wherever they run

	"github.com/ledongthuc/pdf"

	"carehub/events"
	"carehub/events/page"
)

var (
	ruth   = events.Actor{Kind: events.Carer, ID: "ruth"}
	friday = time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)
	thomas = events.Patient{ID: "p-7f3k", Name: "Tomos Ŵyn-Ŷates", Born: "1941-03-11", NHSNumber: "9990000018", Summary: &events.Summary{
		Conditions: []string{"bowel cancer", "frailty"}, Respect: events.RespectExists, Where: "blue folder, kitchen", Reviewed: "2026-10-01"}}
)

// world is a patient with some events, whom ruth may see.
type world struct {
	stored   []events.Stored // newest first
	may      bool
	unseen   []string // events that ruth may not see
	failing  error    // of the audit trail
	accesses []Access
	extra    []events.Receipt
}

func london() *time.Location {
	zone, _ := time.LoadLocation("Europe/London")
	return zone
}

func newWorld(n int) *world {
	w := &world{may: true}
	for i := range n {
		e := events.Event{ID: events.NewID(ruth, thomas.ID, strconv.Itoa(i)), Patient: thomas.ID, Kind: events.Admission, Because: events.Fall,
			Occurred: friday.Add(-time.Duration(i) * time.Hour), Recorded: friday.Add(-time.Duration(i) * time.Hour), By: ruth,
			Place: "Riverside Hospital", Words: "He <is> awake."}
		w.stored = append(w.stored, events.Stored{Seq: uint64(n - i), Record: events.Record{Event: e}})
	}
	return w
}

func (w *world) get(t *testing.T, path, lang string) *httptest.ResponseRecorder {
	t.Helper()
	p := &Pages{Options{
		Writer: page.Writer{Hub: func() events.Sender {
			return events.Sender{Name: "Riverside", URL: "https://hub.example", Phone: "+44 7700 900123"}
		}, Log: slog.New(slog.DiscardHandler)},
		Required: func(next func(http.ResponseWriter, *http.Request, page.Session)) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				next(rw, r, page.Session{Actor: ruth, Name: "Ruth", CSRF: "proof"})
			}
		},
		Patient: func(_ events.Actor, id string) (events.Patient, bool) { return thomas, w.may && id == thomas.ID },
		MaySee:  func(_ events.Actor, rec events.Record) bool { return w.may && !slices.Contains(w.unseen, rec.Event.ID) },
		Find: func(_ context.Context, id string) (events.Stored, error) {
			for _, st := range w.stored {
				if st.Record.Event.ID == id {
					return st, nil
				}
			}
			return events.Stored{}, missing()
		},
		Timeline: func(_ context.Context, _ string, before events.Place, limit int) (some []events.Stored, _ error) {
			for _, st := range w.stored {
				if (before.IsZero() || st.Seq > 0 && st.Place().Before(before)) && len(some) < limit {
					some = append(some, st)
				}
			}
			return some, nil
		},
		Receipts: func(context.Context, events.Stored) ([]events.Receipt, error) {
			return append([]events.Receipt{
				{Recipient: events.Recipient{ID: "gp", Name: "The surgery", Phone: "01234 567890"}, Outcome: events.Outcome{State: events.Received}},
				{Recipient: events.Recipient{ID: "hospice", Name: "The hospice", Phone: "01234 567891"}, Outcome: events.Outcome{State: events.Refused}},
			}, w.extra...), nil
		},
		Words: func(_ page.Lang, r events.Receipt, _ time.Time, _ *time.Location) string {
			return r.Name + " is " + string(r.State)
		},
		Contacts: func(string) []Contact { return []Contact{{"The surgery", "01234 567890"}} },
		Name:     func(events.Actor) string { return "Ruth Example" },
		Audit:    func(_ context.Context, a Access) error { w.accesses = append(w.accesses, a); return w.failing },
		Zone:     london,
		Clock:    func() time.Time { return friday },
		Log:      slog.New(slog.DiscardHandler),
	}}
	mux := http.NewServeMux()
	p.Routes(mux.HandleFunc)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Accept-Language", lang)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, r)
	return answer
}

// TestCard: what staff must know, in both languages, in a page that needs nothing else.
func TestCard(t *testing.T) {
	for lang, says := range map[string][]string{
		"en": {"Born", "11 March 1941", "Main conditions", "ReSPECT form exists: blue folder, kitchen", "1 October 2026", "not clinically confirmed", "NOT told"},
		"cy": {"Ganwyd", "11 Mawrth 1941", "Prif gyflyrau", "ReSPECT yn bodoli: blue folder, kitchen", "1 Hydref 2026", "HEB gael gwybod"},
	} {
		w := newWorld(7)
		got := w.get(t, "/p/p-7f3k/card", lang)
		body := got.Body.String()
		for _, s := range append(says, "Tomos Ŵyn-Ŷates", "999 000 0018", "bowel cancer", `href="tel:01234567890"`, "The hospice", `href="tel:01234567891"`) {
			if !strings.Contains(body, s) {
				t.Errorf("%s: the card lacks %q", lang, s)
			}
		}
		for _, s := range []string{"<script", "csrf", "<img", "http://", "Ruth"} {
			if strings.Contains(body, s) {
				t.Errorf("%s: the card has %q", lang, s)
			}
		}
		if strings.Count(body, "Riverside Hospital") != onCard || got.Body.Len() > 60<<10 {
			t.Errorf("%s: %d events, %d bytes", lang, strings.Count(body, "Riverside Hospital"), got.Body.Len())
		}
		title := body[strings.Index(body, "<title>"):strings.Index(body, "</title>")]
		if strings.Contains(title, "Tomos") {
			t.Errorf("the window is called %q", title)
		}
		if len(w.accesses) != 1 || w.accesses[0].Patient != thomas.ID || w.accesses[0].Refused != "" || w.accesses[0].By != ruth {
			t.Errorf("on record: %+v", w.accesses)
		}
	}
}

// TestPaging: each event is on one page, newest first.
func TestPaging(t *testing.T) {
	w := newWorld(45)
	var seen []string
	path := "/p/p-7f3k"
	for path != "" {
		body := w.get(t, path, "en").Body.String()
		path = ""
		for part := range strings.SplitSeq(body, `href="`) {
			to, _, _ := strings.Cut(part, `"`)
			if id, ok := strings.CutPrefix(to, "/p/p-7f3k/letter/"); ok {
				seen = append(seen, id)
			} else if strings.Contains(to, "?before=") {
				path = to
			}
		}
	}
	var want []string
	for _, st := range w.stored {
		want = append(want, st.Record.Event.ID)
	}
	if !slices.Equal(seen, want) {
		t.Errorf("%d events of %d, or not in order", len(seen), len(want))
	}
}

// TestHeld: what is held comes before all that was accepted, has no place yet, and is listed once, also where the reader may not
// see all of it.
func TestHeld(t *testing.T) {
	w := newWorld(12)
	for i := range onCard + 1 {
		w.stored[i].Seq = 0
	}
	for _, st := range w.stored[:2] {
		w.unseen = append(w.unseen, st.Record.Event.ID)
	}
	list, card := w.get(t, "/p/p-7f3k", "en").Body.String(), w.get(t, "/p/p-7f3k/card", "en").Body.String()
	for i, st := range w.stored[2:] {
		if n := strings.Count(list, "/letter/"+st.Record.Event.ID+`"`); n != 1 {
			t.Errorf("%s is listed %d times", st.Record.Event.ID, n)
		}
		if when := page.English.Moment(st.Record.Event.Occurred.In(london())); i < onCard && !strings.Contains(card, when) {
			t.Errorf("that of %s is not on the card", when)
		}
	}
	if n := strings.Count(card, "Riverside Hospital"); n != onCard {
		t.Errorf("%d events on the card", n)
	}
}

// TestRefused: whoever may not see, and what cannot be put on record, is shown nothing.
func TestRefused(t *testing.T) {
	w := newWorld(1)
	letter := "/p/p-7f3k/letter/" + w.stored[0].Record.Event.ID
	paths := []string{"/p/p-7f3k", "/p/p-7f3k/card", letter, letter + ".pdf"}
	for _, hidden := range []func(){func() { w.may = false }, func() { w.may, w.failing = true, &events.Error{Kind: events.Unavailable} }} {
		hidden()
		for _, path := range paths {
			got := w.get(t, path, "en")
			if got.Code == http.StatusOK || strings.Contains(got.Body.String(), "Tomos") || strings.Contains(got.Body.String(), "Riverside Hospital") {
				t.Errorf("%s: status %d", path, got.Code)
			}
		}
	}
	if w.accesses[0].Refused != events.NotFound {
		t.Errorf("a refusal is on record as %+v", w.accesses[0])
	}
	w.failing = nil
	other := "/p/p-8g4m/letter/" + w.stored[0].Record.Event.ID
	for _, path := range []string{"/p/p-8g4m", other, "/p/p-7f3k/letter/x", "/p/p-7f3k?before=x"} {
		if got := w.get(t, path, "en"); got.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, got.Code)
		}
	}
}

// text is the words of a PDF, and how many pages it has.
func text(t *testing.T, got *httptest.ResponseRecorder) (string, int) {
	t.Helper()
	r, err := pdf.NewReader(bytes.NewReader(got.Body.Bytes()), int64(got.Body.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for n := 1; n <= r.NumPage(); n++ {
		words, err := r.Page(n).GetPlainText(nil)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(words)
	}
	return all.String(), r.NumPage()
}

// TestPDF: the letter is one A4 page that says it all, Welsh letters included, under a name and title that say nothing.
func TestPDF(t *testing.T) {
	for lang, says := range map[string][]string{
		"en": {"Admitted to hospital after a fall", "NOT told", "Signature", "Friday 20 November 2026"},
		"cy": {"Derbyniwyd i'r ysbyty ar ôl cwympo", "HEB gael gwybod", "Llofnod", "dydd Gwener 20 Tachwedd 2026"},
	} {
		w := newWorld(1)
		got := w.get(t, "/p/p-7f3k/letter/"+w.stored[0].Record.Event.ID+".pdf", lang)
		said, pages := text(t, got)
		if pages != 1 || got.Code != http.StatusOK {
			t.Errorf("%s: status %d, %d pages", lang, got.Code, pages)
		}
		for _, s := range append(says, "Tomos Ŵyn-Ŷates", "999 000 0018", "bowel cancer; frailty", "blue folder, kitchen", "He <is> awake.", "Ruth Example",
			"The hospice 01234 567891: The hospice is refused", "The surgery 01234 567890: The surgery is received") {
			if !strings.Contains(said, s) {
				t.Errorf("%s: the letter lacks %q: %s", lang, s, said)
			}
		}
		r, err := pdf.NewReader(bytes.NewReader(got.Body.Bytes()), int64(got.Body.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if title := r.Trailer().Key("Info").Key("Title").Text(); title != words.Say(page.LangOf(httptest.NewRequest("GET", "/?lang="+map[string]string{"en": "en-GB", "cy": "cy"}[lang], nil)), "letter.title") {
			t.Errorf("%s: the title is %q", lang, title)
		}
		if name := got.Header().Get("Content-Disposition"); name != `inline; filename="letter.pdf"` {
			t.Errorf("the file is called %s", name)
		}
	}
}

// TestLongPDF: what one page has no room for goes on the next, and the page says so.
func TestLongPDF(t *testing.T) {
	w := newWorld(1)
	for i := range 80 {
		w.extra = append(w.extra, events.Receipt{Recipient: events.Recipient{Name: "Team " + strconv.Itoa(i)}, Outcome: events.Outcome{State: events.Refused}})
	}
	said, pages := text(t, w.get(t, "/p/p-7f3k/letter/"+w.stored[0].Record.Event.ID+".pdf", "en"))
	if pages < 2 || !strings.Contains(said, "Continued on page 2.") || !strings.Contains(said, "Page 2") {
		t.Errorf("%d pages: %s", pages, said)
	}
	for i := range 80 {
		if !strings.Contains(said, "Team "+strconv.Itoa(i)+" is refused") {
			t.Errorf("team %d is missing", i)
		}
	}
}

// TestCorrectionIsCalledOne: on the card and the letter, what takes something back never looks like news.
func TestCorrectionIsCalledOne(t *testing.T) {
	for correction, want := range map[events.Correction]string{events.WrongPerson: "CORRECTION, taken back: ", events.WrongTime: "CORRECTION of the time: "} {
		got := what(page.English, events.Event{Kind: events.Fall, Corrects: "ev", Correction: correction})
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", correction, got)
		}
	}
}
