package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"carehub/config/strict"
	"carehub/subscribers"
)

// Bytes of a key, after decoding (Standard Webhooks 1.0.0, "Signature scheme").
const (
	minKey = 24
	maxKey = 64
)

type key []byte

// keys returns what signs: one key, or two while a secret is being changed.
func (s settings) keys() ([]key, error) {
	switch {
	case s.Secret.IsZero() && len(s.Secrets) == 0:
		return nil, &subscribers.FieldError{Field: "secret", Message: "missing: a webhook is always signed"}
	case !s.Secret.IsZero() && len(s.Secrets) != 0:
		return nil, &subscribers.FieldError{Field: "secrets", Message: "give secret or secrets, not both"}
	case !s.Secret.IsZero():
		k, err := parseKey("secret", s.Secret)
		return []key{k}, err
	case len(s.Secrets) != 2:
		return nil, &subscribers.FieldError{Field: "secrets", Message: "must be two, the new one first; for one use secret"}
	}
	newer, err := parseKey("secrets.0", s.Secrets[0])
	if err != nil {
		return nil, err
	}
	older, err := parseKey("secrets.1", s.Secrets[1])
	return []key{newer, older}, err
}

// parseKey decodes whsec_ and base64. A folder read without its secrets gives no key, and signatures that nobody accepts.
func parseKey(field string, s strict.Secret) (key, error) {
	text := s.Reveal()
	if text == "" {
		return nil, nil
	}
	encoded, ok := strings.CutPrefix(text, "whsec_")
	if !ok {
		return nil, &subscribers.FieldError{Field: field, Message: "must begin with whsec_"}
	}
	k, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, &subscribers.FieldError{Field: field, Message: "must be base64 after whsec_"}
	}
	if len(k) < minKey || len(k) > maxKey {
		return nil, &subscribers.FieldError{Field: field, Message: "must hold 24 to 64 bytes"}
	}
	return k, nil
}

// sign returns the webhook-signature header: for each key, v1 and the HMAC-SHA256 of id, timestamp and the exact body.
func sign(keys []key, id, timestamp string, body []byte) string {
	head := []byte(id + "." + timestamp + ".")
	header := make([]byte, 0, 96)
	for i, k := range keys {
		if k == nil {
			continue
		}
		if i > 0 {
			header = append(header, ' ')
		}
		mac := hmac.New(sha256.New, k)
		mac.Write(head)
		mac.Write(body)
		header = append(header, "v1,"...)
		header = base64.StdEncoding.AppendEncode(header, mac.Sum(nil))
	}
	return string(header)
}
