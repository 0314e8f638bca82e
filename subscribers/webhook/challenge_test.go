package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/endpoints"
	"carehub/subscribers/webhook"
)

// desk is a receiver that keeps what it gets, and echoes challenges unless it is mute.
type desk struct {
	mu     sync.Mutex
	got    []channeltest.Taken
	asked  []channeltest.Taken // challenges
	answer func(w http.ResponseWriter, nonce string)
}

func echo(w http.ResponseWriter, nonce string) {
	_ = json.NewEncoder(w).Encode(map[string]string{"nonce": nonce})
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	taken := channeltest.Taken{ID: r.Header.Get("webhook-id"), Body: body, Headers: r.Header.Clone()}
	var c struct{ Type, Nonce string }
	d.mu.Lock()
	defer d.mu.Unlock()
	if json.Unmarshal(body, &c) == nil && c.Type == "carehub.endpoint.verification" {
		d.asked = append(d.asked, taken)
		d.answer(w, c.Nonce)
		return
	}
	d.got = append(d.got, taken)
	w.WriteHeader(http.StatusNoContent)
}

// counts are how many challenges and messages have come.
func (d *desk) counts() (asked, got int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked), len(d.got)
}

// introduced is an endpoint of a hub that challenges, at a desk, and what the hub remembers.
func introduced(t *testing.T, d *desk, yaml string) (subscribers.Endpoint, *endpoints.Registry) {
	t.Helper()
	server := httptest.NewServer(d)
	client := loopback.Client(nil)
	t.Cleanup(func() { client.CloseIdleConnections(); server.Close() })
	registry := endpoints.New(stream.NewMemory(1))
	channel := webhook.New(client, options)
	channel.Remember(registry)
	return mustOpen(t, channel, "url: "+server.URL+"/hook\n"+yaml), registry
}

func TestChallengeComesBeforeTheFirstMessage(t *testing.T) {
	d := &desk{answer: echo}
	e, registry := introduced(t, d, "secret: ${file:secret}\n")
	var replies []events.Reply
	for n := range 3 {
		sample := channeltest.Numbered(n)
		sample.Answered = func(r events.Reply) { replies = append(replies, r) }
		if err := e.Send(t.Context(), sample); err != nil {
			t.Fatal(err)
		}
	}
	if asked, got := d.counts(); asked != 1 || got != 3 {
		t.Errorf("%d challenges, %d messages", asked, got)
	}
	if err := verifySigned(secret, d.asked[0]); err != nil {
		t.Errorf("the challenge: %v", err)
	}
	if !strings.HasPrefix(d.asked[0].ID, "msg_") || d.asked[0].ID == d.got[0].ID {
		t.Errorf("the challenge's id is %s", d.asked[0].ID)
	}
	if registry.Get("riverside-surgery", "webhook").Verified.IsZero() {
		t.Error("nothing is remembered")
	}
	if last := replies[len(replies)-1]; last.Status != http.StatusNoContent {
		t.Errorf("replies %+v", replies)
	}
}

// TestUnprovedGetNothing: whatever an endpoint answers but the nonce, no message is sent to it.
func TestUnprovedGetNothing(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, nonce string)
		want   events.Failure
	}{
		"no body":         {func(http.ResponseWriter, string) {}, events.Failure{Reason: events.ReasonUnverified}},
		"another nonce":   {func(w http.ResponseWriter, _ string) { echo(w, "ABC") }, events.Failure{Reason: events.ReasonUnverified}},
		"part of it":      {func(w http.ResponseWriter, nonce string) { echo(w, nonce[:8]) }, events.Failure{Reason: events.ReasonUnverified}},
		"the nonce alone": {func(w http.ResponseWriter, nonce string) { _, _ = io.WriteString(w, nonce) }, events.Failure{Reason: events.ReasonUnverified}},
		"a page":          {func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, "<html>OK</html>") }, events.Failure{Reason: events.ReasonUnverified}},
		"an error that echoes": {func(w http.ResponseWriter, nonce string) { w.WriteHeader(500); echo(w, nonce) },
			events.Failure{Reason: events.ReasonServerError, Status: 500, Body: true}},
		"gone": {func(w http.ResponseWriter, _ string) { w.WriteHeader(410) },
			events.Failure{Reason: events.ReasonGone, Status: 410, Permanent: true, Pause: true}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{answer: c.answer}
			e, registry := introduced(t, d, "secret: ${file:secret}\n")
			var reply events.Reply
			sample := channeltest.Sample()
			sample.Answered = func(r events.Reply) { reply = r }
			f, ok := errors.AsType[*events.Failure](e.Send(t.Context(), sample))
			if !ok {
				t.Fatal("it was sent")
			}
			f.Err, c.want.Err = nil, nil
			if *f != c.want {
				t.Errorf("%+v", f)
			}
			if _, got := d.counts(); got != 0 || e.(subscribers.Verifiable).Verified(sample.Recipient, sample.Channel) {
				t.Errorf("%d messages", got)
			}
			if len(registry.All()) != 0 || reply.Status == 0 {
				t.Errorf("remembered %+v, replied %+v", registry.All(), reply)
			}
		})
	}
}

// TestAlarmIsNotHeldBack: an alarm must reach somebody, so it is sent to who has not proved itself; but nobody is taken
// for told by that.
func TestAlarmIsNotHeldBack(t *testing.T) {
	d := &desk{answer: func(http.ResponseWriter, string) {}}
	e, _ := introduced(t, d, "secret: ${file:secret}\n")
	alarm := channeltest.Sample()
	alarm.Kind = events.Alarm
	f, ok := errors.AsType[*events.Failure](e.Send(t.Context(), alarm))
	if !ok || f.Reason != events.ReasonUnverified || f.Permanent {
		t.Errorf("got %v", f)
	}
	if asked, got := d.counts(); asked != 1 || got != 1 {
		t.Errorf("%d challenges, %d messages", asked, got)
	}
}

// TestAddressIsWhatIsVerified: what was proved of one address says nothing of another.
func TestAddressIsWhatIsVerified(t *testing.T) {
	d := &desk{answer: echo}
	e, registry := introduced(t, d, "secret: ${file:secret}\n")
	if err := registry.Verify(t.Context(), "riverside-surgery", "webhook", "https://gp.example/hook"); err != nil {
		t.Fatal(err)
	}
	if err := e.Send(t.Context(), channeltest.Sample()); err != nil {
		t.Fatal(err)
	}
	if asked, _ := d.counts(); asked != 1 {
		t.Errorf("%d challenges", asked)
	}
}

// TestFirstAttemptsShareAChallenge: twenty at once ask once.
func TestFirstAttemptsShareAChallenge(t *testing.T) {
	const senders = 20
	var sending, entered sync.WaitGroup
	d := &desk{answer: func(w http.ResponseWriter, nonce string) { entered.Wait(); echo(w, nonce) }}
	e, _ := introduced(t, d, "secret: ${file:secret}\n")
	entered.Add(senders)
	for n := range senders {
		sending.Go(func() {
			entered.Done()
			if err := e.Send(t.Context(), channeltest.Numbered(n)); err != nil {
				t.Error(err)
			}
		})
	}
	sending.Wait()
	if asked, got := d.counts(); asked != 1 || got != senders {
		t.Errorf("%d challenges, %d messages", asked, got)
	}
}

// TestChallengeEndsWithItsContext: who waits for another's challenge does not wait longer than they may.
func TestChallengeEndsWithItsContext(t *testing.T) {
	hang, entered := make(chan struct{}), make(chan struct{})
	d := &desk{answer: func(w http.ResponseWriter, nonce string) { close(entered); <-hang; echo(w, nonce) }}
	e, _ := introduced(t, d, "secret: ${file:secret}\n")
	first := make(chan error, 1)
	go func() { first <- e.Send(t.Context(), channeltest.Numbered(0)) }()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, ok := errors.AsType[*events.Failure](e.Send(ctx, channeltest.Numbered(1)))
	if !ok || f.Reason != events.ReasonTimeout {
		t.Errorf("got %v", f)
	}
	close(hang)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// TestLearnedSecret: from the rotation on both sign for a day, then the new one alone; another secret in the file ends it.
func TestLearnedSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := endpoints.New(stream.NewMemory(1))
		first, err := registry.Rotate(t.Context(), "gp", "webhook", "hash")
		if err != nil {
			t.Fatal(err)
		}
		check := func(hash string, both bool, want ...string) {
			t.Helper()
			got, also := registry.Secrets("gp", "webhook", hash)
			if !slices.Equal(got, want) || also != both {
				t.Errorf("%d secrets, both %v", len(got), also)
			}
		}
		check("hash", true, first.Value)
		time.Sleep(24*time.Hour - time.Second)
		check("hash", true, first.Value)
		time.Sleep(time.Second)
		check("hash", false, first.Value)
		second, err := registry.Rotate(t.Context(), "gp", "webhook", "hash")
		if err != nil {
			t.Fatal(err)
		}
		check("hash", false, second.Value, first.Value)
		check("another", false)
		time.Sleep(24 * time.Hour)
		check("hash", false, second.Value)
		if _, err := registry.Rotate(t.Context(), "gp", "webhook", "another"); err != nil {
			t.Fatal(err)
		}
		if _, both := registry.Secrets("gp", "webhook", "another"); !both {
			t.Error("the file's secret does not sign beside the new one")
		}
	})
}

// TestRotatedSecretSigns: on the wire, holders of the old and of the new secret accept.
func TestRotatedSecretSigns(t *testing.T) {
	d := &desk{answer: echo}
	e, registry := introduced(t, d, "secret: ${file:secret}\n")
	made, err := registry.Rotate(t.Context(), "riverside-surgery", "webhook", e.(subscribers.Signed).SecretHash())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Send(t.Context(), channeltest.Sample()); err != nil {
		t.Fatal(err)
	}
	for _, taken := range []channeltest.Taken{d.asked[0], d.got[0]} {
		for _, s := range []string{secret, made.Value} {
			if err := verifySigned(s, taken); err != nil {
				t.Error(err)
			}
		}
	}
}
