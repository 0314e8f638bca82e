package email

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"carehub/events"
)

// maxFiles bounds what is attached to one message: with what base64 adds, most mail servers take it. What is more is behind the link.
const maxFiles = 7 << 20 // bytes

// mostLarge bounds the messages with files that are built and sent at once: each is some four times its files in memory.
const mostLarge = 4

// turn waits, for as long as an attempt may take, until a message with so many files may be built.
func (c *Channel) turn(ctx context.Context, files int) (done func(), err error) {
	if files == 0 {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	select {
	case c.large <- struct{}{}:
		return func() { <-c.large }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// file is a document as it goes into a message.
type file struct {
	events.Document
	name    string
	content []byte
}

// chosen are the documents of a delivery that go into a message to one address, in full messages only.
func (c *Channel) chosen(to string, d events.Delivery) (some []events.Document) {
	if d.Content != events.ContentFull || !c.mayHaveFull(to) || d.Open == nil {
		return nil
	}
	size := 0
	for _, one := range d.Documents {
		if size += one.Size; size > maxFiles {
			break
		}
		some = append(some, one)
	}
	return some
}

// files fetches what is attached. News does not wait for a document that is lost or damaged: that is taken out of d, so that the message
// says to ask for it. Its bytes are then others than those of an attempt before the loss, but the same from then on.
func (c *Channel) files(ctx context.Context, to string, d *events.Delivery) (all []file, err error) {
	for _, one := range c.chosen(to, *d) {
		content, err := d.Open(ctx, one)
		switch {
		case err == nil:
			all = append(all, file{one, one.FileName(len(all)), content})
		case events.KindOf(err) == events.Unavailable || ctx.Err() != nil:
			return nil, err
		default:
			d.Documents = slices.DeleteFunc(slices.Clone(d.Documents), func(lost events.Document) bool { return lost.ID == one.ID })
		}
	}
	return all, nil
}

// attach puts files into a message.
func attach(m *gomail.Msg, files []file) error {
	for _, f := range files {
		if err := m.AttachReader(f.name, bytes.NewReader(f.content), gomail.WithFileContentType(gomail.ContentType(f.Media)),
			gomail.WithFileEncoding(gomail.EncodingB64)); err != nil {
			return err
		}
	}
	return nil
}

// invented are the boundaries that the library makes up where a message has parts within parts. Neither of the encodings of our parts
// can hold such a text.
var invented = regexp.MustCompile(`boundary=([0-9a-f]{60})`)

// settle gives a message with files boundaries that are the same at each attempt.
func settle(message []byte, boundary string) []byte {
	for i, found := range invented.FindAllSubmatch(message, -1) {
		message = bytes.ReplaceAll(message, found[1], fmt.Appendf(nil, "%s-%d", boundary, i+1))
	}
	return message
}

// attached says what is with a message, and how whoever reads it comes to it.
func attached(e events.Event, may []events.Document, here []file) (facts []fact) {
	for _, d := range e.Documents {
		what := d.Kind.Words()
		same := func(one events.Document) bool { return one.ID == d.ID }
		switch at := slices.IndexFunc(here, func(f file) bool { return same(f.Document) }); {
		case at >= 0:
			what += ", attached to this message: " + here[at].name
		case slices.ContainsFunc(may, same):
			what += ", at the link below"
		default:
			what += "; please ask whoever reported this if you need it"
		}
		facts = append(facts, fact{"With it", strings.ToUpper(what[:1]) + what[1:]})
	}
	return facts
}
