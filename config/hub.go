// Package config reads what an admin says of the hub itself, hub.yaml, and of its patients, patients.yaml. Only
// cmd/carehub imports it.
package config

import (
	"crypto/x509"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// HubFile is what an admin says of the hub itself.
const HubFile = "hub.yaml"

// Hub is hub.yaml. A Hub that LoadHub returned without problems has its defaults filled in and its paths made absolute
// or relative to the working directory.
type Hub struct {
	Name     string               `yaml:"name,required"`
	Contact  Contact              `yaml:"contact,required"`
	Alarms   Alarms               `yaml:"alarms,required"`
	Kinds    map[events.Kind]Kind // all of events.Routed
	URL      string               `yaml:"url,required"` // without a trailing slash
	Listen   string               `yaml:"listen"`       // default 127.0.0.1:8080
	Store    string               `yaml:"store"`        // folder of the embedded store, default data; empty with NATS
	StoreKey strict.Secret        `yaml:"store_key"`    // what the embedded store is encrypted with; none: not encrypted
	NATS     *NATS                `yaml:"nats"`         // nil with the embedded store
	Timezone string               `yaml:"timezone"`     // IANA name, default Europe/London
	Location *time.Location       // of Timezone
	Egress   Egress               `yaml:"egress"`
	Mail     *Mail                `yaml:"mail"` // nil when the hub sends none
	Signin   Signin               `yaml:"signin"`
	Admins   strict.List[string]  `yaml:"admins"` // who may open the admin's pages; nobody unless named
	SMS      *SMS                 `yaml:"sms"`    // nil when the hub sends no text messages
	// GroupReads says that the group of patients.yaml and carers.yaml may read them, else only their owner.
	GroupReads bool `yaml:"private_files_for_group"`

	KindKeys strict.Map[strict.Node] `yaml:"kinds"` // as written; use Kinds

	_ struct{} `yaml:"quiet_hours,later"`
	_ struct{} `yaml:"hold,later"`
}

// Contact is how a person reaches a person about this hub. Email is the Reply-To of every mail.
type Contact struct {
	Phone string `yaml:"phone,required"`
	Email string `yaml:"email,required"`
}

// Alarms says who hears of it when somebody could not be told: ids of subscribers or carers, at least one.
type Alarms struct {
	Notify strict.List[string] `yaml:"notify,required"`
}

// NATS is an external NATS server that holds the store in place of the embedded one.
type NATS struct {
	URL   string `yaml:"url,required"` // of a server, or of several of a cluster with commas between them
	Creds string `yaml:"creds"`        // path of a credentials file or an NKey seed, may be empty
	CA    string `yaml:"ca"`           // path of PEM certificates to trust in place of the system's, may be empty
	// Replicas of everything stored: 1, 3 or 5; 0 for as many as the store was created with, 1 if it is new.
	Replicas int `yaml:"replicas"`
}

// The defaults of hub.yaml.
const (
	defaultListen   = "127.0.0.1:8080"
	defaultStore    = "data"
	defaultTimezone = "Europe/London"
)

// LoadHub reads hub.yaml. Problems are reported to the folder; what could be read is returned all the same, so that the
// other files can be checked against it.
func LoadHub(folder *strict.Folder) *Hub {
	hub := &Hub{Kinds: defaultKinds(), Location: time.UTC}
	top, ok := folder.Read(HubFile)
	if !ok {
		return hub
	}
	_ = top.Decode(hub) // reported
	folder.GroupReads = hub.GroupReads
	hub.checkContact(top)
	hub.checkDoors(top)
	hub.checkStore(folder, top)
	hub.readKinds(folder)
	hub.Egress.read(folder, top)
	if hub.Mail != nil {
		hub.Mail.check(folder, top, hub.Egress)
	}
	hub.Signin.check(top, hub.Egress)
	if hub.SMS != nil {
		hub.SMS.check(top, hub)
	}
	return hub
}

func (h *Hub) checkContact(top strict.Node) {
	address(top, "contact.email", h.Contact.Email)
	if _, given := top.Get("alarms"); given && len(h.Alarms.Notify) == 0 {
		top.Report(strict.NoValue, "alarms.notify", "must name at least one subscriber or carer")
	}
}

// checkDoors checks where the hub listens, what it is called from outside, and what time it is there.
func (h *Hub) checkDoors(top strict.Node) {
	if u, err := url.Parse(h.URL); h.URL != "" && (err != nil || !absolute(u)) {
		top.Report(strict.BadValue, "url", "must be http:// or https:// and a host, without query or fragment")
	}
	h.URL = strings.TrimRight(h.URL, "/")
	h.Listen = or(h.Listen, defaultListen)
	if _, port, err := net.SplitHostPort(h.Listen); err != nil || !validPort(port) {
		top.Report(strict.BadValue, "listen", "must be address:port, such as %s", defaultListen)
	}
	h.Timezone = or(h.Timezone, defaultTimezone)
	// Local would make the hub's times depend on the machine it runs on.
	location, err := time.LoadLocation(h.Timezone)
	if err != nil || h.Timezone == "Local" {
		top.Report(strict.BadValue, "timezone", "must be a time zone such as Europe/London")
		return
	}
	h.Location = location
}

func (h *Hub) checkStore(folder *strict.Folder, top strict.Node) {
	if key := h.StoreKey.Reveal(); !h.StoreKey.IsZero() && key != "" && len(key) < minStoreKey {
		top.Report(strict.BadValue, "store_key", "must have at least %d characters", minStoreKey)
	}
	if h.NATS == nil {
		h.Store = folder.Path(or(h.Store, defaultStore))
		return
	}
	if h.Store != "" {
		top.Report(strict.Conflict, "store", "and nats exclude each other: the store is either embedded or on a NATS server")
	}
	if !h.StoreKey.IsZero() {
		top.Report(strict.Conflict, "store_key", "is for the embedded store; a NATS server has a key of its own")
	}
	h.Store = ""
	h.NATS.check(folder, top)
}

// minStoreKey is the least length of a store's key in bytes: 32 random ones, however they are written.
const minStoreKey = 32

func (n *NATS) check(folder *strict.Folder, top strict.Node) {
	for address := range strings.SplitSeq(n.URL, ",") {
		n.checkURL(top, strings.TrimSpace(address))
	}
	if !slices.Contains([]int{0, 1, 3, 5}, n.Replicas) {
		top.Report(strict.BadValue, "nats.replicas", "must be 1, 3 or 5")
	}
	n.Creds = present(folder, top, "nats.creds", n.Creds)
	n.CA = present(folder, top, "nats.ca", n.CA)
}

// present is the path of a file that must be there where secrets are; empty if none is named.
func present(folder *strict.Folder, top strict.Node, key, file string) string {
	if file == "" {
		return ""
	}
	path := folder.Path(file)
	if !folder.NoSecrets && !folder.Has(path) {
		top.Report(strict.NamedFile, key, "names a file that is not there")
	}
	return path
}

func (n *NATS) checkURL(top strict.Node, address string) {
	u, err := url.Parse(address)
	schemes := []string{"nats", "tls", "ws", "wss"}
	switch {
	case n.URL == "": // missing
	case err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme):
		top.Report(strict.BadValue, "nats.url", "must be the address of a NATS server, such as nats://nats.example:4222, or several with commas between them")
	case u.User != nil:
		top.Report(strict.SecretValue, "nats.url", "must not hold a user or password: use creds")
	}
}

func absolute(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		u.RawQuery == "" && u.Fragment == ""
}

func validPort(s string) bool {
	port, err := strconv.Atoi(s)
	return err == nil && port >= 0 && port <= 65535
}

// address checks an email address: a bare one, without a name or comment (RFC 5322, 3.4.1).
func address(top strict.Node, path, value string) {
	if parsed, err := mail.ParseAddress(value); value != "" && (err != nil || parsed.Address != value) {
		top.Report(strict.BadValue, path, "must be an email address such as care@hub.example")
	}
}

// roots reads a file of PEM certificates to be trusted beside the system's; nil if there is none.
func roots(folder *strict.Folder, top strict.Node, path, file string) *x509.CertPool {
	if file == "" {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	data, err := folder.Named(file)
	switch {
	case err != nil:
		top.Report(strict.NamedFile, path, "names a file that cannot be read")
	case !pool.AppendCertsFromPEM(data):
		top.Report(strict.NamedFile, path, "names a file without a PEM certificate")
	}
	return pool
}
