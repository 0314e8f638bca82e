// Package channeltest holds what every channel must do, as one suite over real sockets. A channel that passes it can be
// trusted with a delivery: it tells success from failure at every point of the dialogue, it returns when told to, and its
// errors say nothing of the patient, the address or the credentials.
package channeltest

import (
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
)

// Behaviour is how a test server treats a delivery.
type Behaviour int

// What a server may do. Wherever it answers with an error or a refusal it adds Gossip to its reply.
const (
	Accept           Behaviour = iota // takes every delivery, keeps connections open
	CloseAfterEach                    // takes every delivery and closes the connection after each, without a word
	HangAtConnect                     // accepts the connection, then says and reads nothing
	HangBeforeAnswer                  // reads the whole message, then says nothing
	SlowDrip                          // reads the whole message, then answers a byte at a time, without end
	DropAtConnect                     // closes each connection at once
	DropMidDialogue                   // closes when the dialogue has begun, before the message is through
	DropBeforeAnswer                  // reads the whole message, closes without an answer
	DropMidAnswer                     // reads the whole message, closes in the middle of its answer
	RefuseConnection                  // nobody listens
	TemporaryError                    // answers that it has failed: 451, 500
	PermanentError                    // answers that it will never take it, or anything: 550, 410
	AuthRefused                       // does not take our credentials: 535, 401
	Busy                              // asks to slow down: 421, 429
	HugeReply                         // takes the delivery and answers yes, with a reply without end
	WrongCertificate                  // shows a certificate of an authority we do not know
	Redirect                          // sends us elsewhere
)

// Harness starts servers for one channel.
type Harness interface {
	// Supports reports whether the channel's protocol has such a behaviour at all.
	Supports(b Behaviour) bool
	// Serve starts a server that behaves like b on a loopback port of its own, and opens an endpoint of the channel on it.
	Serve(t *testing.T, b Behaviour) Server
}

// Server is a running test server and the endpoint under test that sends to it.
type Server struct {
	Endpoint subscribers.Endpoint
	Log      *Log
	// Private lists what no error or log may hold: the address as the admin wrote it, host:port, user names, secrets.
	Private []string
	// RetryAfter is the pause that a Busy server asks for; 0 if the protocol cannot say.
	RetryAfter time.Duration
	// Verify checks what the server took against what was sent: signature, headers, structure. If nil, the body must be
	// Delivery.Message, byte for byte.
	Verify func(d events.Delivery, got Taken) error
	// Close ends the endpoint's idle connections and the server, and waits for both. It may be called twice.
	Close func()
}

// MaxConnections is how many connections a channel may open to one endpoint.
const MaxConnections = 32

// MaxReply is how much of a reply without end a server may get rid of before the channel hangs up. The channel reads far
// less; the rest is what the kernel's socket buffers hold.
const MaxReply = 16 << 20
