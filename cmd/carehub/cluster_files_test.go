package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"carehub/events/stream"
	"carehub/events/stream/clustertest"
)

// shippedCluster is three nodes with the very configuration of deploy/nats, on loopback, with keys and certificates of
// their own.
type shippedCluster struct {
	dir, url string
	nodes    []*server.Server
	allowed  []string // subjects that the hubs may publish to
}

// TestShippedCluster: the shipped configuration makes a cluster, what it permits is enough for a hub, and all else is
// refused.
func TestShippedCluster(t *testing.T) {
	w := newTown(t)
	c := newShippedCluster(t)
	w.edit("hub.yaml", "store: data", fmt.Sprintf("nats: {url: %q, creds: %q, ca: %q, replicas: 3}",
		c.url, filepath.Join(c.dir, "seed"), filepath.Join(c.dir, "ca.crt")))
	w.start()
	w.dadAdmitted()
	w.scraped(t)
	if limit := w.series(w.scrape(), "carehub_store_limit_bytes"); limit != 96<<30 {
		t.Errorf("the store may hold %v bytes", limit)
	}
	w.stop()
	lacks(t, w.log.String(), "ermissions", `"level":"ERROR"`)
	c.permits(t)
	c.refuses(t)
}

// permits does what no event does by itself: documents, and an archive.
func (c *shippedCluster) permits(t *testing.T) {
	t.Helper()
	store, err := stream.Open(t.Context(), stream.Options{URL: c.url, Creds: filepath.Join(c.dir, "seed"), CA: filepath.Join(c.dir, "ca.crt")})
	must(t, err)
	defer store.Close(t.Context())
	c.permitsDocuments(t, store)
	c.permitsArchiving(t, store)
}

// permitsDocuments does what happens to one that is attached and erased.
func (c *shippedCluster) permitsDocuments(t *testing.T, store *stream.Store) {
	t.Helper()
	must(t, store.PutDocument(t.Context(), "p-7f3k", "a", []byte("record"), []byte("letter")))
	content, err := store.DocumentContent(t.Context(), "p-7f3k", "a")
	if must(t, err); string(content) != "letter" {
		t.Errorf("a document is %q", content)
	}
	must(t, store.RenewDocument(t.Context(), "p-7f3k", "a", []byte("newer")))
	must(t, store.EraseDocument(t.Context(), "p-7f3k", "a"))
	if left, err := store.Documents(t.Context(), "p-7f3k"); err != nil || len(left) > 0 {
		t.Errorf("%v is left of a document, %v", left, err)
	}
}

// permitsArchiving does what happens when a generation is full: another begins, its events go to a volume, its streams go.
func (c *shippedCluster) permitsArchiving(t *testing.T, store *stream.Store) {
	t.Helper()
	must(t, store.Grow(t.Context(), 0))
	must(t, store.CreateVolume(t.Context(), 1))
	must(t, store.AppendVolume(t.Context(), 1, 0, [][]byte{[]byte("part")}))
	part, err := store.ReadVolume(t.Context(), 1, 1, 1)
	if must(t, err); string(part) != "part" {
		t.Errorf("a part of a volume is %q", part)
	}
	c.permitsEveryStream(t)
	must(t, store.DropVolume(t.Context(), 1))
	must(t, store.Retire(t.Context(), 0))
	must(t, store.Clear(t.Context(), []int{0}))
}

// permitsEveryStream holds what may be published against the subjects of every stream that the store is made of. By now there is
// one of each configuration in the sources.
func (c *shippedCluster) permitsEveryStream(t *testing.T) {
	t.Helper()
	nc, err := nats.Connect(c.url, nats.RootCAs(filepath.Join(c.dir, "ca.crt")), c.seed(t))
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	kinds := map[string]bool{}
	all := js.ListStreams(t.Context())
	for info := range all.Info() {
		kind, _, _ := strings.Cut(info.Config.Name, "-")
		kinds[kind] = true
		for _, subject := range info.Config.Subjects {
			if !slices.ContainsFunc(c.allowed, func(allowed string) bool { return server.SubjectMatchesFilter(subject, allowed) }) {
				t.Errorf("deploy/nats/nats.conf lets no hub publish to %s, of the stream %s", subject, info.Config.Name)
			}
		}
	}
	must(t, all.Err())
	if configured := streamConfigurations(t); len(kinds) != configured {
		t.Errorf("%d kinds of streams are there, %v, of %d that events/stream configures: have this test make the others first", len(kinds), kinds, configured)
	}
}

// streamConfigurations is how many kinds of streams the sources of events/stream configure.
func streamConfigurations(t *testing.T) (n int) {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join("..", "..", "events", "stream", "*.go"))
	must(t, err)
	configures := regexp.MustCompile(`(return|=) settings\(`)
	for _, source := range sources {
		n += len(configures.FindAllString(shipped(t, "events", "stream", filepath.Base(source)), -1))
	}
	return n
}

func newShippedCluster(t *testing.T) *shippedCluster {
	t.Helper()
	c := &shippedCluster{dir: t.TempDir()}
	public := c.keys(t)
	client, route, monitor := freeAddresses(t, 3), freeAddresses(t, 3), freeAddresses(t, 3)
	text := shipped(t, "deploy", "nats", "nats.conf")
	for n := range 3 {
		text = swapped(t, text, fmt.Sprintf("tls://nats-%d:6222", n+1), "tls://"+route[n])
	}
	text = swapped(t, text, "/etc/nats/tls", c.dir)
	for n := range 3 {
		own := swapped(t, text, "listen: 0.0.0.0:4222", "listen: "+client[n])
		own = swapped(t, own, "listen: 0.0.0.0:6222", "listen: "+route[n])
		own = swapped(t, own, "http: 0.0.0.0:8222", "http: "+monitor[n])
		own = swapped(t, own, "store_dir: /data", fmt.Sprintf("store_dir: %q", filepath.Join(c.dir, fmt.Sprint("data-", n))))
		file := filepath.Join(c.dir, fmt.Sprintf("nats-%d.conf", n+1))
		writeFile(t, file, own)
		t.Setenv("NATS_NAME", fmt.Sprintf("nats-%d", n+1))
		t.Setenv("CAREHUB_NKEY", public)
		c.start(t, file)
	}
	c.url = "tls://" + client[0]
	for _, s := range c.nodes {
		waitUntil(t, s.Name()+" is in the cluster", func() bool { return s.ReadyForConnections(time.Second) && s.JetStreamIsCurrent() })
	}
	return c
}

func (c *shippedCluster) start(t *testing.T, file string) {
	t.Helper()
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !options.SyncAlways || options.MaxPayload != 2<<20 {
		t.Errorf("the configuration breaks a promise: %v, %d", options.SyncAlways, options.MaxPayload)
	}
	c.allowed = options.Nkeys[0].Permissions.Publish.Allow
	options.NoLog, options.NoSigs = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	c.nodes = append(c.nodes, s)
}

// keys writes an authority, one certificate for all nodes and the hubs' seed, and returns the hubs' public key.
func (c *shippedCluster) keys(t *testing.T) (public string) {
	t.Helper()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour)}
	node := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "nats"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"nats", "nats-1", "nats-2", "nats-3"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, signer.Public(), signer)
	must(t, err)
	leaf, err := x509.CreateCertificate(rand.Reader, node, authority, key.Public(), signer)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	hub, err := nkeys.CreateUser()
	must(t, err)
	seed, err := hub.Seed()
	must(t, err)
	public, err = hub.PublicKey()
	must(t, err)
	write := func(name, kind string, der []byte) {
		writeFile(t, filepath.Join(c.dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	write("ca.crt", "CERTIFICATE", root)
	write("tls.crt", "CERTIFICATE", leaf)
	write("tls.key", "PRIVATE KEY", private)
	writeFile(t, filepath.Join(c.dir, "seed"), string(seed)+"\n")
	return public
}

// refuses checks that nobody gets in without the key or in the clear, and that the key is for a hub's work only.
func (c *shippedCluster) refuses(t *testing.T) {
	t.Helper()
	ca := nats.RootCAs(filepath.Join(c.dir, "ca.crt"))
	for name, options := range map[string][]nats.Option{"no key": {ca}, "no authority": {c.seed(t)}} {
		if nc, err := nats.Connect(c.url, options...); err == nil {
			nc.Close()
			t.Errorf("%s: connected", name)
		}
	}
	denied := make(chan error, 10)
	nc, err := nats.Connect(c.url, ca, c.seed(t), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	must(t, err)
	defer nc.Close()
	for _, subject := range []string{"$JS.API.STREAM.PURGE.EVENTS-0", "$JS.API.STREAM.RESTORE.EVENTS-0", "$SYS.REQ.SERVER.PING", "anything"} {
		must(t, nc.Publish(subject, nil))
		must(t, nc.Flush())
		select {
		case err := <-denied:
			contains(t, strings.ToLower(err.Error()), "permissions violation", strings.ToLower(subject))
		case <-time.After(10 * time.Second):
			t.Errorf("%s is allowed", subject)
		}
	}
}

func (c *shippedCluster) seed(t *testing.T) nats.Option {
	t.Helper()
	option, err := nats.NkeyOptionFromSeed(filepath.Join(c.dir, "seed"))
	must(t, err)
	return option
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// swapped replaces what must be there.
func swapped(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the configuration does not hold %q", old)
	}
	return strings.ReplaceAll(text, old, replacement)
}

// freeAddresses are n addresses that nobody listens on, each another.
func freeAddresses(t *testing.T, n int) (all []string) {
	t.Helper()
	for _, port := range clustertest.FreePorts(t, n) {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return all
}
