package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/answers"
	"carehub/events/archive"
	"carehub/events/audit"
	"carehub/events/correct"
	"carehub/events/documents"
	"carehub/events/forget"
	"carehub/events/hold"
	"carehub/events/intake"
	"carehub/events/receipts"
	"carehub/events/stream"
	"carehub/subscribers/attempts"
	"carehub/subscribers/deliver"
	"carehub/subscribers/endpoints"
	"carehub/subscribers/inbox"
	"carehub/subscribers/oauth"
	"carehub/subscribers/push"
	"carehub/subscribers/signin"
	"carehub/subscribers/signup"
)

func serveCommand() *cobra.Command {
	var logs loggingFlags
	cmd := &cobra.Command{
		Use: "serve [DIR]", Short: "Run the hub with the configuration folder DIR", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if os.Getenv("GOMAXPROCS") == "" {
				// A sync of the disk holds its processor until the runtime notices; with as many again, the cores stay busy.
				runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
			}
			limitMemory(containerMax)
			log, err := logs.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			plainLog{log}.takeOver()
			f, err := loadToStart(cmd.Context(), dir, log)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), f, log, nil)
		},
	}
	logs.add(cmd)
	return cmd
}

func openStore(ctx context.Context, f *folder, log *slog.Logger) (*stream.Store, error) {
	return stream.Open(ctx, storeOptions(f, log))
}

func storeOptions(f *folder, log *slog.Logger) stream.Options {
	o := stream.Options{Dir: f.hub.Store, Key: f.hub.StoreKey.Reveal(), Logger: log}
	if f.hub.NATS != nil {
		o.Dir, o.URL, o.Creds, o.CA, o.Replicas = "", f.hub.NATS.URL, f.hub.NATS.Creds, f.hub.NATS.CA, f.hub.NATS.Replicas
	}
	return o
}

// hub is the parts of a running hub, in the order in which an event meets them.
type hub struct {
	running atomic.Pointer[folder] // see current
	log     *slog.Logger
	store   *stream.Store
	archive *archive.Archive // the store and what has left it
	// forgotten are the patients who were erased, or are about to be.
	forgotten *forget.Keeper
	leases    *stream.Leases // nil with the embedded store: all of it is this hub's
	tokens    *tokens
	signin    *signin.Service
	// devices are carers' browsers, and pushKeys prove to push services that the hub tells them.
	devices  *push.Devices
	pushKeys *push.Keys
	answers  *answers.Answers
	held     *hold.Keeper
	// documents are what carers attach.
	documents *documents.Keeper
	// corrections take back what was logged by mistake.
	corrections *correct.Corrections
	oauth       *oauth.Server
	intake      *intake.Intake
	receiver    *intake.Receiver // of messages of other systems
	links       receipts.Links
	// subscriptions are those that providers' systems have made themselves.
	subscriptions *signup.Service
	pages         []byte // key of the links to the next page of a search
	reloads       *reloads
	trail         *audit.Trail
	returns       *returns // nil if mail.bounces is not set
	engine        *deliver.Engine
	learned       *endpoints.Registry
	inboxes       *inbox.Keeper
	tried         *attempts.Log
	meter         *meter
	pulse         *pulse
	started       time.Time
	doors         net.Listener
	admin         net.Listener // nil with an external store
}

// serve runs a hub until ctx ends, then drains: the doors close first, then what is in flight is delivered, then the
// store closes. ready, if not nil, is called with the address once the doors are open.
func serve(ctx context.Context, f *folder, log *slog.Logger, ready func(address string)) error {
	h := newHub(f, log)
	opening, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := h.open(opening)
	defer h.close()
	if err != nil {
		return err
	}
	for _, p := range f.problems {
		log.Warn("configuration", "problem", p.String())
	}
	log.Info("hub is up", "version", version, "listen", h.doors.Addr().String(), "rules", f.hash(), "ms", time.Since(h.started).Milliseconds())
	if ready != nil {
		ready(h.doors.Addr().String())
	}
	return h.run(ctx)
}

// open connects everything, without starting it.
func (h *hub) open(ctx context.Context) (err error) {
	if err := h.assemble(ctx); err != nil {
		return err
	}
	h.pulse = newPulse(h.store, h.engine, h.meter, h.log)
	if err := h.openReloads(ctx); err != nil {
		return err
	}
	h.meter.registry.MustRegister(gauges{h})
	if h.doors, err = net.Listen("tcp", h.current().hub.Listen); err != nil {
		return fmt.Errorf("hub.yaml: listen: %w", err)
	}
	if h.current().hub.NATS == nil {
		h.admin, err = listenAdmin(h.current().hub.Store)
	}
	return err
}

// assemble opens the store and puts together what works on it.
func (h *hub) assemble(ctx context.Context) (err error) {
	if h.store, err = openStore(ctx, h.current(), h.log); err != nil {
		return err
	}
	if err := h.openArchive(ctx); err != nil {
		return err
	}
	key, err := secretKey(ctx, h.store, "links")
	if err != nil {
		return fmt.Errorf("key of the links: %w", err)
	}
	h.links = receipts.Links{Key: key, Base: h.current().hub.URL}
	h.learned = endpoints.New(h.store)
	h.inboxes = newInboxes(h.current, h.learned, key, h.archive, h.log)
	if h.pages, err = secretKey(ctx, h.store, "pages"); err != nil {
		return fmt.Errorf("key of the pages: %w", err)
	}
	h.trail = h.newTrail()
	h.tokens = newTokens(h.store)
	if key, err = secretKey(ctx, h.store, "signin"); err != nil {
		return fmt.Errorf("key of the sessions: %w", err)
	}
	h.signin = newSignin(h.current, h.store, key, h.noteSession, h.log)
	h.held = hold.New(holdStore{h.store, h.archive}, time.Now, h.log, func(event string) { h.engine.Changed(event) }, h.alarmStuck)
	h.documents = h.newDocuments()
	if err := h.openPush(ctx); err != nil {
		return err
	}
	h.openDoors()
	if key, err = secretKey(ctx, h.store, "oauth"); err != nil {
		return fmt.Errorf("key of the access tokens: %w", err)
	}
	h.oauth = newOAuth(h.current, h.store, key, h.log)
	if err := h.openReturns(ctx); err != nil {
		return err
	}
	h.tried = attempts.New(h.store, h.log)
	h.equip(h.current().channels)
	h.subscriptions = h.newSubscriptions()
	h.answers = h.newAnswers()
	h.corrections = h.newCorrections()
	store := timedStore{h.store, h.meter}
	options := deliver.Options{Log: h.store, Ledger: store, Lookup: h.subscriber, Link: h.links.For, Document: h.documents.Content, Return: h.returns.address,
		Allowed: func(rec *events.Record, recipient string) bool { return h.desk().mayBeTold(rec, recipient) }, Announce: h.announce, Renew: h.renew,
		Slog: h.log, Attempted: h.meter.attempted, Ended: h.meter.ended,
		Tried: h.logAttempt, Paused: h.isPaused, Gone: h.pauseGone,
		Alarm: h.alarm}
	if h.current().hub.NATS != nil {
		h.leases = stream.NewLeases(h.store, stream.LeaseTimes{})
		options.Owner = h.leases
	}
	h.engine = deliver.New(options)
	return nil
}

// alarm tells the alarm recipients, and counts it.
func (h *hub) alarm(ctx context.Context, about events.About, of events.Stored) error {
	fresh, err := raiseAlarm(ctx, h.desk(), h.archive, about, of)
	if fresh { // people are told once
		h.meter.alarmed(about)
	}
	return err
}

func (h *hub) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, l := range []net.Listener{h.doors, h.admin} {
		if l != nil {
			_ = l.Close() // closed already unless opening failed
		}
	}
	h.current().channels.close(ctx)
	if h.store != nil {
		if err := h.store.Close(ctx); err != nil {
			h.log.Error("store not closed in order", "error", err.Error())
		}
	}
}

// run starts everything and waits for it to end. The engine outlives the doors: what they accepted is delivered if it can
// be. Any part that fails takes the others down.
func (h *hub) run(ctx context.Context) error {
	c := &crew{failed: make(chan error, 1)}
	open, work, beneath := c.shift(ctx), c.shift(context.WithoutCancel(ctx)), c.shift(context.WithoutCancel(ctx))
	c.fail = open.stop
	known := h.follow(beneath)
	beneath.run("numbers", h.subscriptions.Numbers.Run)
	beneath.run("delivery log", h.tried.Run)
	beneath.run("audit trail", h.keepTrail)
	h.work(work, known)
	open.run("doors", func(ctx context.Context) error {
		if !await(ctx, known...) {
			return nil
		}
		return serveUntil(ctx, h.doors, h.anew(ctx, func(d desk, closing <-chan struct{}) http.Handler { return h.routes(d, closing) }), h.log)
	})
	if h.admin != nil {
		open.run("admin socket", func(ctx context.Context) error {
			if !await(ctx, known...) {
				return nil
			}
			return serveUntil(ctx, h.admin, h.anew(ctx, h.adminRoutes), h.log)
		})
	}
	open.work.Wait()
	h.log.Info("doors are shut; finishing what is in flight")
	work.end()
	beneath.end()
	open.end()
	h.log.Info("hub is down", "seconds_up", int(time.Since(h.started).Seconds()))
	select {
	case err := <-c.failed:
		return err
	default:
		return nil
	}
}

// follow starts what keeps up with the hub's own records, and returns a channel for each that is closed when all that is
// stored is known.
func (h *hub) follow(s *shift) (known []<-chan struct{}) {
	for part, follow := range map[string]func(context.Context, func()) error{
		"tokens": h.tokens.follow, "sessions": h.signin.Follow, "devices": h.devices.Follow, "held events": h.held.Follow, "who was forgotten": h.forgotten.Follow, "answers": h.answers.Follow,
		"corrections": h.corrections.Follow, "oauth clients": h.oauth.Clients.Follow, "endpoints": h.learned.Follow,
		"subscriptions": h.subscriptions.Registry.Follow, "notices": h.subscriptions.Numbers.Follow,
	} {
		ready := make(chan struct{})
		known = append(known, ready)
		s.run(part, func(ctx context.Context) error { return follow(ctx, func() { close(ready) }) })
	}
	return known
}

// work starts what goes on behind the doors.
func (h *hub) work(s *shift, known []<-chan struct{}) {
	if h.leases != nil {
		s.run("leases", func(ctx context.Context) error { return h.leases.Run(ctx, 30*time.Second) }) // the engine takes a while to drain
	}
	for part, run := range map[string]func(context.Context) error{
		"engine": h.engine.Run, "inboxes": h.watchInboxes, "pauses": h.followPauses, "answers": h.answers.Run, "held events": h.held.Run,
		"corrections": h.corrections.Run, "subscriptions' keeper": h.subscriptions.Keep,
		"ended sessions": h.tidySessions, "erasures": h.forgotten.Run,
	} {
		s.run(part, func(ctx context.Context) error {
			if !await(ctx, known...) { // nobody is taken for unsubscribed, or sent anything while paused
				return nil
			}
			return run(ctx)
		})
	}
	s.run("oauth assertions", h.oauth.Replays.Run)
	s.run("archive", h.archive.Run)
	s.run("held messages", h.sweepHeld)
	s.run("bounces", h.returns.run)
	s.run("pulse", h.pulse.run)
	s.run("disk", h.watchDisk)
	s.run("documents", h.documents.Run)
	s.run("configuration", h.reloads.run)
	s.run("authority", h.watchAuthority)
	s.run("memory", func(ctx context.Context) error { return saveMemory(ctx, h.store.Trim) })
	s.run("garbage collector", keepCollecting)
}

// serveUntil serves h on l until ctx ends, and waits for what is being answered.
func serveUntil(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: plainLog{log}.logger()}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := srv.Shutdown(drain)
	if err != nil {
		_ = srv.Close()
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		return serveErr
	}
	return err
}
