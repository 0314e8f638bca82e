package email

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"carehub/events"
)

// tokenTimeout bounds one request to a token endpoint.
const tokenTimeout = 15 * time.Second

// OAuth2 returns a source of access tokens for Auth.Token by the client credentials grant (RFC 6749, 4.4), as Microsoft 365
// and others ask of mail clients without a user. A token is kept until ten seconds before it expires. The endpoint must be
// https, or on this machine. Errors are *events.Failure and name neither endpoint nor client. The source is safe for
// concurrent use: callers who find no valid token wait, within their ctx, for one request.
func OAuth2(tokenURL, clientID string, clientSecret func() string, scopes ...string) func(context.Context) (string, error) {
	source := &tokens{
		config: clientcredentials.Config{ClientID: clientID, TokenURL: tokenURL, Scopes: scopes},
		secret: clientSecret,
		turn:   make(chan struct{}, 1),
		// One request an hour: a connection kept open would only be one more thing to close. A redirect would take the secret
		// elsewhere.
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			Timeout:       tokenTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	return source.token
}

type tokens struct {
	config clientcredentials.Config
	secret func() string
	client *http.Client

	turn   chan struct{} // held while reading or replacing cached
	cached *oauth2.Token
}

func (t *tokens) token(ctx context.Context) (string, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", t.failure(ctx, ctx.Err())
	}
	if t.cached.Valid() {
		return t.cached.AccessToken, nil
	}
	if !secureURL(t.config.TokenURL) {
		return "", &events.Failure{Reason: events.ReasonTLS, Err: errors.New("token endpoint is not https")}
	}
	config := t.config
	config.ClientSecret = t.secret()
	fresh, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return "", t.failure(ctx, err)
	}
	t.cached = fresh
	return fresh.AccessToken, nil
}

// failure keeps the status of a refusal and nothing else: the endpoint's words may quote the request.
func (t *tokens) failure(ctx context.Context, err error) *events.Failure {
	switch refused, ok := errors.AsType[*oauth2.RetrieveError](err); {
	case ok && refused.Response.StatusCode >= 500:
		status := refused.Response.StatusCode
		return &events.Failure{Reason: events.ReasonServerError, Status: status, Err: fmt.Errorf("token endpoint: %d", status)}
	case ok:
		status := refused.Response.StatusCode
		return &events.Failure{Reason: events.ReasonAuth, Status: status, Err: fmt.Errorf("token endpoint: %d", status)}
	case ctx.Err() != nil:
		return &events.Failure{Reason: events.ReasonTimeout, Err: fmt.Errorf("token endpoint: %w", ctx.Err())}
	case timedOut(err):
		return &events.Failure{Reason: events.ReasonTimeout, Err: errors.New("token endpoint: no answer")}
	}
	return &events.Failure{Reason: events.ReasonConnection, Err: errors.New("token endpoint: no usable answer")}
}

func secureURL(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip.IsLoopback())
}
