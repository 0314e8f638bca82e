package events

// Stored is an event as the store holds it.
type Stored struct {
	Partition int
	Seq       uint64
	Record    Record
	Message   []byte // FHIR message Bundle, as written; read-only
}

// Entry is one ledger record: a key (a subject) and its newest value.
type Entry struct {
	Key   string
	Value []byte
}
