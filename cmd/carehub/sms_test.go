package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTextMessage: a carer is told by a text whose link opens on their own phone, where they are signed in, and on nobody else's.
func TestTextMessage(t *testing.T) {
	t.Parallel()
	texts := make(chan map[string]string, 8)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var text map[string]string
		if json.Unmarshal(body, &text) != nil || r.Header.Get("Authorization") != "Bearer "+"hospice-bearer-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(body) // gateways repeat what they were sent
		texts <- text
	}))
	t.Cleanup(gateway.Close)
	w := newTown(t)
	w.edit("hub.yaml", "mail:\n", "sms: {url: \""+gateway.URL+"/send\", auth: {bearer: \"${file:secrets/hospice}\"}, fields: {id: ref}}\nmail:\n")
	w.edit("carers.yaml", "email: {to: tom@home.example}", "sms: {to: \"+447700900999\"}")
	w.start()
	ruth := w.token("ruth")
	v := w.settled(ruth, w.says(ruth, "dad had a fall").ID)
	text := <-texts
	if text["to"] != "+447700900999" || !strings.HasPrefix(text["text"], "You have a care message: "+w.url+"/m/") || !strings.HasPrefix(text["ref"], "msg_") {
		t.Errorf("%v", text)
	}
	for _, r := range v.Recipients {
		if r.ID == "tom" && (r.State != "sent" || !strings.Contains(r.Words, "by text message")) {
			t.Errorf("%+v", r)
		}
	}
	_, link, _ := strings.Cut(text["text"], w.url)
	for who, reads := range map[string]bool{"tom": true, "ruth": false} {
		if _, said := w.handset(who).ask("GET", link, nil); strings.Contains(said, "Thomas Example") != reads {
			t.Errorf("%s: %s", who, said)
		}
	}
	if _, said := w.ask("GET", link, "", ""); strings.Contains(said, "Thomas") || strings.Contains(said, "fall") {
		t.Error(said)
	}
	if log := w.log.String(); strings.Contains(log, "7700900999") || strings.Contains(log, "Thomas") {
		t.Error("the log tells the number or the patient")
	}
}
