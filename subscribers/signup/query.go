package signup

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"carehub/events"
)

// query is the parameters of a search or an operation.
type query url.Values

// has reports whether a parameter, if it is there, allows a value: each time it is given, as one of its alternatives.
func (q query) has(name, value string) bool {
	for _, given := range q[name] {
		if !slices.Contains(strings.Split(given, ","), value) {
			return false
		}
	}
	return true
}

// parameters reads those of the address, of a form, or of a Parameters resource; others than the known are refused, for
// they would be a filter that does not filter.
func parameters(r *http.Request, known ...string) (query, error) {
	q := query(r.URL.Query())
	if r.Method == http.MethodPost {
		if err := q.readBody(r); err != nil {
			return nil, err
		}
	}
	for name := range q {
		if !slices.Contains(known, name) {
			return nil, &events.Error{Kind: events.Invalid, Message: "Known parameters are " + strings.Join(known, ", ") + "."}
		}
	}
	return q, nil
}

func (q query) readBody(r *http.Request) error {
	bad := &events.Error{Kind: events.Invalid, Message: "Send the parameters as a form, or as a Parameters resource."}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	if err != nil {
		return bad
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(body))
		for name, values := range form {
			q[name] = append(q[name], values...)
		}
		if err != nil {
			return bad
		}
		return nil
	}
	return q.readParameters(body, bad)
}

func (q query) readParameters(body []byte, bad error) error {
	if len(body) == 0 {
		return nil
	}
	var p struct {
		ResourceType string `json:"resourceType"`
		Parameter    []map[string]any
	}
	if json.Unmarshal(body, &p) != nil || p.ResourceType != "Parameters" {
		return bad
	}
	for _, one := range p.Parameter {
		name, _ := one["name"].(string)
		for key, value := range one {
			text, is := value.(string)
			if number, ok := value.(float64); ok {
				text, is = strconv.FormatFloat(number, 'f', -1, 64), true
			}
			if strings.HasPrefix(key, "value") && is {
				q[name] = append(q[name], text)
			}
		}
	}
	return nil
}
