package stream_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

func TestExternal(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) streamtest.Store {
		return open(t, stream.Options{URL: serverURL(startServer(t, t.TempDir(), server.RANDOM_PORT))})
	})
}

// startServer runs a NATS server with a listener and a password, as an admin would.
func startServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, Username: "hub", Password: "secret", NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: dir, SyncAlways: true, MaxPayload: 2 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not start")
	}
	t.Cleanup(func() { stopServer(s) })
	return s
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func serverURL(s *server.Server) string {
	return (&url.URL{Scheme: "nats", User: url.UserPassword("hub", "secret"), Host: s.Addr().String()}).String()
}

func serverPort(s *server.Server) int {
	u, _ := url.Parse(s.ClientURL())
	var port int
	_, _ = fmt.Sscan(u.Port(), &port)
	return port
}

// TestExternalRestart: readers and writers go on after the server was away, without a gap, a repeat or a lost event.
func TestExternalRestart(t *testing.T) {
	dir := t.TempDir()
	first := startServer(t, dir, server.RANDOM_PORT)
	s := open(t, stream.Options{URL: serverURL(first)})
	patient := streamtest.Patients(0, 1)[0]
	read := make(chan string, 1000)
	go func() {
		_ = s.Read(t.Context(), 0, 0, func(e events.Stored) error { read <- string(e.Message); return nil })
	}()
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	publish := func(key string) {
		t.Helper()
		for { // as a logger would: the same key until it is taken
			_, _, err := s.Publish(deadline, streamtest.Record(patient, key, events.Fall, 1), []byte(key))
			if err == nil {
				return
			}
			if events.KindOf(err) != events.Unavailable || deadline.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(want string) {
		t.Helper()
		if got := <-read; got != want {
			t.Fatalf("read %s, want %s", got, want)
		}
	}
	for i := range 10 {
		publish(fmt.Sprint("before ", i))
		expect(fmt.Sprint("before ", i))
	}
	stopServer(first)
	_, _, err := s.Publish(t.Context(), streamtest.Record(patient, "away", events.Fall, 1), []byte("away"))
	if events.KindOf(err) != events.Unavailable {
		t.Errorf("without a server: %v", err)
	}
	startServer(t, dir, serverPort(first))
	for i := range 10 {
		publish(fmt.Sprint("after ", i))
		expect(fmt.Sprint("after ", i))
	}
}

// TestExternalRefused: a stream that somebody made to forget is not used.
func TestExternalRefused(t *testing.T) {
	address := serverURL(startServer(t, t.TempDir(), server.RANDOM_PORT))
	s := open(t, stream.Options{URL: address, Partitions: 2})
	if s.Partitions() != 2 {
		t.Errorf("%d partitions", s.Partitions())
	}
	js := client(t, address)
	refused := func(o stream.Options, words string) {
		t.Helper()
		o.URL = address
		other, err := stream.Open(t.Context(), o)
		if err == nil {
			_ = other.Close(t.Context())
			t.Fatalf("opened, want an error about %q", words)
		}
		wantWords(t, err, words)
	}
	refused(stream.Options{Partitions: 3}, "created with 2 partitions")
	refused(stream.Options{Replicas: 3}, "num_replicas is 1, not 3")
	have, err := js.Stream(t.Context(), "EVENTS-1")
	if err != nil {
		t.Fatal(err)
	}
	forgetful := have.CachedInfo().Config
	forgetful.MaxAge = time.Hour
	if _, err := js.UpdateStream(t.Context(), forgetful); err != nil {
		t.Fatal(err)
	}
	refused(stream.Options{}, "stream EVENTS-1 is not set up as carehub needs it: max_age is 1h0m0s, not 0s")
	if err := js.DeleteStream(t.Context(), "EVENTS-1"); err != nil {
		t.Fatal(err)
	}
	refused(stream.Options{}, "stream EVENTS-1 is missing")
}

// client is JetStream as anybody else sees it.
func client(t *testing.T, address string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// TestErasedAndForeign: an event that was erased is not there, and what others wrote among the events is not one.
func TestErasedAndForeign(t *testing.T) {
	address := serverURL(startServer(t, t.TempDir(), server.RANDOM_PORT))
	s, js := open(t, stream.Options{URL: address}), client(t, address)
	patient := streamtest.Patients(0, 1)[0]
	var stored []events.Stored
	for _, key := range []string{"first", "erased", "last"} {
		if key == "last" {
			if _, err := js.Publish(t.Context(), "care.0."+patient+".x.fall", []byte("foreign")); err != nil {
				t.Fatal(err)
			}
		}
		e, _, err := s.Publish(t.Context(), streamtest.Record(patient, key, events.Fall, 1), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, e)
	}
	erased := stored[1]
	raw, err := js.Stream(t.Context(), "EVENTS-0")
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.SecureDeleteMsg(t.Context(), erased.Seq); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(t.Context(), erased.Record.Event.ID); events.KindOf(err) != events.NotFound {
		t.Errorf("an erased event: %v", err)
	}
	for _, seq := range []uint64{erased.Seq, erased.Seq + 1} {
		if _, ok, err := s.At(t.Context(), 0, seq); ok || err != nil {
			t.Errorf("at %d there is %v %v", seq, ok, err)
		}
	}
	var read []uint64
	enough := errors.New("enough")
	err = s.Read(t.Context(), 0, 0, func(e events.Stored) error {
		if read = append(read, e.Seq); e.Seq == stored[2].Seq {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || !slices.Equal(read, []uint64{stored[0].Seq, stored[2].Seq}) {
		t.Errorf("read %v, %v", read, err)
	}
}

// TestScanUnreadable: an event whose record this program cannot read is told of by place and patient, so that nobody takes what
// is known of that patient for all; what others wrote is none.
func TestScanUnreadable(t *testing.T) {
	address := serverURL(startServer(t, t.TempDir(), server.RANDOM_PORT))
	s, js := open(t, stream.Options{URL: address}), client(t, address)
	for _, record := range []string{"", "{", `{"v":99,"event":{"patient":"p-else"}}`} {
		msg := nats.NewMsg("care.0.p-7f3k.x.fall")
		if record != "" {
			msg.Header.Set("Carehub-Record", record)
		}
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	var got []events.Stored
	err := s.Scan(t.Context(), 0, func(st events.Stored) error {
		got = append(got, st)
		return nil
	})
	of := events.Record{Event: events.Event{Patient: "p-7f3k"}}
	if want := []events.Stored{{Seq: 2, Record: of}, {Seq: 3, Record: of}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}
