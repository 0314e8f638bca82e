package mailtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const mainCF = `compatibility_level = 3.6
queue_directory = DIR/spool
data_directory = DIR/data
maillog_file_prefixes = DIR
maillog_file = DIR/postfix.log
myhostname = mail.hub.example
mydestination =
mynetworks =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = DOMAINS
virtual_transport = lmtp:unix:DIR/run/lmtp
recipient_delimiter = +
# Whether a mailbox exists is found out when it is delivered to, as where the mailboxes are another server's.
smtpd_reject_unlisted_recipient = no
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = DIR/run/auth-postfix
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = DIR/cert.pem
smtpd_tls_key_file = DIR/key.pem
smtpd_peername_lookup = no
`

const masterCF = `127.0.0.1:SMTP inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

const dovecotConf = `base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <DIR/cert.pem
ssl_key = <DIR/key.pem
mail_location = maildir:~
first_valid_uid = 1
auth_failure_delay = 0 secs
auth_mechanisms = plain scram-sha-256 oauthbearer xoauth2
passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = DIR/oauth2.conf
}
passdb {
  driver = passwd-file
  mechanisms = plain scram-sha-256
  args = DIR/users
}
userdb {
  driver = passwd-file
  args = DIR/users
}
service imap-login {
  chroot =
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = IMAP
    ssl = yes
  }
}
service auth {
  unix_listener auth-postfix {
    mode = 0666
  }
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
}
service stats {
  chroot =
}
service anvil {
  chroot =
}
`

const oauth2Conf = `introspection_mode = auth
introspection_url = TOKENS/introspect
username_attribute = username
active_attribute = active
active_value = true
`

// configure writes the files of both servers.
func (s *Server) configure(t testing.TB, mailboxes []string) {
	t.Helper()
	domains, mail := map[string]bool{}, idOf(t, "mail")
	users := ""
	for _, m := range mailboxes {
		name, domain, _ := strings.Cut(m, "@")
		domains[domain] = true
		home := s.path(filepath.Join("mail", domain, name))
		s.folder(t, home, mail)
		users += fmt.Sprintf("%s:{PLAIN}%s:%d:%d::%s::\n", m, Password, mail, mail, home)
	}
	s.folder(t, s.path("run"), 0)
	s.folder(t, s.path("state"), 0)
	s.spool(t)
	s.folder(t, s.path("data"), idOf(t, "postfix"))
	s.folder(t, s.path("postfix"), 0)
	fill := strings.NewReplacer("DIR", s.dir, "SMTP", strconv.Itoa(s.SMTP), "IMAP", strconv.Itoa(s.IMAP), "TOKENS", s.Tokens.url,
		"DOMAINS", strings.Join(slices.Sorted(maps.Keys(domains)), ", "))
	for name, content := range map[string]string{"postfix/main.cf": mainCF, "postfix/master.cf": masterCF, "dovecot.conf": dovecotConf,
		"oauth2.conf": oauth2Conf, "users": users} {
		s.write(t, name, fill.Replace(content))
	}
}

// spool makes the folders of Postfix's queue, as its post-install would.
func (s *Server) spool(t testing.TB) {
	t.Helper()
	postfix := idOf(t, "postfix")
	drop, err := user.LookupGroup("postdrop")
	if err != nil {
		t.Fatal(err)
	}
	group, err := strconv.Atoi(drop.Gid)
	if err != nil {
		t.Fatal(err)
	}
	s.folder(t, s.path("spool"), 0)
	s.folder(t, s.path("spool/pid"), 0)
	for _, queue := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "private", "public", "saved", "trace"} {
		s.folder(t, s.path("spool/"+queue), postfix)
	}
	for _, shared := range []string{"maildrop", "public"} {
		if err := os.Chown(s.path("spool/"+shared), postfix, group); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *Server) folder(t testing.TB, path string, owner int) {
	t.Helper()
	err := os.MkdirAll(path, 0o755) // #nosec G301 -- read by the servers' users
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, owner, -1); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) write(t testing.TB, name, content string) {
	t.Helper()
	err := os.WriteFile(s.path(name), []byte(content), 0o644) // #nosec G306 -- read by the servers' users
	if err != nil {
		t.Fatal(err)
	}
}

func idOf(t testing.TB, name string) int {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// certify makes an authority and a certificate of it for this machine's address.
func (s *Server) certify(t testing.TB) {
	t.Helper()
	now := time.Now()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailtest"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mail.hub.example"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"mail.hub.example", "localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	caKey, leafKey := newKey(t), newKey(t)
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, authority, &leafKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	caPEM := encode("CERTIFICATE", ca)
	s.write(t, "ca.pem", caPEM)
	s.write(t, "cert.pem", encode("CERTIFICATE", cert))
	s.write(t, "key.pem", encode("PRIVATE KEY", key))
	s.Roots = x509.NewCertPool()
	s.Roots.AppendCertsFromPEM([]byte(caPEM))
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
