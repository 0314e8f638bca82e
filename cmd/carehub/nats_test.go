package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsServer is a NATS server of the admin's own, on a port of its own.
type natsServer struct {
	t       *testing.T
	options server.Options
	running *server.Server
}

func newNATS(t *testing.T) *natsServer {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	n := &natsServer{t: t, options: server.Options{Host: "127.0.0.1", Port: number, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: filepath.Join(t.TempDir(), "nats"), SyncAlways: true, MaxPayload: 2 << 20}}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *natsServer) start() {
	n.t.Helper()
	options := n.options // the server writes into what it is given
	s, err := server.NewServer(&options)
	if err != nil {
		n.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		n.t.Fatal("the NATS server did not start")
	}
	n.running = s
}

func (n *natsServer) stop() {
	if n.running != nil {
		n.running.Shutdown()
		n.running.WaitForShutdown()
		n.running = nil
	}
}

func (n *natsServer) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.options.Port) }

// newTownOn is a town whose hub keeps its store on a NATS server.
func newTownOn(t *testing.T) (*town, *natsServer) {
	t.Helper()
	w := newTown(t)
	n := newNATS(t)
	w.edit("hub.yaml", "store: data", "nats: {url: \""+n.url()+"\"}")
	t.Cleanup(func() { // before the server
		if w.stop != nil {
			w.stop()
		}
	})
	return w, n
}

func TestDadAdmittedOnNATS(t *testing.T) {
	t.Parallel()
	w, _ := newTownOn(t)
	w.start()
	w.dadAdmitted()
}

// TestTokensOnNATS: a token that the CLI makes or revokes beside the running hub counts there.
func TestTokensOnNATS(t *testing.T) {
	t.Parallel()
	w, _ := newTownOn(t)
	w.start()
	ruth := w.newToken("ruth")
	waitUntil(t, "the new token counts", func() bool { return w.known(ruth) })
	if out := w.carehub("token", "revoke", "ruth", "--dir", w.dir); out != "revoked 1\n" {
		t.Errorf("revoke printed %q", out)
	}
	waitUntil(t, "the revoked token counts no more", func() bool { return !w.known(ruth) })
}

// TestNATSRestarts: the NATS server goes away and comes back while a provider is down, and so does the hub. Nothing is
// lost, nothing overtakes, and while the store is away the carer is told that nothing was saved.
func TestNATSRestarts(t *testing.T) {
	t.Parallel()
	w, n := newTownOn(t)
	w.nurses.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
	w.start()
	ruth := w.token("ruth")
	told := []string{w.says(ruth, "dad admitted").ID}
	waitUntil(t, "the nurses have been tried", func() bool { return len(w.nurses.all()) > 0 })

	n.stop()
	status, answer := w.post(ruth, "away", `{"text": "dad came home"}`)
	if status != http.StatusServiceUnavailable {
		t.Errorf("without a store: status %d: %s", status, answer)
	}
	contains(t, answer, `"error":"unavailable"`, "saved", "phone")
	if status, _ := w.ask(http.MethodGet, "/readyz", "", ""); status != http.StatusServiceUnavailable {
		t.Errorf("without a store readyz says %d", status)
	}
	n.start()
	waitUntil(t, "the same request is taken", func() bool {
		status, answer = w.post(ruth, "away", `{"text": "dad came home"}`)
		return status == http.StatusCreated || status == http.StatusOK
	})
	told = append(told, w.read(answer).ID)
	waitUntil(t, "the others have both", func() bool { return len(w.surgery.all()) >= 2 })

	w.stop()
	w.start()
	told = append(told, w.says(ruth, "dad fell").ID)
	w.nurses.answers(nil)
	for _, id := range told {
		w.settled(ruth, id)
	}
	for name, s := range map[string]*system{"surgery": w.surgery, "nurses": w.nurses, "hospice": w.hospice} {
		if got := firsts(s.ids()); !slices.Equal(got, told) {
			t.Errorf("the %s got %v, want %v", name, got, told)
		}
	}
}

// TestStoreFull: a store at its limit takes no event and says so; what it took before reaches everybody, and with more room
// the hub goes on.
func TestStoreFull(t *testing.T) {
	t.Parallel()
	w, n := newTownOn(t)
	n.stop()
	n.options.JetStreamMaxStore = 256 << 10
	n.start()
	w.start()
	ruth := w.token("ruth")
	var taken []string
	body := `{"text": "dad fell", "words": "` + strings.Repeat("slowly ", 100) + `"}`
	status, answer := w.post(ruth, "0", body)
	for status == http.StatusCreated && len(taken) < 100 {
		taken = append(taken, w.read(answer).ID)
		status, answer = w.post(ruth, fmt.Sprint(len(taken)), body)
	}
	if status != http.StatusServiceUnavailable || len(taken) < 5 {
		t.Fatalf("after %d events: status %d: %s", len(taken), status, answer)
	}
	contains(t, answer, `"error":"unavailable"`, "Nothing was saved.", "phone")
	n.stop()
	n.options.JetStreamMaxStore = 0
	n.start()
	waitUntil(t, "the same request is taken", func() bool {
		status, answer = w.post(ruth, fmt.Sprint(len(taken)), body)
		return status == http.StatusCreated || status == http.StatusOK
	})
	taken = append(taken, w.read(answer).ID)
	w.settled(ruth, taken[len(taken)-1])
	if got := firsts(w.surgery.ids()); !slices.Equal(got, taken) {
		t.Errorf("the surgery got %v, want %v", got, taken)
	}
}

// firsts drops what came before.
func firsts(ids []string) (once []string) {
	for _, id := range ids {
		if !slices.Contains(once, id) {
			once = append(once, id)
		}
	}
	return once
}

// eavesdrop notes the subject of every message on the server until the test ends.
func (n *natsServer) eavesdrop() (subjects func() []string) {
	n.t.Helper()
	nc, err := nats.Connect(n.url())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nc.Close)
	var mu sync.Mutex
	heard := map[string]bool{}
	if _, err := nc.Subscribe(">", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		heard[m.Subject] = true
	}); err != nil {
		n.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		n.t.Fatal(err)
	}
	return func() []string {
		all := n.stored(nc)
		mu.Lock()
		defer mu.Unlock()
		for s := range heard {
			all = append(all, s)
		}
		return all
	}
}

// stored lists the subjects of every stream.
func (n *natsServer) stored(nc *nats.Conn) (all []string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		n.t.Fatal(err)
	}
	streams := js.ListStreams(ctx)
	for s := range streams.Info() {
		stream, err := js.Stream(ctx, s.Config.Name)
		if err != nil {
			n.t.Fatal(err)
		}
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
		if err != nil {
			n.t.Fatal(err)
		}
		for subject := range info.State.Subjects {
			all = append(all, subject)
		}
	}
	if err := streams.Err(); err != nil {
		n.t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, "care.") }) {
		n.t.Errorf("no event among the subjects %v", all)
	}
	return all
}
