package audit

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"carehub/events"
)

// Accesses of one shape differ in a few texts only, and one is recorded for each event that is logged. So the AuditEvent of a
// shape is laid out once, with slots for the texts, and then only filled.

// shape is an access with slots in the place of its texts. There are as many as there are interactions, kinds of errors and
// sets of texts that an access may have, for each hub that was ever configured.
type shape struct {
	hub    events.Sender
	access Access
}

// form is the JSON of a shape between the slots: the text in front of the first, and then after each.
type form struct {
	first string
	rest  []gap
}

type gap struct {
	value int // which of the values fills the slot
	after string
}

// slotMark and a digit are a slot. Unicode keeps this character free. What an access says may hold it: only a form is searched for it.
const slotMark = "\uFFFF"

func slot(value int) string { return slotMark + string(rune('0'+value)) }

var forms = struct {
	sync.RWMutex
	of map[shape]*form
}{of: map[shape]*form{}}

// Event is the AuditEvent of an access to a hub. A success has the profile of its kind; a refusal, and an operation, has the same
// shape without it, for the profiles are those of successes, and there is none for operations.
func Event(hub events.Sender, a Access) ([]byte, error) {
	if a.searches() {
		a.Query = base64.StdEncoding.EncodeToString([]byte(a.Type + "?" + a.Query))
	}
	id, recorded := uuid.NewString(), a.At.UTC().Format(time.RFC3339Nano)
	if strings.Contains(hub.Name+hub.URL, slotMark) {
		return json.Marshal(layOut(hub, a, id, recorded))
	}
	s := shape{hub, a}
	s.access.At = time.Time{}
	values := [...]string{id, recorded, a.By.ID, a.Name, a.Type, a.ID, a.Patient, a.Query, a.From, a.Request}
	for n, text := range s.access.texts() {
		if *text != "" {
			*text = slot(n + 2)
		}
	}
	f, err := formOf(s)
	if err != nil {
		return nil, err
	}
	return f.fill(values[:]), nil
}

// texts are what makes accesses of one shape differ, beside the AuditEvent's id and time.
func (a *Access) texts() [8]*string {
	return [...]*string{&a.By.ID, &a.Name, &a.Type, &a.ID, &a.Patient, &a.Query, &a.From, &a.Request}
}

func formOf(s shape) (*form, error) {
	forms.RLock()
	f := forms.of[s]
	forms.RUnlock()
	if f != nil {
		return f, nil
	}
	b, err := json.Marshal(layOut(s.hub, s.access, slot(0), slot(1)))
	if err != nil {
		return nil, err
	}
	pieces := strings.Split(string(b), slotMark)
	f = &form{first: pieces[0]}
	for _, p := range pieces[1:] {
		f.rest = append(f.rest, gap{int(p[0] - '0'), p[1:]})
	}
	forms.Lock()
	defer forms.Unlock()
	forms.of[s] = f
	return f, nil
}

// fill returns the JSON with the values in their slots.
func (f *form) fill(values []string) []byte {
	for n, v := range values {
		values[n] = escape(v)
	}
	size := len(f.first)
	for _, g := range f.rest {
		size += len(values[g.value]) + len(g.after)
	}
	out := append(make([]byte, 0, size), f.first...)
	for _, g := range f.rest {
		out = append(append(out, values[g.value]...), g.after...)
	}
	return out
}

// escape writes s as it stands between the quotation marks of a JSON string.
func escape(s string) string {
	for n := range len(s) {
		if c := s[n]; c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 {
			b, _ := json.Marshal(s) // a string always marshals
			return string(b[1 : len(b)-1])
		}
	}
	return s
}
