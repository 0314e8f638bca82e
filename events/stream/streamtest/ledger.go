package streamtest

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"carehub/events"
)

func ledgerNewest(t *testing.T, s Store) {
	key := events.LedSubject(1, 7)
	want := func(value string, present bool) {
		t.Helper()
		got, ok, err := s.Get(t.Context(), 1, key)
		if err != nil || ok != present || string(got) != value {
			t.Errorf("got %q %v %v, want %q %v", got, ok, err, value, present)
		}
	}
	want("", false)
	put := func(values ...string) {
		t.Helper()
		var entries []events.Entry
		for _, v := range values {
			entries = append(entries, events.Entry{Key: key, Value: []byte(v)})
		}
		must(t, s.Put(t.Context(), 1, entries))
	}
	put("one")
	want("one", true)
	put("two", "three", "four")
	want("four", true)
	put("five", "")
	want("", false)
	put("")
	put("", "six")
	want("six", true)
	put()
}

func ledgerList(t *testing.T, s Store) {
	empty, err := s.List(t.Context(), 0, "park.0.")
	if err != nil || len(empty) != 0 {
		t.Errorf("list of nothing is %v %v", empty, err)
	}
	var entries, want []events.Entry
	for i := range 700 {
		e := events.Entry{Key: fmt.Sprintf("park.0.team-%03d.%d", i/7, i%7), Value: []byte(fmt.Sprint(i))}
		entries = append(entries, e, events.Entry{Key: fmt.Sprintf("led.0.p.e%d.0", i), Value: []byte("x")})
		if i != 5 {
			want = append(want, e)
		}
	}
	entries = append(entries, events.Entry{Key: "park.0.team-000.5"}, events.Entry{Key: "park.0.team-000.6", Value: []byte("new")})
	want[5].Value = []byte("new")
	must(t, s.Put(t.Context(), 0, entries))
	got, err := s.List(t.Context(), 0, "park.0.")
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	one, err := s.List(t.Context(), 0, "park.0.team-003.")
	must(t, err)
	if !reflect.DeepEqual(one, want[20:27]) {
		t.Errorf("of one team %v", one)
	}
	_, err = s.List(t.Context(), 0, "park.0.team")
	wantKind(t, err, events.Invalid)
	for i := range one {
		one[i].Value = nil
	}
	must(t, s.Put(t.Context(), 0, one))
	for prefix, want := range map[string]bool{"park.0.": true, "park.0.team-099.": true, "park.0.team-003.": false, "park.0.team-100.": false} {
		if has, err := s.Has(t.Context(), 0, prefix); err != nil || has != want {
			t.Errorf("has %s: %v %v", prefix, has, err)
		}
	}
	_, err = s.Has(t.Context(), 0, "park.0.team")
	wantKind(t, err, events.Invalid)
}

func ledgerKeys(t *testing.T, s Store) {
	for _, key := range []string{"", "led", "led.0", "led.0.", "led.1.a.b.0", "cur.1", "cur.0.x", "care.0.a.b.c", "hub.a.b", "x.0.a"} {
		err := s.Put(t.Context(), 0, []events.Entry{{Key: events.CursorSubject(0), Value: []byte("1")}, {Key: key, Value: []byte("1")}})
		wantKind(t, err, events.Invalid)
		_, _, err = s.Get(t.Context(), 0, key)
		wantKind(t, err, events.Invalid)
	}
	if _, ok, _ := s.Get(t.Context(), 0, events.CursorSubject(0)); ok {
		t.Error("part of a refused put was stored")
	}
}

// ledgerByMany: what one caller puts in order is in that order, whoever else puts.
func ledgerByMany(t *testing.T, s Store) {
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			key := fmt.Sprintf("led.3.p-n%d.e.0", n)
			var entries []events.Entry
			for i := range 40 {
				entries = append(entries, events.Entry{Key: key, Value: []byte(fmt.Sprint(i))})
			}
			if err := s.Put(t.Context(), 3, entries); err != nil {
				t.Error(err)
			}
			if got, ok, err := s.Get(t.Context(), 3, key); string(got) != "39" || !ok || err != nil {
				t.Errorf("%s is %q %v %v", key, got, ok, err)
			}
		})
	}
	group.Wait()
}

func hubCompareAndSet(t *testing.T, s Store) {
	ctx, key := t.Context(), "hub.token.abc"
	want := func(value string, present bool) uint64 {
		t.Helper()
		got, revision, ok, err := s.HubGet(ctx, key)
		if err != nil || ok != present || string(got) != value || present == (revision == 0) {
			t.Errorf("got %q %d %v %v, want %q", got, revision, ok, err, value)
		}
		return revision
	}
	set := func(value string, revision uint64) uint64 {
		t.Helper()
		now, err := s.HubPut(ctx, key, []byte(value), revision)
		must(t, err)
		return now
	}
	want("", false)
	first := set("one", 0)
	second := set("two", first)
	if got := want("two", true); got != second {
		t.Errorf("revision %d, put said %d", got, second)
	}
	for _, revision := range []uint64{0, first, second + 1} {
		_, err := s.HubPut(ctx, key, []byte("x"), revision)
		wantKind(t, err, events.Conflict)
	}
	must(t, s.HubDelete(ctx, key))
	want("", false)
	_, err := s.HubPut(ctx, key, []byte("x"), second)
	wantKind(t, err, events.Conflict)
	set("three", 0)
	want("three", true)
	_, err = s.HubPut(ctx, key, nil, 0)
	wantKind(t, err, events.Invalid)
	_, err = s.HubPut(ctx, "led.0.a", []byte("x"), 0)
	wantKind(t, err, events.Invalid)
}

func hubListAndErase(t *testing.T, s Store) {
	ctx := t.Context()
	put := func(key, value string, revision uint64) uint64 {
		t.Helper()
		now, err := s.HubPut(ctx, key, []byte(value), revision)
		must(t, err)
		return now
	}
	listed := func() (all []string) {
		t.Helper()
		must(t, s.HubList(ctx, "hub.seen.", func(key string, value []byte, revision uint64) {
			if _, now, _, _ := s.HubGet(ctx, key); now != revision {
				t.Errorf("%s is listed at %d and stands at %d", key, revision, now)
			}
			all = append(all, key+"="+string(value))
		}))
		return all
	}
	put("hub.other.a", "no", 0)
	a := put("hub.seen.a", "1", 0)
	b := put("hub.seen.b", "2", 0)
	put("hub.seen.c", "3", 0)
	must(t, s.HubDelete(ctx, "hub.seen.c"))
	b2 := put("hub.seen.b", "4", b)
	if got := strings.Join(listed(), " "); got != "hub.seen.a=1 hub.seen.b=4" {
		t.Errorf("listed %s", got)
	}
	must(t, s.HubErase(ctx, "hub.seen.a", a))
	must(t, s.HubErase(ctx, "hub.seen.a", a)) // gone already
	must(t, s.HubErase(ctx, "hub.seen.b", b)) // has changed
	if got := strings.Join(listed(), " "); got != "hub.seen.b=4" {
		t.Errorf("listed %s", got)
	}
	must(t, s.HubErase(ctx, "hub.seen.b", b2))
	put("hub.seen.a", "5", 0)
	if got := strings.Join(listed(), " "); got != "hub.seen.a=5" {
		t.Errorf("listed %s", got)
	}
	wantKind(t, s.HubList(ctx, "hub.seen", func(string, []byte, uint64) {}), events.Invalid)
}

func hubWatch(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	put := func(key, value string) {
		t.Helper()
		_, err := s.HubPut(ctx, key, []byte(value), 0)
		must(t, err)
	}
	put("hub.token.a", "1")
	put("hub.token.b", "2")
	put("hub.other.a", "no")
	put("hub.token.gone", "3")
	must(t, s.HubDelete(ctx, "hub.token.gone"))

	seen, ended := make(chan string, 100), make(chan error)
	go func() {
		ended <- s.HubWatch(ctx, "hub.token.", func() { seen <- "ready" }, func(key string, value []byte) {
			seen <- key + "=" + string(value)
		})
	}()
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := <-seen; got != w {
				t.Errorf("saw %s, want %s", got, w)
			}
		}
	}
	expect("hub.token.a=1", "hub.token.b=2", "ready")
	put("hub.other.b", "no")
	put("hub.token.c", "4")
	must(t, s.HubDelete(ctx, "hub.token.a"))
	expect("hub.token.c=4", "hub.token.a=")
	cancel()
	if err := <-ended; !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("watch ended with %v", err)
	}
}
