// Package stream is the hub's only store: NATS JetStream, embedded in this process or on a server of its own. It keeps
// events (created once, never changed), the ledger of their deliveries (newest value per key) and the hub's own records,
// each written to disk before the call returns. It knows keys and bytes; what they mean is the callers' business.
package stream

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience is how long a call waits for the store when its context has no deadline.
const patience = 5 * time.Second

// Options say where the store is: in Dir, or if URL is set there.
type Options struct {
	Dir      string // of the embedded store; created with mode 0700; on ext4 or xfs
	MaxBytes int64  // embedded: the most it may hold on disk; 0: as much as the disk has
	Key      string // embedded: what it is encrypted with, at least MinKey bytes; empty: not encrypted
	URL      string // of an external server or cluster, nats-server 2.12 or newer, with sync_interval: always; several with commas
	Creds    string // file with the credentials for URL, or with the seed of an NKey; may be empty
	CA       string // file with the PEM certificates to trust for URL; empty: the system's

	// Partitions of a new store; of an existing one what it must have. 0: as the store has, 4 for a new one.
	Partitions int
	// Replicas of each stream on an external cluster. 0: as the store was created, 1 for a new one.
	Replicas int
	Logger   *slog.Logger // nil: slog.Default()
}

// Store is events, ledger and hub records on JetStream. It is safe for concurrent use.
//
// A client cannot see how a server syncs. On an external server the promise that what is acknowledged survives a power
// failure is only as good as its sync_interval: always.
type Store struct {
	embedded *embedded // nil for an external server
	log      *slog.Logger

	// Connections of their own: a read waits for the disk in the server's loop of its connection and would hold up writes there.
	writes, reads *nats.Conn
	publisher     jetstream.JetStream
	hub, audit    jetstream.Stream
	attempts      jetstream.Stream // the delivery log
	notices       jetstream.Stream
	documents     jetstream.Stream
	js            jetstream.JetStream // for looking after streams, on reads
	lookers       []*looker           // beside reads
	replicas      int                 // as in Options
	layout        atomic.Pointer[layout]
	growing       sync.Mutex // held while a layout takes the place of another
	filters       filters
	still         sync.RWMutex // held against writes of newest values while they are copied
	leases        *Leases      // nil: every partition is this process's
	volumes       sync.Map     // streams of the archive, by number

	life    context.Context // ends at Close
	end     context.CancelFunc
	mu      sync.Mutex // orders readers.Add before Close waits
	readers sync.WaitGroup
	closing sync.Once
	down    chan struct{} // closed when all is closed
}

// Open starts or reaches the store and creates its streams when they are not there. It refuses a store of another
// format or partition count, and streams whose settings break a promise. An embedded store that another process holds
// gives ErrLocked.
func Open(ctx context.Context, o Options) (*Store, error) {
	ctx, cancel := bound(ctx, time.Minute)
	defer cancel()
	s := &Store{log: o.Logger, down: make(chan struct{})}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.open(ctx, o); err != nil {
		_ = s.Close(ctx)
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, o Options) error {
	if o.URL == "" {
		e, err := embed(o, s.log)
		if err != nil {
			return err
		}
		s.embedded = e
	}
	if err := s.connect(o); err != nil {
		return err
	}
	if err := s.prepareSoon(ctx, o); err != nil {
		return err
	}
	s.readers.Go(func() { s.makeFilters(s.life) })
	if s.embedded != nil {
		return syncDirectories(s.embedded.dir)
	}
	s.readers.Go(func() { s.followLayout(s.life) })
	return nil
}

func (s *Store) connect(o Options) error {
	options := []nats.Option{
		nats.Name("carehub"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.log.Warn("nats", "err", err) }),
	}
	if s.embedded != nil {
		options = append(options, nats.InProcessServer(s.embedded))
	} else {
		options = append(options, nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2))
	}
	signIn, err := credentials(o)
	if err != nil {
		return err
	}
	options = append(options, signIn...)
	if s.reads, err = nats.Connect(o.URL, options...); err != nil {
		return away(err)
	}
	if err := checkServer(s.reads); err != nil {
		return err
	}
	// While the server is away a read waits; a write fails at once, instead of being sent after its caller has gone.
	if s.writes, err = nats.Connect(o.URL, append(options, nats.ReconnectBufSize(-1))...); err != nil {
		return away(err)
	}
	s.publisher, err = jetstream.New(s.writes, jetstream.WithPublishAsyncMaxPending(1<<16), jetstream.WithPublishAsyncTimeout(time.Minute))
	if err != nil {
		return err
	}
	return s.connectLookers(o.URL, options)
}

// credentials are the options for signing in to a server and for trusting it. A credentials file holds a JWT and a seed; an
// NKey, for a server with users in its own configuration, is a seed alone.
func credentials(o Options) (options []nats.Option, err error) {
	if o.CA != "" {
		options = append(options, nats.RootCAs(o.CA))
	}
	if o.Creds == "" {
		return options, nil
	}
	held, err := os.ReadFile(o.Creds)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(held, []byte("JWT")) {
		return append(options, nats.UserCredentials(o.Creds)), nil
	}
	nkey, err := nats.NkeyOptionFromSeed(o.Creds)
	if err != nil {
		return nil, fmt.Errorf("%s holds neither credentials nor the seed of an NKey: %w", o.Creds, err)
	}
	return append(options, nkey), nil
}

// Full says why no event can be stored at the moment for want of room; nil if one can, or if the server is not ours.
func (s *Store) Full() error { return s.embedded.full(eventReserve) }

// Close ends every reader, then the connections and the embedded server, and gives the lock back. When ctx ends first
// it returns its error and goes on behind; what was acknowledged is on disk in any case. Later calls wait for the same.
func (s *Store) Close(ctx context.Context) error {
	s.closing.Do(func() { go s.shutdown() })
	select {
	case <-s.down:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) shutdown() {
	defer close(s.down)
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.readers.Wait()
	for _, c := range []*nats.Conn{s.writes, s.reads} {
		if c != nil {
			c.Close()
		}
	}
	s.closeLookers()
	if s.embedded != nil {
		s.embedded.close()
	}
}

// reader returns a context that also ends when the store closes; done must be called, and Close waits for it.
func (s *Store) reader(ctx context.Context) (_ context.Context, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil, nil, closed()
	}
	s.readers.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(closed()) })
	return ctx, func() {
		stop()
		cancel(nil)
		s.readers.Done()
	}, nil
}

// bound gives a context without a deadline one.
func bound(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}
