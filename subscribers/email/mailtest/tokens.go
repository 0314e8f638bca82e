package mailtest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Tokens is an authorization server: it gives access tokens to who has the client's secret (RFC 6749, 4.4), and says of a token
// whose it is (RFC 7662), which is what Dovecot asks.
type Tokens struct {
	url string

	mu      sync.Mutex
	given   map[string]bool
	checked int
}

func newTokens(t testing.TB) *Tokens {
	k := &Tokens{given: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", k.give)
	mux.HandleFunc("GET /introspect", k.introspect)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	k.url = srv.URL
	return k
}

func (k *Tokens) give(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	if id != ClientID || strings.ReplaceAll(secret, "+", " ") != ClientSecret { // form-encoded within Basic (RFC 6749, 2.3.1)
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
		return
	}
	token := rand.Text()
	k.mu.Lock()
	k.given[token] = true
	k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
}

func (k *Tokens) introspect(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	k.mu.Lock()
	active := k.given[token]
	k.checked++
	k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"active": active, "username": User})
}

// Checked is how many tokens were shown to the mail server.
func (k *Tokens) Checked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.checked
}
