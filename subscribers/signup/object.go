package signup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// object is a JSON object with its members as they were sent, in their order: what the hub does not know of comes back as it
// came.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

// UnmarshalJSON reads an object. One with a name twice is refused: readers differ on which counts.
func (o *object) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return errors.Join(errors.New("must be an object"), err)
	}
	*o = object{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		m := member{name: name.(string)} // the decoder lets nothing else be a name
		if err := dec.Decode(&m.value); err != nil {
			return err
		}
		if o.get(m.name) != nil {
			return fmt.Errorf("has %q twice", m.name)
		}
		*o = append(*o, m)
	}
	_, err := dec.Token()
	return err
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, quoted(m.name)...), ':'), m.value...)
	}
	return append(b, '}'), nil
}

// get returns a member's value, nil if there is none.
func (o object) get(name string) json.RawMessage {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// set gives a member a value, in its place or else at the end.
func (o *object) set(name string, value json.RawMessage) {
	for i := range *o {
		if (*o)[i].name == name {
			(*o)[i].value = value
			return
		}
	}
	*o = append(*o, member{name, value})
}

// within has change applied to the object that is a member's value, an empty one if there is none.
func (o *object) within(name string, change func(*object)) error {
	var inner object
	if value := o.get(name); value != nil {
		if err := json.Unmarshal(value, &inner); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	change(&inner)
	value, err := inner.MarshalJSON()
	if err == nil {
		o.set(name, value)
	}
	return err
}

// quoted is a string as JSON, without escaping what only HTML would need.
func quoted(s string) json.RawMessage {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string cannot fail
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
