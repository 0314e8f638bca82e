package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// runStrace watches the system calls of a hub while events are logged, and proves that no 201 begins to be written before
// an fsync, begun after the event was written to its block file, has returned 0.
func runStrace(ctx context.Context, set settings) error {
	set.hubs, set.nats = 1, 0
	w, err := newWorld(ctx, set)
	if err != nil {
		return err
	}
	defer w.close()
	file := filepath.Join(w.dir, "strace.txt")
	stop, err := traceCalls(ctx, w.hubs[0], file)
	if err != nil {
		return err
	}
	l, err := startLoggers(ctx, w, set.n)
	if err == nil {
		err = l.await()
	}
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	f, err := os.Open(file) // #nosec G304 -- the run's own
	if err != nil {
		return err
	}
	defer f.Close()
	t := &trace{written: map[string]written{}, synced: map[string][]call{}, begun: map[string]call{}}
	if err := t.read(f); err != nil {
		return err
	}
	if t.answers != set.n {
		return fmt.Errorf("of %d events acknowledged strace saw %d", set.n, t.answers)
	}
	fmt.Printf("each of %d answers 201 was written after the fsync of its event\n\n%s\n", t.answers, t.example)
	return nil
}

// traceCalls attaches strace to the hub until stop.
func traceCalls(ctx context.Context, h *hub, file string) (stop func() error, err error) {
	tracer := exec.Command("strace", "-f", "-y", "-ttt", "-s", "2048", "-e", "trace=pwrite64,write,writev,fsync,fdatasync", // #nosec G204 -- a pid
		"-o", file, "-p", strconv.Itoa(h.running.Process.Pid))
	said, err := tracer.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := tracer.Start(); err != nil {
		return nil, fmt.Errorf("strace (a Debian package): %w", err)
	}
	line, err := bufio.NewReader(said).ReadString('\n') // that it is attached
	if err != nil || !strings.Contains(line, "attached") {
		return nil, fmt.Errorf("strace: %w: %s", err, line)
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // ends with strace
	return func() error {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		_ = tracer.Process.Signal(syscall.SIGINT)
		_ = tracer.Wait() // by the signal
		return nil
	}, nil
}

// trace is what strace has written. Lines are in the order of what they tell.
type trace struct {
	written map[string]written // by event: the write to a block file
	synced  map[string][]call  // by file: fsyncs that have returned 0
	begun   map[string]call    // by thread: not ended yet
	answers int
	example string
}

// call is one system call, from the line where it begins to that where it ends.
type call struct {
	name, file, text string
	from, to         int
}

type written struct {
	call
	line string
}

var (
	begins  = regexp.MustCompile(`^(\d+) +[\d.]+ (\w+)\((?:\d+<([^>]*)>)?(.*)$`)
	resumes = regexp.MustCompile(`^(\d+) +[\d.]+ <\.\.\. (\w+) resumed>(.*)$`)
	eventID = regexp.MustCompile(`ev-[a-z0-9]+-[a-z2-7]{26}`)
	result  = regexp.MustCompile(`\) += (-?\d+)`)
)

func (t *trace) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	for n := 1; lines.Scan(); n++ {
		if err := t.line(n, lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (t *trace) line(n int, line string) error {
	if m := resumes.FindStringSubmatch(line); m != nil {
		c := t.begun[m[1]]
		c.to = n
		return t.ended(c, line)
	}
	m := begins.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	c := call{name: m[2], file: m[3], text: m[4], from: n, to: n}
	if strings.Contains(c.text, "HTTP/1.1 201 Created") {
		if err := t.answered(c); err != nil {
			return err
		}
	}
	if strings.HasSuffix(line, "<unfinished ...>") {
		t.begun[m[1]] = c
		return nil
	}
	return t.ended(c, line)
}

// ended takes note of a call that has come to its end.
func (t *trace) ended(c call, line string) error {
	ok := result.FindStringSubmatch(line)
	if ok == nil || !strings.HasSuffix(c.file, ".blk") {
		return nil
	}
	switch c.name {
	case "fsync", "fdatasync":
		if ok[1] != "0" {
			return fmt.Errorf("line %d: %s of %s failed", c.to, c.name, c.file)
		}
		t.synced[c.file] = append(t.synced[c.file], c)
	default:
		if id := eventID.FindString(c.text); id != "" && strings.Contains(c.file, "EVENTS-") {
			t.written[id] = written{c, line}
		}
	}
	return nil
}

// answered judges an answer that begins to be written now.
func (t *trace) answered(c call) error {
	id := eventID.FindString(c.text)
	w, ok := t.written[id]
	if !ok {
		return fmt.Errorf("line %d: %q was acknowledged before it was written", c.from, id)
	}
	for _, s := range t.synced[w.file] {
		if s.from > w.to && s.to < c.from {
			t.answers++
			t.example = fmt.Sprintf("line %-6d %s(…/%s, … %s …)\nline %-6d %s(…/%s) = 0, begun in line %d\nline %-6d %s(socket, HTTP/1.1 201 Created … %s …)",
				w.to, w.name, tail(w.file), id, s.to, s.name, tail(s.file), s.from, c.from, c.name, id)
			return nil
		}
	}
	return fmt.Errorf("line %d: %s was acknowledged before it was synced", c.from, id)
}

// tail is the last three parts of a path: stream, folder and file.
func tail(path string) string {
	parts := strings.Split(path, "/")
	return strings.Join(parts[max(0, len(parts)-3):], "/")
}
