package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Rules of assertions (SMART App Launch 2.2, client authentication: asymmetric).
const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	maxLife       = 5 * time.Minute  // from now to exp
	leeway        = 30 * time.Second // between two clocks
	maxJTI        = 128              // characters
	maxAssertion  = 8 << 10          // bytes
)

var algorithms = []jose.SignatureAlgorithm{jose.RS384, jose.ES384}

// errProof is a proof that does not hold, in words for the client. They say what its makers can mend, and only what is
// wrong with what they sent.
type errProof struct {
	words string
	cause error
}

func (e *errProof) Error() string { return e.words }

func (e *errProof) Unwrap() error { return e.cause }

// byAssertion is the client that has signed an assertion.
func (s *Server) byAssertion(ctx context.Context, assertion string) (Client, error) {
	if len(assertion) > maxAssertion {
		return Client{}, &errProof{"The assertion is too long.", nil}
	}
	token, err := jwt.ParseSigned(assertion, algorithms)
	if err != nil {
		return Client{}, &errProof{"The assertion is not a JWT signed with RS384 or ES384.", nil}
	}
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return Client{}, &errProof{"The assertion's claims cannot be read.", nil}
	}
	header := token.Headers[0]
	client, known := s.Clients.Get(claims.Issuer)
	if !known || header.KeyID == "" {
		return Client{}, errUnproven(errors.New("no such client, or no kid"))
	}
	if jku, given := header.ExtraHeaders["jku"]; given && jku != client.KeysURL {
		return Client{}, errUnproven(errors.New("jku is not the registered address"))
	}
	key, err := s.Keys.find(ctx, client, header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	if err != nil {
		return Client{}, errUnproven(err)
	}
	if err := token.Claims(key, &claims); err != nil {
		return Client{}, errUnproven(err)
	}
	return client, s.check(ctx, client, claims)
}

// errUnproven says the same whatever is wrong: who asks has proved nothing yet.
func errUnproven(cause error) error {
	return &errProof{"The assertion is not of a registered client: check iss, kid and the key that signed it.", cause}
}

// check holds the claims of a client whose signature is good against the rules, and uses the assertion up.
func (s *Server) check(ctx context.Context, client Client, claims jwt.Claims) error {
	now := s.Clock()
	switch err := claims.ValidateWithLeeway(jwt.Expected{AnyAudience: jwt.Audience{s.TokenURL()}, Time: now}, leeway); {
	case errors.Is(err, jwt.ErrInvalidAudience):
		return &errProof{"aud must be " + s.TokenURL() + ".", nil}
	case err != nil:
		return &errProof{"The assertion has expired, or is not valid yet: check the clock, exp, nbf and iat.", err}
	case claims.Subject != client.ID:
		return &errProof{"iss and sub must both be the client id.", nil}
	case claims.Expiry == nil || claims.Expiry.Time().After(now.Add(maxLife+leeway)):
		return &errProof{"exp must be there, and at most five minutes ahead.", nil}
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return &errProof{"jti must be there, new each time, and of at most 128 characters.", nil}
	}
	err := s.Replays.Use(ctx, client.ID, claims.ID, claims.Expiry.Time())
	if errors.Is(err, errReplayed) {
		return &errProof{"This assertion was used before: sign a new one, with a new jti.", nil}
	}
	return err
}
