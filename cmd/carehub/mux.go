package main

import (
	"net/http"
	"slices"
)

// doors is a mux that knows its own patterns, so that a test can walk them.
type doors struct {
	http.ServeMux
	patterns []string
}

func (d *doors) Handle(pattern string, handler http.Handler) {
	d.patterns = append(d.patterns, pattern)
	d.ServeMux.Handle(pattern, handler)
}

func (d *doors) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	d.Handle(pattern, http.HandlerFunc(handler))
}

// allowed are the methods that a route takes at the request's path, other than those of the catch-all.
func (d *doors) allowed(catchAll string) func(*http.Request) []string {
	return func(r *http.Request) (methods []string) {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := d.Handler(other); pattern != catchAll && pattern != "" && !slices.Contains(methods, method) {
				methods = append(methods, method)
			}
		}
		return methods
	}
}
