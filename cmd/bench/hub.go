package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// bench is a prepared run: the program built, its receivers running, one delivered message as the sample for raw.
type bench struct {
	settings
	dir       string
	carehub   string // the program
	receivers string // URL
	feed      io.Closer
	process   *exec.Cmd
	sample    []byte
	runs      int
}

func prepare(ctx context.Context, s settings, dir string) (*bench, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	b := &bench{settings: s, dir: dir, carehub: filepath.Join(dir, "carehub")}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.carehub, "./cmd/carehub") // #nosec G204 -- our own program
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build carehub: %w\n%s", err, out)
	}
	if err := b.startReceivers(); err != nil {
		return nil, err
	}
	// One short run of the hub gives the bytes that raw posts.
	short := *b
	short.time, short.loggers = time.Second, 1
	if _, err := short.hub(ctx); err != nil {
		b.close()
		return nil, fmt.Errorf("first run: %w", err)
	}
	b.sample, b.runs = short.sample, short.runs
	return b, nil
}

func (b *bench) startReceivers() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b.process = exec.Command(self, "receive") // #nosec G204 -- this program
	b.process.Stderr = os.Stderr
	if b.feed, err = b.process.StdinPipe(); err != nil {
		return err
	}
	out, err := b.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.process.Start(); err != nil {
		return err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	b.receivers = "http://" + strings.TrimSpace(address)
	return err
}

func (b *bench) close() {
	_ = b.feed.Close()
	_ = b.process.Wait()
}

func (b *bench) client() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: b.loggers, MaxIdleConns: 0}}
}

// awaitAll waits until each receiver has n messages, then has them forgotten.
func (b *bench) awaitAll(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		body, err := b.ask(ctx, "/count")
		if err != nil {
			return err
		}
		var counts [4]int
		if err := json.Unmarshal(body, &counts); err != nil {
			return err
		}
		if counts == [4]int{n, n, n, n} {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("of %d events the receivers have %v", n, counts)
		case <-time.After(2 * time.Millisecond):
		}
	}
	if b.sample == nil {
		var err error
		if b.sample, err = b.ask(ctx, "/last"); err != nil {
			return err
		}
	}
	_, err := b.ask(ctx, "/reset")
	return err
}

func (b *bench) ask(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.receivers+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// hub measures carehub on an empty store: the loggers post events, and the clock stops when the last has reached all four.
func (b *bench) hub(ctx context.Context) (result, error) {
	b.runs++
	dir := filepath.Join(b.dir, "hub"+strconv.Itoa(b.runs))
	address, err := b.configure(dir)
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	token, err := exec.CommandContext(ctx, b.carehub, "token", "create", "ruth", "--dir", dir).Output() // #nosec G204 -- our own program
	if err != nil {
		return result{}, fmt.Errorf("make a token: %w", err)
	}
	hub, err := b.serve(ctx, dir, address)
	if err != nil {
		return result{}, err
	}
	r, err := b.load(ctx, "http://"+address, strings.TrimSpace(string(token)))
	_ = hub.Process.Signal(syscall.SIGTERM)
	if werr := hub.Wait(); err == nil {
		err = werr
	}
	r.cpu = (hub.ProcessState.UserTime() + hub.ProcessState.SystemTime()) / time.Duration(max(r.events, 1))
	return r, err
}

func (b *bench) load(ctx context.Context, hub, token string) (result, error) {
	client := b.client()
	defer client.CloseIdleConnections()
	var n atomic.Int64
	times := make([][]time.Duration, b.loggers)
	start := time.Now()
	err := b.each(ctx, func(ctx context.Context, logger int) error {
		id, began := n.Add(1), time.Now()
		err := logEvent(ctx, client, hub, token, int(id), b.patients)
		times[logger] = append(times[logger], time.Since(began))
		return err
	})
	if err == nil {
		err = b.awaitAll(ctx, int(n.Load()))
	}
	return result{events: int(n.Load()), rate: float64(n.Load()) / time.Since(start).Seconds(), p50: median(times)}, err
}

func logEvent(ctx context.Context, client *http.Client, hub, token string, n, patients int) error {
	body := fmt.Sprintf(`{"patient":"p-%04d","kind":"admission","place":"Riverside Hospital","words":"He fell at home and was taken in."}`, n%patients)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hub+"/events", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Idempotency-Key", "bench-"+strconv.Itoa(n))
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("hub answered %d: %s", resp.StatusCode, answer)
	}
	return nil
}

// serve starts the hub, its log going to a file, and returns once it is ready.
func (b *bench) serve(ctx context.Context, dir, address string) (*exec.Cmd, error) {
	log, err := os.Create(filepath.Join(b.dir, "hub.log")) // #nosec G304 -- the bench's own folder
	if err != nil {
		return nil, err
	}
	hub := exec.Command(b.carehub, "serve", dir) // #nosec G204 -- our own program
	hub.Stdout, hub.Stderr = log, log
	if err := hub.Start(); err != nil {
		return nil, err
	}
	_ = log.Close() // the hub has its own
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + address + "/readyz") // #nosec G107 -- loopback
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return hub, nil
		}
	}
	_ = hub.Process.Kill()
	_ = hub.Wait()
	return nil, fmt.Errorf("the hub did not become ready; see %s", log.Name())
}

// configure writes a hub with four webhook receivers and as many patients as are logged for.
func (b *bench) configure(dir string) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address = l.Addr().String()
	_ = l.Close()
	files := map[string]string{
		"hub.yaml": "name: Bench\ncontact: {phone: \"+44 7700 900123\", email: help@hub.example}\nalarms: {notify: [r0]}\n" +
			"url: http://" + address + "\nlisten: " + address + "\nstore: ./data\negress: {allow: [127.0.0.0/8]}\n",
		"carers.yaml": "ruth: {name: Ruth Example, relationship: daughter, phone: \"+44 7700 900124\"}\n",
		"secrets/key": "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
	}
	for r := range 4 {
		files[fmt.Sprintf("subscribers/r%d.yaml", r)] = fmt.Sprintf("id: r%d\nname: Receiver %d\nphone: \"01234 567890\"\nchannels:\n"+
			"  - webhook: {url: \"%s/r%d\", secret: \"${file:secrets/key}\"}\n", r, r, b.receivers, r)
	}
	var patients strings.Builder
	for n := range b.patients {
		id := fmt.Sprintf("p-%04d", n)
		fmt.Fprintf(&patients, "%s: {name: Thomas Example, born: 1941-03-11}\n", id)
		files["routing/"+id+".yaml"] = "patient: " + id + "\nlogged_by: {ruth: {as: [patient " + words(n) + "], may: [log, see]}}\n" +
			"rules:\n  - {on: [admission, attendance, discharge, fall], notify: [r0, r1, r2, r3]}\n"
	}
	files["patients.yaml"] = patients.String()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return address, nil
}

// words spells a number in letters, for aliases have none.
func words(n int) string {
	var out []byte
	for _, d := range strconv.Itoa(n) {
		out = append(out, 'a'+byte(d-'0')) // #nosec G115 -- a digit
	}
	return string(out)
}
