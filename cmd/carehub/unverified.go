package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"

	"carehub/config/strict"
	"carehub/events/stream"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
)

// channelOf is a channel: whose it is, and its key.
type channelOf struct{ subscriber, key string }

// unheard finds what only a store can tell: the channels of those whom the rules name that get nothing about a patient, for they are
// not verified. Where the store cannot be asked it says that.
func (f *folder) unheard(ctx context.Context) (found strict.Problems) {
	warn := func(at strict.Pos, format string, args ...any) {
		found = append(found, strict.Problem{Code: strict.Unverified, Pos: at, Message: fmt.Sprintf(format, args...), Warning: true})
	}
	var verified map[channelOf]bool
	named := f.named()
	for _, s := range f.register.All() {
		for _, c := range s.Channels {
			_, inbox := c.Endpoint.(subscribers.Mailbox)
			if _, proves := c.Endpoint.(subscribers.Verifiable); !named[s.ID] || !inbox && !proves {
				continue
			}
			if verified == nil {
				var err error
				if verified, err = f.verified(ctx); err != nil {
					warn(strict.Pos{File: hubFile, Line: 1, Column: 1}, "it is not known here whose address is verified: carehub subscriber list, carehub endpoint list")
					return found
				}
			}
			switch at := f.register.Place(s.ID); {
			case verified[channelOf{s.ID, c.Key}]:
			case inbox:
				warn(at, "nothing about a patient is sent to the %s of %s before it is verified: carehub subscriber verify %s --channel %s", c.Key, s.ID, s.ID, c.Key)
			default:
				warn(at, "nothing about a patient is sent to the %s of %s before it has answered the hub's challenge: carehub endpoint list", c.Key, s.ID)
			}
		}
	}
	return found
}

// verified are the channels that are, as a running hub or the store says. A store that belongs to somebody else is not opened, for that
// would leave files that they cannot write; one on a NATS server neither, for checking a folder is no reason to sign in there.
func (f *folder) verified(ctx context.Context) (map[channelOf]bool, error) {
	all := map[channelOf]bool{}
	if f.hub.NATS != nil {
		return nil, errors.ErrUnsupported
	}
	info, err := os.Stat(f.hub.Store)
	if errors.Is(err, os.ErrNotExist) {
		return all, nil // a hub that has never run
	}
	if err != nil {
		return nil, err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return nil, os.ErrPermission
	}
	inboxes, err := listInboxes(ctx, f)
	if err != nil {
		return nil, err
	}
	for _, i := range inboxes {
		all[channelOf{i.Subscriber, i.Channel}] = i.Verified
	}
	return all, withStore(ctx, f, func(ctx context.Context, store *stream.Store) error {
		learned := endpoints.New(store)
		return whileFollowing(ctx, learned.Follow, func() error {
			f.proven(learned, all)
			return nil
		})
	}, func(ctx context.Context, store string) error {
		var views []endpointView
		err := askAdmin(ctx, store, http.MethodGet, "/endpoints", nil, &views)
		for _, v := range views {
			all[channelOf{v.Subscriber, v.Channel}] = v.Verified == nil || *v.Verified
		}
		return err
	})
}

// proving is a channel of a system that has to prove itself by its address.
type proving interface {
	subscribers.Verifiable
	Address() string
}

// proven adds the channels of systems whose address was verified.
func (f *folder) proven(learned *endpoints.Registry, all map[channelOf]bool) {
	for _, s := range f.register.All() {
		for _, c := range s.Channels {
			if system, ok := c.Endpoint.(proving); ok {
				all[channelOf{s.ID, c.Key}] = learned.Verified(s.ID, c.Key, system.Address())
			}
		}
	}
}
