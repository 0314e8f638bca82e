package clustertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// The ports that are given out lie below those that Linux gives to outgoing connections (ip_local_port_range, 32768 and up unless
// somebody changed it) and to whoever listens on port 0: a port that is free now stays free until it is used.
const (
	firstPort = 12_000
	lastPort  = 32_000
)

// FreePorts are ports of loopback that nobody listens on. They are drawn at random, for other processes draw too.
func FreePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for tries := 0; len(ports) < n; tries++ {
		port := firstPort + rand.IntN(lastPort-firstPort) // #nosec G404 -- no secret
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil && tries < 10*n+100 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // only then: two must not be the same
		ports = append(ports, port)
	}
	return ports
}
