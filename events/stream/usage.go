package stream

import "context"

// Usage is how full the store is, in bytes.
type Usage struct {
	Used  int64 // by the streams, of this account if the server has several
	Limit int64 // that they may come to; 0 if the server sets none
	// Free and Size are of the disk that an embedded store is on; 0 with an external server.
	Free, Size uint64
}

// Usage asks the server how full it is.
func (s *Store) Usage(ctx context.Context) (Usage, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	account, err := s.publisher.AccountInfo(ctx)
	if err != nil {
		return Usage{}, away(err)
	}
	u := Usage{Used: int64(account.Store), Limit: max(account.Limits.MaxStore, 0)} // #nosec G115 -- no disk is that large
	if s.embedded == nil {
		return u, nil
	}
	u.Limit = s.embedded.options.JetStreamMaxStore
	u.Free, u.Size, err = disk(s.embedded.dir)
	return u, err
}

// Share is the part that is taken of what may be, from 0 to 1: of the limit, or of what the streams have and what is free
// on their disk, whichever is less; 0 if nobody sets a bound.
func (u Usage) Share() float64 {
	used, bound := float64(u.Used), float64(u.Limit)
	if rest := used + float64(u.Free); u.Size > 0 && (bound == 0 || rest < bound) {
		bound = rest
	}
	if bound == 0 {
		return 0
	}
	return used / bound
}
