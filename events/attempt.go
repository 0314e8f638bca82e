package events

import "time"

// MaxReplyKept is how much of a reply's body the delivery log keeps, in bytes.
const MaxReplyKept = 1 << 10

// Reply is what an HTTP endpoint answered. It is the other side's text: it may hold anything, and is for the endpoint's
// owner and the admin alone.
type Reply struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"headers,omitempty"`
	Body   []byte              `json:"body,omitempty"` // the first MaxReplyKept bytes
}

// Attempt is one attempt at an endpoint, as the delivery log has it.
type Attempt struct {
	At        time.Time     `json:"at"` // when it began
	Recipient string        `json:"-"`
	Channel   string        `json:"-"` // key
	Type      string        `json:"-"` // of the channel
	Event     string        `json:"event"`
	Delivery  string        `json:"delivery"`
	Number    int           `json:"number,omitempty"` // 1 is the first; 0 is a repeat that somebody asked for
	Result    string        `json:"result"`           // delivered, or the Reason it was not
	Took      time.Duration `json:"took"`
	Next      time.Time     `json:"next,omitzero"` // of the next attempt, where one is planned
	Reply     *Reply        `json:"reply,omitempty"`
}

// Delivered is the result of an attempt that the endpoint took.
const Delivered = "delivered"
