package clustertest

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Cable is a way to the nodes of a cluster that can be cut: a listener for each node, which passes everything on.
type Cable struct {
	t         testing.TB
	listeners []net.Listener
	work      sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// Cable lays a way of its own to all nodes.
func (c *Cluster) Cable() *Cable {
	c.t.Helper()
	cable := &Cable{t: c.t, conns: map[net.Conn]bool{}}
	for _, node := range c.Nodes {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", FreePorts(c.t, 1)[0]))
		if err != nil {
			c.t.Fatal(err)
		}
		cable.listeners = append(cable.listeners, l)
		cable.work.Go(func() { cable.accept(l, fmt.Sprintf("127.0.0.1:%d", node.Options.Port)) })
	}
	c.t.Cleanup(cable.close)
	return cable
}

// URL is the addresses of all nodes by this cable.
func (c *Cable) URL() string {
	var all []string
	for _, l := range c.listeners {
		all = append(all, "nats://"+l.Addr().String())
	}
	return strings.Join(all, ",")
}

func (c *Cable) accept(l net.Listener, to string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		c.work.Go(func() { c.join(from, to) })
	}
}

func (c *Cable) join(from net.Conn, to string) {
	node, err := net.Dial("tcp", to)
	if err != nil {
		_ = from.Close()
		return
	}
	c.mu.Lock()
	c.conns[from], c.conns[node] = true, true
	c.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { c.pass(from, node) })
	both.Go(func() { c.pass(node, from) })
	both.Wait()
	c.mu.Lock()
	delete(c.conns, from)
	delete(c.conns, node)
	c.mu.Unlock()
}

// pass hands on what is read. Across a cut cable nothing goes, and nobody is told.
func (c *Cable) pass(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		c.mu.Lock()
		lost := c.cut
		c.mu.Unlock()
		if lost {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}

// Cut stops everything that passes, without closing anything.
func (c *Cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
}

// Mend lets new connections pass; those that were cut are closed.
func (c *Cable) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
	for conn := range c.conns {
		_ = conn.Close()
	}
}

func (c *Cable) close() {
	for _, l := range c.listeners {
		_ = l.Close()
	}
	c.Mend()
	c.work.Wait()
}
