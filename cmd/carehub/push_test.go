package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// subscribed is the subscription of a browser at a push service.
func subscribed(t *testing.T, address string) string {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"endpoint":%q,"keys":{"p256dh":%q,"auth":"BTBZMqHH6r4Tts7J_aSIgg"}}`, address, base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()))
}

// TestPush: a carer turns notes on, is told by them, over a restart too, and by the next way at once where no phone of theirs is
// left or they were revoked.
func TestPush(t *testing.T) {
	t.Parallel()
	var status, notes atomic.Int32
	status.Store(http.StatusCreated)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "vapid t=") || r.URL.Path != "/wp/secret-of-the-phone" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		notes.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(service.Close)
	w := newTown(t)
	w.edit("carers.yaml", "- email: {to: tom@home.example}", "- push: {}\n    - email: {to: tom@home.example}")
	w.start()
	token, tom := w.token("ruth"), w.handset("tom")
	devices := func(method, csrf string) int {
		status, _ := w.ask(method, "/push/devices", "", subscribed(t, service.URL+"/wp/secret-of-the-phone"),
			"Content-Type", "application/json", "X-CSRF-Token", csrf, "Cookie", tom.cookie)
		return status
	}
	tells := func(text, channel string, noted int32) {
		t.Helper()
		for _, r := range w.settled(token, w.says(token, text).ID).Recipients {
			if r.ID == "tom" && (r.State != "sent" || r.Channel != channel) {
				t.Errorf("%s: %+v", text, r)
			}
		}
		if n := notes.Load(); n != noted {
			t.Errorf("%s: %d notes, want %d", text, n, noted)
		}
	}
	if _, home := tom.ask("GET", "/", nil); !strings.Contains(home, "Tell me on this phone") {
		t.Error(home)
	}
	if _, home := w.handset("ruth").ask("GET", "/", nil); strings.Contains(home, "Tell me on this phone") {
		t.Error("it is offered to somebody who cannot be told so")
	}
	if status, key := tom.ask("GET", "/push/key", nil); status != http.StatusOK || !strings.Contains(key, `"key":"B`) {
		t.Errorf("status %d: %s", status, key)
	}
	tells("dad had a fall at Home", "email", 0)
	for csrf, want := range map[string]int{"": http.StatusForbidden, "another": http.StatusForbidden, tom.csrf: http.StatusNoContent} {
		if status := devices("POST", csrf); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	tells("dad had a fall at Church", "push", 1)
	w.stop()
	w.start()
	tells("dad had a fall at Garden", "push", 2)
	w.carehub("revoke", "tom", "--dir", w.dir)
	tom = w.handset("tom")
	tells("dad had a fall at Shop", "email", 2) // the phone of before may be in other hands
	if status := devices("POST", tom.csrf); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	status.Store(http.StatusGone)
	tells("dad had a fall at Bus", "email", 3)
	tells("dad had a fall at Park", "email", 3)
	for _, secret := range []string{"secret-of-the-phone", "Thomas", "Church"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
}
