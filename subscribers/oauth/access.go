package oauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Life is how long an access token lasts (SMART Backend Services: five minutes at the most).
const Life = 5 * time.Minute

// tokenPrefix begins every access token, so that it is told from a token of the hub's own.
const tokenPrefix = "careat_"

// access is what a token holds, sealed: the hub keeps no record of it, and whoever has it can read nothing out of it.
type access struct {
	V      int    `json:"v"`
	Client string `json:"client"`
	Mark   string `json:"mark"`
	System string `json:"system"`
	Scope  string `json:"scope"`
	Ends   int64  `json:"ends"` // Unix seconds
}

func (s *Server) issue(c Client, granted Scopes) (string, error) {
	plain, err := json.Marshal(access{V: 1, Client: c.ID, Mark: c.Mark, System: c.System, Scope: granted.String(), Ends: s.Clock().Add(Life).Unix()})
	if err != nil {
		return "", err
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(s.seal().Seal(nil, nil, plain, nil)), nil
}

var (
	errForeign = errors.New("not sealed by this hub")
	errExpired = errors.New("expired")
	errRevoked = errors.New("the client is not registered any more")
)

// open reads a token that is still good: in time, and of a client that is what it was when the token was issued.
func (s *Server) open(token string) (t access, err error) {
	box, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return t, errForeign
	}
	plain, err := s.seal().Open(nil, nil, box, nil)
	if err != nil || json.Unmarshal(plain, &t) != nil || t.V != 1 {
		return t, errForeign
	}
	if s.Clock().Unix() >= t.Ends {
		return t, errExpired
	}
	c, ok := s.Clients.Get(t.Client)
	if !ok || c.System != t.System || subtle.ConstantTimeCompare([]byte(c.Mark), []byte(t.Mark)) != 1 || !s.Holds(c.System) {
		return t, errRevoked
	}
	return t, nil
}

// bearer is what follows the prefix of an access token in a request; ok is false where there is none.
func bearer(r *http.Request) (sealed string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.CutPrefix(strings.TrimSpace(token), tokenPrefix)
}

// seal is AES-256-GCM with random nonces, under a key of its own.
func (s *Server) seal() cipher.AEAD {
	mac := hmac.New(sha256.New, s.Secret)
	mac.Write([]byte("carehub access token"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic(err) // a key of 32 bytes always fits
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES's block always fits
	}
	return seal
}
