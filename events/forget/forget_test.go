package forget_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"carehub/events"
	"carehub/events/archive"
	"carehub/events/forget"
	"carehub/events/stream"
	"carehub/subscribers/signup"
)

// world is a store with everything in it that can name a patient.
type world struct {
	t       *testing.T
	dir     string
	store   *stream.Store
	archive *archive.Archive
	keeper  *forget.Keeper
	waiting []string
	audited []forget.Erasure
	// documents holds whose documents were to be erased.
	documents []string
	// cut, if it is positive, is after how many writes of the keeper everything fails, as if the process had been killed.
	cut int
}

var errCut = fmt.Errorf("cut off")

// cutStore fails after so many calls.
type cutStore struct {
	*stream.Store
	w *world
}

func (s cutStore) step() error {
	if s.w.cut > 0 {
		if s.w.cut--; s.w.cut == 0 {
			s.w.cut = -1
		}
	}
	if s.w.cut < 0 {
		return errCut
	}
	return nil
}

func (s cutStore) HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := s.step(); err != nil {
		return 0, err
	}
	return s.Store.HubPut(ctx, key, value, revision)
}

func (s cutStore) EraseEvents(ctx context.Context, patient string, about func(events.About) bool) (int, int, error) {
	if err := s.step(); err != nil {
		return 0, 0, err
	}
	return s.Store.EraseEvents(ctx, patient, about)
}

func (s cutStore) EraseHub(ctx context.Context, match func(string, []byte) bool) (n int, err error) {
	failed := s.step()
	n, err = s.Store.EraseHub(ctx, func(key string, value []byte) bool { return failed == nil && match(key, value) })
	return n, cmpErr(failed, err)
}

func (s cutStore) EraseNotices(ctx context.Context, instead func([]byte) ([]byte, error)) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.Store.EraseNotices(ctx, instead)
}

func (s cutStore) Refresh(ctx context.Context, patient string) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.Store.Refresh(ctx, patient)
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.store, err = stream.Open(w.t.Context(), stream.Options{Dir: w.dir, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	store := w.store
	w.t.Cleanup(func() { _ = store.Close(context.Background()) })
	w.keeper = forget.New(forget.Options{Store: cutStore{store, w}, Key: []byte("key of the marks"), Notice: signup.Erased,
		Archive:   func(ctx context.Context, patient string) (bool, error) { return w.archive.Erase(ctx, patient) },
		Documents: func(_ context.Context, patient string) error { w.documents = append(w.documents, patient); return nil },
		Waiting:   func(context.Context, string) ([]string, error) { return w.waiting, nil },
		Audit:     func(_ context.Context, e forget.Erasure) error { w.audited = append(w.audited, e); return nil },
		Settle:    time.Millisecond, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	w.archive, err = archive.Open(w.t.Context(), archive.Options{Store: store, Gone: w.keeper.Gone, Alone: true, Rest: time.Nanosecond, Share: 1,
		Drained:  func(context.Context, int, uint64) (bool, error) { return true, nil },
		Outcomes: func(context.Context, events.Stored) ([]events.Outcome, error) { return nil, nil }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.must(w.keeper.Load(w.t.Context()))
}

func (w *world) restart() {
	w.t.Helper()
	_ = w.store.Close(w.t.Context())
	w.cut = 0
	w.open()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// publish stores an event about a patient, and an alarm about that.
func (w *world) publish(patient, key string) string {
	w.t.Helper()
	by := events.Actor{Kind: events.Carer, ID: "ruth"}
	id := events.NewID(by, patient, key)
	rec := events.Record{V: events.RecordVersion, Event: events.Event{ID: id, Patient: patient, Kind: events.Fall, Occurred: time.Now(), Recorded: time.Now(), By: by,
		Place: "Secretplace of " + patient, Words: "Secretwords of " + patient}}
	_, _, err := w.archive.Publish(w.t.Context(), rec, []byte(`{"name":"Secretname of `+patient+`","nhs":"9990000018-`+patient+`"}`))
	w.must(err)
	about := events.About{Event: id, Recipient: "surgery", Reason: events.ReasonOverdue}
	alarm := events.Record{V: events.RecordVersion, Event: events.Event{ID: events.AlarmID(about), Patient: events.HubPatient, Kind: events.Alarm, Recorded: time.Now(), By: by},
		Plan: events.Plan{About: &about}}
	_, _, err = w.archive.Publish(w.t.Context(), alarm, []byte(`{"alarm":"of `+id+`"}`))
	w.must(err)
	about = events.About{Event: "authority-" + events.Hash([]byte(id)), Reason: events.ReasonEnding, Patients: "p-none " + patient}
	alarm.Event.ID, alarm.Event.Words = events.AlarmID(about), "The last day of Secretwords of "+patient
	_, _, err = w.archive.Publish(w.t.Context(), alarm, []byte(`{"alarm":"of Secretname of `+patient+`"}`))
	w.must(err)
	return id
}

// fill stores what every part of a hub may keep of a patient.
func (w *world) fill(patient string) (ids []string) {
	w.t.Helper()
	ctx := w.t.Context()
	for n := range 3 {
		ids = append(ids, w.publish(patient, fmt.Sprint("key ", n)))
	}
	for _, key := range []string{"hub.hold.", "hub.correct.", "hub.answer.due.", "hub.answer.given."} {
		at := key + ids[0]
		secret := fmt.Sprintf(`{"message":%q,"event":%q}`, base64.StdEncoding.EncodeToString([]byte("Secretname of "+patient+"!")), ids[0])
		revision, err := w.store.HubPut(ctx, at, []byte(secret), 0)
		w.must(err)
		_, err = w.store.HubPut(ctx, at, []byte(`{"event":"`+ids[0]+`","state":"Secretstate of `+patient+`"}`), revision) // the first is overtaken
		w.must(err)
	}
	w.must(w.store.HubDelete(ctx, "hub.hold."+ids[0]))
	for key, value := range map[string]string{
		"hub.held.held-1" + patient[2:]:             `{"resolved":{"patient":"` + patient + `"},"words":"Secretwords of ` + patient + `"}`,
		"hub.seen.message.a" + patient[2:]:          `{"body":"` + base64.StdEncoding.EncodeToString([]byte(`"id":"`+ids[1]+`"`)) + `"}`,
		"hub.bounce.msg-" + patient[2:]:             `{"event":"` + ids[1] + `"}`,
		"hub.endpoint.surgery." + patient[2:] + "x": `{"target":"other"}`,
	} {
		_, err := w.store.HubPut(ctx, key, []byte(value), 0)
		w.must(err)
	}
	w.must(w.store.AppendAttempts(ctx, []events.Entry{{Key: events.AttemptSubject("surgery", "webhook"),
		Value: []byte(`{"v":1,"attempts":[{"event":"` + ids[0] + `","reply":{"body":"` + base64.StdEncoding.EncodeToString([]byte("Secretreply of "+patient+"!")) + `"}}]}`)}}))
	// A page of what waits is overtaken by one in which the patient waits no more.
	p := events.PartitionOf(patient, 4)
	page := events.ParkSubject(p, "surgery", 0)
	w.must(w.store.Put(ctx, p, []events.Entry{{Key: page, Value: []byte(`{"v":1,"wait":[{"s":1,"p":"` + patient + `"}]}`)}}))
	w.must(w.store.Put(ctx, p, []events.Entry{{Key: page, Value: []byte(`{"v":1,"wait":[]}`)}}))
	return ids
}

// traces are the files of the store in which something of a patient can be read, also in what is compressed.
func (w *world) traces(patient string) (found []string) {
	w.t.Helper()
	secrets := "(" + patient + "|ev-" + strings.TrimPrefix(patient, "p-") + ")([^a-z0-9]|$)"
	for _, what := range []string{"name", "reply"} {
		secrets += "|" + regexp.QuoteMeta(base64.StdEncoding.EncodeToString([]byte("Secret"+what+" of "+patient+"!")))
	}
	secret := regexp.MustCompile(secrets)
	w.must(filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a stream that is just being deleted
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, text := range append(unpacked(data), data) {
			for _, hit := range secret.FindAll(text, -1) {
				found = append(found, strings.TrimPrefix(path, w.dir)+": "+string(hit))
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}))
	return found
}

// unpacked is whatever stands in data as zstd frames.
func unpacked(data []byte) (all [][]byte) {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	for at := bytes.Index(data, magic); at >= 0; {
		if r, err := zstd.NewReader(bytes.NewReader(data[at:])); err == nil {
			text, _ := io.ReadAll(r) // what follows the frame is none
			r.Close()
			all = append(all, text)
		}
		next := bytes.Index(data[at+1:], magic)
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return all
}

// fold has all that was stored so far in the archive, in volumes.
func (w *world) fold() {
	w.t.Helper()
	w.must(w.archive.Grow(w.t.Context(), 0))
	for range 3 {
		w.must(w.archive.Work(w.t.Context()))
	}
}

// work has the keeper do everything, restarting where it is cut off.
func (w *world) work() {
	w.t.Helper()
	for range 20 {
		left, err := w.keeper.Work(w.t.Context())
		w.must(err)
		if !left {
			return
		}
		w.must(w.archive.Work(w.t.Context()))
	}
	w.t.Fatal("the work does not end")
}

// TestForget: after it nothing on the disk names the patient, whatever was kept of them and wherever; of others all is there.
func TestForget(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	const patient, other = "p-7f3k", "p-7f3k2"
	w.fill(patient)
	kept := w.fill(other)
	for n, about := range []string{events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, patient, "key 0"), kept[0]} {
		_, err := w.store.Note(ctx, fmt.Appendf(nil, `{"v":1,"at":"2026-11-26T10:00:00Z","events":[{"id":%q,"n":{"sub-a":%d}},{"id":%q,"n":{"sub-a":%d}}]}`,
			about, 2*n+1, kept[1], 2*n+2), uint64(n))
		w.must(err)
	}
	w.fold()
	id := w.publish(patient, "in the streams")
	held, _ := w.archive.Size()
	if before := len(w.traces(patient)); before < 10 || held != 18 {
		t.Fatalf("there are %d traces, and %d events in the archive", before, held)
	}

	mark, err := w.keeper.Begin(ctx, patient, "alice")
	w.must(err)
	if _, err := w.archive.Find(ctx, id); events.KindOf(err) != events.Gone {
		t.Errorf("an event of who is being forgotten: %v", err)
	}
	w.waiting = []string{"somebody"}
	if left, err := w.keeper.Work(ctx); !left || err != nil {
		t.Errorf("with somebody still to be told: left %v, %v", left, err)
	}
	w.waiting = nil
	w.work()
	w.restart()
	_ = w.store.Close(ctx)
	if found := w.traces(patient); len(found) > 0 {
		t.Errorf("still there:\n%s", strings.Join(found, "\n"))
	}
	if after := len(w.traces(other)); after < 10 {
		t.Errorf("of another patient there are %d traces left", after)
	}
	w.restart()
	for _, id := range kept {
		if _, err := w.archive.Find(ctx, id); err != nil {
			t.Errorf("an event of another patient: %v", err)
		}
	}
	if _, err := w.archive.Find(ctx, id); events.KindOf(err) != events.Gone {
		t.Errorf("an event of who was forgotten: %v", err)
	}
	if _, _, err := w.archive.Publish(ctx, events.Record{Event: events.Event{ID: id, Patient: patient, Kind: events.Fall}}, []byte("x")); events.KindOf(err) != events.Gone {
		t.Errorf("a new event of who was forgotten: %v", err)
	}
	if done, gone := w.keeper.Of(patient); !gone || done.ID != mark.ID || done.By != "alice" || done.Done.IsZero() {
		t.Errorf("the mark is %+v", done)
	}
	if !slices.Contains(w.documents, patient) || len(slices.Compact(w.documents)) != 1 {
		t.Errorf("documents of %v were erased", w.documents)
	}
	if len(w.audited) != 1 || w.audited[0].ID != mark.ID {
		t.Errorf("on record are %v", w.audited)
	}
	w.numbers(kept)
}

// numbers checks that the numbers of a Subscription have no gap, and that only the ids of the forgotten are missing.
func (w *world) numbers(kept []string) {
	w.t.Helper()
	n := signup.NewNumbers(w.store, w.store, time.Now)
	ctx, end := context.WithCancel(w.t.Context())
	known, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Follow(ctx, func() { close(known) }) }()
	<-known
	got, first := n.Between("sub-a", 1, n.Last("sub-a"), 10)
	if want := []string{"", kept[1], kept[0], kept[1]}; first != 1 || fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("the numbers are %q from %d, not %q", got, first, want)
	}
	end()
	<-ended
}

// TestForgetCutOff: wherever the work is cut off, the next start finishes it.
func TestForgetCutOff(t *testing.T) {
	w := newWorld(t)
	for at := 1; ; at += 2 {
		patient := fmt.Sprintf("p-cut%d", at)
		w.fill(patient)
		w.cut = at
		_, begun := w.keeper.Begin(t.Context(), patient, "alice")
		var err error
		if begun == nil {
			_, err = w.keeper.Work(t.Context())
		}
		if w.cut > 0 && at < 6 {
			t.Errorf("the work has only %d steps", at)
		}
		over := w.cut > 0
		w.restart()
		w.work()
		if mark, _ := w.keeper.Of(patient); begun == nil && mark.Done.IsZero() {
			w.must(w.keeper.Load(t.Context()))
			if mark, _ = w.keeper.Of(patient); mark.Done.IsZero() {
				t.Errorf("cut off at step %d (%v) the mark does not say that it is done", at, err)
			}
		}
		_ = w.store.Close(t.Context())
		if found := w.traces(patient); at > 1 && len(found) > 0 {
			t.Errorf("cut off at step %d (%v) there are still:\n%s", at, err, strings.Join(found, "\n"))
		}
		if over {
			return
		}
		w.restart()
	}
}

// TestBegin: only a patient can be forgotten, and twice is once.
func TestBegin(t *testing.T) {
	w := newWorld(t)
	if _, err := w.keeper.Begin(t.Context(), "hub", "alice"); events.KindOf(err) != events.Invalid {
		t.Errorf("the hub: %v", err)
	}
	first, err := w.keeper.Begin(t.Context(), "p-7f3k", "alice")
	w.must(err)
	second, err := w.keeper.Begin(t.Context(), "p-7f3k", "bob")
	w.must(err)
	one, _ := json.Marshal(first)
	two, _ := json.Marshal(second)
	if !bytes.Equal(one, two) {
		t.Errorf("%s, then %s", one, two)
	}
	if w.keeper.Gone("p-7f3k2") || w.keeper.Gone("") || !w.keeper.Gone("p-7f3k") {
		t.Error("others count as forgotten, or they do not")
	}
}
