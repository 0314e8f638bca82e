package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// town is whom a hub knows: receivers, and patients with how many of them are told.
type town struct {
	receivers int
	patients  map[string]int
	// subscribed has all receivers be endpoints of FHIR Subscriptions of one provider, who is told of every patient.
	subscribed bool
}

// hosts is how many addresses the receivers are at: of those of Subscriptions four share one, as those of one system.
func (t town) hosts() int {
	if t.subscribed {
		return max(hosts, t.receivers/4)
	}
	return hosts
}

// patients are n, all of whose events go to the first four receivers.
func (t town) with(n int) town {
	t.patients = map[string]int{}
	for i := range n {
		t.patients[patient(i)] = 4
	}
	return t
}

func patient(n int) string { return fmt.Sprintf("p-%06d", n) }

// hub is a running hub.
type hub struct {
	process
	dir, address, token string
	startup             time.Duration // until it was ready
}

// open makes a token and starts the hub.
func (h *hub) open(ctx context.Context, carehub string) error {
	token, err := exec.CommandContext(ctx, carehub, "token", "create", "ruth", "--dir", h.dir).Output() // #nosec G204 -- our own program
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	h.token = strings.TrimSpace(string(token))
	return h.serve(ctx, carehub)
}

// folder writes the configuration of a hub for t. Without addresses nobody is there.
func (b *bench) folder(t town, addresses ...string) (h *hub, err error) {
	for len(addresses) < hosts {
		addresses = append(addresses, "127.0.0.1:9")
	}
	h = &hub{}
	if h.dir, err = os.MkdirTemp(b.dir, "hub-"); err != nil {
		return nil, err
	}
	if h.address, err = freeAddress(); err == nil {
		err = h.configure(t, addresses)
	}
	if err != nil {
		h.end()
	}
	return h, err
}

// serve starts it, its log going to a file, and returns once it is ready.
func (h *hub) serve(ctx context.Context, carehub string) error {
	log, err := os.Create(filepath.Join(h.dir, "hub.log")) // #nosec G304 -- the bench's own folder
	if err != nil {
		return err
	}
	defer log.Close() // the hub has its own
	h.process = newProcess(ctx, carehub, "serve", h.dir)
	h.Stdout, h.Stderr = log, log
	began := time.Now()
	if err := h.Start(); err != nil {
		return err
	}
	for time.Since(began) < 5*time.Minute && ctx.Err() == nil && h.runs() {
		resp, err := http.Get("http://" + h.address + "/readyz") // #nosec G107 -- loopback
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				h.startup = time.Since(began)
				return nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	h.kill()
	said, _ := os.ReadFile(log.Name())
	return fmt.Errorf("the hub did not become ready: %s", said[max(0, len(said)-1000):])
}

// runs reports whether it has not ended by itself.
func (h *hub) runs() bool {
	stat, err := os.ReadFile(h.proc("stat"))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// stop ends it in order.
func (h *hub) stop() error {
	_ = h.Process.Signal(syscall.SIGTERM)
	return h.Wait()
}

// kill ends it as a power cut would.
func (h *hub) kill() {
	_ = h.Process.Kill()
	_ = h.Wait()
}

// end stops it and leaves nothing behind.
func (h *hub) end() {
	if h == nil {
		return
	}
	if h.Cmd != nil && h.Process != nil && h.ProcessState == nil {
		_ = h.stop()
	}
	_ = os.RemoveAll(h.dir)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// configure writes the configuration of a hub for t.
func (h *hub) configure(t town, addresses []string) error {
	files := map[string]string{
		"hub.yaml": "name: Bench\ncontact: {phone: \"+44 7700 900123\", email: help@hub.example}\nalarms: {notify: [r0]}\n" +
			"url: http://" + h.address + "\nlisten: " + h.address + "\nstore: ./data\negress: {allow: [127.0.0.0/8]}\n",
		"carers.yaml": "ruth: {name: Ruth Example, relationship: daughter, phone: \"+44 7700 900124\"}\n",
		"secrets/key": "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
	}
	told := func(n int) string { return "r0" + others(n) }
	if t.subscribed {
		t.receivers, told = 1, func(int) string { return "team" } // r0 is for alarms
		files["subscribers/team.yaml"] = "id: team\nname: Team\nphone: \"01234 567890\"\n"
	}
	for r := range t.receivers {
		files[fmt.Sprintf("subscribers/r%d.yaml", r)] = fmt.Sprintf("id: r%d\nname: Receiver %d\nphone: \"01234 567890\"\nchannels:\n"+
			"  - webhook: {url: \"http://%s/r%d\", secret: \"${file:secrets/key}\"}\n", r, r, addresses[r%hosts], r)
	}
	var register strings.Builder
	for id, n := range t.patients {
		fmt.Fprintf(&register, "%s: {name: Thomas Example, born: 1941-03-11}\n", id)
		files["routing/"+id+".yaml"] = "patient: " + id + "\nlogged_by: {ruth: {as: [" + alias(id) + "], may: [log, see]}}\n" +
			"rules:\n  - {on: [admission, attendance, discharge, fall], notify: [" + told(n) + "]}\n"
	}
	files["patients.yaml"] = register.String()
	return writeFiles(h.dir, files)
}

// others names the receivers after the first, of so many in all.
func others(told int) string {
	var b strings.Builder
	for r := 1; r < told; r++ {
		b.WriteString(", r" + strconv.Itoa(r))
	}
	return b.String()
}

// alias spells a patient's id in letters, for aliases have nothing else.
func alias(id string) string {
	word := []byte("patient ")
	for _, c := range []byte(strings.TrimPrefix(id, "p-")) {
		word = append(word, 'a'+c-'0')
	}
	return string(word)
}

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
