package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"carehub/events"
)

var errUnknown = errors.New("no such host")

// Reachable looks a host up and fails, without saying where it led, unless every address that it has may be dialled: what
// would be refused at each send is refused before anybody relies on it. What a name stands for may change, so Control judges
// again. The error is an *events.Failure.
func (g *Guard) Reachable(ctx context.Context, host string) error {
	return g.reachable(ctx, host, net.DefaultResolver)
}

func (g *Guard) reachable(ctx context.Context, host string, resolver *net.Resolver) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	found, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(found) == 0 {
		return &events.Failure{Reason: events.ReasonAddress, Err: errUnknown}
	}
	for _, ip := range found {
		network := "tcp6"
		if ip = ip.Unmap(); ip.Is4() {
			network = "tcp4"
		}
		if err := g.Control(network, netip.AddrPortFrom(ip, 443).String(), nil); err != nil {
			return err
		}
	}
	return nil
}
