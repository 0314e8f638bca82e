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
	seal, plain := l.seal(), []byte(event+"/"+recipient)
	// A nonce derived from the whole content repeats only with the content, which is what AES-GCM needs (RFC 5116, 3.2.1).
	nonce := l.derive("nonce", plain)[:seal.NonceSize()]
	sealed := seal.Seal(nonce, nonce, plain, nil) // #nosec G407 -- derived by HMAC, see above
	return l.Base + "/m/" + base64.RawURLEncoding.EncodeToString(sealed)
}

// Open returns whom a token stands for; ok is false for every token that For did not make. The 16 bytes of its
// authentication tag are compared in constant time.
func (l Links) Open(token string) (event, recipient string, ok bool) {
	seal := l.seal()
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(sealed) < seal.NonceSize() {
		return "", "", false
	}
	plain, err := seal.Open(nil, sealed[:seal.NonceSize()], sealed[seal.NonceSize():], nil)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), "/")
}

// seal is AES-256-GCM under a key of its own.
func (l Links) seal() cipher.AEAD {
	block, err := aes.NewCipher(l.derive("seal", nil))
	if err != nil {
		panic(err) // a key of 32 bytes always fits
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES's block always fits
	}
	return seal
}

// derive is HMAC-SHA256 of content for one purpose.
func (l Links) derive(purpose string, content []byte) []byte {
	mac := hmac.New(sha256.New, l.Key)
	mac.Write([]byte("carehub link " + purpose + "\x00"))
	mac.Write(content)
	return mac.Sum(nil)
}
