package receipts

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Links makes and opens the links that messages carry: one for each recipient of each event, the same whenever it is
// made, so that a message sent again has the same bytes. Nobody without Key can guess one, and nothing can be read out of
// it: a carer's id may be a name, and names stay out of URLs (hazard: privacy leak).
type Links struct {
	Key  []byte // secret of the hub, 32 bytes
	Base string // URL of the hub, without a trailing slash
}

// For is the link of one recipient of one event.
func (l Links) For(event, recipient string) string {
	return l.Base + "/m/" + Seal{Key: l.Key}.Seal(event+"/"+recipient)
}

// Open returns whom a token stands for; ok is false for every token that For did not make.
func (l Links) Open(token string) (event, recipient string, ok bool) {
	plain, ok := Seal{Key: l.Key}.Open(token)
	if !ok {
		return "", "", false
	}
	return strings.Cut(plain, "/")
}

// Seal makes tokens that hold something nobody else can read, guess or change, for one purpose.
type Seal struct {
	Key     []byte // secret of the hub, 32 bytes
	Purpose string // what is sealed for another does not open; "" is the purpose of Links
}

// Seal returns a token for URLs, the same for the same content.
func (s Seal) Seal(content string) string {
	seal, plain := s.cipher(), []byte(content)
	// A nonce derived from the whole content repeats only with the content, which is what AES-GCM needs (RFC 5116, 3.2.1).
	nonce := s.derive("nonce", plain)[:seal.NonceSize()]
	sealed := seal.Seal(nonce, nonce, plain, nil) // #nosec G407 -- derived by HMAC, see above
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// Open returns what was sealed; ok is false for every token that Seal did not make. The 16 bytes of its authentication tag
// are compared in constant time.
func (s Seal) Open(token string) (content string, ok bool) {
	seal := s.cipher()
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(sealed) < seal.NonceSize() {
		return "", false
	}
	plain, err := seal.Open(nil, sealed[:seal.NonceSize()], sealed[seal.NonceSize():], nil)
	return string(plain), err == nil
}

// cipher is AES-256-GCM under a key of its own.
func (s Seal) cipher() cipher.AEAD {
	block, err := aes.NewCipher(s.derive("seal", nil))
	if err != nil {
		panic(err) // a key of 32 bytes always fits
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES's block always fits
	}
	return seal
}

// derive is HMAC-SHA256 of content for one use.
func (s Seal) derive(use string, content []byte) []byte {
	mac := hmac.New(sha256.New, s.Key)
	mac.Write([]byte("carehub link " + s.Purpose + use + "\x00"))
	mac.Write(content)
	return mac.Sum(nil)
}
