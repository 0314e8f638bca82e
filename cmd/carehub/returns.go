package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"carehub/config"
	"carehub/events"
	"carehub/subscribers/bounces"
	"carehub/subscribers/deliver"
)

// returns is what the hub does about mails that come back, as hub.yaml's mail.bounces sets it up. A nil one does nothing.
type returns struct {
	hub       *hub
	addresses bounces.Addresses
	bounces   *bounces.Bounces
	mailbox   *bounces.Mailbox // nil if reports are only posted
	post      *config.Post     // nil if none are
}

// openReturns sets it up, without the network.
func (h *hub) openReturns(ctx context.Context) error {
	if h.current().hub.Mail == nil || h.current().hub.Mail.Bounces == nil {
		return nil
	}
	settings := h.current().hub.Mail.Bounces
	key, err := secretKey(ctx, h.store, "returns")
	if err != nil {
		return fmt.Errorf("key of the return addresses: %w", err)
	}
	r := &returns{hub: h, post: settings.Post}
	if r.addresses, err = bounces.NewAddresses(key, settings.Address); err != nil {
		return fmt.Errorf("hub.yaml: mail.bounces.address: %w", err)
	}
	r.bounces = bounces.New(bounces.Options{Addresses: r.addresses, Store: h.store, At: h.archive.At, Act: r.act,
		Counted: h.meter.reported, Log: h.log})
	if settings.IMAP != nil {
		r.mailbox = &bounces.Mailbox{Account: mailAccount(h.current().hub.Mail, settings.IMAP), Mark: r.addresses.Mark(), Take: r.bounces.Take, Log: h.log}
	}
	h.returns = r
	return nil
}

func mailAccount(mail *config.Mail, at *config.IMAP) bounces.Account {
	auth := mailAuth(at.Auth)
	return bounces.Account{Host: at.Host, Port: at.Port, Mailbox: at.Mailbox, RootCAs: mail.Roots,
		User: auth.User, Password: auth.Password, Token: auth.Token, Mechanism: auth.Mechanism}
}

// address is the return address of a leg, "" without mail.bounces.
func (r *returns) address(leg events.Leg, event, recipient string) string {
	if r == nil {
		return ""
	}
	return r.addresses.For(leg, event, recipient)
}

// door is POST /mail/bounces; nil if it is not open.
func (r *returns) door() http.Handler {
	if r == nil || r.post == nil {
		return nil
	}
	return &bounces.Door{Bounces: r.bounces, Token: r.post.Token.Reveal, Log: r.hub.log}
}

// run reads and acts until ctx ends.
func (r *returns) run(ctx context.Context) error {
	if r == nil || r.mailbox == nil {
		if r != nil {
			return r.bounces.Run(ctx)
		}
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { _ = r.mailbox.Run(ctx) }) // ends with ctx only
	work.Go(func() { mailboxWatch{r.mailbox.Read, r.hub.alarm, r.hub.log}.run(ctx) })
	err := r.bounces.Run(ctx)
	cancel()
	return err
}

// act has the engine take a bounce in. What is in the archive, or about to move there, stays as it is: a person is told, and
// whoever reads of it.
func (r *returns) act(ctx context.Context, rec bounces.Record) error {
	err := r.hub.engine.Reverse(ctx, deliver.Reversal{Leg: rec.Leg(), Reason: events.ReasonBounced})
	if !errors.Is(err, deliver.ErrDrained) {
		return err
	}
	st, err := r.hub.archive.Find(ctx, rec.Event)
	switch {
	case events.KindOf(err) == events.NotFound: // its time is over
		return nil
	case err != nil:
		return err
	}
	receipts, err := source{r.hub.archive, r.hub.engine, (*returns)(nil), nil, nil}.Receipts(ctx, st)
	if err != nil {
		return err
	}
	if rec.Index >= len(receipts) || receipts[rec.Index].State != events.Sent || receipts[rec.Index].Outcome.Channel != rec.Key {
		return nil
	}
	if st.Record.Event.Kind != events.Alarm { // an alarm raises none
		about := events.About{Event: rec.Event, Recipient: rec.Recipient, Channel: rec.Key, Reason: events.ReasonBounced}
		if err := r.hub.alarm(ctx, about, st); err != nil {
			return err
		}
	}
	return bounces.ErrKeep
}

// correct makes the receipt of an event of the archive say that a mail came back since.
func (r *returns) correct(event string, of *events.Receipt) {
	if r == nil || of.State != events.Sent {
		return
	}
	if rec, ok := r.bounces.Kept(events.DeliveryID(event, of.ID), of.Outcome.Channel); ok {
		of.State, of.Reason, of.At, of.Alarmed, of.Struck = events.Refused, events.ReasonBounced, rec.At, true, []string{rec.Key}
		of.Alarm = events.AlarmID(events.About{Event: event, Recipient: of.ID, Channel: rec.Key, Reason: events.ReasonBounced})
	}
}

func (r *returns) measure(gauge func(*prometheus.Desc, float64, ...string)) {
	if r == nil {
		return
	}
	gauge(bouncesWaiting, float64(r.bounces.Pending()))
	if r.mailbox != nil {
		gauge(mailboxRead, time.Since(r.mailbox.Read()).Seconds())
	}
}

// The mailbox for bounces is watched: as long as it cannot be read, mails that do not arrive look as if they might have.
const (
	mailboxLook  = time.Minute
	mailboxStale = time.Hour
)

// mailboxWatch tells once when the mailbox has not been read for an hour, and again for the next such hour after it has been. The
// alarm is named by the hour when it was last read: several hubs mostly tell of it once.
type mailboxWatch struct {
	read  func() time.Time
	alarm func(ctx context.Context, about events.About, of events.Stored) error
	log   *slog.Logger
}

func (w mailboxWatch) run(ctx context.Context) {
	for told := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(mailboxLook):
		}
		read := w.read()
		stale := time.Since(read) >= mailboxStale
		if stale && !told {
			about := events.About{Event: "mailbox-" + read.UTC().Format("2006-01-02T15"), Reason: events.ReasonMailbox}
			if err := w.alarm(ctx, about, events.Stored{}); err != nil {
				w.log.Error("alarm not stored yet", "error", events.KindOf(err))
				continue
			}
		}
		told = stale
	}
}
