package inbox

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// settled is a browser at the page where the team's inbox is looked after, with the code given.
func (w *world) settled() (*browser, string) {
	w.t.Helper()
	w.verify("frailty-team", team, "7291")
	b, link := w.browser(), w.Inbox("frailty-team")
	if status, page := b.posts(link, "do", "enter", "code", "7291"); status != http.StatusOK || !strings.Contains(page, "Going away?") {
		w.t.Fatalf("status %d: %s", status, page)
	}
	return b, link
}

func TestSettingsTakeTheCode(t *testing.T) {
	inWorld(t, func(w *world) {
		_, link := w.settled()
		stranger := w.browser()
		for name, ask := range map[string]func() (int, string){
			"reading":    func() (int, string) { return stranger.gets(link) },
			"away":       func() (int, string) { return stranger.posts(link, "do", "away", "until", "2000-02-01") },
			"handover":   func() (int, string) { return stranger.posts(link, "do", "handover", "to", "eve@frailty.example") },
			"wrong code": func() (int, string) { return stranger.posts(link, "do", "enter", "code", "0000") },
		} {
			if _, page := ask(); !strings.Contains(page, "Please enter the code of this inbox.") || strings.Contains(page, "Frailty") {
				t.Errorf("%s: %s", name, page)
			}
		}
		if why := w.tell("frailty-team"); why != "" || len(w.told()) != 0 {
			t.Errorf("something was changed: %s", why)
		}
	})
}

// TestInboxInWelsh: pages, days and complaints are in the language that their reader chooses.
func TestInboxInWelsh(t *testing.T) {
	inWorld(t, func(w *world) {
		b, link := w.settled()
		b.cookies["lang"] = "cy"
		until := time.Now().In(london()).AddDate(0, 0, 5)
		if _, page := b.posts(link, "do", "away", "until", "soon"); !strings.Contains(page, "Rhowch y diwrnod cyntaf yn ôl fel dyddiad") {
			t.Error(page)
		}
		if _, text := b.posts(link, "do", "away", "until", until.Format(time.DateOnly)); !strings.Contains(text, "Mae wedi&#39;i oedi tan "+page.Welsh.Day(until)) {
			t.Error(text)
		}
		stranger := w.browser()
		stranger.cookies["lang"] = "cy"
		if _, page := stranger.posts(link, "do", "enter", "code", "0000"); !strings.Contains(page, "Nid dyna&#39;r cod. Nifer y cynigion sydd ar ôl: ") {
			t.Error(page)
		}
	})
}

func TestAway(t *testing.T) {
	inWorld(t, func(w *world) {
		b, link := w.settled()
		today := time.Now().In(london())
		for _, wrong := range []string{"", "soon", today.Format(time.DateOnly), today.AddDate(0, 0, -1).Format(time.DateOnly), today.AddDate(0, 0, MaxAway+1).Format(time.DateOnly)} {
			if status, page := b.posts(link, "do", "away", "until", wrong); status != http.StatusUnprocessableEntity || !strings.Contains(page, `role="alert"`) {
				t.Errorf("%q: status %d", wrong, status)
			}
		}
		if alarms := w.told(); len(alarms) != 0 {
			t.Errorf("%q", alarms)
		}
		status, page := b.posts(link, "do", "away", "until", today.AddDate(0, 0, 5).Format(time.DateOnly))
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		says(t, page, "It is paused until", "End the pause now")
		alarms := w.told()
		if len(alarms) != 1 {
			t.Fatalf("%q", alarms)
		}
		says(t, alarms[0], "Frailty team has paused their inbox (email) until "+today.AddDate(0, 0, 5).Format("Monday 2 January 2006"))
		if why := w.tell("frailty-team"); why != events.ReasonPaused {
			t.Errorf("refused because %q", why)
		}
		if why := w.send("frailty-team", events.Alarm); why != "" {
			t.Errorf("an alarm is silenced: %s", why)
		}
		says(t, w.line("frailty-team"), "paused until")
		w.passes(6 * day)
		if why := w.tell("frailty-team"); why != "" {
			t.Errorf("the pause does not end: %s", why)
		}
	})
}

func TestBackEarly(t *testing.T) {
	inWorld(t, func(w *world) {
		b, link := w.settled()
		b.posts(link, "do", "away", "until", time.Now().AddDate(0, 0, 5).Format(time.DateOnly))
		if status, page := b.posts(link, "do", "back"); status != http.StatusOK || !strings.Contains(page, "Going away?") {
			t.Errorf("%d %s", status, page)
		}
		if why := w.tell("frailty-team"); why != "" {
			t.Errorf("%s", why)
		}
	})
}

func TestHandover(t *testing.T) {
	inWorld(t, func(w *world) {
		b, link := w.settled()
		for _, wrong := range []string{"", "x", "eve@elsewhere.example", "eve@sub.frailty.example", "team@FRAILTY.example", "eve@frailty.example@elsewhere.example"} {
			if status, page := b.posts(link, "do", "handover", "to", wrong); status != http.StatusUnprocessableEntity || !strings.Contains(page, `role="alert"`) {
				t.Errorf("%q: status %d", wrong, status)
			}
		}
		w.told()
		const colleague = "amy@frailty.example"
		status, page := b.posts(link, "do", "handover", "to", colleague)
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		says(t, page, "goes to a colleague as soon as they have verified")
		if alarms := w.told(); len(alarms) != 1 || strings.Contains(alarms[0], colleague) {
			t.Errorf("%q", alarms)
		}
		says(t, w.line("frailty-team"), "hands over to "+colleague)
		asked := w.mail(colleague)
		w.tell("frailty-team")
		w.mail(team) // until then as before
		if status, _ := w.browser().posts(asked.Link, "code", "5820"); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		if alarms := w.told(); len(alarms) != 1 || !strings.Contains(alarms[0], "messages go there now") {
			t.Errorf("%q", alarms)
		}
		if why := w.tell("frailty-team"); why != "" || len(w.mails(colleague)) != 1 || len(w.mails(team)) != 0 {
			t.Errorf("it went elsewhere: %q", why)
		}
		if err := w.admit("frailty-team", "link", "7291"); err == nil {
			t.Error("the code of before still opens messages")
		}
		w.handedOn(colleague)
	})
}

// handedOn: the colleague's inbox is one like any other.
func (w *world) handedOn(colleague string) {
	w.t.Helper()
	b, link := w.browser(), w.Inbox("frailty-team")
	b.posts(link, "do", "enter", "code", "5820")
	b.posts(link, "do", "handover", "to", "bob@frailty.example")
	w.tell("frailty-team")
	if len(w.mails(colleague)) != 1 {
		w.t.Error("a second handover takes the first back before it counts")
	}
	if err := w.Verify(w.t.Context(), "frailty-team", "email"); err != nil || len(w.mails(colleague)) != 1 {
		w.t.Errorf("a new link goes elsewhere: %v", err)
	}
	w.who[1].Channels[0] = w.channel("email", colleague) // the admin puts it into the file
	if why := w.tell("frailty-team"); why != "" {
		w.t.Errorf("verified twice: %s", why)
	}
	w.who[1].Channels[0] = w.channel("email", team)
	if err := w.Resume(w.t.Context(), "frailty-team", "email"); err != nil {
		w.t.Fatal(err)
	}
	if why := w.tell("frailty-team"); why != events.ReasonUnverified {
		w.t.Errorf("taken back without being verified: %q", why)
	}
}

// TestCarersDoNotHandOver: the domain of a private address is no team.
func TestCarersDoNotHandOver(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("ruth-example", "ruth@home.example", "7291")
		b, link := w.browser(), w.Inbox("ruth-example")
		if _, page := b.posts(link, "do", "enter", "code", "7291"); !strings.Contains(page, "Going away?") || strings.Contains(page, "colleague") {
			t.Errorf("%s", page)
		}
		if status, _ := b.posts(link, "do", "handover", "to", "eve@home.example"); status != http.StatusUnprocessableEntity {
			t.Errorf("status %d", status)
		}
		if got := w.mails("eve@home.example"); len(got) != 0 || len(w.told()) != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestHandoverLapses(t *testing.T) {
	inWorld(t, func(w *world) {
		b, link := w.settled()
		b.posts(link, "do", "handover", "to", "amy@frailty.example")
		asked := w.mail("amy@frailty.example")
		if _, page := b.posts(link, "do", "keep"); !strings.Contains(page, "Handing over to a colleague?") {
			t.Errorf("%s", page)
		}
		if status, _ := w.browser().posts(asked.Link, "code", "5820"); status != http.StatusGone {
			t.Errorf("a handover that was taken back: %d", status)
		}
		b.posts(link, "do", "handover", "to", "amy@frailty.example")
		asked = w.mail("amy@frailty.example")
		w.passes(LinkLife + time.Hour)
		if status, _ := w.browser().posts(asked.Link, "code", "5820"); status != http.StatusGone {
			t.Errorf("after a week: %d", status)
		}
		w.tell("frailty-team")
		w.mail(team)
	})
}

func TestEveryAnswerKeepsItsHeaders(t *testing.T) {
	inWorld(t, func(w *world) {
		b, link := w.settled()
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions} {
			for _, to := range []string{link, "https://hub.example/inbox/x"} {
				b.do(method, to, nil)
				h := b.last.Header()
				if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Content-Security-Policy") == "" {
					t.Errorf("%s %v", method, h)
				}
			}
		}
	})
}
