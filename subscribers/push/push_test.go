package push_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"carehub/events"
	"carehub/events/page"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/egress"
	"carehub/subscribers/push"
)

var (
	loopback = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	options  = push.Options{Version: "test", Contact: "help@hub.example", AllowPlain: loopback.AllowPlain, MayDial: loopback.MayDial}
	start    = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
)

// shelf is the hub's records in memory.
type shelf struct {
	mu      sync.Mutex
	records map[string][]byte
}

func (s *shelf) HubPut(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.records[key]; there != (revision == 1) {
		return 0, &events.Error{Kind: events.Conflict}
	}
	s.records[key] = value
	return 1, nil
}

func (s *shelf) HubGet(_ context.Context, key string) ([]byte, uint64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.records[key]
	if !ok {
		return nil, 0, false, nil
	}
	return value, 1, true, nil
}

func (s *shelf) HubDelete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

func (s *shelf) HubWatch(_ context.Context, prefix string, ready func(), fn func(string, []byte)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, value := range s.records {
		if strings.HasPrefix(key, prefix) {
			fn(key, value)
		}
	}
	ready()
	return nil
}

func (s *shelf) keys() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.records {
		all = append(all, key)
	}
	return all
}

// browser is one that has subscribed.
type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{key: key, auth: make([]byte, 16)}
	_, _ = rand.Read(b.auth)
	return b
}

func (b *browser) subscription(address string) string {
	body, _ := json.Marshal(map[string]any{"endpoint": address, "expirationTime": nil, "keys": map[string]string{
		"p256dh": base64.RawURLEncoding.EncodeToString(b.key.PublicKey().Bytes()), "auth": base64.URLEncoding.EncodeToString(b.auth)}})
	return string(body)
}

// open decrypts as a browser does (RFC 8291, 3.4; RFC 8188, 2).
func (b *browser) open(body []byte) ([]byte, error) {
	if len(body) < 86+17 || body[20] != 65 {
		return nil, errors.New("no message of one record")
	}
	salt, public := body[:16], body[21:86]
	peer, err := ecdh.P256().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	shared, err := b.key.ECDH(peer)
	if err != nil {
		return nil, err
	}
	ikm, _ := hkdf.Key(sha256.New, shared, b.auth, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(public), 32)
	key, _ := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	nonce, _ := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	plain, err := gcm.Open(nil, nonce, body[86:], nil)
	if err != nil || plain[len(plain)-1] != 2 {
		return nil, fmt.Errorf("not for this browser: %w", err)
	}
	return plain[:len(plain)-1], nil
}

// desk is a hub's channel and the doors to it.
type desk struct {
	t       *testing.T
	shelf   *shelf
	devices *push.Devices
	channel *push.Channel
	mux     *http.ServeMux
	now     time.Time
	live    map[string]string // the mark of each carer's session
	public  string
}

func newDesk(t *testing.T, client push.Client) *desk {
	t.Helper()
	d := &desk{t: t, shelf: &shelf{records: map[string][]byte{}}, channel: push.New(client, options), mux: http.NewServeMux(), now: start,
		live: map[string]string{"ruth": "ruths", "tom": "toms", channeltest.Sample().Recipient: "theirs"}}
	keys, err := push.NewKeys([]byte(strings.Repeat("secret..", 4)))
	if err != nil {
		t.Fatal(err)
	}
	d.restart(keys)
	push.Handler{Channel: d.channel, Log: slog.New(slog.DiscardHandler), Mark: func(s page.Session) string { return d.live[s.Actor.ID] }, Required: func(next func(http.ResponseWriter, *http.Request, page.Session)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			next(w, r, page.Session{Actor: events.Actor{Kind: events.Carer, ID: r.Header.Get("Carer")}})
		}
	}}.Routes(func(pattern string, do func(http.ResponseWriter, *http.Request)) { d.mux.HandleFunc(pattern, do) })
	var said map[string]string
	if err := json.Unmarshal([]byte(d.ask("ruth", "GET", "/push/key", "", 200)), &said); err != nil {
		t.Fatal(err)
	}
	d.public = said["key"]
	return d
}

// restart has the devices read from the shelf.
func (d *desk) restart(keys *push.Keys) {
	d.devices = push.NewDevices(push.DeviceOptions{Store: d.shelf, Clock: func() time.Time { return d.now },
		Live: func(carer, mark string) bool { return mark != "" && d.live[carer] == mark }})
	if err := d.devices.Follow(d.t.Context(), func() {}); err != nil {
		d.t.Fatal(err)
	}
	d.channel.Remember(keys, d.devices)
}

func (d *desk) ask(carer, method, path, body string, status int) string {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Carer", carer)
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, r)
	if w.Code != status {
		d.t.Errorf("%s %s: status %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	return w.Body.String()
}

func (d *desk) endpoint() subscribers.Endpoint {
	d.t.Helper()
	e, err := d.channel.Open(channeltest.Decoder(d.t, "{}\n", nil))
	if err != nil {
		d.t.Fatal(err)
	}
	return e
}

func TestChannel(t *testing.T) {
	b := newBrowser(t)
	var public string
	for _, version := range []string{"http1", "http2"} {
		t.Run(version, func(t *testing.T) {
			channeltest.Run(t, channeltest.HTTP{
				Open: func(t *testing.T, address string, roots *x509.CertPool) (subscribers.Endpoint, []string, func()) {
					client := loopback.Client(roots)
					d := newDesk(t, client)
					public = d.public
					d.ask(channeltest.Sample().Recipient, "POST", "/push/devices", b.subscription(address+"/wp/41cd-secret"), 204)
					return d.endpoint(), []string{"41cd-secret", "/wp/"}, client.CloseIdleConnections
				},
				ID:     func(r *http.Request) string { return r.Header.Get("Topic") },
				Verify: func(d events.Delivery, got channeltest.Taken) error { return verify(b, public, d, got) },
				HTTP2:  version == "http2",
			})
		})
	}
}

// verify is what a push service and a browser look at.
func verify(b *browser, public string, d events.Delivery, got channeltest.Taken) error {
	headers := http.Header(got.Headers)
	for name, want := range map[string]string{"Content-Encoding": "aes128gcm", "Ttl": "86400", "Urgency": "high", "Topic": d.ID, "Idempotency-Key": ""} {
		if headers.Get(name) != want {
			return fmt.Errorf("%s is %q", name, headers.Get(name))
		}
	}
	if err := proven(headers.Get("Authorization"), public); err != nil {
		return err
	}
	text, err := b.open(got.Body)
	if err != nil {
		return err
	}
	want := `{"title":"Care message","text":"You have a care message. Tap to read it.","link":"` + d.Link() + `"}`
	if string(text) != want {
		return fmt.Errorf("the note is %s", text)
	}
	return nil
}

// proven checks a header as RFC 8292 has it, against the key that the browser was given.
func proven(header, public string) error {
	token, key, ok := strings.Cut(strings.TrimPrefix(header, "vapid t="), ", k=")
	if !ok || key != public {
		return errors.New("the proof is not by the key that browsers are given")
	}
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return err
	}
	pair, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return err
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	var claims jwt.Claims
	if err := parsed.Claims(pair, &claims); err != nil {
		return err
	}
	left := time.Until(claims.Expiry.Time())
	aud, err := url.Parse(claims.Audience[0])
	if err != nil || aud.Path != "" || aud.Hostname() != "127.0.0.1" || left <= 0 || left > 24*time.Hour || claims.Subject != "mailto:help@hub.example" {
		return fmt.Errorf("the proof says %+v", claims)
	}
	return nil
}

// services are push services of several browsers: each answers with a status of its own.
type services struct {
	*httptest.Server
	mu    sync.Mutex
	says  map[string]int // by path
	asked map[string]int
}

func newServices(t *testing.T, says map[string]int) *services {
	s := &services{says: says, asked: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked[r.URL.Path]++
		w.WriteHeader(s.says[r.URL.Path])
	}))
	t.Cleanup(s.Close)
	return s
}

// TestDevices: all of somebody's browsers are told; one that is gone is forgotten, and where none is left the failure is for good
// and says so, so that the next way of telling is due.
func TestDevices(t *testing.T) {
	s := newServices(t, map[string]int{"/phone": 201, "/tablet": 410, "/old": 404, "/ill": 503})
	client := loopback.Client(nil)
	defer client.CloseIdleConnections()
	d := newDesk(t, client)
	ruths := channeltest.Sample()
	ruths.Recipient, ruths.Channel = "ruth", "push"
	fails := func(reason events.Reason, permanent bool) {
		t.Helper()
		f, ok := errors.AsType[*events.Failure](d.endpoint().Send(t.Context(), ruths))
		if !ok || f.Reason != reason || f.Permanent != permanent || f.Pause {
			t.Errorf("%+v, want %s", f, reason)
		}
	}
	fails(events.ReasonNoDevice, true)
	for _, path := range []string{"/phone", "/tablet", "/old", "/ill"} {
		d.ask("ruth", "POST", "/push/devices", newBrowser(t).subscription(s.URL+path), 204)
		d.ask("ruth", "POST", "/push/devices", newBrowser(t).subscription(s.URL+path), 204) // again, with new keys
	}
	if err := d.endpoint().Send(t.Context(), ruths); err != nil {
		t.Error(err)
	}
	if n := len(d.shelf.keys()); n != 2 || len(s.asked) != 4 || s.asked["/phone"] != 1 {
		t.Errorf("%d devices are left; asked %v", n, s.asked)
	}
	keys, err := push.NewKeys([]byte(strings.Repeat("secret..", 4)))
	if err != nil {
		t.Fatal(err)
	}
	d.restart(keys) // what was kept is known again
	d.ask("ruth", "DELETE", "/push/devices", `{"endpoint":"`+s.URL+`/phone"}`, 204)
	d.ask("ruth", "DELETE", "/push/devices", `{"endpoint":"`+s.URL+`/phone"}`, 204)
	fails(events.ReasonBusy, false)
	d.ask("tom", "POST", "/push/devices", newBrowser(t).subscription(s.URL+"/ill"), 204) // has signed in on Ruth's tablet
	fails(events.ReasonNoDevice, true)
}

// TestOldSession: a browser is told only as long as its carer is signed in there: whoever was revoked is told nothing on a phone
// of before, until it signs in again.
func TestOldSession(t *testing.T) {
	s := newServices(t, map[string]int{"/phone": 201})
	client := loopback.Client(nil)
	defer client.CloseIdleConnections()
	d := newDesk(t, client)
	ruths := channeltest.Sample()
	ruths.Recipient = "ruth"
	d.ask("ruth", "POST", "/push/devices", newBrowser(t).subscription(s.URL+"/phone"), 204)
	for _, now := range []string{"", "another"} {
		d.live["ruth"] = now
		f, ok := errors.AsType[*events.Failure](d.endpoint().Send(t.Context(), ruths))
		if !ok || f.Reason != events.ReasonNoDevice || len(s.asked) != 0 {
			t.Errorf("%q: %+v", now, f)
		}
	}
	d.ask("ruth", "POST", "/push/devices", newBrowser(t).subscription(s.URL+"/phone"), 204)
	if err := d.endpoint().Send(t.Context(), ruths); err != nil || len(s.asked) != 1 {
		t.Error(err)
	}
	d.live["ruth"] = ""
	d.now = start.Add(23 * time.Hour)
	if err := d.devices.Tidy(t.Context()); err != nil || len(d.shelf.keys()) != 1 {
		t.Errorf("%v: %v", err, d.shelf.keys())
	}
	d.now = start.Add(25 * time.Hour)
	if err := d.devices.Tidy(t.Context()); err != nil || len(d.shelf.keys()) != 0 {
		t.Errorf("%v: %v", err, d.shelf.keys())
	}
}

func TestDoorsRefuse(t *testing.T) {
	d := newDesk(t, http.DefaultClient)
	b := newBrowser(t)
	good := b.subscription("https://push.example/1")
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "endpoint=1", "no address": `{"keys":{}}`, "no keys": `{"endpoint":"https://push.example/1"}`,
		"a private address": b.subscription("https://10.1.2.3/1"), "plain http": b.subscription("http://push.example/1"),
		"a file": b.subscription("file:///etc/passwd"), "a short key": strings.Replace(good, `"p256dh":"B`, `"p256dh":"`, 1),
		"much too long": b.subscription("https://push.example/" + strings.Repeat("x", 9000)),
	} {
		if said := d.ask("ruth", "POST", "/push/devices", body, 400); strings.Contains(said, "push.example") {
			t.Errorf("%s: %s", name, said)
		}
	}
	for n := range 10 {
		d.ask("ruth", "POST", "/push/devices", newBrowser(t).subscription(fmt.Sprint("https://push.example/", n)), 204)
	}
	d.ask("ruth", "POST", "/push/devices", newBrowser(t).subscription("https://push.example/11"), 400)
	d.ask("ruth", "POST", "/push/devices", newBrowser(t).subscription("https://push.example/9"), 204) // one of the ten
	d.ask("tom", "DELETE", "/push/devices", `{"endpoint":"https://push.example/1"}`, 204)             // not his
	if n := len(d.shelf.keys()); n != 10 {
		t.Errorf("%d devices", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := push.New(http.DefaultClient, options).Open(channeltest.Decoder(t, "to: ruth\n", nil)); err == nil {
		t.Error("a setting that means nothing was taken")
	}
}
