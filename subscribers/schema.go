package subscribers

import (
	"errors"
	"reflect"
	"strings"

	"carehub/config/strict"
	"carehub/events"
)

// nameForm is the form of an id, as events.ValidName has it.
const nameForm = `^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`

// Subjects describe a provider's file and carers.yaml, with the channels that there are. says describes the settings of
// each channel, by its type and key: email.to.
func Subjects(types map[string]Type, says map[string]string) []strict.Subject {
	provided := strict.Subject{Name: "subscriber", Title: "carehub: subscribers/….yaml, somebody who can be told", Of: provider{},
		Parts: map[string]any{"id": strict.Pattern(nameForm)},
		Says: map[string]string{
			"id":       "as the file is named",
			"name":     "what people call them",
			"ods":      "NHS organisation code",
			"phone":    "which a person can ring; needed where there is no channel",
			"channels": "ways of telling them, in order of preference",
		}}
	cared := strict.Subject{Name: "carers", Title: "carehub: carers.yaml (private), who logs as a person", Of: strict.Map[carer]{},
		Parts: map[string]any{"key": strict.Pattern(nameForm)},
		Says: map[string]string{
			"*.name":         "what recipients read",
			"*.relationship": "to the patient, such as daughter",
			"*.phone":        "which recipients can ring",
			"*.channels":     "ways of telling them, in order of preference",
		}}
	describe(provided, "", types, says)
	describe(cared, "*.", types, says)
	return []strict.Subject{provided, cared}
}

// describe adds the channels and the quiet hours.
func describe(s strict.Subject, at string, types map[string]Type, says map[string]string) {
	s.Says[at+"language"] = "in which they are written to"
	s.Parts[at+"language"] = strict.Enum(languages)
	s.Says[at+"quiet_hours"] = "when they are told nothing that can wait"
	s.Says[at+"quiet_hours.from"] = "a time of day in quotes"
	s.Says[at+"quiet_hours.to"] = "the first minute that is not quiet"
	s.Says[at+"quiet_hours.zone"] = "an IANA time zone, by default the hub's"
	s.Parts[at+"quiet_hours.from"] = strict.Pattern(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
	s.Parts[at+"quiet_hours.to"] = s.Parts[at+"quiet_hours.from"]
	one := map[string]any{}
	for name, t := range types {
		one[name] = channel(name, t, says)
	}
	s.Parts[at+"channels.*"] = strict.Raw{"type": "object", "properties": one, "additionalProperties": false, "minProperties": 1, "maxProperties": 1}
}

// channel describes the settings of one type, and those that any channel has.
func channel(name string, t Type, says map[string]string) map[string]any {
	var settings any
	_, _ = t.Open(func(into any) error {
		settings = reflect.ValueOf(into).Elem().Interface()
		return errors.New("only asked for its settings")
	})
	s := strict.Subject{Of: settings, Title: name, Says: map[string]string{}, Parts: map[string]any{}}
	for key := range says {
		if setting, ok := strings.CutPrefix(key, name+"."); ok {
			s.Says[setting] = says[key]
		}
	}
	levels := make(strict.Enum, len(events.Contents))
	for i, level := range events.Contents {
		levels[i] = string(level)
	}
	s.Parts["content"] = levels
	out := s.Schema()
	delete(out, "$schema")
	keys := out["properties"].(map[string]any)
	keys["rate"], keys["concurrency"] = map[string]any(strict.Between(1, MaxRate)), map[string]any(strict.Between(1, MaxConcurrency))
	return out
}
