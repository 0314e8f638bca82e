package egress

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// TestReachable judges hosts as they are given when somebody subscribes: names by what they stand for, addresses in any
// form.
func TestReachable(t *testing.T) {
	guard := New([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")})
	for name, want := range map[string]bool{
		"93.184.215.14": true, "10.1.2.3": true, "2606:2800:21f:cb07::1": true,
		"127.0.0.1": false, "10.2.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "0.0.0.0": false, "100.64.0.1": false,
		"::1": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false,
		"fe80::1": false, "fd00:2::5": false, "2002:7f00:1::1": false, "::": false,
	} {
		if err := guard.Reachable(t.Context(), name); (err == nil) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		} else if err != nil && strings.Contains(err.Error(), name) {
			t.Errorf("%s stands in the error: %v", name, err)
		}
	}
	var address atomic.Pointer[netip.Addr]
	dns := resolver(t, &address)
	for ip, want := range map[string]bool{"93.184.215.14": true, "10.1.0.1": true, "127.0.0.1": false, "169.254.169.254": false, "192.168.0.1": false} {
		address.Store(new(netip.MustParseAddr(ip)))
		if err := guard.reachable(t.Context(), "gp.example", dns); (err == nil) != want {
			t.Errorf("a name for %s: %v, want %v", ip, err, want)
		}
	}
	silent := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	if guard.reachable(t.Context(), "gp.example", silent) == nil {
		t.Error("a name that stands for nothing is reachable")
	}
}

// TestRebindingAfterwards has a name stand for a public address when it is looked up, and for the hub itself when it is called.
func TestRebindingAfterwards(t *testing.T) {
	called := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	guard := New(nil)
	var address atomic.Pointer[netip.Addr]
	dns := resolver(t, &address)
	address.Store(new(netip.MustParseAddr("93.184.215.14")))
	if err := guard.reachable(t.Context(), "gp.example", dns); err != nil {
		t.Fatal(err)
	}
	address.Store(new(netip.MustParseAddr("127.0.0.1")))
	client := guard.client(nil, dns)
	defer client.CloseIdleConnections()
	err := get(t, client, "http://gp.example:"+port+"/")
	if err == nil || called {
		t.Errorf("it was called: %v", err)
	}
}
