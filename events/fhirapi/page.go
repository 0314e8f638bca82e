package fhirapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"carehub/events"
)

// pageParameter is the one parameter of a link to the next page.
const pageParameter = "_page"

// Page is where a search goes on: behind an event, so that new ones move nothing.
type Page struct {
	Before events.Place `json:"before"`
	Seen   []string     `json:"seen,omitempty"` // ids that older events may tell of too
}

// bookmark is what a link holds. It is sealed: nobody can make one, and nothing can be read out of it.
type bookmark struct {
	V       int     `json:"v"`
	Type    string  `json:"type"`
	By      string  `json:"by"`
	Patient string  `json:"patient"`
	Updated []bound `json:"updated,omitempty"`
	Count   int     `json:"count"`
	Page
}

func (a *API) sealPage(q query, p Page) string {
	plain, err := json.Marshal(bookmark{V: 1, Type: q.Type, By: q.By, Patient: q.Patient, Updated: q.Updated, Count: q.Count, Page: p})
	if err != nil {
		panic(err) // words, numbers and times
	}
	return base64.RawURLEncoding.EncodeToString(a.seal().Seal(nil, nil, plain, nil))
}

// openPage reads a link that this asker was given for this type. The rules are asked anew when it is used.
func (a *API) openPage(sealed, resource string, by events.Actor) (query, error) {
	var b bookmark
	box, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err == nil {
		var plain []byte
		if plain, err = a.seal().Open(nil, nil, box, nil); err == nil {
			err = json.Unmarshal(plain, &b)
		}
	}
	if err != nil || b.V != 1 || b.Type != resource || b.By != by.ID {
		return query{}, wrong("This link to the next page is not one of yours. Search again from the start.")
	}
	return query{Type: b.Type, By: b.By, Patient: b.Patient, Updated: b.Updated, Count: b.Count, Page: b.Page}, nil
}

// seal is AES-256-GCM with random nonces, under a key of its own.
func (a *API) seal() cipher.AEAD {
	mac := hmac.New(sha256.New, a.Key)
	mac.Write([]byte("carehub fhir page"))
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
