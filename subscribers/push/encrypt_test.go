package push

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"testing"
)

func octets(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The values are those of RFC 8291, section 5 and appendix A.
const (
	vectorBrowser = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	vectorAuth    = "BTBZMqHH6r4Tts7J_aSIgg"
	vectorOwn     = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
	vectorBody    = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w" +
		"EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

func TestSealIsTheExampleOfTheRFC(t *testing.T) {
	own, err := ecdh.P256().NewPrivateKey(octets(t, vectorOwn))
	if err != nil {
		t.Fatal(err)
	}
	want := octets(t, vectorBody)
	got, err := seal([]byte("When I grow up, I want to be a watermelon"), octets(t, vectorBrowser), octets(t, vectorAuth), own, [16]byte(want[:16]))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("seal = %x, %v; want %x", got, err, want)
	}
}

func TestSealRefuses(t *testing.T) {
	browser, auth := octets(t, vectorBrowser), octets(t, vectorAuth)
	own, err := ecdh.P256().NewPrivateKey(octets(t, vectorOwn))
	if err != nil {
		t.Fatal(err)
	}
	off := bytes.Clone(browser)
	off[64] ^= 1
	for name, c := range map[string]struct{ text, browser, auth []byte }{
		"a point off the curve": {nil, off, auth},
		"no key":                {nil, nil, auth},
		"a short secret":        {nil, browser, auth[1:]},
		"a text too long":       {make([]byte, maxText+1), browser, auth},
	} {
		if _, err := seal(c.text, c.browser, c.auth, own, [16]byte{}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	longest, err := seal(make([]byte, maxText), browser, auth, own, [16]byte{})
	if err != nil || len(longest) != recordSize {
		t.Errorf("the longest text gave %d octets, %v; want %d", len(longest), err, recordSize)
	}
}
