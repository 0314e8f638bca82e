package webhook_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers/channeltest"
)

func sent(t *testing.T, format string, d events.Delivery) (body map[string]any, raw string, headers http.Header) {
	t.Helper()
	got := post(t, options, "secret: ${file:secret}\nformat: "+format+"\n", d)
	if err := verifySigned(secret, got); err != nil {
		t.Error(err)
	}
	again := d
	again.Attempt = 7
	if repeat := post(t, options, "secret: ${file:secret}\nformat: "+format+"\n", again); string(repeat.Body) != string(got.Body) {
		t.Errorf("another attempt has other bytes: %s", repeat.Body)
	}
	if err := json.Unmarshal(got.Body, &body); err != nil {
		t.Fatalf("%v in %s", err, got.Body)
	}
	return body, string(got.Body), http.Header(got.Headers)
}

// TestCloudEvent holds the structured mode to CloudEvents 1.0.2: the required attributes, the message as the data.
func TestCloudEvent(t *testing.T) {
	d := channeltest.Sample()
	d.Test = true
	body, _, headers := sent(t, "cloudevents", d)
	for attribute, want := range map[string]any{"specversion": "1.0", "id": d.Event, "source": "https://hub.example", "type": "care-encounter-admit-1",
		"subject": "p-7f3k", "time": "2026-11-03T14:32:00Z", "datacontenttype": "application/fhir+json", "carehubdelivery": d.ID,
		"carehubreference": d.Ref, "carehubtest": true} {
		if body[attribute] != want {
			t.Errorf("%s is %v, want %v", attribute, body[attribute], want)
		}
	}
	var message any
	if err := json.Unmarshal(d.Message, &message); err != nil {
		t.Fatal(err)
	}
	if got, want := asJSON(t, body["data"]), asJSON(t, message); got != want {
		t.Errorf("the data is %s", got)
	}
	if headers.Get("Content-Type") != "application/cloudevents+json" {
		t.Errorf("content type %s", headers.Get("Content-Type"))
	}
	for name := range headers {
		if strings.HasPrefix(name, "Ce-") || strings.Contains(headers.Get(name), "9990000018") {
			t.Errorf("header %s: %s", name, headers.Get(name))
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestThin: a signal says that there is something and where, and nothing of what.
func TestThin(t *testing.T) {
	d := channeltest.Sample()
	body, raw, headers := sent(t, "thin", d)
	for _, clinical := range append(channeltest.Planted, "admi", "urgent", "Surgery") {
		if strings.Contains(strings.ToLower(raw), strings.ToLower(clinical)) {
			t.Errorf("it tells %q: %s", clinical, raw)
		}
	}
	data := body["data"].(map[string]any)
	if body["type"] != "carehub.event" || data["event"] != d.Event || data["url"] != "https://hub.example/events/"+d.Event ||
		data["fhir"] != "https://hub.example/fhir/Bundle/"+d.Event || headers.Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", raw, headers)
	}
}

// TestThinAlarm: the words of an alarm can be fetched nowhere, and are nobody's secret.
func TestThinAlarm(t *testing.T) {
	about := events.About{Event: "ev-7f3k-abcdefghijklmnopqrstuvwxyz", Recipient: "hospice", Reason: events.ReasonOverdue}
	id, at := events.AlarmID(about), time.Date(2026, 11, 3, 14, 32, 0, 0, time.UTC)
	message, err := fhir.EncodeAlarm(fhir.Alarm{ID: id, About: about, Words: "Please phone the hospice.", Recorded: at,
		Hub: events.Sender{Name: "Hub", URL: "https://hub.example", Phone: "+44 7700 900123"}})
	if err != nil {
		t.Fatal(err)
	}
	body, raw, _ := sent(t, "thin", events.Delivery{ID: events.DeliveryID(id, "on-call"), Event: id, Ref: events.Ref(id), Kind: events.Alarm,
		Recorded: at, Hub: "https://hub.example", Message: message})
	if data := body["data"].(map[string]any); body["type"] != "carehub.alarm" || data["words"] != "Please phone the hospice." || data["url"] != nil {
		t.Error(raw)
	}
}
