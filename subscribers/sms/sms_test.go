package sms_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/egress"
	"carehub/subscribers/sms"
)

const (
	phone = "+447700900123"
	token = "c2VjcmV0LXRva2Vu"
	words = "You have a care message: https://hub.example/m/8sYc2mQvT0kR4hLZ"
)

var loopback = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})

// gateway is a gateway at an address, with names of its own for all parts in a form.
func gateway(address string, form bool) sms.Config {
	c := sms.Config{URL: address, Form: form, To: "to", Text: "text", Sender: "from", Bearer: token, Version: "test",
		AllowPlain: loopback.AllowPlain, MayDial: loopback.MayDial}
	if form {
		c.To, c.Text, c.Sender, c.ID, c.From = "To", "Body", "From", "Reference", "Riverside"
		c.Bearer, c.User, c.Password = "", "hub", token
	}
	return c
}

func open(t *testing.T, client sms.Client, c sms.Config) subscribers.Endpoint {
	t.Helper()
	channel, err := sms.New(client, c)
	if err != nil {
		t.Fatal(err)
	}
	e, err := channel.Open(channeltest.Decoder(t, `to: "`+phone+`"`+"\n", nil))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestChannel(t *testing.T) {
	for _, version := range []string{"http1", "http2"} {
		for _, form := range []bool{false, true} {
			name := version + " json"
			if form {
				name = version + " form"
			}
			t.Run(name, func(t *testing.T) {
				channeltest.Run(t, channeltest.HTTP{
					Open: func(t *testing.T, address string, roots *x509.CertPool) (subscribers.Endpoint, []string, func()) {
						client := loopback.Client(roots)
						e := open(t, client, gateway(address+"/v1/messages?account=41cd", form))
						return e, []string{phone, phone[1:], token, "/v1/messages", "41cd"}, client.CloseIdleConnections
					},
					ID: func(r *http.Request) string {
						return strings.TrimSuffix(r.Header.Get("Idempotency-Key"), ".webhook")
					},
					Verify: func(d events.Delivery, got channeltest.Taken) error { return verify(form, d, got) },
					HTTP2:  version == "http2",
				})
			})
		}
	}
}

func verify(form bool, d events.Delivery, got channeltest.Taken) error {
	headers := http.Header(got.Headers)
	if !form {
		var body map[string]string
		if err := json.Unmarshal(got.Body, &body); err != nil {
			return err
		}
		if len(body) != 2 || body["to"] != phone || body["text"] != words || headers.Get("Authorization") != "Bearer "+token ||
			headers.Get("Content-Type") != "application/json" {
			return errors.New("the message is wrong")
		}
		return nil
	}
	body, err := url.ParseQuery(string(got.Body))
	if err != nil {
		return err
	}
	r := &http.Request{Header: headers}
	user, password, _ := r.BasicAuth()
	if len(body) != 4 || body.Get("To") != phone || body.Get("Body") != words || body.Get("From") != "Riverside" ||
		body.Get("Reference") != d.ID+".webhook" || user != "hub" || password != token ||
		headers.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return errors.New("the message is wrong")
	}
	return nil
}

// TestAnswers: what is about the number stops, so that the next way of telling is due at once; all else is tried again.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status    int
		permanent bool
	}{
		{200, false}, {201, false}, {202, false}, {400, true}, {410, true}, {413, true}, {422, true},
		{401, false}, {402, false}, {403, false}, {404, false}, {408, false}, {409, false}, {429, false}, {302, false},
		{500, false}, {502, false}, {503, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "90")
			http.Error(w, "no "+phone, c.status)
		}))
		client := loopback.Client(nil)
		var told bool
		d := channeltest.Sample()
		d.Answered = func(events.Reply) { told = true }
		err := open(t, client, gateway(server.URL, false)).Send(t.Context(), d)
		f, failed := errors.AsType[*events.Failure](err)
		switch {
		case told:
			t.Error("the answer, which may hold the number, was passed on")
		case failed == (c.status < 300):
			t.Errorf("%d: %v", c.status, err)
		case failed && (f.Permanent != c.permanent || f.RetryAfter != 90*time.Second || f.Status != c.status || f.Pause):
			t.Errorf("%d: %+v", c.status, f)
		}
		client.CloseIdleConnections()
		server.Close()
	}
}

// TestRate: what comes too fast for the gateway waits for another attempt.
func TestRate(t *testing.T) {
	log := channeltest.NewLog()
	server := httptest.NewServer(log)
	defer server.Close()
	client := loopback.Client(nil)
	defer client.CloseIdleConnections()
	c := gateway(server.URL, false)
	c.PerMinute, c.Timeout = 1, 2*time.Second
	e := open(t, client, c)
	if err := e.Send(t.Context(), channeltest.Numbered(1)); err != nil {
		t.Fatal(err)
	}
	f, ok := errors.AsType[*events.Failure](e.Send(t.Context(), channeltest.Numbered(2)))
	if !ok || f.Reason != events.ReasonBusy || f.Permanent {
		t.Errorf("%+v", f)
	}
}

func TestOpenRefuses(t *testing.T) {
	channel, err := sms.New(http.DefaultClient, gateway("https://gateway.example", false))
	if err != nil {
		t.Fatal(err)
	}
	for _, yaml := range []string{
		`to: "07700900123"`, `to: "+44 7700 900123"`, `to: "447700900123"`, `to: "+04477009001"`, `to: "+1234567890123456"`,
		`to: "+44770090012x"`, `to: "+441"`, `{}`, `number: "+447700900123"`,
	} {
		_, err := channel.Open(channeltest.Decoder(t, yaml+"\n", nil))
		if err == nil || strings.Contains(err.Error(), "7700 900123") || strings.Contains(err.Error(), "07700900123") {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, address := range []string{"", "gateway.example", "http://gateway.example", "http://10.1.2.3/", "https://10.1.2.3/", "https://u:p@gateway.example/", "https://gateway.example/#a"} {
		_, err := sms.New(http.DefaultClient, gateway(address, false))
		if _, ok := errors.AsType[*subscribers.FieldError](err); !ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// clientFunc is a Client that is never to be asked.
type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// TestTooLong: an address that fits into no text is not sent in pieces.
func TestTooLong(t *testing.T) {
	never := clientFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("asked") })
	d := channeltest.Sample()
	d.Hub = "https://" + strings.Repeat("h", 150) + ".example"
	d.Link = func() string { return d.Hub + "/m/abc" }
	f, ok := errors.AsType[*events.Failure](open(t, never, gateway("https://gateway.example", false)).Send(context.Background(), d))
	if !ok || !f.Permanent || f.Reason != events.ReasonInternal {
		t.Errorf("%+v", f)
	}
}
