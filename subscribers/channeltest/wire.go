package channeltest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Listen opens a loopback port whose connections are counted in log.
func Listen(t *testing.T, log *Log) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return log.Listener(ln)
}

// Raw serves the behaviours that need no protocol: HangAtConnect, DropAtConnect and RefuseConnection. It owns ln; stop ends
// it and waits.
func Raw(ln net.Listener, b Behaviour) (stop func()) {
	if b == RefuseConnection {
		_ = ln.Close()
		return func() {}
	}
	var done sync.WaitGroup
	var held []net.Conn // read after done.Wait only
	done.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if b == DropAtConnect {
				_ = conn.Close()
				continue
			}
			held = append(held, conn)
		}
	})
	return func() {
		_ = ln.Close()
		done.Wait()
		for _, conn := range held {
			_ = conn.Close()
		}
	}
}

// Drip writes start, then filler a byte at a time, until the client hangs up or stop is closed: never a whole line, never
// silence.
func Drip(w io.Writer, start string, stop <-chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		next := byte('a')
		if n < len(start) {
			next = start[n]
		}
		if _, err := w.Write([]byte{next}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// Flood writes line over and over until the client hangs up, or four times MaxReply is through, and notes in log how much
// went.
func Flood(w io.Writer, line string, log *Log) {
	block := bytes.Repeat([]byte(line), 1+(32<<10)/len(line))
	for sent := 0; sent < 4*MaxReply; {
		n, err := w.Write(block)
		log.Wrote(n)
		if err != nil {
			return
		}
		sent += n
	}
}
