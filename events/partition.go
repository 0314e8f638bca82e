package events

import "errors"

// Partition is one partition of the store whose events may still need telling. Its number is never used again.
type Partition struct {
	Number int
	After  int  // the partition with earlier events of the same patients, -1 if there is none
	Sealed bool // takes no new events
}

// ErrFenced is in the chain of the error of a write to a partition that has been given to another process meanwhile.
// Nothing of that write was stored.
var ErrFenced = errors.New("the partition belongs to another process now")
