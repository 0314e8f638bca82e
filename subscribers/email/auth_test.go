package email_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/xdg-go/scram"

	"carehub/events"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/email"
)

const (
	user     = "care@hub.example"
	password = "hunter2, hunter3=yes"
)

var errWrong = errors.New("wrong credentials")

// account is the server's side of every mechanism.
func account(mechanism string, state tls.ConnectionState) (sasl.Server, error) {
	switch mechanism {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, u, p string) error { return check(u, p) }), nil
	case "LOGIN":
		return &loginServer{}, nil
	case "XOAUTH2":
		return &xoauth2Server{}, nil
	case "OAUTHBEARER":
		return sasl.NewOAuthBearerServer(func(o sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
			if check(o.Username, o.Token) != nil {
				return &sasl.OAuthBearerError{Status: "invalid_token", Schemes: "bearer"}
			}
			return nil
		}), nil
	case "EXTERNAL":
		return sasl.NewExternalServer(func(string) error {
			if len(state.PeerCertificates) == 0 {
				return errWrong
			}
			return nil
		}), nil
	}
	return newScram(mechanism, state)
}

func check(u, p string) error {
	if u != user || p != password {
		return errWrong
	}
	return nil
}

// loginServer is the mechanism LOGIN, which go-sasl has for clients only.
type loginServer struct{ said []string }

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	if response != nil {
		l.said = append(l.said, string(response))
	}
	if len(l.said) == 2 {
		return nil, true, check(l.said[0], l.said[1])
	}
	return []byte([]string{"Username:", "Password:"}[len(l.said)]), false, nil
}

// xoauth2Server answers a wrong token with a challenge, as Google and Microsoft do; the client must answer that before it
// is refused.
type xoauth2Server struct{ refused bool }

func (x *xoauth2Server) Next(response []byte) ([]byte, bool, error) {
	if x.refused {
		return nil, false, errWrong
	}
	if string(response) == "user="+user+"\x01auth=Bearer "+password+"\x01\x01" {
		return nil, true, nil
	}
	x.refused = true
	return []byte(`{"status":"401","schemes":"bearer"}`), false, nil
}

// scramServer runs SCRAM by an implementation that is not go-mail's.
type scramServer struct{ *scram.ServerConversation }

func newScram(mechanism string, state tls.ConnectionState) (sasl.Server, error) {
	name, plus := strings.CutSuffix(mechanism, "-PLUS")
	hash := map[string]scram.HashGeneratorFcn{"SCRAM-SHA-1": scram.SHA1, "SCRAM-SHA-256": scram.SHA256}[name]
	if hash == nil {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	client, err := hash.NewClient(user, password, "")
	if err != nil {
		return nil, err
	}
	known, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt", Iters: 4096})
	if err != nil {
		return nil, err
	}
	srv, err := hash.NewServer(func(u string) (scram.StoredCredentials, error) {
		if u != user {
			return scram.StoredCredentials{}, errWrong
		}
		return known, nil
	})
	if err != nil || !plus {
		return &scramServer{srv.NewConversation()}, err
	}
	binding, err := scram.NewTLSExporterBinding(&state)
	return &scramServer{srv.NewConversationWithChannelBindingRequired(binding)}, err
}

// Next sends the server's last message as a challenge of its own, which the client answers with nothing (RFC 4954, 4).
func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	if s.Done() {
		return nil, s.Valid(), nil
	}
	if response == nil {
		return []byte{}, false, nil
	}
	challenge, err := s.Step(string(response))
	return []byte(challenge), false, err
}

func secret(s string) func() string { return func() string { return s } }

func token(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

func credentials(mechanism, secretText string) email.Auth {
	cert, _ := certificate()
	return email.Auth{
		Mechanism: mechanism, User: user, Password: secret(secretText), Token: token(secretText), ClientCert: &cert,
	}
}

func TestMechanisms(t *testing.T) {
	for _, mechanism := range email.Mechanisms() {
		t.Run(mechanism, func(t *testing.T) {
			s := start(t, &server{mechanisms: []string{"NTLM", mechanism}, auth: account})
			c := s.config()
			c.Auth = credentials(mechanism, password)
			e, _ := open(t, c, events.ContentLink)
			mustSend(t, e, numbered(t, 1))
			mustSend(t, e, numbered(t, 2))
			if s.sessions != 2 { // go-smtp opens one before and one after STARTTLS
				t.Errorf("%d sessions for two messages, want one connection", s.sessions)
			}
			if len(s.taken()) != 2 {
				t.Errorf("%d messages taken, want 2", len(s.taken()))
			}
		})
	}
}

func TestWrongCredentials(t *testing.T) {
	for _, mechanism := range email.Mechanisms() {
		t.Run(mechanism, func(t *testing.T) {
			s := start(t, &server{mechanisms: []string{mechanism}, auth: account})
			c := s.config()
			c.Auth = credentials(mechanism, "hunter2 is wrong")
			if mechanism == "EXTERNAL" {
				c.Auth.ClientCert = &tls.Certificate{}
			}
			e, _ := open(t, c, events.ContentLink)
			f := failed(t, e.Send(t.Context(), numbered(t, 1)))
			if f.Reason != events.ReasonAuth || f.Permanent || f.Status != 535 {
				t.Errorf("got %v permanent %v (%v), want auth, temporary, 535", f, f.Permanent, f.Err)
			}
		})
	}
}

func TestExternalWithoutIdentity(t *testing.T) {
	s := start(t, &server{mechanisms: []string{"EXTERNAL"}, auth: account})
	c := s.config()
	c.Auth = credentials("EXTERNAL", "")
	c.Auth.User = ""
	e, _ := open(t, c, events.ContentLink)
	mustSend(t, e, numbered(t, 1))
}

func TestMechanismNotOffered(t *testing.T) {
	for _, mechanism := range email.Mechanisms() {
		s := start(t, &server{mechanisms: []string{"NTLM"}, auth: account})
		c := s.config()
		c.Auth = credentials(mechanism, password)
		e, _ := open(t, c, events.ContentLink)
		if f := failed(t, e.Send(t.Context(), numbered(t, 1))); f.Reason != events.ReasonAuth || f.Permanent {
			t.Errorf("%s: got %v (%v), want auth, temporary", mechanism, f, f.Err)
		}
	}
}

func TestAccountNeededButNoneSet(t *testing.T) {
	s := start(t, &server{mechanisms: []string{"PLAIN"}, auth: account})
	e, _ := open(t, s.config(), events.ContentLink)
	if f := failed(t, e.Send(t.Context(), numbered(t, 1))); f.Reason != events.ReasonAuth || f.Permanent || f.Status != 530 {
		t.Errorf("got %v permanent %v, want auth, temporary, 530", f, f.Permanent)
	}
}

// tokenServer gives the token under password, except that the first is wrong: as good as expired.
func tokenServer(t *testing.T, lifetime int, asked *atomic.Int64) string {
	h := func(w http.ResponseWriter, r *http.Request) {
		id, key, _ := r.BasicAuth()
		if id != "client" || key != "hunter2" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "mail" {
			http.Error(w, channeltest.Gossip, http.StatusUnauthorized)
			return
		}
		given := password
		if asked.Add(1) == 1 && lifetime < 10 {
			given = "expired"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": given, "token_type": "Bearer", "expires_in": lifetime})
	}
	srv := httptest.NewServer(http.HandlerFunc(h))
	t.Cleanup(srv.Close)
	return srv.URL
}

// A token that is refused because it ran out is followed, on the next attempt, by a fresh one; one that is good is asked
// for once.
func TestTokens(t *testing.T) {
	for lifetime, want := range map[int]int64{1: 2, 3600: 1} {
		var asked atomic.Int64
		s := start(t, &server{mechanisms: []string{"XOAUTH2"}, auth: account})
		c := s.config()
		c.Auth = email.Auth{
			Mechanism: "XOAUTH2", User: user,
			Token: email.OAuth2(tokenServer(t, lifetime, &asked), "client", secret("hunter2"), "mail"),
		}
		if lifetime == 1 {
			e, _ := open(t, c, events.ContentLink)
			if f := failed(t, e.Send(t.Context(), numbered(t, 1))); f.Reason != events.ReasonAuth {
				t.Errorf("got %v, want auth", f)
			}
			mustSend(t, e, numbered(t, 1))
		} else {
			for n := range 2 {
				e, channel := open(t, c, events.ContentLink)
				mustSend(t, e, numbered(t, n))
				channel.Close(t.Context()) // so that the next message needs another AUTH
			}
		}
		if got := asked.Load(); got != want {
			t.Errorf("lifetime %d s: %d tokens asked for, want %d", lifetime, got, want)
		}
	}
}

func TestTokenRefused(t *testing.T) {
	redirected := httptest.NewServer(http.RedirectHandler("https://bad.example/", http.StatusTemporaryRedirect))
	t.Cleanup(redirected.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	t.Cleanup(broken.Close)
	var asked atomic.Int64
	cases := []struct {
		name, url string
		reason    events.Reason
		status    int
	}{
		{"wrong secret", tokenServer(t, 3600, &asked), events.ReasonAuth, 401},
		{"server error", broken.URL, events.ReasonServerError, 503},
		{"redirect", redirected.URL, events.ReasonAuth, 307},
		{"not encrypted", "http://login.example/token", events.ReasonTLS, 0},
		{"nobody there", "https://127.0.0.1:1/token", events.ReasonConnection, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, &server{mechanisms: []string{"OAUTHBEARER"}, auth: account})
			config := s.config()
			config.Auth = email.Auth{Mechanism: "OAUTHBEARER", Token: email.OAuth2(c.url, "client", secret("hunter2 no"), "mail")}
			e, _ := open(t, config, events.ContentLink)
			f := failed(t, e.Send(t.Context(), numbered(t, 1)))
			if f.Reason != c.reason || f.Status != c.status || f.Permanent {
				t.Errorf("got %v (%v), want %s %d, temporary", f, f.Err, c.reason, c.status)
			}
		})
	}
}

// A token source of somebody else may say anything; none of it is passed on.
func TestForeignTokenSource(t *testing.T) {
	s := start(t, &server{mechanisms: []string{"XOAUTH2"}, auth: account})
	c := s.config()
	c.Auth = email.Auth{Mechanism: "XOAUTH2", User: user, Token: func(context.Context) (string, error) {
		return "", fmt.Errorf("no token for %s with hunter2", user)
	}}
	e, _ := open(t, c, events.ContentLink)
	if f := failed(t, e.Send(t.Context(), numbered(t, 1))); f.Reason != events.ReasonAuth || f.Permanent {
		t.Errorf("got %v (%v), want auth, temporary", f, f.Err)
	}
}
