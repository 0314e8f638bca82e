package channeltest

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
)

// send makes one attempt, gives up on a Send that goes on after its context has ended, and holds the error to silence.
func (s Server) send(ctx context.Context, t *testing.T, d events.Delivery) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- s.Endpoint.Send(ctx, d) }()
	var err error
	select {
	case err = <-result:
	case <-ctx.Done():
		select {
		case err = <-result:
		case <-time.After(grace):
			t.Fatal("Send goes on after its context has ended")
		}
	}
	for _, text := range texts(err) {
		s.noLeak(t, "error", text)
	}
	return err
}

func (s Server) mustSend(t *testing.T, d events.Delivery) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.send(ctx, t, d); err != nil {
		t.Fatalf("Send: %v: %v", err, texts(err))
	}
}

// noLeak fails if text holds anything planted in the delivery or private to the endpoint.
func (s Server) noLeak(t *testing.T, where, text string) {
	t.Helper()
	for _, private := range append(append([]string(nil), Planted...), s.Private...) {
		if private != "" && strings.Contains(strings.ToLower(text), strings.ToLower(private)) {
			t.Errorf("the %s tells %q: %s", where, private, text)
		}
	}
}

// texts returns every way of printing err and each error in its tree.
func texts(err error) []string {
	if err == nil {
		return nil
	}
	all := []string{fmt.Sprintf("%v", err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		all = append(all, texts(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, child := range e.Unwrap() {
			all = append(all, texts(child)...)
		}
	}
	return all
}

// captureLogs collects what is logged by anyone until the test ends.
func captureLogs(t *testing.T) *buffer {
	var b buffer
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	return &b
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
