package inbox

import (
	"embed"
	"errors"

	"carehub/events"
	"carehub/events/page"
)

//go:embed words.en.json words.cy.json
var catalogue embed.FS

// words are the texts of the pages.
var words = page.Catalogue(catalogue)

// said is what is wrong with what somebody has sent: a sentence of the catalogue, to be said in their language.
type said struct {
	kind  events.ErrorKind
	key   string
	pairs []any
}

func invalid(key string, pairs ...any) error { return said{events.Invalid, key, pairs} }

func forbidden(key string, pairs ...any) error { return said{events.Forbidden, key, pairs} }

func (s said) Error() string { return words.Say(page.English, s.key, s.pairs...) }

// Unwrap makes events.KindOf work.
func (s said) Unwrap() error { return &events.Error{Kind: s.kind, Message: s.Error()} }

// inLanguage is err, or what was said in another language.
func inLanguage(lang page.Lang, err error) error {
	if s, ok := errors.AsType[said](err); ok {
		return &events.Error{Kind: s.kind, Message: words.Say(lang, s.key, s.pairs...)}
	}
	return err
}
