package sms

import (
	"errors"

	"carehub/events"
)

// What a text says: constant words, then an address. There is no room for more in 160 characters.
const (
	testWords = "TEST. "
	readWords = "You have a care message: "
	// signWords stand where the link itself is too long, and lead to the hub.
	signWords = "You have a care message. Please sign in: "
)

var errLong = errors.New("the address of the hub does not fit into a text message")

// compose returns the text of a delivery: always one message of the GSM alphabet, for a gateway may split a longer one, or
// count it as many.
func compose(d events.Delivery) (string, error) {
	test := ""
	if d.Test {
		test = testWords
	}
	if d.Link != nil {
		if text := test + readWords + d.Link(); fits(text) {
			return text, nil
		}
	}
	if text := test + signWords + d.Hub; fits(text) {
		return text, nil
	}
	return "", errLong
}
