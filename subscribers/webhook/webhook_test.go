package webhook_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"carehub/config/strict"
	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/egress"
	"carehub/subscribers/webhook"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	older  = "whsec_b2xkZXIgdGhhbiB0aGUgb3RoZXIgb25lIGJ5IGEgeWVhcg=="
)

var (
	loopback = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	options  = webhook.Options{Version: "test", AllowPlain: loopback.AllowPlain, MayDial: loopback.MayDial}
)

func TestChannel(t *testing.T) {
	for _, version := range []string{"http1", "http2"} {
		t.Run(version, func(t *testing.T) {
			channeltest.Run(t, channeltest.HTTP{
				Open:   openTLS,
				ID:     func(r *http.Request) string { return r.Header.Get("webhook-id") },
				Verify: verify,
				HTTP2:  version == "http2",
			})
		})
	}
}

func openTLS(t *testing.T, url string, roots *x509.CertPool) (subscribers.Endpoint, []string, func()) {
	client := loopback.Client(roots)
	endpoint := mustOpen(t, webhook.New(client, options), "url: "+url+"/hooks/care?hook=41cd\nsecret: ${file:secret}\n")
	return endpoint, []string{"/hooks/care", "41cd", secret, secret[len("whsec_"):]}, client.CloseIdleConnections
}

func verify(d events.Delivery, got channeltest.Taken) error {
	switch headers := http.Header(got.Headers); {
	case string(got.Body) != string(d.Message):
		return errors.New("the body is not the delivery's message")
	case headers.Get("Content-Type") != "application/fhir+json":
		return errors.New("wrong content type")
	case headers.Get("User-Agent") != "carehub/test":
		return errors.New("wrong user agent")
	case headers.Values("Idempotency-Key") != nil:
		return errors.New("net/http's marker was sent")
	default:
		return verifySigned(secret, got)
	}
}

// verifySigned asks the official library.
func verifySigned(secret string, got channeltest.Taken) error {
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	return hook.Verify(got.Body, got.Headers)
}

// TestVector sends the example that Standard Webhooks publishes.
func TestVector(t *testing.T) {
	at := options
	at.Now = func() time.Time { return time.Unix(1614265330, 0) }
	got := post(t, at, "secret: ${file:secret}\n", events.Delivery{
		ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", Message: []byte(`{"test": 2432232314}`),
	})
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if s := http.Header(got.Headers).Get("webhook-signature"); s != want {
		t.Errorf("signature %s, want %s", s, want)
	}
}

// TestRotation: while a secret is being changed, holders of either accept; nobody else does, nor a changed message.
func TestRotation(t *testing.T) {
	got := post(t, options, "secrets: ['${file:secret}', '${file:older}']\n", channeltest.Sample())
	for _, s := range []string{secret, older} {
		if err := verifySigned(s, got); err != nil {
			t.Error(err)
		}
		tampered := got
		tampered.Body = []byte(strings.Replace(string(got.Body), "admit", "discharge", 1))
		if verifySigned(s, tampered) == nil {
			t.Error("a tampered body passed")
		}
	}
	if verifySigned("whsec_bm90IG9uZSBvZiB0aGUgdHdvIGtleXMgYWJvdmU=", got) == nil {
		t.Error("a stranger's key passed")
	}
}

// post sends one delivery over plain http and returns what arrived.
func post(t *testing.T, o webhook.Options, secrets string, d events.Delivery) channeltest.Taken {
	t.Helper()
	log := channeltest.NewLog()
	server := httptest.NewServer(log)
	defer server.Close()
	client := loopback.Client(nil)
	defer client.CloseIdleConnections()
	if err := mustOpen(t, webhook.New(client, o), "url: "+server.URL+"\n"+secrets).Send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return log.Taken()[0]
}

// TestTimeout: an attempt ends by itself where the caller has set no deadline.
func TestTimeout(t *testing.T) {
	short := options
	short.Timeout = 100 * time.Millisecond
	s := channeltest.HTTP{
		Open: func(t *testing.T, url string, roots *x509.CertPool) (subscribers.Endpoint, []string, func()) {
			client := loopback.Client(roots)
			return mustOpen(t, webhook.New(client, short), "url: "+url+"\nsecret: ${file:secret}\n"), nil, client.CloseIdleConnections
		},
		ID: func(*http.Request) string { return "" },
	}.Serve(t, channeltest.HangBeforeAnswer)
	defer s.Close()
	failure, ok := errors.AsType[*events.Failure](s.Endpoint.Send(t.Context(), channeltest.Sample()))
	if !ok || failure.Reason != events.ReasonTimeout || failure.Permanent {
		t.Errorf("got %v", failure)
	}
}

func TestOpenRefuses(t *testing.T) {
	const sound = "url: https://gp.example/hook\n"
	for _, c := range []struct{ yaml, field string }{
		{"url: http://gp.example/hook\nsecret: ${file:secret}\n", "url"},
		{"url: http://10.1.2.3/hook\nsecret: ${file:secret}\n", "url"},
		{"url: http://127.0.0.1.gp.example/hook\nsecret: ${file:secret}\n", "url"},
		{"url: https://10.1.2.3/hook\nsecret: ${file:secret}\n", "url"},
		{"url: 'https://[::ffff:10.1.2.3]/hook'\nsecret: ${file:secret}\n", "url"},
		{"url: 'https://[64:ff9b::a01:203]/hook'\nsecret: ${file:secret}\n", "url"},
		{"url: https://169.254.169.254/latest/meta-data\nsecret: ${file:secret}\n", "url"},
		{"url: https://0x0a010203/hook\nsecret: ${file:secret}\n", "url"},
		{"url: https://user:pass@gp.example/hook\nsecret: ${file:secret}\n", "url"},
		{"url: https://gp.example/hook#top\nsecret: ${file:secret}\n", "url"},
		{"url: /hook\nsecret: ${file:secret}\n", "url"},
		{"url: 'https://:443/hook'\nsecret: ${file:secret}\n", "url"},
		{"url: ftp://gp.example/hook\nsecret: ${file:secret}\n", "url"},
		{"url: 'https://gp.example/%zz'\nsecret: ${file:secret}\n", "url"},
		{sound, "secret"},
		{sound + "secret: ${file:bare}\n", "secret"},
		{sound + "secret: ${file:short}\n", "secret"},
		{sound + "secret: ${file:long}\n", "secret"},
		{sound + "secret: ${file:crooked}\n", "secret"},
		{sound + "secret: ${file:secret}\nsecrets: ['${file:secret}', '${file:older}']\n", "secrets"},
		{sound + "secrets: ['${file:secret}']\n", "secrets"},
		{sound + "secrets: ['${file:secret}', '${file:short}']\n", "secrets.1"},
		{sound + "secrets: ['${file:short}', '${file:secret}']\n", "secrets.0"},
		{sound + "secret: ${file:secret}\nformat: cloudevent\n", "format"},
	} {
		_, err := webhook.New(http.DefaultClient, options).Open(decoder(t, c.yaml))
		wrong, ok := errors.AsType[*subscribers.FieldError](err)
		if !ok || wrong.Field != c.field {
			t.Errorf("%s: got %v, want an error of %s", c.yaml, err, c.field)
			continue
		}
		for _, private := range []string{"gp.example/", "10.1.2.3", "MfKQ", "b2xk", "c2hv"} {
			if strings.Contains(err.Error(), private) && !strings.Contains(err.Error(), "such as") {
				t.Errorf("%v tells %s", err, private)
			}
		}
	}
}

func TestOpenTakes(t *testing.T) {
	for _, yaml := range []string{
		"url: https://gp.example/hook?a=b\nsecret: ${file:secret}\nformat: fhir\n",
		"url: http://127.0.0.1:8081/hook\nsecret: ${file:secret}\n",
		"url: http://localhost:8081/hook\nsecret: ${file:secret}\n",
	} {
		mustOpen(t, webhook.New(http.DefaultClient, options), yaml)
	}
}

// TestOpenReportsAsDecoded: what the strict decoder has reported is not reported again in other words.
func TestOpenReportsAsDecoded(t *testing.T) {
	_, err := webhook.New(http.DefaultClient, options).Open(decoder(t, "urll: https://gp.example\n"))
	if !errors.Is(err, strict.ErrReported) {
		t.Errorf("got %v", err)
	}
}

// TestOpenWithoutSecrets: a folder can be checked where its secrets are not.
func TestOpenWithoutSecrets(t *testing.T) {
	decode := channeltest.Decoder(t, "url: https://gp.example/hook\nsecret: ${file:absent}\n", nil)
	if _, err := webhook.New(http.DefaultClient, options).Open(decode); err != nil {
		t.Error(err)
	}
}

func mustOpen(t testing.TB, c *webhook.Channel, yaml string) subscribers.Endpoint {
	t.Helper()
	endpoint, err := c.Open(decoder(t, yaml))
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}

// decoder reads yaml in a folder with some secrets, sound and unsound.
func decoder(t testing.TB, yaml string) func(into any) error {
	t.Helper()
	return channeltest.Decoder(t, yaml, map[string]string{
		"secret":  secret,
		"older":   older,
		"bare":    secret[len("whsec_"):],
		"short":   "whsec_c2hvcnQ=",
		"long":    "whsec_" + strings.Repeat("bG9u", 22),
		"crooked": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
	})
}
