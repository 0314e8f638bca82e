package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"time"
)

const (
	maxForm      = 32 << 10 // bytes of a request
	tokenTimeout = 10 * time.Second
)

// refused is an error answer of RFC 6749, 5.2.
type refused struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
	cause       error
}

func (r *refused) Error() string { return r.Code + ": " + r.Description }

func (r *refused) Unwrap() error { return r.cause }

// granted is the answer of RFC 6749, 5.1.
type granted struct {
	Token     string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"` // seconds
	Scope     string `json:"scope"`
}

// ServeHTTP is POST /oauth/token.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), tokenTimeout)
	defer cancel()
	answer, err := s.grant(ctx, w, r)
	if err == nil {
		reply(w, http.StatusOK, answer)
		return
	}
	no, ok := errors.AsType[*refused](err)
	if !ok {
		no = &refused{http.StatusServiceUnavailable, "temporarily_unavailable", "The hub cannot answer just now. Please try again.", err}
		w.Header().Set("Retry-After", "5")
	}
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="carehub"`)
	}
	if s.Refused != nil {
		s.Refused(no.Code, no.Description, no.cause)
	}
	reply(w, no.status, no)
}

func (s *Server) grant(ctx context.Context, w http.ResponseWriter, r *http.Request) (granted, error) {
	form, err := read(w, r)
	if err != nil {
		return granted{}, err
	}
	switch form.Get("grant_type") {
	case "client_credentials":
	case "":
		return granted{}, badRequest("grant_type is missing.")
	default:
		return granted{}, &refused{http.StatusBadRequest, "unsupported_grant_type", "Only client_credentials is supported.", nil}
	}
	client, err := s.client(ctx, r, form)
	if err != nil {
		return granted{}, err
	}
	scopes := ParseScopes(client.Scope)
	if asked := form.Get("scope"); asked != "" {
		scopes = ParseScopes(asked).within(scopes)
	}
	if len(scopes) == 0 {
		return granted{}, &refused{http.StatusBadRequest, "invalid_scope", "None of these scopes is registered for this client, which has: " + client.Scope + ".", nil}
	}
	token, err := s.issue(client, scopes)
	return granted{token, "Bearer", int(Life.Seconds()), scopes.String()}, err
}

// read takes the form off the wire. Each parameter may stand there once (RFC 6749, 3.2), and none in the URL, where logs
// keep it.
func read(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, badRequest("The body must be application/x-www-form-urlencoded.")
	}
	if r.URL.RawQuery != "" {
		return nil, badRequest("Send the parameters in the body: nothing in the URL.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("The body is not well-formed, or too large.")
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return nil, badRequest("A parameter is given twice.")
		}
	}
	return r.PostForm, nil
}

func badRequest(words string) error {
	return &refused{http.StatusBadRequest, "invalid_request", words, nil}
}

func notProven(words string, cause error) error {
	return &refused{http.StatusUnauthorized, "invalid_client", words, cause}
}

// client is who proves to be one, in one way only (RFC 6749, 2.3), and whose system is registered.
func (s *Server) client(ctx context.Context, r *http.Request, form url.Values) (Client, error) {
	id, secret, basic := basicAuth(r)
	var client Client
	var err error
	switch assertion := form.Get("client_assertion"); {
	case basic && assertion != "", form.Get("client_secret") != "":
		return client, badRequest("Prove who you are in one way: by HTTP Basic, or by client_assertion.")
	case assertion != "" && form.Get("client_assertion_type") != assertionType:
		return client, badRequest("client_assertion_type must be " + assertionType + ".")
	case assertion != "":
		client, err = s.byAssertion(ctx, assertion)
	case basic:
		client, err = s.bySecret(id, secret)
	default:
		return client, notProven("Prove who you are: client_secret_basic or private_key_jwt.", nil)
	}
	if proof, ok := errors.AsType[*errProof](err); ok {
		return client, notProven(proof.words, proof.cause)
	}
	if err != nil {
		return client, err
	}
	if given := form.Get("client_id"); given != "" && given != client.ID {
		return client, notProven("client_id is not that of the proof.", nil)
	}
	if !s.Holds(client.System) {
		return client, notProven("The client's organisation is not registered here any more.", nil)
	}
	return client, nil
}

func (s *Server) bySecret(id, secret string) (Client, error) {
	client, known := s.Clients.Get(id)
	if !client.hasSecret(secret) || !known {
		return Client{}, &errProof{"The client id or the secret is wrong.", nil}
	}
	return client, nil
}

// basicAuth reads HTTP Basic, in which id and secret are form-encoded (RFC 6749, 2.3.1).
func basicAuth(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	plainID, err := url.QueryUnescape(id)
	plainSecret, failed := url.QueryUnescape(secret)
	if errors.Join(err, failed) != nil {
		return id, secret, true
	}
	return plainID, plainSecret, true
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone can ask again
}

// Configuration is /.well-known/smart-configuration (SMART App Launch 2.2, conformance). It needs no login.
func (s *Server) Configuration(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token_endpoint":                                   s.TokenURL(),
		"token_endpoint_auth_methods_supported":            []string{"client_secret_basic", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": algorithms,
		"grant_types_supported":                            []string{"client_credentials"},
		"scopes_supported":                                 []string{"system/*.rs", "system/Subscription.crud", "system/Subscription.cruds", "system/Bundle.c"},
		"capabilities":                                     []string{"client-confidential-symmetric", "client-confidential-asymmetric", "permission-v1", "permission-v2"},
		"code_challenge_methods_supported":                 []string{"S256"}, // required by SMART, even of a server without an authorisation endpoint
	})
}
