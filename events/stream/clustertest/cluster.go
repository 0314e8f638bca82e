// Package clustertest is a cluster of NATS servers for tests: nodes in this process that sync every write, each with a
// directory of its own, joined by routes on loopback, and connections to them that can be cut.
package clustertest

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Cluster is the nodes. A cluster of one is a server on its own.
type Cluster struct {
	t     testing.TB
	Nodes []*Node
}

// Node is a NATS server that can be stopped and started again with what it has stored.
type Node struct {
	t       testing.TB
	Options server.Options
	running *server.Server
}

// Start runs n nodes until the test ends, and returns when they have found one another.
func Start(t testing.TB, n int) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	ports := FreePorts(t, 2*n)
	var routes []*url.URL
	for i := range n {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[n+i])})
	}
	dir, care := t.TempDir(), "care-"+rand.Text() // nodes of another cluster that take one of ours for theirs are turned away
	for i := range n {
		name := fmt.Sprint("n", i+1)
		o := server.Options{ServerName: name, Host: "127.0.0.1", Port: ports[i], NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(dir, name), SyncAlways: true, MaxPayload: 2 << 20}
		if n > 1 {
			// Without advertising, a client knows only the addresses it was given, and those can be cut.
			o.Cluster = server.ClusterOpts{Name: care, Host: "127.0.0.1", Port: ports[n+i], NoAdvertise: true}
			o.Routes = routes
		}
		c.Nodes = append(c.Nodes, &Node{t: t, Options: o})
	}
	for _, node := range c.Nodes {
		node.start()
	}
	for _, node := range c.Nodes {
		node.await()
	}
	c.awaitLeader()
	t.Cleanup(func() {
		for _, node := range c.Nodes {
			node.Stop()
		}
	})
	return c
}

// Start runs a node again that was stopped.
func (n *Node) Start() {
	n.t.Helper()
	n.start()
	n.await()
}

func (n *Node) start() {
	n.t.Helper()
	options := n.Options // the server writes into what it is given
	s, err := server.NewServer(&options)
	if err != nil {
		n.t.Fatal(err)
	}
	s.Start()
	n.running = s
}

func (n *Node) await() {
	n.t.Helper()
	if !n.running.ReadyForConnections(20 * time.Second) {
		n.t.Fatal("a NATS node did not start")
	}
}

// awaitLeader returns when the cluster can make streams.
func (c *Cluster) awaitLeader() {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(c.Nodes) > 1; time.Sleep(20 * time.Millisecond) {
		for _, node := range c.Nodes {
			if node.running.JetStreamIsLeader() && node.running.JetStreamIsCurrent() {
				return
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatal("the NATS cluster has no leader")
		}
	}
}

// Stop ends a node at once, as far as one in this process can be.
func (n *Node) Stop() {
	if n.running != nil {
		n.running.Shutdown()
		n.running.WaitForShutdown()
		n.running = nil
	}
}

// Leads reports whether the node leads a stream.
func (n *Node) Leads(stream string) bool {
	return n.running != nil && n.running.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream)
}

// URL is where the node listens.
func (n *Node) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.Options.Port) }

// URL is the addresses of all nodes, as hub.yaml takes them.
func (c *Cluster) URL() string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.URL())
	}
	return strings.Join(all, ",")
}
