package strict

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Subject is a file, or a part of one, that can be described as a JSON Schema, from the types that it is decoded into.
//
// Paths are keys joined by dots, with * for any item of a list and any key of a Map.
type Subject struct {
	Name  string // of the schema
	Title string
	Of    any // a value of the type
	// Parts are what stands in the place of a Node, by its path: a value of the type that the Node is decoded into. One of type
	// Enum lists the texts that are accepted there; under a path that ends in .key, those of a Map's keys.
	Parts map[string]any
	// Needed are keys that a loader wants beside those that their struct says are required.
	Needed []string
	// Says describes each key, by its path.
	Says map[string]string
}

// Enum lists texts of which one must be given.
type Enum []string

// Pattern is a regular expression for texts.
type Pattern string

// Raw is a schema as it is.
type Raw map[string]any

// describer is a type that says which texts it accepts.
type describer interface{ Schema() map[string]any }

// Schema returns the JSON Schema (draft 7). What it refuses the decoder refuses, and the other way round, but for what a
// schema cannot see: keys that are given twice, tags and aliases, and all that depends on other files.
func (s Subject) Schema() map[string]any {
	out := s.of(reflect.TypeOf(s.Of), "")
	out["$schema"] = "http://json-schema.org/draft-07/schema#"
	out["title"] = s.Title
	return out
}

func (s Subject) of(t reflect.Type, path string) map[string]any {
	out := s.shape(t, path)
	if says := s.Says[path]; says != "" {
		out["description"] = says
	}
	return out
}

func (s Subject) shape(t reflect.Type, path string) map[string]any {
	switch part := s.Parts[path].(type) {
	case nil:
	case Enum:
		return map[string]any{"type": "string", "enum": []string(part)}
	case Pattern:
		return map[string]any{"type": "string", "pattern": string(part)}
	case Raw:
		return part
	default:
		t = reflect.TypeOf(part)
	}
	if t.Kind() == reflect.Pointer {
		return s.shape(t.Elem(), path)
	}
	switch v := reflect.New(t).Interface().(type) {
	case *Node:
		return map[string]any{}
	case *Secret:
		return map[string]any{"type": "string", "pattern": reference.String()}
	case *time.Duration:
		return map[string]any{"type": "string", "pattern": `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`}
	case describer:
		return v.Schema()
	case placer:
		return s.shape(reflect.TypeOf(v.place(Pos{})).Elem(), path)
	case adder:
		return s.mapping(reflect.TypeOf(v.add("", Pos{})).Elem(), path)
	case encoding.TextUnmarshaler:
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	}
	return s.kind(t, path)
}

func (s Subject) kind(t reflect.Type, path string) map[string]any {
	switch t.Kind() {
	case reflect.Struct:
		return s.structure(t, path)
	case reflect.Slice:
		return s.list(t, path)
	case reflect.String: // no reference to a secret
		return map[string]any{"type": "string", "not": map[string]any{"pattern": `^\$\{(file|env):`}}
	case reflect.Bool: // in quotes, too
		return map[string]any{"enum": []any{true, false, "true", "false"}}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	}
	panic("strict: cannot describe " + t.String())
}

func (s Subject) list(t reflect.Type, path string) map[string]any {
	item := s.of(t.Elem(), under(path, "*"))
	all := map[string]any{"type": "array", "items": item}
	if item["type"] == "string" {
		all["uniqueItems"] = true
	}
	if _, single := reflect.New(t).Interface().(single); !single {
		return all
	}
	return map[string]any{"anyOf": []any{item, all}}
}

func (s Subject) mapping(value reflect.Type, path string) map[string]any {
	out := map[string]any{"type": "object", "additionalProperties": s.of(value, under(path, "*"))}
	if keys := under(path, "key"); s.Parts[keys] != nil {
		out["propertyNames"] = s.shape(nil, keys)
	}
	return out
}

func (s Subject) structure(t reflect.Type, path string) map[string]any {
	of := fieldsOf(t)
	properties := map[string]any{}
	required := []string{}
	for _, name := range of.names {
		at := under(path, name)
		value := s.of(t.Field(of.byName[name].index).Type, at)
		if of.byName[name].required || slices.Contains(s.Needed, at) {
			required = append(required, name)
			value = map[string]any{"allOf": []any{value, map[string]any{"not": map[string]any{"type": "string", "pattern": `^\s*$`}}}}
			if says := s.Says[at]; says != "" {
				value["description"] = says
			}
		}
		properties[name] = value
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Keys returns the paths of all keys that the subject's structs have, sorted: what Says should describe.
func (s Subject) Keys() []string {
	var all []string
	var walk func(schema map[string]any, path string)
	walk = func(schema map[string]any, path string) {
		for _, of := range []string{"anyOf", "allOf"} {
			branches, _ := schema[of].([]any)
			for _, branch := range branches {
				if of == "allOf" || branch.(map[string]any)["type"] == "array" { // the only item has the same keys
					walk(branch.(map[string]any), path)
				}
			}
		}
		for _, sub := range []string{"items", "additionalProperties"} {
			if item, ok := schema[sub].(map[string]any); ok {
				walk(item, under(path, "*"))
			}
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, value := range properties {
			all = append(all, under(path, name))
			walk(value.(map[string]any), under(path, name))
		}
	}
	walk(s.Schema(), "")
	slices.Sort(all)
	return slices.Compact(all)
}

// Between is a whole number within bounds.
func Between(least, most int) Raw {
	return Raw{"type": "integer", "minimum": least, "maximum": most, "description": "from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)}
}

// Schema says which texts are a Date.
func (*Date) Schema() map[string]any {
	return map[string]any{"type": "string", "format": "date", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`}
}
