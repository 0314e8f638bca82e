package inbox

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
)

const day = 24 * time.Hour

// untilBeat lets time pass until the monthly question, and returns it.
func (w *world) untilBeat() subscribers.Note {
	w.t.Helper()
	for range 31 {
		w.passes(day)
		if got := w.mails(team); len(got) > 0 {
			if len(got) != 1 || !strings.Contains(got[0].Title, "Does anybody still read this inbox?") {
				w.t.Fatalf("%+v", got)
			}
			return got[0]
		}
	}
	w.t.Fatal("a month without the question")
	return subscribers.Note{}
}

func TestMonthlyQuestionAnswered(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		for range 3 {
			began := time.Now()
			beat := w.untilBeat()
			if after := time.Since(began); after < 26*day {
				t.Errorf("asked after %v", after)
			}
			robot := w.browser()
			if status, page := robot.gets(beat.Link); status != http.StatusOK || !strings.Contains(page, "Yes, somebody reads it") {
				t.Fatalf("%d %s", status, page)
			}
			w.passes(day)
			status, page := w.browser().posts(beat.Link)
			if status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			says(t, page, "Thank you")
			if status, _ := w.browser().posts(beat.Link); status != http.StatusGone {
				t.Errorf("the link works twice: %d", status)
			}
		}
		if alarms := w.told(); len(alarms) != 0 {
			t.Errorf("%q", alarms)
		}
	})
}

func TestMonthlyQuestionUnanswered(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		beat := w.untilBeat()
		w.browser().gets(beat.Link) // a scanner
		w.passes(RemindIn - day)
		if got := w.mails(team); len(got) != 0 {
			t.Errorf("reminded too early: %+v", got)
		}
		w.passes(day)
		reminder := w.mail(team)
		if reminder.Link != beat.Link || reminder.ID == beat.ID || !strings.Contains(reminder.Subject, "again") {
			t.Errorf("%+v", reminder)
		}
		says(t, w.line("frailty-team"), "whether anybody reads it")
		w.restart(1) // a timer that a restart forgot would be none
		w.passes(UnreadIn - RemindIn - day)
		if alarms := w.told(); len(alarms) != 0 {
			t.Errorf("too early: %q", alarms)
		}
		w.passes(day + lookEvery)
		alarms := w.told()
		if len(alarms) != 1 {
			t.Fatalf("%q", alarms)
		}
		says(t, alarms[0], "Nobody seems to read the inbox of Frailty team", "01234 567893")
		if why := w.tell("frailty-team"); why != "" {
			t.Errorf("deliveries stop: %s", why)
		}
		says(t, w.line("frailty-team"), "nobody seems to read it")
		w.mails(team)
		if status, _ := w.browser().posts(reminder.Link); status != http.StatusOK { // better late
			t.Errorf("status %d", status)
		}
		if line := w.line("frailty-team"); strings.Contains(line, "nobody") {
			t.Errorf("%s", line)
		}
	})
}

// TestUnansweredMonthAfterMonth: each month is an alarm of its own, and one.
func TestUnansweredMonthAfterMonth(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		w.passes(100 * day)
		if alarms := w.told(); len(alarms) != 3 {
			t.Errorf("%d alarms in a hundred days: %q", len(alarms), alarms)
		}
	})
}

// TestReadingAnswers: whoever opens messages with the code need not be asked.
func TestReadingAnswers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		for range 6 {
			w.passes(20 * day)
			if err := w.admit("frailty-team", "link", "7291"); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.mails(team); len(got) != 0 {
			t.Errorf("asked all the same: %+v", got)
		}
	})
}

func TestSeveralHubsSendOneMail(t *testing.T) {
	inWorld(t, func(w *world) {
		w.restart(3)
		w.verify("frailty-team", team, "7291")
		w.untilBeat()
		w.passes(UnreadIn)
		if got := w.mails(team); len(got) != 1 {
			t.Errorf("%d reminders", len(got))
		}
		if alarms := w.told(); len(alarms) != 1 {
			t.Errorf("%q", alarms)
		}
		if w.post.tries != 3 {
			t.Errorf("%d attempts for three mails", w.post.tries)
		}
	})
}

// restart ends the hubs and starts others.
func (w *world) restart(hubs int) {
	w.stop()
	w.ended.Wait()
	w.start(hubs)
}

// line is what the admin sees of an inbox.
func (w *world) line(id string) string {
	w.passes(time.Second)
	for _, s := range w.List() {
		if s.Subscriber == id {
			return s.Words
		}
	}
	return ""
}

func TestMailIsTriedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		down := true
		var ids []string
		w.post.answer = func(_ string, n subscribers.Note) error {
			ids = append(ids, fmt.Sprint(n))
			if down {
				return &events.Failure{Reason: events.ReasonConnection}
			}
			return nil
		}
		_ = w.Verify(w.t.Context(), "frailty-team", "email")
		w.passes(time.Hour)
		w.restart(2) // as after a crash
		w.passes(time.Hour)
		w.post.mu.Lock()
		down = false
		w.post.mu.Unlock()
		w.passes(2 * time.Hour)
		w.mail(team)
		if len(ids) < 5 || len(ids) > 12 {
			t.Errorf("%d attempts", len(ids))
		}
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("an attempt sent something else:\n%s\n%s", id, ids[0])
			}
		}
		if strings.Contains(w.log.String(), "@") {
			t.Errorf("the log holds an address:\n%s", w.log.String())
		}
	})
}

func TestMailThatCannotArrive(t *testing.T) {
	for name, why := range map[string]error{
		"for good":   &events.Failure{Reason: events.ReasonAddress, Permanent: true},
		"for days":   &events.Failure{Reason: events.ReasonConnection},
		"our fault":  errors.New("unheard of"),
		"asks later": &events.Failure{Reason: events.ReasonBusy, RetryAfter: day},
	} {
		inWorld(t, func(w *world) {
			w.post.answer = func(string, subscribers.Note) error { return why }
			_ = w.Verify(w.t.Context(), "frailty-team", "email")
			w.passes(giveUpIn + 2*day)
			alarms := w.told()
			if len(alarms) != 1 {
				t.Fatalf("%s: %q", name, alarms)
			}
			says(t, alarms[0], "did not get through", "01234 567893")
			says(t, w.line("frailty-team"), "could not be sent")
			tries := w.post.tries
			w.passes(day)
			if w.post.tries != tries {
				t.Errorf("%s: tried on", name)
			}
		})
	}
}

// TestAlarmComesFirst: what could not be told to a person is not noted as told.
func TestAlarmComesFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		w.mu.Lock()
		w.deaf = errors.New("the store is away")
		w.mu.Unlock()
		w.passes(60 * day)
		w.mu.Lock()
		w.deaf = nil
		w.mu.Unlock()
		w.passes(2 * lookEvery)
		if alarms := w.told(); len(alarms) != 1 {
			t.Errorf("%q", alarms)
		}
	})
}

// TestCrashWhileSending: the hub that took a mail is never heard of again.
func TestCrashWhileSending(t *testing.T) {
	inWorld(t, func(w *world) {
		hangs := true
		held := make(chan struct{})
		w.post.answer = func(string, subscribers.Note) error {
			if hangs {
				hangs = false
				w.stop()
				close(held)
				return &events.Failure{Reason: events.ReasonTimeout}
			}
			return nil
		}
		_ = w.Verify(w.t.Context(), "frailty-team", "email")
		<-held
		w.ended.Wait()
		w.start(1)
		w.passes(lease + 2*sendEvery)
		w.mail(team)
	})
}

func TestPausedInboxIsNotAsked(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify("frailty-team", team, "7291")
		_, err := w.change(w.t.Context(), place{"frailty-team", "email"}, func(rec *endpoints.Record) error {
			rec.Inbox.Away = endpoints.Away{Until: time.Now().Add(50 * day)}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.passes(49 * day)
		if got := w.mails(team); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		w.passes(2 * day)
		w.mail(team) // now
		if w.record(place{"frailty-team", "email"}).Inbox.Away != (endpoints.Away{}) {
			t.Error("the pause stays in the record")
		}
	})
}
