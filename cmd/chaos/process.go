package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is a program that is started, killed, paused and started again. Its output goes to a file.
type process struct {
	name    string
	args    []string
	log     string
	ready   func(ctx context.Context) bool
	running *exec.Cmd
}

// start starts the program and returns when it is ready, within a minute.
func (p *process) start(ctx context.Context) error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()                                  // the process has its own
	p.running = exec.Command(p.args[0], p.args[1:]...) // #nosec G204 -- programs that this one has built
	p.running.Stdout, p.running.Stderr = out, out
	// It dies with us, even if we are killed or panic. Linux goes by the thread that has started it; Go ends a thread only
	// when a goroutine ends that is locked to it (runtime.LockOSThread), and none is here.
	p.running.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.running.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !p.ready(ctx) {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("%s did not become ready; see %s", p.name, p.log)
		}
	}
	return nil
}

func (p *process) signal(s syscall.Signal) {
	if p.running != nil {
		_ = p.running.Process.Signal(s) // it may have ended by itself; then start says so
	}
}

// kill ends the process as a crash would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	_ = p.wait() // that it was killed
}

// stop ends the process in order.
func (p *process) stop() error {
	p.signal(syscall.SIGTERM)
	if err := p.wait(); err != nil {
		return fmt.Errorf("%s ended with %w; see %s", p.name, err, p.log)
	}
	return nil
}

func (p *process) wait() error {
	if p.running == nil {
		return nil
	}
	err := p.running.Wait()
	p.running = nil
	return err
}

// pause is time.Sleep that ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// answers reports whether a URL answers 200.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// given are the ports that freeAddress has given out: who was given one may listen on it later, or again after a kill.
var given sync.Map

// freeAddress is an address on loopback that nobody listens on and that nobody else is given, below the ports that Linux gives to
// outgoing connections (ip_local_port_range, 32768 and up): nats-server, given one that a connection has, waits for it in vain.
func freeAddress() (address string, err error) {
	for range 100 {
		address = fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000)) // #nosec G404 -- no secret
		if _, taken := given.LoadOrStore(address, true); taken {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("no port is free: %w", err)
}

// build compiles a program of this module or of one that it depends on.
func build(ctx context.Context, dir, pkg string) (string, error) {
	program := filepath.Join(dir, filepath.Base(pkg))
	if pkg == natsServer {
		program = filepath.Join(dir, "nats-server")
	}
	compiler := exec.CommandContext(ctx, "go", "build", "-o", program, pkg) // #nosec G204 -- our own programs
	if out, err := compiler.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %s", pkg, out), err)
	}
	return program, nil
}
