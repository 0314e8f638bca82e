package strict

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"
)

// decoder fills Go values from nodes. Its messages name keys and never quote values, which may be private.
type decoder struct {
	allowed []string // keys of the outermost struct that somebody else reads
}

// value decodes n into v. name is what n stands under, for messages.
func (d decoder) value(n Node, v reflect.Value, name string) {
	if raw, ok := v.Addr().Interface().(*Node); ok {
		*raw = n
		return
	}
	if n.yaml.Kind == yaml.AliasNode || n.yaml.Style&yaml.TaggedStyle != 0 {
		return // refused when the file was parsed
	}
	if n.yaml.Tag == "!!null" {
		n.report(NoValue, "%s needs a value", name)
		return
	}
	switch into := v.Addr().Interface().(type) {
	case *Secret:
		d.secret(n, into, name)
	case *time.Duration:
		d.duration(n, into, name)
	case placer:
		d.value(n, reflect.ValueOf(into.place(n.Pos())).Elem(), name)
	case adder:
		d.mapping(n, into, name)
	case encoding.TextUnmarshaler:
		d.text(n, into, name)
	default:
		d.kind(n, v, name)
	}
}

// kind decodes what is not a type of its own.
func (d decoder) kind(n Node, v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, name)
	case reflect.Slice:
		d.list(n, v, name)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), name)
	case reflect.String:
		if text, ok := n.text(name); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		d.boolean(n, v, name)
	case reflect.Int:
		d.integer(n, v, name)
	default:
		panic("strict: cannot decode into " + v.Type().String())
	}
}

func (decoder) boolean(n Node, v reflect.Value, name string) {
	switch n.yaml.Value {
	case "true", "false":
		v.SetBool(n.yaml.Value == "true")
	default:
		n.report(WrongType, "%s must be true or false", name)
	}
}

func (decoder) integer(n Node, v reflect.Value, name string) {
	i, err := strconv.Atoi(n.yaml.Value)
	if err != nil || n.yaml.Tag != "!!int" {
		n.report(WrongType, "%s must be a whole number", name)
		return
	}
	v.SetInt(int64(i))
}

func (decoder) duration(n Node, into *time.Duration, name string) {
	length, err := time.ParseDuration(n.yaml.Value)
	if err != nil || length < 0 || n.yaml.Kind != yaml.ScalarNode {
		n.report(WrongType, "%s must be a length of time such as 5m or 2h", name)
		return
	}
	*into = length
}

func (decoder) text(n Node, into encoding.TextUnmarshaler, name string) {
	if n.yaml.Kind != yaml.ScalarNode {
		n.report(WrongType, "%s must be a single value", name)
		return
	}
	if err := into.UnmarshalText([]byte(n.yaml.Value)); err != nil {
		n.report(BadValue, "%s %v", name, err)
	}
}

func (decoder) secret(n Node, into *Secret, name string) {
	secret, err := n.folder.secret(n.yaml.Value)
	if err != nil {
		n.report(SecretValue, "%s: %v", name, err)
		return
	}
	*into = secret
}

// text returns a scalar that YAML reads as text. Dates are; numbers are not, for YAML drops their leading zeros.
func (n Node) text(name string) (string, bool) {
	switch {
	case n.yaml.Kind != yaml.ScalarNode:
		n.report(WrongType, "%s must be text", name)
	case n.yaml.Tag != "!!str" && n.yaml.Tag != "!!timestamp":
		n.report(WrongType, "%s must be text: put it in quotes", name)
	case isReference(n.yaml.Value):
		n.report(BadValue, "%s is not a secret: write it out", name)
	default:
		return n.yaml.Value, true
	}
	return "", false
}

func (d decoder) list(n Node, v reflect.Value, name string) {
	items := n.yaml.Content
	switch _, single := v.Addr().Interface().(single); {
	case n.yaml.Kind == yaml.SequenceNode:
	case single && (n.yaml.Kind == yaml.ScalarNode || n.yaml.Kind == yaml.MappingNode && ofMappings(v.Type())):
		items = []*yaml.Node{n.yaml}
	default:
		n.report(WrongType, "%s must be a list", name)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	seen := map[string]bool{}
	for i, item := range items {
		if item.Kind == yaml.ScalarNode && seen[item.Value] {
			n.at(item).report(Twice, "this is in the list twice")
		}
		seen[item.Value] = item.Kind == yaml.ScalarNode
		decoder{}.value(n.at(item), v.Index(i), "each item of "+name)
	}
}

// ofMappings reports whether a list is one of structs with their places.
func ofMappings(list reflect.Type) bool {
	item, ok := list.Elem().FieldByName("V")
	return ok && item.Type.Kind() == reflect.Struct
}

func (d decoder) mapping(n Node, into adder, name string) {
	if n.yaml.Kind != yaml.MappingNode {
		n.report(WrongType, "%s must be a mapping (key: value)", name)
		return
	}
	for key, value := range n.pairs() {
		slot := into.add(key.yaml.Value, key.Pos())
		decoder{}.value(value, reflect.ValueOf(slot).Elem(), "this entry")
	}
}

// field is what a yaml tag says of a struct field.
type field struct {
	index           int
	required, later bool
}

// fields are those of one struct type. They do not change.
type fields struct {
	byName map[string]field
	names  []string // but for those that come later
}

// decoded has the fields of each type that came so far, for thousands of files have the same few.
var decoded sync.Map // reflect.Type -> fields

func fieldsOf(t reflect.Type) fields {
	if of, ok := decoded.Load(t); ok {
		return of.(fields)
	}
	of := fields{byName: map[string]field{}}
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		of.byName[name] = field{index: i, required: option == "required", later: option == "later"}
		if option != "later" {
			of.names = append(of.names, name)
		}
	}
	decoded.Store(t, of)
	return of
}

func (d decoder) structure(n Node, v reflect.Value, name string) {
	if n.yaml.Kind != yaml.MappingNode {
		n.report(WrongType, "%s must be a mapping (key: value)", name)
		return
	}
	of := fieldsOf(v.Type())
	for key, value := range n.pairs() {
		switch f, known := of.byName[key.yaml.Value]; {
		case !key.plain(): // refused when the file was parsed
		case f.later:
			key.report(Later, "%s is not supported by this build yet", key.yaml.Value)
		case f.required && value.yaml.Kind == yaml.ScalarNode && strings.TrimSpace(value.yaml.Value) == "":
			value.report(NoValue, "%s needs a value", key.yaml.Value)
		case known:
			decoder{}.value(value, v.Field(f.index), key.yaml.Value)
		case !slices.Contains(d.allowed, key.yaml.Value):
			near := DidYouMean(key.yaml.Value, slices.Concat(of.names, d.allowed))
			key.report(UnknownKey, "unknown key%s%s", n.folder.Quote(key.file, key.yaml.Value), near)
		}
	}
	for _, required := range of.names {
		if !of.byName[required].required {
			continue
		}
		if _, ok := n.Get(required); !ok {
			n.report(Missing, "%s is missing", required)
		}
	}
}
