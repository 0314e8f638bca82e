package subscribers

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"carehub/events"
)

// MaxReply is how many bytes of a reply's body a channel reads at the most.
const MaxReply = 64 << 10

// MaxRetryAfter caps what the other side may ask for: a receiver's slip must not silence it for weeks.
const MaxRetryAfter = 24 * time.Hour

// HTTPFailure says what an HTTP answer means: nil for any 2xx, else an *events.Failure. It looks at status and headers
// only. Everything is temporary except the statuses for which permanent is true: an operator may mend a route, a
// certificate or a key within the days of retrying. Redirects are failures (Standard Webhooks 1.0.0).
func HTTPFailure(resp *http.Response, permanent func(status int) bool) error {
	status := resp.StatusCode
	if status >= 200 && status <= 299 {
		return nil
	}
	return &events.Failure{
		Reason:     statusReason(status),
		Permanent:  permanent(status),
		Status:     status,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Body:       aboutMessage(status),
	}
}

func statusReason(status int) events.Reason {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return events.ReasonAuth
	case http.StatusNotFound:
		return events.ReasonAddress
	case http.StatusRequestTimeout:
		return events.ReasonTimeout
	case http.StatusGone:
		return events.ReasonGone
	case http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return events.ReasonBusy
	}
	if status >= 500 {
		return events.ReasonServerError
	}
	return events.ReasonRejected
}

// aboutMessage reports whether a status speaks of the message that was sent rather than of the endpoint. A plain 500 does:
// something answered, and it may have choked on this body alone.
func aboutMessage(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusInternalServerError:
		return true
	}
	return false
}

// retryAfter reads a Retry-After header, seconds or a date (RFC 9110, 10.2.3). What is absent, malformed or past is 0.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, MaxRetryAfter) // #nosec G115 -- 32 bits
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

// ParseURL reads an endpoint's address from the field url: absolute https, or plain http where allowPlain says so of the
// host. Credentials and fragments are refused. The error is a *FieldError without the address.
func ParseURL(raw string, allowPlain func(host string) bool) (*url.URL, error) {
	wrong := func(message string) (*url.URL, error) { return nil, &FieldError{Field: "url", Message: message} }
	u, err := url.Parse(raw)
	if err == nil && u.Path == "" {
		u.Path = "/"
	}
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return wrong("must be an address such as https://gp.example/hooks/care")
	case u.User != nil:
		return wrong("must not hold a user name or password")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return wrong("must not hold a fragment (#…)")
	case u.Scheme == "https", u.Scheme == "http" && allowPlain(u.Hostname()):
		return u, nil
	case u.Scheme == "http":
		return wrong("must be https; plain http is for addresses in egress.allow only")
	}
	return wrong("must begin with https://")
}

// CheckHost refuses an address whose host mayDial says no to; nil allows all. The error is a *FieldError of the field url,
// without the address.
func CheckHost(u *url.URL, mayDial func(host string) bool) error {
	if mayDial == nil || mayDial(u.Hostname()) {
		return nil
	}
	return &FieldError{Field: "url", Message: "leads to an address that is neither public nor in egress.allow"}
}

// TakeReply reads a reply's body, limit bytes at the most, and tells answered of it unless that is nil.
func TakeReply(resp *http.Response, limit int64, answered func(events.Reply)) ([]byte, error) {
	if resp.ContentLength == 0 {
		tell(resp, nil, answered)
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	tell(resp, body, answered)
	return body, err
}

func tell(resp *http.Response, body []byte, answered func(events.Reply)) {
	if answered == nil {
		return
	}
	if len(body) > events.MaxReplyKept {
		body = bytes.Clone(body[:events.MaxReplyKept]) // not to hold on to all of it
	}
	answered(events.Reply{Status: resp.StatusCode, Header: resp.Header, Body: body})
}

// Repeatable gives r its body in a form that the client may send again on another connection, when the one it had kept
// turns out to be closed. That is safe, for receivers know repeats by the delivery's id. The empty Idempotency-Key, which
// is never sent, tells net/http so (see http.Transport).
func Repeatable(r *http.Request, body []byte) *http.Request {
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = open()
	r.GetBody = open
	r.ContentLength = int64(len(body))
	r.Header["Idempotency-Key"] = []string{}
	return r
}
