package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/audit"
	"carehub/events/console"
	"carehub/events/page"
	"carehub/events/receipts"
	"carehub/routing"
	"carehub/routing/compare"
	"carehub/subscribers"
	"carehub/subscribers/deliver"
)

// consolePages are the admin's pages.
func (h *hub) consolePages(d desk, src source, draining <-chan struct{}) *console.Pages {
	endpoints := h.endpointDesk(d)
	return console.New(console.Options{
		Writer: page.Writer{Hub: d.sender, Log: h.log}, Required: h.signin.Required, Session: h.signin.Session, Admin: d.isAdmin, Called: d.called,
		Partitions: func() []events.Partition { live, _ := h.store.Layout(); return live },
		Last:       h.store.Last, At: h.archive.At, Find: src.Find,
		Timeline: func(ctx context.Context, patient string, most int) ([]events.Stored, error) {
			return src.Timeline(ctx, patient, events.Place{}, most)
		},
		Alarms: func(ctx context.Context, most int) ([]events.Stored, error) {
			return h.store.Timeline(ctx, events.HubPatient, events.Place{}, most)
		},
		Receipts: src.Receipts, Words: receipts.Words,
		Recipients: func() []console.Recipient { return h.standings(d) }, Name: h.nameOf, Attempts: endpoints.newest,
		MayRepeat: endpoints.mayRepeat, Redeliver: endpoints.again, Barred: d.barred,
		Patients: func() []string { return d.rules.Patients() }, Told: d.picture, Watchers: d.watchers,
		Config: h.forConsole,
		Ready:  func() (bool, string) { c := h.pulse.condition(); return len(c.checks) == 0 || c.ready(), c.why() },
		Shared: h.leases != nil,
		Audit: func(ctx context.Context, a console.Access) error {
			return h.audit(ctx, audit.Access{By: a.By, Name: a.Name, Interaction: a.Interaction, Type: a.Type, ID: a.ID, Patient: a.Patient,
				Query: a.Query, Refused: a.Refused, From: a.From, At: a.At})
		},
		Zone: d.Zone, Clock: time.Now, Draining: draining, Log: h.log,
	})
}

// forConsole is the configuration that runs, and what became of the newest edit.
func (h *hub) forConsole() console.Config {
	s := h.reloads.state()
	return console.Config{Running: s.Hash, Rules: s.Rules, Since: s.Since, Failed: s.Problems, Gaps: s.Gaps, Kept: s.Source == fromStore, Waiting: s.Waiting}
}

// checkAdmins reports admins who could not sign in.
func (f *folder) checkAdmins(source *strict.Folder, known routing.Known) {
	staff := map[string]bool{}
	for _, o := range f.hub.Signin.OIDC {
		staff[o.Subscriber.V] = true
	}
	for _, admin := range f.hub.Admins {
		switch s, registered := f.register.Lookup(admin.V); {
		case !registered && !known.NoCarers:
			source.Report(strict.UnknownRecipient, admin.Pos, "unknown admin %q%s", admin.V, strict.DidYouMean(admin.V, slices.Sorted(maps.Keys(known.Reachable))))
		case registered && !s.Carer && !staff[admin.V]:
			source.Report(strict.Missing, admin.Pos, "%s cannot sign in: name somebody of carers.yaml, or give their staff a way to sign in under signin.oidc", admin.V)
		}
	}
}

// isAdmin reports whether somebody may open the admin's pages: hub.yaml names them, or whom they have signed in for.
func (d desk) isAdmin(by events.Actor) bool { return slices.Contains(d.hub.Admins.Values(), by.ID) }

// called is the name of a patient, to an admin who may see them.
func (d desk) called(by events.Actor, patient string) string {
	p, _ := d.shown(by, patient)
	return p.Name
}

// watchers are the names of those who hear of alarms.
func (d desk) watchers() (all []string) {
	for _, to := range d.hub.Alarms.Notify.Values() {
		s, _ := d.register.Lookup(to)
		all = append(all, s.Name)
	}
	return all
}

// standings are everybody who can be told, and whoever else something waits for.
func (h *hub) standings(d desk) (all []console.Recipient) {
	served := h.engine.Recipients()
	for _, s := range d.register.All() {
		all = append(all, h.standing(s, served[s.ID]))
		delete(served, s.ID)
	}
	for id, st := range served { // subscriptions of providers' own, and who is registered no more
		if s, ok := h.subscriber(id); ok {
			all = append(all, h.standing(s, st))
		} else if st.Pending+st.Parked > 0 {
			all = append(all, console.Recipient{ID: id, Name: id, Waiting: st.Pending, Parked: st.Parked, Oldest: st.Oldest})
		}
	}
	return all
}

// nameOf is what a recipient is called, as long as they are registered.
func (h *hub) nameOf(recipient string) string {
	s, _ := h.subscriber(recipient)
	return cmp.Or(s.Name, recipient)
}

func (h *hub) standing(s subscribers.Subscriber, st deliver.Standing) console.Recipient {
	one := console.Recipient{ID: s.ID, Name: s.Name, Waiting: st.Pending, Parked: st.Parked, Oldest: st.Oldest}
	for _, c := range s.Channels {
		v := console.Channel{Channel: c.Channel, Down: slices.Contains(st.Down, c.Key), Logged: ofSystem(c.Type) && !s.Carer}
		v.Again = v.Logged && !events.IsSubscription(s.ID)
		if p := h.learned.Get(s.ID, c.Key).PausedAt(subscribers.Target(c.Endpoint)); p != nil {
			v.Paused = p.At
		}
		if proves, ok := c.Endpoint.(subscribers.Verifiable); ok {
			v.Unproven = !proves.Verified(s.ID, c.Key)
		}
		one.Channels = append(one.Channels, v)
	}
	return one
}

// newest are the newest attempts at an endpoint, the oldest of them first.
func (d endpointDesk) newest(ctx context.Context, recipient, channel string, most int) ([]events.Attempt, error) {
	return d.tried.List(ctx, recipient, channel, time.Time{}, most)
}

// again is redeliver, for an admin at a page. The result is of the attempt.
func (d endpointDesk) again(ctx context.Context, event, recipient, channel string) (result string, err error) {
	err = d.do(ctx, "", recipient+"/"+channel, "redeliver", endpointAsk{Event: event}, func(answer any) error {
		if a, ok := answer.(attemptView); ok {
			result = a.Result
		}
		return nil
	})
	return result, err
}

// picture is who is told of a patient, of what, whatever the hour, the place and the class, now and after the end of rules that have
// one: those who are told at once, and those whose turn comes when nobody answers.
func (d desk) picture(patient string) (all []console.Told, known bool) {
	at := map[string]int{}
	now := rulings{d.folder, time.Now()}
	whenever := occasions(patient, now, now)
	for _, kind := range events.Routed {
		when := map[string][]routing.Occasion{}
		for _, o := range whenever {
			cells, found := d.cells(routing.Asked{Patient: patient, Kind: kind, At: o.At, Place: o.Place, Class: o.Class})
			known = known || found
			for _, c := range cells {
				if _, seen := at[c.id]; !seen {
					at[c.id] = len(all)
					all = append(all, d.inPicture(c.id))
				}
				all[at[c.id]].Add(kind, c.Cell)
				when[c.id] = append(when[c.id], o)
			}
		}
		for id, some := range when {
			all[at[id]].Only(kind, compare.Names(whenever, some))
		}
	}
	return all, known
}

// cellOf is how somebody is told of one kind of event.
type cellOf struct {
	id string
	console.Cell
}

// cells are those who are told on one occasion.
func (d desk) cells(a routing.Asked) (all []cellOf, known bool) {
	matches, known := d.rules.Match(a)
	for _, m := range matches {
		cell := console.Cell{Rule: m.Rule, Mandatory: m.Mandatory}
		if m.Ask != nil {
			cell.Answer = m.Ask.Within
		}
		all = append(all, cellOf{m.Recipient, cell})
	}
	for _, m := range matches {
		for n, id := range steps(m.Ask) {
			if !slices.ContainsFunc(all, func(c cellOf) bool { return c.id == id }) {
				all = append(all, cellOf{id, console.Cell{Step: n + 1, Rule: m.Rule}})
			}
		}
	}
	return all, known
}

// inPicture is somebody who is told, with their channels.
func (d desk) inPicture(id string) console.Told {
	s, _ := d.register.Lookup(id)
	one := console.Told{Name: cmp.Or(s.Name, id)}
	for _, c := range s.Channels {
		one.Means = append(one.Means, c.Type)
	}
	return one
}

func steps(ask *routing.Ask) []string {
	if ask == nil {
		return nil
	}
	return ask.Else
}
