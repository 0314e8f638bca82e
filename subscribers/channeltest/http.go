package channeltest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
)

// HTTP is the harness of channels that send one POST per delivery over HTTPS.
type HTTP struct {
	// Open opens the channel's endpoint at a base URL such as https://127.0.0.1:4711, trusting roots. private is what
	// else must not leak; close ends its idle connections.
	Open func(t *testing.T, url string, roots *x509.CertPool) (e subscribers.Endpoint, private []string, close func())
	// ID reads the delivery id from a request.
	ID func(r *http.Request) string
	// Verify is Server.Verify.
	Verify func(d events.Delivery, got Taken) error
	// HTTP2 serves HTTP/2 alone, where the behaviour allows it, else HTTP/1.1 alone.
	HTTP2 bool
}

// Supports reports true: HTTP can do it all.
func (h HTTP) Supports(Behaviour) bool { return true }

// pause is what a busy HTTP server asks for.
const pause = 2 * time.Minute

// Serve starts an HTTPS server with behaviour b.
func (h HTTP) Serve(t *testing.T, b Behaviour) Server {
	t.Helper()
	log := NewLog()
	ln := Listen(t, log)
	address := ln.Addr().String()
	cert, roots := Certificate(t)
	var stop func()
	switch b {
	case HangAtConnect, DropAtConnect, RefuseConnection:
		stop = Raw(ln, b)
	case WrongCertificate:
		stop = h.serve(ln, b, Stranger(t), log)
	default:
		stop = h.serve(ln, b, cert, log)
	}
	endpoint, private, closeIdle := h.Open(t, "https://"+address, roots)
	return Server{
		Endpoint:   endpoint,
		Log:        log,
		Private:    append(private, address),
		RetryAfter: pause,
		Verify:     h.Verify,
		Close:      sync.OnceFunc(func() { closeIdle(); stop() }),
	}
}

func (h HTTP) serve(ln net.Listener, b Behaviour, cert tls.Certificate, log *Log) (stop func()) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { log.Stray() }))
	over := make(chan struct{})
	a := &answerer{HTTP: h, behaviour: b, log: log, elsewhere: elsewhere.URL, over: over}
	server := &http.Server{
		Handler:           a,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		Protocols:         new(http.Protocols),
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		ReadHeaderTimeout: patience,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connection{}, c)
		},
	}
	http2 := h.HTTP2 && b != SlowDrip && b != DropMidAnswer // these write raw bytes
	server.Protocols.SetHTTP1(!http2)
	server.Protocols.SetHTTP2(http2)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(ln, "", "") })
	return func() {
		close(over)
		_ = server.Close()
		serving.Wait()
		a.handlers.Wait()
		elsewhere.Close()
	}
}

// connection is the context key of a request's net.Conn, which a handler needs to break it.
type connection struct{}

// answerer is the handler of one test server.
type answerer struct {
	HTTP
	behaviour Behaviour
	log       *Log
	elsewhere string
	over      chan struct{}
	handlers  sync.WaitGroup
}

func (a *answerer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.handlers.Add(1)
	defer a.handlers.Done()
	if a.behaviour == DropMidDialogue {
		drop(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	a.log.Take(Taken{ID: a.ID(r), Body: body, Headers: r.Header.Clone()})
	switch a.behaviour {
	case HangBeforeAnswer:
		<-a.over
	case DropBeforeAnswer:
		drop(r)
	case SlowDrip, DropMidAnswer:
		a.halfAnswer(w)
	case HugeReply:
		Flood(w, Gossip, a.log)
	default:
		a.answer(w, r)
	}
}

// answer gives a whole answer.
func (a *answerer) answer(w http.ResponseWriter, r *http.Request) {
	switch a.behaviour {
	case Accept:
		w.WriteHeader(http.StatusOK)
	case CloseAfterEach:
		closeAfter(w, r)
	case Redirect:
		http.Redirect(w, r, a.elsewhere, http.StatusTemporaryRedirect)
	case Busy:
		w.Header().Set("Retry-After", strconv.Itoa(int(pause.Seconds())))
		refuse(w, http.StatusTooManyRequests)
	case AuthRefused:
		refuse(w, http.StatusUnauthorized)
	case PermanentError:
		refuse(w, http.StatusGone)
	default:
		refuse(w, http.StatusInternalServerError)
	}
}

func refuse(w http.ResponseWriter, status int) { http.Error(w, Gossip, status) }

// closeAfter answers in full and closes: without a word in HTTP/1.1, with the GOAWAY that HTTP/2 has for it.
func closeAfter(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		w.Header().Set("Connection", "close")
		return
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	drop(r)
}

// drop closes the connection under the request, as a crash or a firewall would, and ends the handler. It does not return:
// a server that went on could read another request that has already come in.
func drop(r *http.Request) {
	if conn, ok := r.Context().Value(connection{}).(*tls.Conn); ok {
		_ = conn.NetConn().Close()
	}
	panic(http.ErrAbortHandler)
}

// halfAnswer takes the connection over and writes an answer that never becomes whole.
func (a *answerer) halfAnswer(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(fmt.Sprint("channeltest: ", err))
	}
	defer func() { _ = conn.Close() }()
	const start = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Filler: "
	if a.behaviour == SlowDrip {
		Drip(conn, start, a.over)
		return
	}
	_, _ = io.WriteString(conn, start)
}

// ServeHTTP takes any request, notes it and answers 204: the simplest receiver.
func (l *Log) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	l.Take(Taken{ID: r.Header.Get("webhook-id"), Body: body, Headers: r.Header.Clone()})
	w.WriteHeader(http.StatusNoContent)
}
