package push

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Keys are made from one secret of the hub: the pair that push services know it by (VAPID, RFC 8292), and what each message is
// sealed with. A browser takes messages only from the pair that it was given when it subscribed, so the secret stays.
type Keys struct {
	secret []byte
	signer jose.Signer
	public string // uncompressed point, base64url
}

// NewKeys makes the keys of a secret of at least 32 random bytes.
func NewKeys(secret []byte) (*Keys, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("a secret of %d bytes is too short", len(secret))
	}
	k := &Keys{secret: secret}
	own := k.scalar("vapid")
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), own.Bytes())
	if err != nil {
		return nil, fmt.Errorf("the key for push services: %w", err)
	}
	k.public = base64.RawURLEncoding.EncodeToString(own.PublicKey().Bytes())
	k.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, (&jose.SignerOptions{}).WithType("JWT"))
	return k, err
}

// derive is HMAC-SHA256 of what is given, for one use; parts are kept apart by their hashes.
func (k *Keys) derive(use string, parts ...string) []byte {
	m := hmac.New(sha256.New, k.secret)
	_, _ = m.Write([]byte("carehub push " + use + "\x00")) // never fails
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part))
		_, _ = m.Write(sum[:])
	}
	return m.Sum(nil)
}

// scalar is a key of P-256. One in 2^32 derivations is none, and the next is taken.
func (k *Keys) scalar(use string, parts ...string) *ecdh.PrivateKey {
	for n := 0; ; n++ {
		if key, err := ecdh.P256().NewPrivateKey(k.derive(fmt.Sprint(use, " ", n), parts...)); err == nil {
			return key
		}
	}
}

// proofLife is how long a proof is good: RFC 8292, 2, allows a day.
const proofLife = 12 * time.Hour

// proof is the header Authorization for the push service of an address (RFC 8292, 3).
func (k *Keys) proof(to *url.URL, contact string, now time.Time) (string, error) {
	claims := jwt.Claims{Audience: jwt.Audience{to.Scheme + "://" + to.Host}, Expiry: jwt.NewNumericDate(now.Add(proofLife))}
	if contact != "" {
		claims.Subject = "mailto:" + contact
	}
	token, err := jwt.Signed(k.signer).Claims(claims).Serialize()
	return "vapid t=" + token + ", k=" + k.public, err
}

// seal encrypts a text for a device. Key and salt are derived from all that goes in, the text too: a repeat is the same bytes,
// and two texts never share a key (RFC 8291, 5, wants a pair for each message).
func (k *Keys) seal(text []byte, message string, d Device) ([]byte, error) {
	browser, auth, err := d.keys()
	if err != nil {
		return nil, err
	}
	parts := []string{message, d.Endpoint, d.P256DH, d.Auth, string(text)}
	return seal(text, browser, auth, k.scalar("message", parts...), [16]byte(k.derive("salt", parts...)))
}
