package config

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"

	"carehub/config/strict"
)

// Egress says where the hub may connect to beyond the public internet.
type Egress struct {
	Allow  []netip.Prefix // private networks; also the only ones where plain http and unencrypted mail are accepted
	Roots  *x509.CertPool // to verify https endpoints with; nil: the system's
	Keys   []string       `yaml:"allow"`   // as written; use Allow
	CAFile string         `yaml:"ca_file"` // PEM certificates to trust beside the system's; use Roots
}

func (e *Egress) read(folder *strict.Folder, top strict.Node) {
	for i, key := range e.Keys {
		prefix, err := netip.ParsePrefix(key)
		switch {
		case err != nil:
			top.Report(strict.BadValue, index("egress.allow", i), "must be a network such as 10.0.0.0/8")
		case prefix != prefix.Masked():
			top.Report(strict.BadValue, index("egress.allow", i), "must be the network itself; did you mean %q?", prefix.Masked())
		default:
			e.Allow = append(e.Allow, prefix)
		}
	}
	e.Roots = roots(folder, top, "egress.ca_file", e.CAFile)
}

// Allows reports whether host is an address in one of the allowed networks. Only addresses can be judged without the
// network; the one name accepted is localhost.
func (e Egress) Allows(host string) bool {
	if host == "localhost" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && slices.ContainsFunc(e.Allow, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}
