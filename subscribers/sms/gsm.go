package sms

import "strings"

// limit is how many septets one message that is not split carries: 140 octets of seven bits each (3GPP TS 23.040).
const limit = 160

// basic is the default alphabet of 3GPP TS 23.038, 6.2.1, without the escape; extended is its extension table, whose
// characters cost an escape and so two septets.
const (
	basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	extended = "\f^{}\\[~]|€"
)

// septets is how long a text is in the GSM 7-bit default alphabet. It is false for a text with a character outside of it:
// a gateway would send that in UCS-2, where a message has room for 70.
func septets(text string) (int, bool) {
	n := 0
	for _, r := range text {
		switch {
		case strings.ContainsRune(basic, r):
			n++
		case strings.ContainsRune(extended, r):
			n += 2
		default:
			return n, false
		}
	}
	return n, true
}

// fits says whether a text goes as one message.
func fits(text string) bool {
	n, ok := septets(text)
	return ok && n <= limit
}
