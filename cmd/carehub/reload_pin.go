package main

import (
	"reflect"
	"slices"
)

// pin sets what a running hub cannot change to what the folder before says, and returns the keys of hub.yaml where that is
// something else: they wait for a restart. Everything else of the folder goes together with that.
func (f *folder) pin(before *folder) (waiting []string) {
	now, then := f.hub, before.hub
	note := func(key string, same bool) {
		if !same {
			waiting = append(waiting, key)
		}
	}
	asked := f.asked()
	f.start = before.start
	for key, value := range asked {
		note(key, reflect.DeepEqual(value, f.start[key]))
	}
	now.URL, now.Listen, now.Store, now.StoreKey, now.NATS = then.URL, then.Listen, then.Store, then.StoreKey, then.NATS
	slices.Sort(waiting)
	return waiting
}

// asked is what hub.yaml says of that which is read at a start only, by its keys.
func (f *folder) asked() map[string]any {
	h := f.hub
	all := map[string]any{"url": h.URL, "listen": h.Listen, "store": h.Store, "store_key": h.StoreKey.Reveal(), "nats": h.NATS, "mail.bounces": nil,
		"kinds.*.retention": f.retention()}
	if h.Mail != nil && h.Mail.Bounces != nil {
		all["mail.bounces"] = h.Mail.Bounces
	}
	return all
}
