package sms

import (
	"errors"

	"carehub/events"
)

// phrases are what a text says in a language: constant words, before an address. There is no room for more in 160 characters, and
// one letter outside of the alphabet, as ŵ or ŷ, would leave 70.
type phrases struct {
	test, read string
	sign       string // where the link itself is too long: it leads to the hub
}

var (
	english = phrases{"TEST. ", "You have a care message: ", "You have a care message. Please sign in: "}
	welsh   = phrases{"PRAWF. ", "Mae gennych neges gofal: ", "Mae gennych neges gofal. Mewngofnodwch: "}
)

func phrasesIn(language string) phrases {
	if language == "cy" {
		return welsh
	}
	return english
}

var errLong = errors.New("the address of the hub does not fit into a text message")

// compose returns the text of a delivery: always one message of the GSM alphabet, for a gateway may split a longer one, or
// count it as many.
func compose(d events.Delivery) (string, error) {
	say, test := phrasesIn(d.Language), ""
	if d.Test {
		test = say.test
	}
	if d.Link != nil {
		if text := test + say.read + d.Link(); fits(text) {
			return text, nil
		}
	}
	if text := test + say.sign + d.Hub; fits(text) {
		return text, nil
	}
	return "", errLong
}
