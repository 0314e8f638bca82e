package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"carehub/events"
	"carehub/subscribers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestControl judges addresses as the dialler hands them over.
func TestControl(t *testing.T) {
	guard := New([]netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"),
		netip.MustParsePrefix("fd00:1::/32"),
	})
	for _, c := range []struct {
		what, address string
		want          bool
	}{
		{"public", "93.184.215.14:443", true},
		{"public, any port", "93.184.215.14:8443", true},
		{"public v6", "[2606:2800:21f:cb07::1]:443", true},
		{"private, allowed", "10.1.255.255:443", true},
		{"unique local, allowed", "[fd00:1::5]:443", true},
		{"private, not allowed", "10.2.0.1:443", false},
		{"private", "172.16.0.1:443", false},
		{"private", "192.168.1.1:443", false},
		{"shared (CGNAT)", "100.64.0.1:443", false},
		{"loopback", "127.0.0.1:443", false},
		{"loopback, far end", "127.255.255.254:443", false},
		{"loopback v6", "[::1]:443", false},
		{"link-local", "169.254.1.1:443", false},
		{"cloud metadata", "169.254.169.254:80", false},
		{"cloud metadata v6", "[fd00:ec2::254]:80", false},
		{"link-local v6", "[fe80::1]:443", false},
		{"link-local v6 with zone", "[fe80::1%eth0]:443", false},
		{"unique local", "[fd00:2::5]:443", false},
		{"v4-mapped loopback", "[::ffff:127.0.0.1]:443", false},
		{"v4-mapped private", "[::ffff:10.2.0.1]:443", false},
		{"v4-compatible loopback", "[::127.0.0.1]:443", false},
		{"NAT64 of loopback", "[64:ff9b::7f00:1]:443", false},
		{"NAT64 of a public address", "[64:ff9b::5db8:d70e]:443", false},
		{"local NAT64 of loopback", "[64:ff9b:1::7f00:1]:443", false},
		{"v4-mapped metadata", "[::ffff:169.254.169.254]:80", false},
		{"NAT64 of metadata", "[64:ff9b::a9fe:a9fe]:80", false},
		{"6to4 of loopback", "[2002:7f00:1::1]:443", false},
		{"Teredo", "[2001:0:7f00:1::1]:443", false},
		{"unspecified", "0.0.0.0:443", false},
		{"unspecified v6", "[::]:443", false},
		{"multicast", "224.0.0.1:443", false},
		{"multicast v6", "[ff02::1]:443", false},
		{"broadcast", "255.255.255.255:443", false},
		{"documentation", "192.0.2.1:443", false},
		{"documentation v6", "[2001:db8::1]:443", false},
		{"no address", "gp.example:443", false},
	} {
		network := "tcp4"
		if strings.HasPrefix(c.address, "[") {
			network = "tcp6"
		}
		err := guard.Control(network, c.address, nil)
		if (err == nil) != c.want {
			t.Errorf("%s %s: allowed %v, want %v", c.what, c.address, err == nil, c.want)
		}
		if err != nil && !errors.Is(err, events.ErrRefused) {
			t.Errorf("%s: %v is not permanent", c.what, err)
		}
	}
	if guard.Control("udp4", "93.184.215.14:443", nil) == nil {
		t.Error("UDP is allowed")
	}
}

// TestMayDial has what can be refused before anything is sent: whatever Control would refuse of an address, in every
// spelling.
func TestMayDial(t *testing.T) {
	guard := New([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")})
	for host, want := range map[string]bool{
		"gp.example": true, "gp.example.": true, "93.184.215.14": true, "2606:2800:21f:cb07::1": true,
		"10.1.2.3": true, "fd00:1::5": true, "hooks.10.example": true, "xn--bcher-kva.example": true, "a1.b2": true,
		"localhost": false, "LOCALHOST": false, "localhost.": false, "hub.localhost": false,
		"127.0.0.1": false, "127.0.0.1.": false, "::1": false, "0.0.0.0": false, "::": false,
		"10.2.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "fd00:2::5": false,
		"169.254.1.1": false, "169.254.169.254": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false,
		"::ffff:127.0.0.1": false, "::ffff:7f00:1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::7f00:1": false,
		"2002:7f00:1::1": false, "2001:0:7f00:1::1": false,
		"2130706433": false, "0x7f000001": false, "0x7f.1": false, "127.1": false, "0177.0.0.1": false, "127.0.0.08": false,
		"1.2.3.4.5": false, "224.0.0.1": false, "255.255.255.255": false, "192.0.2.1": false,
	} {
		if guard.MayDial(host) != want {
			t.Errorf("%q: %v, want %v", host, !want, want)
		}
	}
	loopback := New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	for _, host := range []string{"localhost", "127.0.0.1", "127.9.9.9"} {
		if !loopback.MayDial(host) {
			t.Errorf("%q is refused where loopback is allowed", host)
		}
	}
}

func TestAllowPlain(t *testing.T) {
	guard := New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")})
	for host, want := range map[string]bool{
		"127.0.0.1": true, "localhost": true, "10.2.3.4": true, "::ffff:10.2.3.4": true,
		"192.168.0.1": false, "::1": false, "93.184.215.14": false, "gp.example": false, "localhost.example": false,
		"10.2.3.4.example": false, "": false,
	} {
		if guard.AllowPlain(host) != want {
			t.Errorf("%q: %v, want %v", host, !want, want)
		}
	}
	if New(nil).AllowPlain("localhost") {
		t.Error("localhost is allowed where loopback is not")
	}
}

func TestLoopbackIsRefusedUnlessAllowed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if err := get(t, New(nil).Client(nil), server.URL); !errors.Is(err, events.ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
	}
	if err := get(t, New(loopback).Client(nil), server.URL); err != nil {
		t.Error(err)
	}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// TestRebinding: a name that first leads to an allowed address and then elsewhere is refused when it is dialled again.
func TestRebinding(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	var address atomic.Pointer[netip.Addr]
	set := func(s string) { a := netip.MustParseAddr(s); address.Store(&a) }
	client := New(loopback).client(nil, resolver(t, &address))
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	url := "http://rebind.example:" + port

	set("127.0.0.1")
	if err := get(t, client, url); err != nil {
		t.Fatal(err)
	}
	set("127.0.0.2")
	if err := get(t, client, url); !errors.Is(err, events.ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
	}
	set("169.254.169.254")
	if err := get(t, client, url); !errors.Is(err, events.ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestRedirectIsAnAnswer(t *testing.T) {
	var followed atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	defer target.Close()
	server := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusPermanentRedirect))
	defer server.Close()
	client := New(loopback).Client(nil)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusPermanentRedirect || followed.Load() {
		t.Errorf("status %d, followed %v", resp.StatusCode, followed.Load())
	}
}

// TestOldTLSIsRefused: TLS 1.1 is not to be used (RFC 8996).
func TestOldTLSIsRefused(t *testing.T) {
	for newest, want := range map[uint16]events.Reason{tls.VersionTLS11: events.ReasonTLS, tls.VersionTLS12: ""} {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: newest}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		var got events.Reason
		if failure, ok := errors.AsType[*events.Failure](get(t, New(loopback).Client(roots), server.URL)); ok {
			got = failure.Reason
		}
		if got != want {
			t.Errorf("%s: %q, want %q", tls.VersionName(newest), got, want)
		}
		server.Close()
	}
}

// get asks once, on a connection of its own, and returns what the channels would make of an error.
func get(t *testing.T, client *Client, url string) error {
	t.Helper()
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return subscribers.NetworkFailure(err)
	}
	return resp.Body.Close()
}

// resolver asks a DNS server on loopback that gives every name the address of the moment.
func resolver(t *testing.T, address *atomic.Pointer[netip.Addr]) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(answer(query[:n], *address.Load()), from)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer replies to one DNS question (RFC 1035, 4.1): an A record for A, nothing for others.
func answer(query []byte, address netip.Addr) []byte {
	const header, typeA = 12, 1
	end := header
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root label, type and class
	reply := append([]byte(nil), query[:end]...)
	binary.BigEndian.PutUint16(reply[2:], 0x8180) // an answer without error
	clear(reply[6:header])
	if binary.BigEndian.Uint16(query[end-4:]) != typeA {
		return reply
	}
	reply[7] = 1
	reply = append(reply, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the name asked for; no time to live
	return append(reply, address.AsSlice()...)
}
