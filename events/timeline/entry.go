package timeline

import (
	"context"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// person is who it is about.
type person struct{ Name, Born, NHSNumber string }

// summary is what the family says of the patient's health.
type summary struct {
	Conditions []string
	Form       string // what is said of a ReSPECT form
	Checked    string // what this is, and when somebody last checked it
}

// entry is one event.
type entry struct {
	ID, Ref, What, When, Logged, Place, By, Words string
	Carer                                         bool // logged it
	Cautions                                      []string
	Told, Untold                                  []row
	Documents                                     []attached
}

// attached is a document, and the address where who may see the event can fetch it.
type attached struct{ Says, Path string }

// row is one recipient.
type row struct{ Name, Phone, Words string }

func (p *Pages) person(lang page.Lang, of events.Patient) person {
	out := person{Name: of.Name, NHSNumber: of.NHSNumber, Born: date(lang, of.Born)}
	if n := of.NHSNumber; len(n) == 10 {
		out.NHSNumber = n[:3] + " " + n[3:6] + " " + n[6:]
	}
	return out
}

func date(lang page.Lang, day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return lang.Date(t)
}

func summaryOf(lang page.Lang, s *events.Summary) *summary {
	if s == nil {
		return nil
	}
	out := &summary{Conditions: s.Conditions, Checked: words.Say(lang, "family-held", "date", date(lang, s.Reviewed))}
	switch {
	case s.Respect == events.RespectExists && s.Where != "":
		out.Form = words.Say(lang, "respect.where", "where", s.Where)
	case s.Respect != events.RespectUnsaid:
		out.Form = words.Say(lang, "respect."+string(s.Respect))
	}
	return out
}

// entries puts a patient's newest events before a place into b, at most n that the reader may see. more reports whether there may
// be others.
func (p *Pages) entries(ctx context.Context, lang page.Lang, by events.Actor, patient string, before events.Place, n int, b *body) (more bool, err error) {
	ask := n + 1 // mostly a reader may see all of them, and one more says that there are more
	for range looks {
		if before.IsZero() { // so far there were none but held events, which come first every time
			b.Entries = nil
		}
		some, err := p.Timeline(ctx, patient, before, ask)
		if err != nil {
			return false, err
		}
		for _, st := range some {
			before = st.Place()
			if !p.MaySee(by, st.Record) {
				continue
			}
			if len(b.Entries) == n {
				return true, nil
			}
			e, err := p.entry(ctx, lang, st)
			if err != nil {
				return false, err
			}
			b.Entries = append(b.Entries, e)
		}
		if len(some) < ask {
			return false, nil
		}
		ask = most
	}
	return len(b.Entries) > 0, nil
}

// told are the states in which a message has gone to somebody. That is all they mean.
var told = []events.State{events.Sent, events.Received, events.Acknowledged, events.Declined, events.Unacknowledged}

func (p *Pages) entry(ctx context.Context, lang page.Lang, st events.Stored) (entry, error) {
	receipts, err := p.Receipts(ctx, st)
	if err != nil {
		return entry{}, err
	}
	ev, zone := st.Record.Event, p.Zone()
	e := entry{ID: ev.ID, Ref: events.Ref(ev.ID), When: lang.Moment(ev.Occurred.In(zone)), Logged: lang.Moment(ev.Recorded.In(zone)),
		Place: ev.Place, Words: ev.Words, By: p.Name(ev.By), Carer: ev.By.Kind == events.Carer, What: what(lang, ev)}
	for _, f := range ev.Flags {
		if key := "flag-" + string(f); words.Has(key) {
			e.Cautions = append(e.Cautions, words.Say(lang, key))
		}
	}
	if !ev.Correction.Retracts() {
		for _, d := range ev.Documents {
			e.Documents = append(e.Documents, attached{lang.Document(d), "/e/" + ev.ID + "/document/" + d.ID})
		}
	}
	for _, r := range receipts {
		one := row{r.Name, r.Phone, p.Words(lang, r, p.now(), zone)}
		if slices.Contains(told, r.State) {
			e.Told = append(e.Told, one)
		} else {
			e.Untold = append(e.Untold, one)
		}
	}
	return e, nil
}

func what(lang page.Lang, ev events.Event) string {
	key := "kind-" + string(ev.Kind)
	if ev.Because == events.Fall {
		key += "-fall"
	}
	if !words.Has(key) {
		key = "kind-other"
	}
	said := words.Say(lang, key)
	switch {
	case ev.Correction.Retracts():
		said = words.Say(lang, "taken-back", "what", said)
	case ev.Corrects != "":
		said = words.Say(lang, "other-time", "what", said)
	}
	if ev.Test {
		said = words.Say(lang, "test", "what", said)
	}
	return said
}
