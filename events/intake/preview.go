package intake

import (
	"strings"
	"time"

	"carehub/events"
)

// Preview is the answer to a dry run: what was understood, and who would be told by whose rule.
type Preview struct {
	DryRun     bool               `json:"dry_run"`
	Patient    string             `json:"patient"`
	About      string             `json:"about,omitempty"` // name and year of birth, to confirm that it is the right person
	Kind       events.Kind        `json:"kind"`
	Because    events.Kind        `json:"because,omitempty"`
	Occurred   time.Time          `json:"occurred"`
	Place      string             `json:"place,omitempty"`
	Flags      []events.Flag      `json:"flags,omitempty"`
	Rules      string             `json:"rules"`
	State      events.State       `json:"state,omitempty"`
	Message    string             `json:"message"`
	Recipients []PreviewRecipient `json:"recipients"`
}

// PreviewRecipient is somebody who would be told.
type PreviewRecipient struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Channel string `json:"channel,omitempty"` // the first to be tried; none: known by phone only
	Rule    string `json:"rule"`
}

func previewOf(r Result) Preview {
	e, plan := r.Stored.Record.Event, r.Stored.Record.Plan
	p := Preview{
		DryRun: true, Patient: e.Patient, About: about(r.About), Kind: e.Kind, Because: e.Because, Occurred: e.Occurred,
		Place: e.Place, Flags: e.Flags, Rules: plan.Rules, Message: "Nothing is saved yet.", Recipients: []PreviewRecipient{},
	}
	for _, to := range plan.Recipients {
		if to.Step { // only if others do not answer
			continue
		}
		row := PreviewRecipient{ID: to.ID, Name: to.Name, Rule: to.Rule}
		if len(to.Channels) > 0 {
			row.Channel = to.Channels[0].Key
		}
		p.Recipients = append(p.Recipients, row)
	}
	if e.Has(events.FlagUnrouted) {
		p.State = events.Unrouted
		p.Message = "No team is set up to be told. It can be saved, but please phone"
		if len(r.Phones) > 0 {
			p.Message += " " + strings.Join(r.Phones, " or ")
		}
		p.Message += "."
	}
	if e.Has(events.FlagRepeat) {
		p.Message += " The same was logged less than 15 minutes ago. Is it the same event?"
	}
	return p
}

// about is "Thomas Example, born 1941" (hazard: wrong patient).
func about(p events.Patient) string {
	year, _, _ := strings.Cut(p.Born, "-")
	if p.Name == "" || year == "" {
		return p.Name
	}
	return p.Name + ", born " + year
}
