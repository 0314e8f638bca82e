package subscribers

import (
	"context"
	"time"
)

// A Mailbox is an Endpoint that people read, so that the hub can ask them something.
type Mailbox interface {
	Endpoint
	Address() string
	// At is the mailbox at another address, under the same rules. The error does not repeat the address.
	At(address string) (Mailbox, error)
	// Post sends a mail of the hub's own; what Send returns says how that went.
	Post(ctx context.Context, n Note) error
}

// Note is a mail of the hub's own, about no patient and no event.
type Note struct {
	ID         string // stable over attempts: the left part of the Message-ID
	At         time.Time
	Subject    string // follows the hub's name
	Title      string
	Paragraphs []string
	Link       string
	Action     string // what is done at the link
	Foot       string // how to reach a person
}
