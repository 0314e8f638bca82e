package phone

import (
	"net/url"
	"strconv"
	"strings"

	"carehub/events/page"
)

// left is a file that is not attached. Nothing that a carer reports fails because of a file.
type left struct {
	N   int    // which of those that were chosen, from 1; 0: the only one, or one that was kept before
	Why string // what the pages have a sentence for
}

func (f *Form) leave(n int, why string) { f.Left = append(f.Left, left{n, why}) }

// passing reports whether a file that was left out could be taken another time.
func (l left) passing() bool { return l.Why == "busy" || l.Why == "away" }

// addressOf is what the address of an event's page says of the files that were left out: "?left=2-large"; "" for none.
func addressOf(all []left) string {
	address := url.Values{}
	for _, l := range all {
		address.Add("left", strconv.Itoa(l.N)+"-"+l.Why)
	}
	if len(address) == 0 {
		return ""
	}
	return "?" + address.Encode()
}

// leftOf is what an address says of files that were left out.
func leftOf(address url.Values) (all []left) {
	for _, said := range address["left"] {
		which, why, _ := strings.Cut(said, "-")
		n, err := strconv.Atoi(which)
		if err == nil && n >= 0 && n < 100 && len(all) < 10 && words.Has("document."+why) {
			all = append(all, left{n, why})
		}
	}
	return all
}

// sayLeft says which files were left out, and why; "" if none was.
func sayLeft(lang page.Lang, all []left) string {
	var said []string
	for _, l := range all {
		why := words.Say(lang, "document."+l.Why)
		if l.N > 0 {
			why = words.Say(lang, "document.nth", "n", l.N, "why", why)
		}
		said = append(said, why)
	}
	return strings.Join(said, " ")
}
