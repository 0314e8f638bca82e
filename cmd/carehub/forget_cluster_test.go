package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestForgetOnACluster: of two hubs on three NATS nodes one erases a patient; both say that the patient is gone, and no node's copy of
// a stream has anything of them.
func TestForgetOnACluster(t *testing.T) {
	surgery := newProvider(t, "surgery")
	f := newFleet(t, 2, surgery)
	hubs := f.hubs[:2]
	for _, h := range hubs {
		h.edit("patients.yaml", "p-0000: {name: Thomas Example", "p-0000: {name: Zebedee Unlike")
		h.start()
	}
	ids := map[string]string{}
	for i, patient := range []string{"p-0000", "p-0001"} {
		status, answer, err := hubs[i].post(t.Context(), "key-of-"+patient,
			`{"patient":"`+patient+`","kind":"admission","place":"Secretplace `+patient+`","words":"Secretwords `+patient+`"}`)
		if err != nil || status != http.StatusCreated {
			t.Fatal(status, answer, err)
		}
		ids[patient] = answer["id"].(string)
	}
	waitUntil(t, "both are told", func() bool { _, different := surgery.count(); return different == 2 })
	for _, h := range hubs {
		h.stop()
		h.takeOut("p-0000")
		h.start()
	}
	if out := hubs[0].run("forget", "p-0000", "--dir", hubs[0].dir, "--yes", "--timeout", "4m"); !strings.Contains(out, "erased from the store") {
		t.Fatal(out)
	}
	for _, h := range hubs {
		var answer struct{ Error string }
		waitUntil(t, "the hub knows", func() bool { return h.get("/events/"+ids["p-0000"], &answer) == http.StatusGone })
		if status := h.get("/events/"+ids["p-0001"], &answer); status != http.StatusOK {
			t.Errorf("an event of another: %d", status)
		}
		h.stop()
	}
	for _, node := range f.nodes.Nodes {
		node.Stop()
		unnamed(t, node.Options.StoreDir, "p-0000", "Zebedee Unlike", "Secretplace p-0000", "Secretwords p-0000", "ev-0000-")
	}
}
