package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	carehub    = "carehub/cmd/carehub"
	natsServer = "github.com/nats-io/nats-server/v2"
)

// world is hubs, the servers of their store if it stands outside of them, receivers, and the wires between.
type world struct {
	settings
	program   string // carehub
	hubs      []*hub
	nats      []*process
	receivers *process
	door      string // where the receivers listen; hubs reach them through wires
	seen      string // file that the receivers write
	wires     []*wire
	natsWires []*wire
	disk      *disk
}

// hub is one hub process with its configuration folder.
type hub struct {
	process
	data               string // folder of the embedded store
	url, folder, token string
	path               string // that its receivers' names begin with
}

// newWorld builds the programs, writes the configuration and starts everything.
func newWorld(ctx context.Context, s settings) (w *world, err error) {
	w = &world{settings: s, seen: filepath.Join(s.dir, "seen.jsonl")}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return w, err
	}
	if w.program, err = build(ctx, s.dir, carehub); err != nil {
		return w, err
	}
	if err := w.startReceivers(ctx); err != nil {
		return w, err
	}
	if err := w.startNATS(ctx); err != nil {
		return w, err
	}
	for n := range s.hubs {
		if err := w.addHub(ctx, n); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *world) startReceivers(ctx context.Context) (err error) {
	if w.door, err = freeAddress(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w.receivers = &process{name: "the receivers", args: []string{self, "receive", w.door, w.seen}, log: filepath.Join(w.dir, "receivers.log"),
		ready: func(ctx context.Context) bool { return answers(ctx, "http://"+w.door+"/ready") }}
	for range w.recipients {
		wire, err := newWire(w.door)
		if err != nil {
			return err
		}
		w.wires = append(w.wires, wire)
	}
	return w.receivers.start(ctx)
}

// startNATS starts one server, or a cluster of three, each reached through a wire.
func (w *world) startNATS(ctx context.Context) error {
	if w.settings.nats == 0 {
		return nil
	}
	program, err := build(ctx, w.dir, natsServer)
	if err != nil {
		return err
	}
	var clients, routes []string
	for range w.settings.nats {
		client, err1 := freeAddress()
		route, err2 := freeAddress()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		clients, routes = append(clients, client), append(routes, "nats://"+route)
	}
	for n, client := range clients {
		p, err := w.natsNode(program, n, client, routes)
		if err != nil {
			return err
		}
		w.nats = append(w.nats, p)
		wire, err := newWire(client)
		if err != nil {
			return err
		}
		w.natsWires = append(w.natsWires, wire)
	}
	return w.startAll(ctx, w.nats)
}

// startAll starts processes that become ready only together.
func (w *world) startAll(ctx context.Context, all []*process) error {
	errs := make(chan error, len(all))
	for _, p := range all {
		go func() { errs <- p.start(ctx) }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	return err
}

func (w *world) natsNode(program string, n int, client string, routes []string) (*process, error) {
	monitor, err := freeAddress()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprint("nats", n)
	conf := fmt.Sprintf("server_name: %s\nlisten: %q\nhttp: %q\nmax_payload: 2MB\njetstream {store_dir: %q, sync_interval: always}\n",
		name, client, monitor, filepath.Join(w.dir, name))
	if len(routes) > 1 {
		conf += fmt.Sprintf("cluster {name: care, listen: %q, routes: [%s], no_advertise: true}\n", strings.TrimPrefix(routes[n], "nats://"), strings.Join(routes, ", "))
	}
	file := filepath.Join(w.dir, name+".conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return &process{name: name, args: []string{program, "-c", file}, log: filepath.Join(w.dir, name+".log"),
		ready: func(ctx context.Context) bool { return answers(ctx, "http://"+monitor+"/healthz") }}, nil
}

// addHub writes a hub's configuration and starts it. Tokens are made by the first: the store is one.
func (w *world) addHub(ctx context.Context, n int) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	h := w.newHub(fmt.Sprint("hub", n), address)
	if err := w.configure(h, address); err != nil {
		return err
	}
	if w.settings.disk {
		if w.disk, err = newDisk(w.dir, h.data); err != nil {
			return err
		}
	}
	if n == 0 {
		out, err := exec.CommandContext(ctx, w.program, "token", "create", "ruth", "--dir", h.folder).Output() // #nosec G204 -- our own program
		if err != nil {
			return fmt.Errorf("make a token: %w", err)
		}
		h.token = strings.TrimSpace(string(out))
	} else {
		h.token = w.hubs[0].token
	}
	w.hubs = append(w.hubs, h)
	return h.start(ctx)
}

func (w *world) newHub(name, address string) *hub {
	h := &hub{url: "http://" + address, folder: filepath.Join(w.dir, name)}
	h.data = filepath.Join(h.folder, "data")
	h.process = process{name: name, args: []string{w.program, "serve", h.folder}, log: h.folder + ".log",
		ready: func(ctx context.Context) bool { return answers(ctx, h.url+"/readyz") }}
	return h
}

// configure writes a folder with a webhook for each recipient, and patients of whom all are told.
func (w *world) configure(h *hub, address string) error {
	store := "store: ./data\n"
	if w.settings.nats > 0 {
		var urls []string
		for _, wire := range w.natsWires {
			urls = append(urls, "nats://"+wire.address())
		}
		store = fmt.Sprintf("nats: {url: %q, replicas: %d}\n", strings.Join(urls, ","), len(urls))
	}
	files := map[string]string{
		"hub.yaml": "name: Chaos\ncontact: {phone: \"+44 7700 900123\", email: help@hub.example}\nalarms: {notify: [r0]}\n" +
			"url: " + h.url + "\nlisten: " + address + "\negress: {allow: [127.0.0.0/8]}\n" + store,
		"carers.yaml": "ruth: {name: Ruth Example, relationship: daughter, phone: \"+44 7700 900124\"}\n",
		"secrets/key": "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
	}
	var all []string
	for n, wire := range w.wires {
		id := w.recipient(n)
		all = append(all, id)
		channel := "webhook: {secret: \"${file:secrets/key}\", "
		if id == picky {
			channel = "fhir: {" // a webhook refuses nothing for good without being paused
		}
		files["subscribers/"+id+".yaml"] = fmt.Sprintf("id: %s\nname: Receiver %d\nphone: \"01234 567890\"\nchannels:\n"+
			"  - %surl: \"http://%s/%s%s\"}\n", id, n, channel, wire.address(), h.path, id)
	}
	var people strings.Builder
	for n := range w.patients {
		id := patient(n)
		fmt.Fprintf(&people, "%s: {name: Thomas Example, born: 1941-03-11}\n", id)
		files["routing/"+id+".yaml"] = "patient: " + id + "\nlogged_by: {ruth: {as: [patient " + letters(n) + "], may: [log, see]}}\n" +
			"rules:\n  - {on: [admission, attendance, discharge, fall], notify: [" + strings.Join(all, ", ") + "]}\n"
	}
	files["patients.yaml"] = people.String()
	return writeFiles(h.folder, files)
}

// recipient names the recipients; when everything is to go wrong, the last of them refuses some messages for good.
func (w *world) recipient(n int) string {
	if w.faults == "all" && n > 0 && n == w.recipients-1 {
		return picky
	}
	return fmt.Sprint("r", n)
}

func (w *world) allRecipients() (all []string) {
	for n := range w.recipients {
		all = append(all, w.recipient(n))
	}
	return all
}

func patient(n int) string { return fmt.Sprintf("p-%04d", n) }

// letters spells a number: aliases hold no digits, and no words that say what happened.
func letters(n int) string {
	return strings.Map(func(d rune) rune { return rune("bcdfghjklm"[d-'0']) }, strconv.Itoa(n))
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

// close ends whatever still runs.
func (w *world) close() {
	for _, h := range w.hubs {
		h.kill()
	}
	for _, n := range w.nats {
		n.kill()
	}
	if w.receivers != nil {
		w.receivers.kill()
	}
	for _, wire := range append(w.wires, w.natsWires...) {
		wire.close()
	}
	if w.disk != nil {
		w.disk.remove()
	}
}
