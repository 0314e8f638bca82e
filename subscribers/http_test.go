package subscribers_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/subscribers"
)

// TestHTTPFailure has the table that webhooks go by; only 410 is permanent here.
func TestHTTPFailure(t *testing.T) {
	for _, c := range []struct {
		status int
		reason events.Reason // "" is delivered
		body   bool
	}{
		{200, "", false}, {201, "", false}, {204, "", false}, {299, "", false},
		{301, events.ReasonRejected, false}, {307, events.ReasonRejected, false},
		{400, events.ReasonRejected, true}, {405, events.ReasonRejected, false}, {409, events.ReasonRejected, true},
		{413, events.ReasonRejected, true}, {415, events.ReasonRejected, true}, {422, events.ReasonRejected, true},
		{401, events.ReasonAuth, false}, {403, events.ReasonAuth, false}, {407, events.ReasonAuth, false},
		{404, events.ReasonAddress, false}, {408, events.ReasonTimeout, false}, {410, events.ReasonGone, false},
		{425, events.ReasonBusy, false}, {429, events.ReasonBusy, false},
		{500, events.ReasonServerError, true}, {501, events.ReasonServerError, false}, {599, events.ReasonServerError, false},
		{502, events.ReasonBusy, false}, {503, events.ReasonBusy, false}, {504, events.ReasonBusy, false},
	} {
		err := subscribers.HTTPFailure(&http.Response{StatusCode: c.status}, gone)
		if c.reason == "" {
			if err != nil {
				t.Errorf("%d: %v, want success", c.status, err)
			}
			continue
		}
		want := events.Failure{Reason: c.reason, Status: c.status, Body: c.body, Permanent: c.status == 410}
		if got, ok := errors.AsType[*events.Failure](err); !ok || *got != want {
			t.Errorf("%d: %+v, want %+v", c.status, err, want)
		}
	}
}

func gone(status int) bool { return status == http.StatusGone }

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		for header, want := range map[string]time.Duration{
			"":                        0,
			"0":                       0,
			"120":                     2 * time.Minute,
			" 120 ":                   2 * time.Minute,
			"86400":                   24 * time.Hour,
			"86401":                   24 * time.Hour,
			"4294967295":              24 * time.Hour,
			"99999999999":             0, // nonsense
			"-5":                      0,
			"1.5":                     0,
			"soon":                    0,
			date(time.Hour):           time.Hour,
			date(-time.Hour):          0,
			date(30 * 24 * time.Hour): 24 * time.Hour,
		} {
			resp := &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {header}}}
			got, ok := errors.AsType[*events.Failure](subscribers.HTTPFailure(resp, gone))
			if !ok || got.RetryAfter != want {
				t.Errorf("%q: %v, want %v", header, got.RetryAfter, want)
			}
		}
	})
}

func date(in time.Duration) string { return time.Now().Add(in).UTC().Format(http.TimeFormat) }
