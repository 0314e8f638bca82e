package strict

import (
	"fmt"
	"time"
)

// At is a value with the place where it stands.
type At[T any] struct {
	Pos
	V T
}

func (a *At[T]) place(at Pos) any {
	a.Pos = at
	return &a.V
}

// List is a list that may be written as its only item.
type List[T any] []At[T]

func (*List[T]) single() {}

// Values returns the items without their places.
func (l List[T]) Values() []T {
	values := make([]T, len(l))
	for i, item := range l {
		values[i] = item.V
	}
	return values
}

// Map is a mapping whose keys are not known beforehand, in the order of the file.
type Map[T any] []Entry[T]

// Entry is one key of a Map. Pos is the key's.
type Entry[T any] struct {
	Pos
	Key string
	V   T
}

func (m *Map[T]) add(key string, at Pos) any {
	*m = append(*m, Entry[T]{Pos: at, Key: key})
	return &(*m)[len(*m)-1].V
}

// What the decoder asks of the types above, whatever their T.
type (
	placer interface{ place(Pos) any }
	single interface{ single() }
	adder  interface{ add(string, Pos) any }
)

// Date is a day, YYYY-MM-DD; "" is none.
type Date string

// UnmarshalText accepts a day of the calendar and nothing else.
func (d *Date) UnmarshalText(text []byte) error {
	if _, err := time.Parse(time.DateOnly, string(text)); err != nil {
		return fmt.Errorf("must be a date such as 2027-06-30")
	}
	*d = Date(text)
	return nil
}

// soon is how many days before its end a date is worth a warning.
const soon = 30

// Soon reports whether the day is not over at now but will be in 30 days, in now's own time zone.
func (d Date) Soon(now time.Time) bool {
	return d != "" && !d.Past(now) && string(d) <= now.AddDate(0, 0, soon).Format(time.DateOnly)
}

// Past reports whether the day is over at now, in now's own time zone. No date is never past.
func (d Date) Past(now time.Time) bool { return d != "" && string(d) < now.Format(time.DateOnly) }
