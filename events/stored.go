package events

// Stored is an event as the store holds it.
type Stored struct {
	Partition int
	Seq       uint64
	Record    Record
	Message   []byte // FHIR message Bundle, as written; read-only
	// Outcomes are how telling its recipients ended, once the event is in the archive; nil while the ledger has them.
	Outcomes []Outcome
}

// Entry is one ledger record: a key (a subject) and its newest value.
type Entry struct {
	Key   string
	Value []byte
}

// Place is where an event stands in the order of acceptance of its patient's events.
type Place struct {
	Partition int
	Seq       uint64
}

// IsZero reports whether p is no event's place.
func (p Place) IsZero() bool { return p.Seq == 0 }

// Before reports whether an event of the same patient at p was accepted before the one at q.
func (p Place) Before(q Place) bool {
	return p.Partition < q.Partition || p.Partition == q.Partition && p.Seq < q.Seq
}

// Place is where the event stands.
func (s Stored) Place() Place { return Place{s.Partition, s.Seq} }
