package stream_test

import (
	"testing"
	"time"

	"carehub/events"
	"carehub/events/stream/clustertest"
)

// TestDeletedIsGone: what is deleted under a lease is no value, at once, and no message, soon.
func TestDeletedIsGone(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	m := join(t, url, 0, quick)
	shared(t, []int{4}, m)
	for _, values := range [][]string{{"a", "b", "c"}, {"d", "", "e"}} {
		var entries []events.Entry
		for i, key := range []string{"park.1.gp.0", "park.1.gp.1", "park.1.nurses.0"} {
			entries = append(entries, events.Entry{Key: key, Value: []byte(values[i])})
		}
		if err := m.store.Put(t.Context(), 1, entries); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, err := m.store.Get(t.Context(), 1, "park.1.gp.1"); found || err != nil {
		t.Errorf("a deleted key: %v %v", found, err)
	}
	if list, err := m.store.List(t.Context(), 1, "park.1."); len(list) != 2 || err != nil {
		t.Errorf("list gives %v %v", list, err)
	}
	messages(t, url, 3) // two keys and the owner's record
}

// TestMarksLeftBehind: what a hub that was killed has deleted, but not removed, its successor removes when it reads the ledger.
func TestMarksLeftBehind(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	m := join(t, url, 0, quick)
	shared(t, []int{4}, m)
	for key, value := range map[string]string{"park.1.gp.0": "a", "park.1.gp.1": "", "park.1.gp.2": "", "led.1.7": ""} {
		if _, err := client(t, url).Publish(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := m.store.List(t.Context(), 1, "park.1."); len(list) != 1 || err != nil {
		t.Errorf("list gives %v %v", list, err)
	}
	if has, err := m.store.Has(t.Context(), 1, "led.1."); has || err != nil {
		t.Errorf("a deleted key: %v %v", has, err)
	}
	messages(t, url, 2) // a key and the owner's record
}

// messages waits until the ledger of partition 1 is so many messages.
func messages(t *testing.T, url string, want uint64) {
	t.Helper()
	raw, err := client(t, url).Stream(t.Context(), "LEDGER-1")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		info, err := raw.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages, want %d", info.State.Msgs, want)
		}
	}
}
