package fhirmsg_test

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/egress"
	"carehub/subscribers/fhirmsg"
)

const token = "c2VjcmV0LXRva2Vu"

var (
	loopback = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	options  = fhirmsg.Options{Version: "test", AllowPlain: loopback.AllowPlain}
	secrets  = map[string]string{"token": token, "broken": "two words"}
)

func TestChannel(t *testing.T) {
	for _, version := range []string{"http1", "http2"} {
		t.Run(version, func(t *testing.T) {
			channeltest.Run(t, channeltest.HTTP{
				Open:   openTLS,
				ID:     deliveryID,
				Verify: verify,
				HTTP2:  version == "http2",
			})
		})
	}
}

func openTLS(t *testing.T, url string, roots *x509.CertPool) (subscribers.Endpoint, []string, func()) {
	client := loopback.Client(roots)
	endpoint := mustOpen(t, fhirmsg.New(client, options), "url: "+url+"/r4/base\ntoken: ${file:token}\n")
	return endpoint, []string{"/r4/base", "process-message", token}, client.CloseIdleConnections
}

// deliveryID finds the delivery whose X-Request-ID this is, among all that the suite sends.
func deliveryID(r *http.Request) string {
	for n := range 50 {
		if d := channeltest.Numbered(n); r.Header.Get("X-Request-ID") == events.UUID("request", d.ID) {
			return d.ID
		}
	}
	return ""
}

func verify(d events.Delivery, got channeltest.Taken) error {
	headers := http.Header(got.Headers)
	for name, want := range map[string]string{
		"Accept":           "application/fhir+json",
		"Authorization":    "Bearer " + token,
		"Content-Type":     "application/fhir+json",
		"User-Agent":       "carehub/test",
		"X-Correlation-ID": events.UUID("event", d.Event),
		"Idempotency-Key":  "",
	} {
		if headers.Get(name) != want {
			return errors.New(name + " is wrong")
		}
	}
	if string(got.Body) != string(d.Message) {
		return errors.New("the body is not the delivery's message")
	}
	return nil
}

func response(code string) string {
	return `{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader",` +
		`"response":{"identifier":"1","code":"` + code + `"}}}]}`
}

func outcome(code string) string {
	return `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"` + code + `"}]}`
}

func TestAnswers(t *testing.T) {
	refused := func(r events.Reason, status int, body bool) *events.Failure {
		return &events.Failure{Reason: r, Status: status, Permanent: true, Body: body}
	}
	later := func(r events.Reason, status int, body bool) *events.Failure {
		return &events.Failure{Reason: r, Status: status, Body: body}
	}
	slower := &events.Failure{Reason: events.ReasonBusy, Status: 429, RetryAfter: 90 * time.Second}
	for _, c := range []struct {
		status int
		body   string
		want   *events.Failure // nil: delivered
	}{
		{200, "", nil},
		{202, "", nil},
		{204, "", nil},
		{200, response("ok"), nil},
		{200, outcome("informational"), nil},
		{200, "<html>thank you</html>", nil},
		{200, response("transient-error"), later(events.ReasonServerError, 200, true)},
		{200, response("fatal-error"), refused(events.ReasonRejected, 200, true)},
		{400, response("transient-error"), later(events.ReasonServerError, 400, true)},
		{500, response("fatal-error"), refused(events.ReasonRejected, 500, true)},
		{409, outcome("duplicate"), nil},
		{409, outcome("conflict"), refused(events.ReasonRejected, 409, true)},
		{400, outcome("duplicate"), refused(events.ReasonRejected, 400, true)},
		{422, outcome("invariant"), refused(events.ReasonRejected, 422, true)},
		{401, "", refused(events.ReasonAuth, 401, false)},
		{403, "", refused(events.ReasonAuth, 403, false)},
		{404, "", refused(events.ReasonAddress, 404, false)},
		{410, "", refused(events.ReasonGone, 410, false)},
		{405, "", refused(events.ReasonRejected, 405, false)},
		{302, "", later(events.ReasonRejected, 302, false)},
		{408, "", later(events.ReasonTimeout, 408, false)},
		{429, "", slower},
		{500, outcome("exception"), later(events.ReasonServerError, 500, true)},
		{501, "", later(events.ReasonServerError, 501, false)},
		{503, "", later(events.ReasonBusy, 503, false)},
	} {
		got := answered(t, c.status, c.body)
		if !same(got, c.want) {
			t.Errorf("%d %.60s: got %+v, want %+v", c.status, c.body, got, c.want)
		}
	}
}

func same(got, want *events.Failure) bool {
	if got == nil || want == nil {
		return got == want
	}
	plain := *got
	plain.Err = nil
	return plain == *want
}

// answered sends once to a server that answers with status and body.
func answered(t *testing.T, status int, body string) *events.Failure {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/fhir/$process-message" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "90")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	client := loopback.Client(nil)
	defer client.CloseIdleConnections()
	err := mustOpen(t, fhirmsg.New(client, options), "url: "+server.URL+"/fhir/\n").Send(t.Context(), channeltest.Sample())
	failure, ok := errors.AsType[*events.Failure](err)
	if !ok && err != nil {
		t.Fatalf("%v is no *events.Failure", err)
	}
	return failure
}

// TestCutAnswer: a yes whose rest is missing may have been a no.
func TestCutAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := response("fatal-error")
		w.Header().Set("Content-Length", "10000")
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	client := loopback.Client(nil)
	defer client.CloseIdleConnections()
	err := mustOpen(t, fhirmsg.New(client, options), "url: "+server.URL+"\n").Send(t.Context(), channeltest.Sample())
	failure, ok := errors.AsType[*events.Failure](err)
	if !ok || failure.Reason != events.ReasonConnection || failure.Permanent {
		t.Errorf("got %v", err)
	}
}

// TestTimeout: an attempt ends by itself where the caller has set no deadline.
func TestTimeout(t *testing.T) {
	short := options
	short.Timeout = 100 * time.Millisecond
	s := channeltest.HTTP{
		Open: func(t *testing.T, url string, roots *x509.CertPool) (subscribers.Endpoint, []string, func()) {
			client := loopback.Client(roots)
			return mustOpen(t, fhirmsg.New(client, short), "url: "+url+"\n"), nil, client.CloseIdleConnections
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
	for _, c := range []struct{ yaml, field string }{
		{"url: http://fhir.gp.example/r4\n", "url"},
		{"url: https://fhir.gp.example/r4?tenant=1\n", "url"},
		{"url: https://fhir.gp.example/r4\ntoken: ${file:broken}\n", "token"},
	} {
		_, err := fhirmsg.New(http.DefaultClient, options).Open(channeltest.Decoder(t, c.yaml, secrets))
		wrong, ok := errors.AsType[*subscribers.FieldError](err)
		if !ok || wrong.Field != c.field || strings.Contains(err.Error(), "two words") {
			t.Errorf("%s: got %v, want an error of %s", c.yaml, err, c.field)
		}
	}
}

func mustOpen(t *testing.T, c *fhirmsg.Channel, yaml string) subscribers.Endpoint {
	t.Helper()
	endpoint, err := c.Open(channeltest.Decoder(t, yaml, secrets))
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}
