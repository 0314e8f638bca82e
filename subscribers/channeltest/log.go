package channeltest

import (
	"net"
	"sync"
)

// Taken is one message that a server has read to its end, whether it then answered or not.
type Taken struct {
	ID   string // the delivery id, as the protocol carries it
	Body []byte // what must be the same at every attempt
	// Headers that Server.Verify wants to see, in whatever form the harness chose; nil if it needs none.
	Headers map[string][]string
}

// Log is what a server saw. It is safe for concurrent use; make it with NewLog.
type Log struct {
	mu      sync.Mutex
	taken   []Taken
	conns   int
	written int64
	strayed int
	arrived chan struct{}
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{arrived: make(chan struct{})} }

// Take notes a message that the server has read whole.
func (l *Log) Take(m Taken) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = append(l.taken, m)
	if len(l.taken) == 1 {
		close(l.arrived)
	}
}

// Wrote notes n bytes of a huge reply that the connection swallowed.
func (l *Log) Wrote(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written += int64(n)
}

// Stray notes that the client went where a redirect sent it.
func (l *Log) Stray() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strayed++
}

// Taken returns the messages read so far, in order.
func (l *Log) Taken() []Taken {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Taken(nil), l.taken...)
}

// Arrived is closed when the first message has been read whole.
func (l *Log) Arrived() <-chan struct{} { return l.arrived }

// Connections returns how many connections were accepted in all.
func (l *Log) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns
}

// Listener counts ln's connections in the log.
func (l *Log) Listener(ln net.Listener) net.Listener { return &countingListener{ln, l} }

type countingListener struct {
	net.Listener
	log *Log
}

func (c *countingListener) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.log.mu.Lock()
		c.log.conns++
		c.log.mu.Unlock()
	}
	return conn, err
}

func (l *Log) replied() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

func (l *Log) strays() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strayed
}
