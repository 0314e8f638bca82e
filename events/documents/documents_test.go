package documents

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"carehub/events"
)

// shelf is a store in memory.
type shelf struct {
	records, contents map[string][]byte
	at                map[string]time.Time
	now               func() time.Time
}

func (s *shelf) PutDocument(_ context.Context, _, id string, record, content []byte) error {
	s.records[id], s.contents[id], s.at[id] = record, content, s.now()
	return nil
}

func (s *shelf) RenewDocument(_ context.Context, _, id string, record []byte) error {
	s.records[id], s.at[id] = record, s.now()
	return nil
}

func (s *shelf) DocumentRecord(_ context.Context, _, id string) ([]byte, error) {
	return got(s.records, id)
}

func (s *shelf) DocumentContent(_ context.Context, _, id string) ([]byte, error) {
	return got(s.contents, id)
}

func got(from map[string][]byte, id string) ([]byte, error) {
	if value, ok := from[id]; ok {
		return value, nil
	}
	return nil, missing()
}

func (s *shelf) Documents(_ context.Context, patient string) (all []events.StoredDocument, _ error) {
	for _, id := range slices.Sorted(maps.Keys(s.at)) {
		if p := events.PatientOfDocument(id); patient == "" || p == patient {
			all = append(all, events.StoredDocument{Patient: p, ID: id, At: s.at[id]})
		}
	}
	return all, nil
}

func (s *shelf) EraseDocument(_ context.Context, _, id string) error {
	delete(s.records, id)
	delete(s.contents, id)
	delete(s.at, id)
	return nil
}

type hub struct {
	*Keeper
	*shelf
	now   time.Time
	known map[string]bool
}

func newHub() *hub {
	h := &hub{now: time.Date(2026, 11, 26, 23, 30, 0, 0, time.UTC), known: map[string]bool{}}
	h.shelf = &shelf{map[string][]byte{}, map[string][]byte{}, map[string]time.Time{}, func() time.Time { return h.now }}
	h.Keeper = &Keeper{Store: h.shelf, Exists: func(_ context.Context, event string) (bool, error) { return h.known[event], nil },
		Gone:  func(patient string) bool { return patient == "p-gone" },
		Clock: func() time.Time { return h.now }, Zone: func() *time.Location { return time.FixedZone("", 3600) }, Log: slog.New(slog.DiscardHandler)}
	return h
}

var ruth = events.Actor{Kind: events.Carer, ID: "ruth"}

func TestKeep(t *testing.T) {
	h := newHub()
	event, other := events.NewID(ruth, "p-7f3k", "one"), events.NewID(ruth, "p-7f3k", "two")
	d, err := h.Keep(t.Context(), event, events.DocLetter, letter(t, ""))
	if err != nil || d.FileName(0) != "letter-2026-11-27.pdf" || d.FileName(1) != "letter-2026-11-27-2.pdf" || events.PatientOfDocument(d.ID) != "p-7f3k" {
		t.Fatal(d, err)
	}
	h.now = h.now.Add(time.Minute)
	if again, err := h.Keep(t.Context(), event, events.DocLetter, letter(t, "")); err != nil || again != d {
		t.Error("the same file is another document", again, err)
	}
	content, err := h.Content(t.Context(), d)
	if media, _, _ := Clean(content); err != nil || media != events.PDF || len(content) != d.Size {
		t.Error(err)
	}
	if _, err := h.Keep(t.Context(), events.NewID(ruth, "p-gone", "one"), events.DocLetter, letter(t, "")); events.KindOf(err) != events.Gone || len(h.records) != 1 {
		t.Error("a document of somebody who was forgotten is kept", err)
	}
	if _, err := h.Keep(t.Context(), event, events.DocPhoto, []byte("GIF89a")); Why(err) != "foreign" || len(h.records) != 1 {
		t.Error(err)
	}
	if all, err := h.For(t.Context(), event, []string{d.ID, d.ID}); err != nil || len(all) != 1 || all[0] != d {
		t.Error(all, err)
	}
	for _, id := range []string{d.ID, "7f3k-" + d.ID[5:len(d.ID)-1] + "a", "", "../x"} {
		if _, err := h.For(t.Context(), other, []string{id}); events.KindOf(err) != events.NotFound {
			t.Errorf("%q is a document of an event that it was not kept for: %v", id, err)
		}
	}
	h.contents[d.ID][0]++
	if _, err := h.Content(t.Context(), d); events.KindOf(err) != events.Internal {
		t.Error("a document that is not as it was stored is given out", err)
	}
}

func TestTooMany(t *testing.T) {
	h := newHub()
	event := events.NewID(ruth, "p-7f3k", "one")
	var ids []string
	for _, kind := range events.DocumentKinds {
		d, err := h.Keep(t.Context(), event, kind, picture(t))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	if _, err := h.For(t.Context(), event, ids[:events.MaxDocuments]); err != nil {
		t.Error(err)
	}
	if _, err := h.For(t.Context(), event, ids); Why(err) != "many" {
		t.Error(err)
	}
}

// TestSweep: a document lives as long as its event. One that waits for it has three days.
func TestSweep(t *testing.T) {
	h := newHub()
	lives, waits := events.NewID(ruth, "p-7f3k", "lives"), events.NewID(ruth, "p-9m2x", "waits")
	kept, _ := h.Keep(t.Context(), lives, events.DocPhoto, picture(t))
	gone, _ := h.Keep(t.Context(), waits, events.DocPhoto, picture(t))
	half, _ := h.Keep(t.Context(), waits, events.DocLetter, picture(t))
	delete(h.records, half.ID) // cut off
	again := events.NewID(ruth, "p-7f3k", "again")
	used, _ := h.Keep(t.Context(), again, events.DocPhoto, picture(t))
	h.known[lives] = true
	if n, err := h.Sweep(t.Context()); n != 0 || err != nil {
		t.Error(n, err)
	}
	h.now = h.now.Add(spare - time.Hour)
	if all, err := h.For(t.Context(), again, []string{used.ID}); err != nil || len(all) != 1 || all[0] != used {
		t.Error(all, err)
	}
	h.now = h.now.Add(time.Hour)
	strange, _ := h.Keep(t.Context(), lives, events.DocLetter, picture(t))
	h.records[strange.ID], h.at[strange.ID] = []byte("{"), h.at[kept.ID]
	if n, err := h.Sweep(t.Context()); n != 2 || err == nil || h.contents[strange.ID] == nil {
		t.Error("one that cannot be read keeps others from being erased", n, err)
	}
	_ = h.EraseDocument(t.Context(), "p-7f3k", strange.ID)
	if n, err := h.Sweep(t.Context()); n != 0 || err != nil || h.contents[gone.ID] != nil || h.contents[kept.ID] == nil {
		t.Error(n, err)
	}
	if n, err := h.Forget(t.Context(), "p-7f3k"); n != 2 || err != nil || len(h.contents) != 0 {
		t.Error(n, err)
	}
}
