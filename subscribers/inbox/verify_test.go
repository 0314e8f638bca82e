package inbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
)

func TestNothingBeforeItIsVerified(t *testing.T) {
	inWorld(t, func(w *world) {
		if why := w.tell("frailty-team"); why != events.ReasonUnverified {
			t.Errorf("refused because %q", why)
		}
		first := w.mail(team)
		says(t, strings.Join(first.Paragraphs, " "), "has something for you and cannot send it until this address is verified")
		for range 50 { // a busy night
			w.tell("frailty-team")
			w.passes(20 * time.Minute)
		}
		if more := w.mails(team); len(more) != 0 {
			t.Errorf("%d mails within a day", len(more))
		}
		w.passes(8 * time.Hour)
		w.tell("frailty-team")
		second := w.mail(team)
		if second.Link != first.Link || second.ID == first.ID {
			t.Errorf("the second notice is %+v after %+v", second, first)
		}
		if status, _ := w.browser().posts(first.Link, "code", "7291"); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
		if why := w.tell("frailty-team"); why != "" {
			t.Errorf("still refused: %s", why)
		}
		if got := w.mail(team); got.Title != "admission" {
			t.Errorf("%+v", got)
		}
	})
}

func TestAlarmsAreNeverSilenced(t *testing.T) {
	inWorld(t, func(w *world) {
		if why := w.send("admin", events.Alarm); why != "" {
			t.Errorf("an alarm is refused: %s", why)
		}
		if got := w.mail(admin); got.Title != "alarm" {
			t.Errorf("%+v", got)
		}
	})
}

func TestMailsToStrangersAreConstant(t *testing.T) {
	inWorld(t, func(w *world) {
		var texts []string
		for id, address := range map[string]string{"ruth-example": "ruth@home.example", "frailty-team": team} {
			w.tell(id)
			n := w.mail(address)
			n.Link, n.ID, n.At = "", "", time.Time{}
			texts = append(texts, fmt.Sprint(n))
		}
		if texts[0] != texts[1] || strings.Contains(texts[0], "Ruth") {
			t.Errorf("two strangers read different things:\n%s\n%s", texts[0], texts[1])
		}
	})
}

func TestVerificationPage(t *testing.T) {
	inWorld(t, func(w *world) {
		if err := w.Verify(w.t.Context(), "frailty-team", "email"); err != nil {
			t.Fatal(err)
		}
		link, robot, person := w.mail(team).Link, w.browser(), w.browser()
		for range 3 { // scanners open links
			status, page := robot.gets(link)
			if status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			says(t, page, "Choose a code", "for Frailty team", `<form method="post">`)
			robot.do(http.MethodHead, link, nil)
		}
		if why := w.tell("frailty-team"); why != events.ReasonUnverified {
			t.Errorf("opening the page verified the address: %q", why)
		}
		for _, bad := range []string{"", "123", "123456789", "12é4", "12 34", "1111", "4321", "abcd", "zyxw", "<b>1</b>"} {
			status, page := person.posts(link, "code", bad)
			if status != http.StatusUnprocessableEntity {
				t.Errorf("%q: status %d", bad, status)
			}
			says(t, page, `role="alert"`, "Choose a code", `aria-invalid="true"`)
		}
		status, page := person.posts(link, "code", "k9 27-b")
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		says(t, page, "This address is verified", "/inbox/")
		if status, page = person.posts(link, "code", "7291"); status != http.StatusGone {
			t.Errorf("the link works twice: %d %s", status, page)
		}
		if status, _ := person.gets(link); status != http.StatusGone {
			t.Errorf("status %d", status)
		}
		value, _, _, _ := w.store.HubGet(w.t.Context(), "hub.endpoint.frailty-team.email")
		if text := strings.ToUpper(string(value)); strings.Contains(text, "K927B") || strings.Contains(text, "FRAILTY.EXAMPLE") {
			t.Errorf("the record says too much: %s", value)
		}
	})
}

func TestLinksEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		_ = w.Verify(w.t.Context(), "frailty-team", "email")
		old := w.mail(team).Link
		_ = w.Verify(w.t.Context(), "frailty-team", "email")
		link := w.mail(team).Link
		for name, dead := range map[string]string{"replaced": old, "forged": link[:len(link)-4] + "AAAA", "none": "https://hub.example/inbox/x"} {
			if status, _ := w.browser().posts(dead, "code", "7291"); status != http.StatusGone && status != http.StatusNotFound {
				t.Errorf("%s: status %d", name, status)
			}
		}
		w.passes(LinkLife)
		if status, _ := w.browser().posts(link, "code", "7291"); status != http.StatusGone {
			t.Errorf("after a week: status %d", status)
		}
		if why := w.tell("frailty-team"); why != events.ReasonUnverified {
			t.Errorf("%q", why)
		}
	})
}

func TestAnotherAddressIsNotVerified(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		_ = w.Verify(w.t.Context(), "frailty-team", "email")
		link := w.mail(team).Link
		w.who[1].Channels = []subscribers.Channel{w.channel("email", "other@frailty.example")} // the admin has edited the file
		if why := w.tell("frailty-team"); why != events.ReasonUnverified {
			t.Errorf("%q", why)
		}
		if status, _ := w.browser().posts(link, "code", "8392"); status == http.StatusOK {
			t.Error("a link that went to the old address verifies the new one")
		}
		if got := w.mails("other@frailty.example"); len(got) != 1 {
			t.Errorf("%d mails to the new address", len(got))
		}
	})
}

// TestForgottenCode: a new link goes only to the address, and what was verified stays so.
func TestForgottenCode(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		_ = w.Verify(w.t.Context(), "frailty-team", "email")
		link := w.mail(team).Link
		if why := w.tell("frailty-team"); why != "" {
			t.Errorf("refused meanwhile: %s", why)
		}
		if status, _ := w.browser().posts(link, "code", "5820"); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
		if err := w.admit("frailty-team", "link", "7291"); events.KindOf(err) != events.Forbidden {
			t.Errorf("the old code still works: %v", err)
		}
		if err := w.admit("frailty-team", "link", "5820"); err != nil {
			t.Error(err)
		}
	})
}
