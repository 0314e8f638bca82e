package subscribers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"carehub/events"
	"carehub/subscribers"
)

// TestNetworkFailure wraps each cause as net/http does, with an address all around it.
func TestNetworkFailure(t *testing.T) {
	refused := &events.Failure{Reason: events.ReasonAddress, Permanent: true}
	for _, c := range []struct {
		cause  error
		reason events.Reason
		detail string
	}{
		{context.DeadlineExceeded, events.ReasonTimeout, "context deadline exceeded"},
		{context.Canceled, events.ReasonTimeout, "context canceled"},
		{os.ErrDeadlineExceeded, events.ReasonTimeout, "i/o timeout"},
		{syscall.ETIMEDOUT, events.ReasonTimeout, "connection timed out"},
		{syscall.ECONNREFUSED, events.ReasonConnection, "connection refused"},
		{syscall.ECONNRESET, events.ReasonConnection, "connection reset by peer"},
		{syscall.EHOSTUNREACH, events.ReasonConnection, "no route to host"},
		{io.EOF, events.ReasonConnection, "EOF"},
		{io.ErrUnexpectedEOF, events.ReasonConnection, "unexpected EOF"},
		{errors.New(`malformed HTTP response "secret.example"`), events.ReasonConnection, "no usable answer (*errors.errorString)"},
		{&net.DNSError{Name: "secret.example", IsNotFound: true}, events.ReasonAddress, "no such host"},
		{&net.DNSError{Name: "secret.example", IsTimeout: true}, events.ReasonTimeout, "looking up the host took too long"},
		{&net.DNSError{Name: "secret.example", Err: "servfail"}, events.ReasonConnection, "looking up the host failed"},
		{invalid(x509.UnknownAuthorityError{}), events.ReasonTLS, "certificate of an unknown authority"},
		{invalid(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "secret.example"}), events.ReasonTLS, "certificate for another host"},
		{invalid(x509.CertificateInvalidError{Reason: x509.Expired}), events.ReasonTLS, "certificate expired or not yet valid"},
		{invalid(errors.New("x509: secret.example")), events.ReasonTLS, "certificate not valid"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, events.ReasonTLS, "the other side does not speak TLS"},
		{http.ErrSchemeMismatch, events.ReasonTLS, "the other side does not speak TLS"},
		{errors.New("tls: handshake failure"), events.ReasonTLS, "TLS handshake failed"},
		{refused, events.ReasonAddress, ""},
	} {
		err := subscribers.NetworkFailure(&url.Error{Op: "Post", URL: "https://secret.example/hook", Err: fmt.Errorf(
			"dial secret.example: %w", &net.OpError{Op: "dial", Net: "tcp", Err: c.cause})})
		got, ok := errors.AsType[*events.Failure](err)
		if !ok || got.Reason != c.reason || got.Permanent != (c.cause == refused) {
			t.Errorf("%T %v: got %+v, want %s", c.cause, c.cause, got, c.reason)
			continue
		}
		if got.Err != nil && (got.Err.Error() != c.detail || strings.Contains(got.Err.Error(), "secret")) {
			t.Errorf("%T %v: the detail is %q, want %q", c.cause, c.cause, got.Err, c.detail)
		}
	}
}

func invalid(cause error) error { return &tls.CertificateVerificationError{Err: cause} }
