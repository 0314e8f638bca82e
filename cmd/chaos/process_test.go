package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wait is a run with one process, which writes to our standard output, until it is stopped.
func wait() error {
	ctx, stop := untilStopped()
	defer stop()
	p := &process{name: "a child", args: []string{"sh", "-c", "echo up; exec sleep 300"}, log: "/dev/fd/1", ready: func(context.Context) bool { return true }}
	if err := p.start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	p.kill()
	_, err := os.Stdout.WriteString("stopped in order\n")
	return err
}

// TestNothingRunsOn: whatever ends a run ends its processes. Their output, a pipe, ends when nobody has it open any more.
func TestNothingRunsOn(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for by, want := range map[syscall.Signal]string{syscall.SIGKILL: "", syscall.SIGTERM: "stopped in order\n", syscall.SIGINT: "stopped in order\n"} {
		t.Run(by.String(), func(t *testing.T) {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			run := exec.Command(self, "wait") // #nosec G204 -- this test
			run.Stdout, run.Stderr = write, os.Stderr
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			_ = write.Close() // run has its own
			defer func() { _ = run.Process.Kill() }()
			_ = read.SetReadDeadline(time.Now().Add(20 * time.Second))
			out := bufio.NewReader(read)
			if up, err := out.ReadString('\n'); err != nil || strings.TrimSpace(up) != "up" {
				t.Fatalf("%q, %v", up, err)
			}
			_ = run.Process.Signal(by)
			if rest, err := io.ReadAll(out); err != nil || string(rest) != want {
				t.Errorf("then it writes %q, %v; want %q, and that nobody is left", rest, err, want)
			}
			if err := run.Wait(); (err == nil) != (by != syscall.SIGKILL) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
