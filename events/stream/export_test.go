package stream

// ID is what a hub's records name it by.
func (l *Leases) ID() string { return l.id }
