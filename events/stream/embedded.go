package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"carehub/events"
)

// embedded is a nats-server in this process, reached without any socket. It holds the lock of its directory, and it
// starts the server again when the disk has refused a write: after that JetStream answers nothing until it is restarted.
type embedded struct {
	dir     string
	options server.Options
	lock    *os.File
	log     serverLog

	mu     sync.Mutex
	server *server.Server

	stop chan struct{}
	done chan struct{}
}

func embed(o Options, log *slog.Logger) (*embedded, error) {
	dir, maxBytes := o.Dir, o.MaxBytes
	if dir == "" {
		return nil, errors.New("the store needs a directory or the URL of a NATS server")
	}
	lock, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	if err := checkKeyOf(dir, o.Key); err != nil {
		unlock(lock)
		return nil, err
	}
	e := &embedded{dir: dir, lock: lock, stop: make(chan struct{}), done: make(chan struct{})}
	e.log = serverLog{Logger: log, trouble: make(chan struct{}, 1)}
	if maxBytes == 0 {
		maxBytes = diskSize(dir)
	}
	e.options = server.Options{
		ServerName: "carehub", DontListen: true, NoSigs: true, NoSystemAccount: true,
		JetStream: true, StoreDir: dir, SyncAlways: true,
		JetStreamMaxStore: maxBytes, JetStreamMaxMemory: 64 << 20, MaxPayload: maxPayload,
		DisableJetStreamBanner: true, JetStreamKey: o.Key,
	}
	if o.Key != "" {
		e.options.JetStreamCipher = server.ChaCha
	}
	if err := e.start(); err != nil {
		unlock(lock)
		return nil, err
	}
	go e.supervise()
	if err := e.sick(); err != nil {
		e.close()
		return nil, away(err)
	}
	return e, nil
}

// diskSize is the limit of a store without one: the whole disk. What keeps it from filling up is room.
func diskSize(dir string) int64 {
	_, size, err := disk(dir)
	if err != nil || size > math.MaxInt64/2 {
		return math.MaxInt64 / 2
	}
	return int64(size)
}

func (e *embedded) start() error {
	options := e.options // the server writes into what it is given
	s, err := server.NewServer(&options)
	if err != nil {
		return err
	}
	s.SetLoggerV2(e.log, false, false, false)
	s.Start()
	if !s.JetStreamEnabled() || !s.ReadyForConnections(patience) {
		s.Shutdown()
		s.WaitForShutdown()
		return away(fmt.Errorf("the embedded store in %s did not start; see the log", e.dir))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = s
	return nil
}

// InProcessConn connects to the server of the moment; it is what nats.InProcessServer asks for.
func (e *embedded) InProcessConn() (net.Conn, error) { return e.current().InProcessConn() }

func (e *embedded) current() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server
}

// supervise looks after the server whenever it has logged an error.
func (e *embedded) supervise() {
	defer close(e.done)
	for {
		select {
		case <-e.stop:
			return
		case <-e.log.trouble:
			e.recover()
		}
	}
}

// recover restarts a server that cannot write any more, with growing pauses, until it can.
func (e *embedded) recover() {
	for pause := time.Second; e.sick() != nil; pause = min(2*pause, time.Minute) {
		if room(e.dir, eventReserve) == nil {
			e.log.Warn("the store could not write to its disk; starting it again")
			e.shutdown()
			if err := e.start(); err != nil {
				e.log.Error("the store did not start", "err", err)
			}
		}
		select {
		case <-e.stop:
			return
		case <-time.After(pause):
		}
	}
}

// sick tells why the server cannot keep some stream: it was not recovered, or a write to it failed.
func (e *embedded) sick() error {
	h := e.current().Healthz(nil)
	if h.StatusCode == http.StatusServiceUnavailable {
		return errors.New(h.Error)
	}
	return nil
}

func (e *embedded) shutdown() {
	s := e.current()
	s.Shutdown()
	s.WaitForShutdown()
}

func (e *embedded) close() {
	close(e.stop)
	<-e.done
	e.shutdown()
	unlock(e.lock)
}

// full tells a write that there is no room for it.
func (e *embedded) full(reserve uint64) error {
	if e == nil {
		return nil
	}
	if err := room(e.dir, reserve); err != nil {
		return &events.Error{Kind: events.Unavailable, Message: "The disk of the store is full. Nothing was saved.", Untried: true, Err: err}
	}
	return nil
}

// serverLog passes the server's warnings and errors on, and lets the supervisor know of an error. What the server logs
// may hold subjects, that is pseudonyms, never content.
type serverLog struct {
	*slog.Logger
	trouble chan struct{}
}

func (serverLog) Noticef(string, ...any) {}
func (serverLog) Debugf(string, ...any)  {}
func (serverLog) Tracef(string, ...any)  {}

func (l serverLog) Warnf(format string, v ...any) {
	l.Warn("nats-server: " + fmt.Sprintf(format, v...))
}

func (l serverLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

func (l serverLog) Errorf(format string, v ...any) {
	l.Error("nats-server: " + fmt.Sprintf(format, v...))
	select {
	case l.trouble <- struct{}{}:
	default:
	}
}
