package main

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// locks gives the phone a lock that its owner opens whenever they are asked to.
func (s *screen) locks() {
	s.t.Helper()
	s.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
			HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}})
		return err
	}))
}

// forgets has the browser lose its cookies.
func (s *screen) forgets() {
	s.t.Helper()
	s.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
}

// atHost has the hub called by a name, without which there are no passkeys.
func (w *town) atHost() {
	w.t.Helper()
	named := strings.Replace(w.url, "127.0.0.1", "localhost", 1)
	w.edit("hub.yaml", "url: "+w.url, "url: "+named)
	w.url = named
}

// TestPasskey: a phone is offered a passkey when it is signed in, and gets back in with it until its carer is revoked.
func TestPasskey(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.atHost()
	w.start()
	s := newScreen(t, w.url, true)
	s.locks()
	link := strings.TrimPrefix(strings.TrimSpace(w.carehub("invite", "ruth", "--dir", w.dir)), w.url)
	s.open(link)
	s.until("the phone says what it can", `document.getElementById("wish").value === "yes"`)
	s.tap("main form button")
	s.shows("#passkey button")
	s.judge("passkey-offer")
	s.open("/signin/passkey?lang=cy")
	s.shows("#passkey button")
	s.judge("passkey-offer.cy")
	s.open("/signin/passkey?lang=en-GB")
	s.tap("main a.plain") // not now
	s.tap("#offer-passkey")
	s.tap("#passkey button")
	s.shows(".person")
	s.until("it is offered no more", `!document.getElementById("offer-passkey")`)

	s.forgets()
	s.open("/log/p-7f3k")
	s.shows("#passkey button")
	s.judge("signin-passkey")
	s.tap("#passkey button")
	s.shows("button[value=fall]") // where she was going
	if got := w.carehub("sessions", "ruth", "--dir", w.dir); strings.Count(got, "ruth") != 2 {
		t.Errorf("sessions: %s", got)
	}

	if got := w.carehub("revoke", "ruth", "--dir", w.dir); got != "revoked 2 sessions, 0 invitations, 1 passkeys, 0 tokens\n" {
		t.Error(got)
	}
	s.open("/")
	s.tap("#passkey button")
	s.shows("#passkey-failed")
	if s.path() != "/signin?next=%2F" {
		t.Errorf("revoked, at %s", s.path())
	}
	s.complaints = nil // of the answer 403
	for _, secret := range []string{"Ruth", strings.TrimPrefix(link, "/signin/")} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
}
