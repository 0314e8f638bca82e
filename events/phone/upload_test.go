package phone

import (
	"bytes"
	"context"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// TestSlots: a form without files waits for no others' files, one with files not long, and what it reports comes through without them.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Logger: slog.New(slog.DiscardHandler), Session: func(*http.Request) (page.Session, bool) { return page.Session{}, true },
			Keep: func(context.Context, events.Actor, string, string, events.DocumentKind, []byte) (events.Document, error) {
				return events.Document{ID: "kept"}, nil
			},
			Kept: func(_ context.Context, _ events.Actor, _, _ string, ids []string) ([]events.Document, error) {
				if slices.Contains(ids, "swept") {
					return nil, &events.Error{Kind: events.NotFound}
				}
				return make([]events.Document, len(ids)), nil
			}})
		send := func(files ...string) (f Form, took time.Duration) {
			var b bytes.Buffer
			form := multipart.NewWriter(&b)
			_ = form.WriteField("document", "swept")
			for _, file := range files {
				part, _ := form.CreateFormFile("file", "x")
				_, _ = part.Write([]byte(file))
			}
			_ = form.Close()
			r := httptest.NewRequest(http.MethodPost, "/log/p-7f3k/send", &b)
			r.Header.Set("Content-Type", form.FormDataContentType())
			start := time.Now()
			p.uploading(func(_ http.ResponseWriter, r *http.Request) {
				f.Key = "k"
				p.attach(r, page.Session{}, &f)
			})(httptest.NewRecorder(), r)
			return f, time.Since(start)
		}
		gone := left{0, "gone"}
		large := string(make([]byte, events.MaxDocument+1))
		if f, _ := send("a", large, "b"); len(f.Documents) != 2 || !slices.Equal(f.Left, []left{gone, {2, "large"}}) || len(p.uploads) != 0 {
			t.Errorf("%+v", f)
		}
		for range mostUploads {
			p.uploads <- struct{}{}
		}
		if f, took := send(); took != 0 || !slices.Equal(f.Left, []left{gone}) {
			t.Errorf("%v: %+v", took, f)
		}
		if f, took := send("a", "b"); took != slotFor || !slices.Equal(f.Left, []left{gone, {1, "busy"}, {2, "busy"}}) || len(p.uploads) != mostUploads {
			t.Errorf("%v: %+v", took, f)
		}
		if f, _ := send("a"); !slices.Equal(leftOf(map[string][]string{"left": {"0-gone", "0-busy", "x", "1-nonsense"}}), f.Left) || addressOf(f.Left) != "?left=0-gone&left=0-busy" {
			t.Errorf("%+v", f)
		}
	})
}
