package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one that we have started.
type process struct {
	*exec.Cmd
}

// newProcess is asked to end when ctx does, and killed if it will not.
func newProcess(ctx context.Context, program string, args ...string) process {
	cmd := exec.CommandContext(ctx, program, args...) // #nosec G204 -- our own programs
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who end them in order
	return process{cmd}
}

// tick is the unit of time in /proc on Linux, whatever the kernel's own (proc_pid_stat(5), USER_HZ).
const tick = 10 * time.Millisecond

// cpu is how much processor time it has used so far, its own and the kernel's.
func (p process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // after the name; the third field is first
	if len(fields) < 13 {
		return 0, errors.New("/proc is not as expected")
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// memory is how much of it is in memory now, in bytes.
func (p process) memory() (int64, error) {
	status, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("/proc is not as expected")
}

func (p process) proc(file string) string { return fmt.Sprintf("/proc/%d/%s", p.Process.Pid, file) }

// roles are what this program does when it is its own child. A person may fill a store, too.
var roles = map[string]func(ctx context.Context, args []string) error{"receive": receive, "raw": raw, "log": logEvents, "fill": fill}

// child is this program in one of its roles. It reads requests as JSON on its standard input, answers each on its standard
// output, and ends with its standard input.
type child struct {
	process
	role string
	feed io.Closer
	in   *json.Encoder
	out  *json.Decoder
}

func startChild(ctx context.Context, role string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{process: newProcess(ctx, self, role), role: role}
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.feed, c.in, c.out = in, json.NewEncoder(in), json.NewDecoder(out)
	return c, c.Start()
}

// reply is a child's answer.
type reply struct {
	Error string          `json:",omitempty"`
	Value json.RawMessage `json:",omitempty"`
}

// ask has the child do something, and waits for its answer.
func (c *child) ask(request, answer any) error {
	var r reply
	if err := c.in.Encode(request); err != nil {
		return fmt.Errorf("bench %s: %w", c.role, err)
	}
	if err := c.out.Decode(&r); err != nil {
		return fmt.Errorf("bench %s: %w", c.role, err)
	}
	if r.Error != "" {
		return fmt.Errorf("bench %s: %s", c.role, r.Error)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(r.Value, answer)
}

func (c *child) end() {
	if c == nil {
		return
	}
	_ = c.feed.Close()
	_ = c.Wait()
}

// answer is the child's side: it answers requests until there are no more.
func answer[Request any](do func(Request) (any, error)) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q Request
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var r reply
		value, err := do(q)
		if err == nil {
			r.Value, err = json.Marshal(value)
		}
		if err != nil {
			r.Error = err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}
