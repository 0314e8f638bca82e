package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	chrome "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/serviceworker"
	"github.com/chromedp/chromedp"
)

// TestPhoneNotes: a carer turns notes on with a tap, is told by one, which the phone shows, and turns them off again. What a browser
// asks of its maker's push service is stood in for; the rest is real.
func TestPhoneNotes(t *testing.T) {
	notes := make(chan struct{}, 8)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		notes <- struct{}{}
	}))
	t.Cleanup(service.Close)
	w := newTown(t)
	w.edit("carers.yaml", "- email: {to: tom@home.example}", "- push: {}\n    - email: {to: tom@home.example}")
	w.start()
	s := newScreen(t, w.url, true)
	s.signsIn(w, "tom")
	s.open("/")
	s.shows("#push button")
	s.judge("notes-off")
	_ = eval[*bool](s, `var mine = null;
		PushManager.prototype.getSubscription = async () => mine;
		PushManager.prototype.subscribe = async o => mine = {key: o.applicationServerKey, toJSON: () => (`+subscribed(t, service.URL+"/wp/1")+`), unsubscribe: async () => { mine = null; return true; }};
		true`)
	s.tap("#push button")
	s.says("We put a note on this phone")
	s.says("Stop telling me on this phone")
	if key := eval[string](s, `mine.key`); len(key) != 87 || !strings.HasPrefix(key, "B") {
		t.Errorf("the key is %s", key)
	}
	ruth := w.token("ruth")
	w.settled(ruth, w.says(ruth, "dad had a fall").ID)
	<-notes
	s.tap("#push button")
	s.says("Tell me on this phone")
	s.until("it is off", `mine === null`)
	w.settled(ruth, w.says(ruth, "dad had a fall at Church").ID)
	if len(notes) != 0 {
		t.Error("a phone was told that had asked not to be")
	}
	s.showsNotes(w.url)
}

// showsNotes has the phone get a note as from its push service.
func (s *screen) showsNotes(hub string) {
	s.t.Helper()
	registered := make(chan serviceworker.RegistrationID, 16)
	if err := chromedp.Listen(s.ctx, func(event any) {
		if e, ok := event.(*serviceworker.EventWorkerRegistrationUpdated); ok && len(e.Registrations) > 0 {
			registered <- e.Registrations[0].RegistrationID
		}
	}); err != nil {
		s.t.Fatal(err)
	}
	s.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.CallBrowser(ctx, chrome.SetPermission, chrome.SetPermissionParams{Permission: &chrome.PermissionDescriptor{Name: "notifications"},
			Setting: chrome.PermissionSettingGranted, Origin: hub, BrowserContextID: chromedp.FromContext(ctx).BrowserContextID}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, serviceworker.Enable, cdp.Empty{})
		return err
	}))
	id := <-registered
	for _, data := range []string{`{"title":"Care message","text":"You have a care message.","link":"` + hub + `/m/abc"}`, "not what it should be"} {
		s.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, serviceworker.DeliverPushMessage, serviceworker.DeliverPushMessageParams{Origin: hub, RegistrationID: id, Data: data})
			return err
		}))
	}
	s.until("the notes are shown", `navigator.serviceWorker.ready.then(r => r.getNotifications()).then(all => all.length === 2 &&
		all.some(n => n.title === "Care message" && n.body === "You have a care message." && n.data === `+quoted(hub+"/m/abc")+`) &&
		all.some(n => n.title === "Care message" && n.body === "" && n.data === "/"))`)
}
