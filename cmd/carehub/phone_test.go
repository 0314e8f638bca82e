package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
)

// signsIn opens an invitation on the phone and takes it.
func (s *screen) signsIn(w *town, carer string) {
	s.t.Helper()
	link := strings.TrimSpace(w.carehub("invite", carer, "--dir", w.dir))
	s.open(strings.TrimPrefix(link, w.url))
	s.shows("main form button")
	s.judge("invitation")
	s.tap("main form button")
	s.shows(".person")
}

// Where a carer taps.
const (
	tapPatient = `a.button[href="/log/p-7f3k"]`
	tapNext    = "form:has(#place) button"
	tapSend    = "form[data-send] button"
)

// TestPhone: a carer signs in by a link, logs in three taps and a confirmation, and sees how telling everybody goes.
func TestPhone(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	letGo := w.surgery.holds()
	defer letGo()
	w.start()
	s := newScreen(t, w.url, true)
	s.open("/")
	s.shows("h1")
	s.judge("signin")
	s.signsIn(w, "ruth")
	s.tap(tapPatient)
	s.tap("button[value=admission]")
	s.shows("#place")
	s.fill("#place", "Riverside Hospital")
	s.tap(tapNext)
	s.shows(tapSend)
	s.judge("check")
	s.tap(tapSend)
	s.shows("#rows")
	s.says("Received by the Riverside Hospice system")
	s.says("Telling Riverside Surgery")
	s.judge("event")
	letGo()
	s.says("Received by the Riverside Surgery system") // by itself
	event := s.path()
	s.until("it is settled", `document.getElementById("rows").dataset.settled === "true"`)

	s.open("/")
	s.says("Sent to all 4.")
	s.judge("home")
	s.tap(tapPatient)
	s.tap("button[value=admission]")
	s.shows("button[name=last]")
	s.judge("when")
	s.tap("button[name=last]")
	s.says("You logged the same")
	s.judge("question")
	s.tap(".note a.button")
	s.shows("#rows")
	if s.path() != event {
		t.Errorf("the same event is at %s, not at %s", s.path(), event)
	}
	if n := len(w.hospice.messages()); n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestPhoneInBothLanguages judges every page on the way, a fall, and what the admin is asked.
func TestPhoneInBothLanguages(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	s := newScreen(t, w.url, true)
	s.signsIn(w, "ruth")
	for _, lang := range []struct{ tag, suffix string }{{"en-GB", ""}, {"cy", ".cy"}} {
		s.open("/?lang=" + lang.tag)
		s.shows(`html[lang="` + lang.tag + `"] .person`)
		s.judge("home-first" + lang.suffix)
		s.tap(tapPatient)
		s.shows("button[value=fall]")
		s.judge("what" + lang.suffix)
		s.tap("button[value=fall]")
		s.shows(`a[href="tel:999"]`)
		s.judge("hurt" + lang.suffix)
		s.tap("main form button")
		s.shows("#place")
		s.judge("fall-when" + lang.suffix)
		s.fill("#time", "23:59")
		s.fill("#day", "2030-01-01") // is in the future
		_ = eval[*bool](s, `document.getElementById("day").removeAttribute("max"); true`)
		s.tap(tapNext)
		s.shows("#problem")
		s.judge("problem" + lang.suffix)
		s.fill("#time", "")
		s.fill("#day", "")
		s.fill("#words", "He says his hip hurts.")
		s.tap(tapNext)
		s.shows(tapSend)
		s.judge("fall-check" + lang.suffix)
		s.tap(`a[href$="/phones"]`)
		s.shows(`a[href="tel:01234567890"]`)
		s.tap("main form button")
		s.shows("[role=status]")
		s.judge("phones" + lang.suffix)
		s.open("/e/none")
		s.shows("main a")
		s.judge("missing" + lang.suffix)
		s.open("/log/p-7f3k/when?what=fall&safe=yes")
		s.tap(tapNext)
		s.shows(tapSend)
		s.tap(tapSend) // in Welsh it is another one, and was asked about
		s.shows("#rows")
		s.judge("fall-event" + lang.suffix)
		s.open("/p/p-7f3k")
		s.shows(`a[href*="/letter/"]`)
		s.judge("timeline" + lang.suffix)
		s.tap(`a[href*="/letter/"]`)
		s.shows(`html[lang="` + lang.tag + `"] h1`)
		s.judge("printed" + lang.suffix)
		s.open("/p/p-7f3k/card")
		s.shows(`html[lang="` + lang.tag + `"] h1`)
		s.judge("card" + lang.suffix)
	}
	waitUntil(t, "the admin is asked, once", func() bool { return len(w.mail.to("on-call@riverside.example")) == 1 })
}

// TestPhoneUndo: what was logged by a slip is taken back before anybody is told.
func TestPhoneUndo(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	s := newScreen(t, w.url, true)
	s.signsIn(w, "ruth")
	s.open("/log/p-7f3k/when?what=discharge")
	s.tap(tapNext)
	s.shows(tapSend)
	s.tap(tapSend)
	s.shows("#held button")
	s.says("Saved. We will tell Riverside Surgery at")
	s.judge("undo")
	s.tap("#held button")
	s.says("Undone. Nobody has been told.")
	s.says("Undone before it went. Riverside Hospice has not been told.")
	s.judge("undone")
	s.open("/log/p-7f3k/when?what=discharge") // it is no repeat of what was taken back
	s.tap(tapNext)
	s.shows(tapSend)
	s.tap(tapSend)
	s.says("Received by the Riverside Hospice system")
	if n := len(w.hospice.messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestPhoneSeesAnAnswer: a nurse answers by the page behind the link of a mail, in a browser of their own, and the carer's page says
// so by itself, by name; where nobody answers it says that as well.
func TestPhoneSeesAnAnswer(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	s := newScreen(t, w.url, true)
	s.signsIn(w, "ruth")
	s.open("/log/p-7f3k/when?what=fall&safe=yes")
	s.tap(tapNext)
	s.shows(tapSend)
	s.tap(tapSend)
	s.says("Sent to Frailty team by email")
	link := slices.DeleteFunc(w.mail.links("team@frailty.example"), func(l string) bool { return l == "" })[0]
	nurse := newScreen(t, w.url, true)
	nurse.open(strings.TrimPrefix(link, w.url))
	nurse.fill("#code", code)
	nurse.tap("main form button")
	nurse.says("Thomas Example")
	nurse.judge("letter")
	nurse.tap("#answer-acting")
	nurse.fill("#name", "Jo Smith")
	nurse.fill("#line", "We ring today.")
	nurse.tap("main form button")
	nurse.says("Jo Smith answered at")
	nurse.judge("letter-answered")
	nurse.open(strings.TrimPrefix(link, w.url) + "?lang=cy")
	nurse.says("Rydym yn gweithredu ar hyn")
	nurse.judge("letter.cy")
	nurse.tap("a.target[href*='/inbox/']")
	nurse.says("Yn mynd i ffwrdd?")
	nurse.judge("inbox.cy")
	nurse.open(nurse.path() + "?lang=en-GB")
	nurse.says("Going away?")
	nurse.judge("inbox")
	s.says("Jo Smith, Frailty team, is acting on this")
	s.says("We ring today")
	s.judge("answered")
	s.tap(`a[href$="/mistake"]`)
	s.shows("#mistake-wrong-person")
	s.judge("mistake")
	s.tap("#mistake-wrong-person")
	s.tap("main form button")
	s.says("Correction of “Had a fall”: It was about another person")
	s.says("This corrects what was logged before")
	s.says("Sent to Frailty team by email")
	s.judge("corrected")
	s.tap(`main a.target[href^="/e/"]`)
	s.says("This was wrong and has been corrected: It was about another person.")
	s.judge("was-wrong")
}

// TestPhoneTapsTwice: a finger that taps twice, and two pages that were open at once, make one event.
func TestPhoneTapsTwice(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	s := newScreen(t, w.url, true)
	s.signsIn(w, "ruth")
	s.open("/log/p-7f3k/when?what=discharge")
	s.tap(tapNext)
	s.shows(tapSend)
	_ = eval[*bool](s, `for (let n = 0; n < 2; n++) document.querySelector("`+tapSend+`").click(); true`)
	s.shows("#rows")
	s.until("it is settled", `document.getElementById("rows").dataset.settled === "true"`)
	if n := len(w.hospice.messages()); n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestPhoneWithoutSignal: what is logged without a signal is kept on the phone, which says so, and is sent once there is one.
func TestPhoneWithoutSignal(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	s := newScreen(t, w.url, true)
	s.signsIn(w, "ruth")
	s.open("/")
	s.until("the pages are kept", `document.readyState === "complete" && Promise.all(["/", "/log/p-7f3k", "/p/p-7f3k/card", "/log/p-7f3k/phones", "/log/p-7f3k/when?what=attendance"].map(path => caches.match(path))).then(all => all.every(Boolean))`)
	w.stop()
	s.open("/")
	s.says("There is no signal.")
	s.tap(tapPatient)
	s.tap("button[value=attendance]")
	s.shows("#place")
	s.fill("#place", "Riverside Hospital")
	s.tap(tapNext)
	s.says("NOT SENT")
	s.judge("not-sent")
	s.open("/p/p-7f3k/card")
	s.says("bowel cancer")
	s.open("/log/p-7f3k/phones")
	s.shows(`a[href="tel:01234567890"]`)
	s.says("NOT SENT")
	w.start()
	_ = eval[*bool](s, `dispatchEvent(new Event("online")); true`)
	s.until("it is sent", `waiting().then(all => all.length === 0)`)
	waitUntil(t, "the hospice is told", func() bool { return len(w.hospice.messages()) == 1 })
	if e := w.hospice.messages()[0].Event; e.Place != "Riverside Hospital" || e.Has(events.FlagLate) {
		t.Errorf("%+v", e)
	}
	s.isAskedWhetherToSend(w)
}

// isAskedWhetherToSend has an event wait for thirteen hours.
func (s *screen) isAskedWhetherToSend(w *town) {
	s.t.Helper()
	w.stop()
	s.open("/log/p-7f3k/when?what=discharge")
	s.tap(tapNext)
	s.says("NOT SENT")
	s.until("it is not being sent", "!busy")
	_ = eval[*bool](s, `outbox("readwrite", store => { const all = store.getAll(); all.onsuccess = () => all.result.forEach(e => store.put({...e, tapped: e.tapped - 13 * hour})); return all; }).then(() => true)`)
	w.start()
	s.open("/")
	s.says("more than twelve hours old")
	s.judge("not-sent-old")
	if n := len(w.hospice.messages()); n != 1 {
		s.t.Errorf("%d events before the answer", n)
	}
	s.tap("#unsent button")
	s.until("it is sent", `waiting().then(all => all.length === 0)`)
	waitUntil(s.t, "the hospice is told", func() bool { return len(w.hospice.messages()) == 2 })
	e := w.hospice.messages()[1].Event
	if ago := e.Recorded.Sub(e.Occurred); !e.Has(events.FlagLate) || ago < 12*time.Hour || ago > 14*time.Hour {
		s.t.Errorf("%v before: %+v", ago, e)
	}
}

// TestPhoneWithoutScripts: the whole way, with scripts turned off.
func TestPhoneWithoutScripts(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	s := newScreen(t, w.url, false)
	s.signsIn(w, "ruth")
	s.tap(tapPatient)
	s.tap("button[value=fall-admission]")
	s.shows("#place")
	s.fill("#place", "Riverside Hospital")
	s.tap(tapNext)
	s.tap(tapSend)
	s.shows("#rows")
	s.says("Riverside Hospital")
	waitUntil(t, "the hospice is told", func() bool { return len(w.hospice.messages()) == 1 })
	waitUntil(t, "the page says so, when it is asked again", func() bool {
		s.open(s.path())
		return strings.Contains(s.text(), "Received by the Riverside Hospice system")
	})
	if e := w.hospice.messages()[0].Event; e.Kind != events.Admission || e.Because != events.Fall {
		t.Errorf("%+v", e)
	}
}

// TestPhoneSignsOut: what the phone kept goes with whoever signs out, and what is not sent yet is asked about before.
func TestPhoneSignsOut(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	s := newScreen(t, w.url, true)
	s.signsIn(w, "ruth")
	s.until("the pages are kept", `caches.match("/log/p-7f3k/phones").then(Boolean)`)
	w.stop()
	s.open("/log/p-7f3k/when?what=discharge")
	s.tap(tapNext)
	s.says("NOT SENT")
	asked := eval[string](s, `new Promise(said => { confirm = text => { said(text); return false; }; document.querySelector('form[action="/signout"] button').click(); })`)
	if !strings.Contains(asked, "not sent yet") {
		t.Error(asked)
	}
	w.start()
	s.open("/")
	s.until("it is sent", `waiting().then(all => all.length === 0)`)
	waitUntil(t, "the hospice is told", func() bool { return len(w.hospice.messages()) == 1 })
	s.tap(`form[action="/signout"] button`)
	s.until("they are signed out", `location.pathname === "/signin"`)
	s.until("nothing is kept", `Promise.all([caches.keys(), indexedDB.databases()]).then(([kept, stored]) => kept.length + stored.length === 0)`)
}

// TestPhoneWithoutStream: a browser to which the stream does not get through looks again now and then.
func TestPhoneWithoutStream(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	letGo := w.surgery.holds()
	defer letGo()
	w.start()
	s := newScreen(t, w.url, true)
	s.atFirst("delete window.EventSource")
	s.signsIn(w, "ruth")
	s.open("/log/p-7f3k/when?what=admission")
	s.tap(tapNext)
	s.tap(tapSend)
	s.says("Telling Riverside Surgery")
	letGo()
	s.says("Received by the Riverside Surgery system")
}
