package main

import (
	"bytes"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPlainLog: what net/http says is passed on, what others sent or where they are is not.
func TestPlainLog(t *testing.T) {
	for line, want := range map[string]string{
		`Unsolicited response received on idle HTTP channel starting with "HTTP/1.1 200 OK\r\n\r\nQuillfeather"; err=<nil>`: `"said":"Unsolicited response received on idle HTTP channel starting with"`,
		"http: TLS handshake error from 192.0.2.17:5512: EOF":                                                               `"said":"http: TLS handshake error"`,
		"http: Accept error: accept tcp 127.0.0.1:8080: accept4: too many open files; retrying in 5ms":                      "too many open files",
	} {
		var out bytes.Buffer
		plainLog{slog.New(slog.NewJSONHandler(&out, nil))}.logger().Print(line)
		contains(t, out.String(), want)
		lacks(t, out.String(), "Quillfeather", "192.0.2.17", "5512")
	}
}

// TestUnsolicitedBytes: what a receiver sends unasked, on a connection that idles, is noticed and not repeated.
func TestUnsolicitedBytes(t *testing.T) {
	journal := &journal{}
	writer, flags := log.Writer(), log.Flags()
	t.Cleanup(func() { log.SetOutput(writer); log.SetFlags(flags) })
	plainLog{slog.New(slog.NewJSONHandler(journal, nil))}.takeOver()
	answered := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
		<-answered
		_, _ = conn.Write([]byte("Quillfeather"))
		waitUntil(t, "it is logged", func() bool { return strings.Contains(journal.String(), "Unsolicited response") })
	}))
	defer s.Close()
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	close(answered)
	waitUntil(t, "it is logged", func() bool { return strings.Contains(journal.String(), "Unsolicited response") })
	lacks(t, journal.String(), "Quillfeather")
}

// TestPanicIsLogged: a request that panics is logged with the place, without the value or who asked.
func TestPanicIsLogged(t *testing.T) {
	journal := &journal{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("Quillfeather") }))
	s.Config.ErrorLog = plainLog{slog.New(slog.NewJSONHandler(journal, nil))}.logger()
	s.Start()
	defer s.Close()
	if _, err := s.Client().Get(s.URL); err == nil {
		t.Error("the request that panicked was answered")
	}
	waitUntil(t, "the panic is logged", func() bool { return strings.Contains(journal.String(), "logging_test.go:") })
	lacks(t, journal.String(), "Quillfeather", "127.0.0.1")
}

func TestLogFlags(t *testing.T) {
	var out bytes.Buffer
	f := loggingFlags{level: "warn", format: "text"}
	l, err := f.logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	l.Info("one")
	l.Warn("two")
	lacks(t, out.String(), "one", "{")
	contains(t, out.String(), "msg=two")
	for _, wrong := range []loggingFlags{{"loud", "json"}, {"info", "xml"}} {
		if _, err := wrong.logger(&out); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

func lacks(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(text, w) {
			t.Errorf("%q stands in %s", w, text)
		}
	}
}
