// Package egress guards the way out: the one HTTP client that webhooks and FHIR endpoints are called with. It dials public
// addresses and the private networks that hub.yaml allows, judges the address it really connects to, follows no redirect
// and uses no proxy, so that nobody's endpoint setting or DNS entry turns the hub against the network it stands in.
package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"carehub/events"
)

// Limits of the client. The channels set shorter deadlines by context; these hold if one forgets.
const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = 90 * time.Second
	pingAfter     = 15 * time.Second // of silence on an HTTP/2 connection with a request on it
	maxHeader     = 64 << 10         // bytes of an answer's header
	writeBuffer   = 32 << 10         // bytes; a whole message in one write
)

// MaxConnections is how many connections are open to one host at a time: four recipients with as many attempts in flight as
// the engine makes to one, so that one of them who hangs leaves the others room. Idle ones are kept, maxIdle in all.
const (
	MaxConnections = 32
	maxIdle        = 1024
)

var errPrivate = errors.New("neither public nor in egress.allow")

// Guard decides which addresses may be dialled. It is safe for concurrent use.
type Guard struct {
	allow    []netip.Prefix
	guardian *ssrf.Guardian
}

// New returns a guard that lets everything public through and, beyond that, the networks of allow (hub.yaml's
// egress.allow). What counts as public follows the IANA special-purpose registries (RFC 6890).
func New(allow []netip.Prefix) *Guard {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return &Guard{
		allow:    allow,
		guardian: ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)),
	}
}

// Control is for net.Dialer: it judges the address that is about to be connected to, after any name has been looked up. A
// refusal is a permanent *events.Failure without the address in it.
func (g *Guard) Control(network, address string, conn syscall.RawConn) error {
	if err := g.guardian.Safe(network, address, conn); err != nil {
		return &events.Failure{Reason: events.ReasonAddress, Permanent: true, Err: errPrivate}
	}
	return nil
}

// AllowPlain reports whether host may be spoken to without TLS: only localhost or an IP address, and only inside the
// allowed networks. Nothing else is known to stay within them.
func (g *Guard) AllowPlain(host string) bool {
	if host == "localhost" {
		return g.allows(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || g.allows(netip.IPv6Loopback())
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && g.allows(ip)
}

// MayDial reports whether host may be dialled, as far as it tells without the network: an address is judged as Control
// would, localhost is loopback, and what some resolvers take for an address in disguise (127.1, 0x7f000001) is refused.
// Any other name may lead anywhere, and is judged whenever it is dialled.
func (g *Guard) MayDial(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return g.AllowPlain("localhost")
	}
	ip, err := netip.ParseAddr(name)
	switch {
	case err != nil:
		return !numeric(name[strings.LastIndexByte(name, '.')+1:])
	case ip.Is4():
		return g.Control("tcp4", netip.AddrPortFrom(ip, 443).String(), nil) == nil
	}
	return g.Control("tcp6", netip.AddrPortFrom(ip, 443).String(), nil) == nil
}

// numeric reports whether a host whose last label this is can only be an address (WHATWG URL, "ends in a number").
func numeric(label string) bool {
	_, err := strconv.ParseUint(label, 0, 64)
	return err == nil || label != "" && strings.Trim(label, "0123456789") == ""
}

func (g *Guard) allows(ip netip.Addr) bool {
	for _, p := range g.allow {
		if p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// Client sends requests under the guard. It is safe for concurrent use.
type Client struct{ transport *http.Transport }

// Do sends one request and returns the answer to it, whatever its status: there is nothing between the caller and the
// transport that would follow a redirect or keep a cookie. The caller reads and closes the answer's body. The deadline is
// that of the request's context.
func (c *Client) Do(r *http.Request) (*http.Response, error) { return c.transport.RoundTrip(r) }

// CloseIdleConnections ends what is kept for the next request.
func (c *Client) CloseIdleConnections() { c.transport.CloseIdleConnections() }

// Client returns an HTTP client that dials under the guard. Certificates are verified against roots, or the system's if
// nil, with TLS 1.2 or later. The caller ends its idle connections with CloseIdleConnections.
func (g *Guard) Client(roots *x509.CertPool) *Client {
	return g.client(roots, nil)
}

func (g *Guard) client(roots *x509.CertPool, resolver *net.Resolver) *Client {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: g.Control, Resolver: resolver}
	return &Client{
		transport: &http.Transport{
			Proxy:                  nil, // not even the environment's
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    tlsTimeout,
			ForceAttemptHTTP2:      true,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
			MaxConnsPerHost:        MaxConnections,
			MaxIdleConnsPerHost:    MaxConnections,
			MaxIdleConns:           maxIdle,
			IdleConnTimeout:        idleTimeout,
			ResponseHeaderTimeout:  answerTimeout,
			MaxResponseHeaderBytes: maxHeader,
			WriteBufferSize:        writeBuffer,
			DisableCompression:     true, // a small reply must not unfold into a large one
		},
	}
}
