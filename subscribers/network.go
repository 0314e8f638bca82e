package subscribers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"carehub/events"
)

// NetworkFailure says why no answer came, as an *events.Failure, temporary unless err already is a Failure that says
// otherwise. Go's network errors hold URLs, host names and addresses, sometimes bytes of the reply: only what is known to
// be free of them is kept as the detail.
func NetworkFailure(err error) error {
	if f, ok := errors.AsType[*events.Failure](err); ok {
		return f
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dnsFailure(dns)
	}
	switch {
	case timedOut(err):
		return &events.Failure{Reason: events.ReasonTimeout, Err: harmless(err)}
	case aboutTLS(err):
		return &events.Failure{Reason: events.ReasonTLS, Err: tlsDetail(err)}
	}
	return &events.Failure{Reason: events.ReasonConnection, Err: harmless(err)}
}

// dnsFailure is temporary even where the name does not exist: zones are mended, and resolvers say so when they are ill.
func dnsFailure(err *net.DNSError) error {
	switch {
	case err.IsTimeout:
		return &events.Failure{Reason: events.ReasonTimeout, Err: errors.New("looking up the host took too long")}
	case err.IsNotFound:
		return &events.Failure{Reason: events.ReasonAddress, Err: errors.New("no such host")}
	}
	return &events.Failure{Reason: events.ReasonConnection, Err: errors.New("looking up the host failed")}
}

func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
			return true
		}
	}
	return false
}

// harmless returns the cause deep in err if its text is known to be fixed words, else its type alone.
func harmless(err error) error {
	for _, known := range []error{
		context.DeadlineExceeded, context.Canceled, os.ErrDeadlineExceeded,
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return fmt.Errorf("no usable answer (%T)", err)
}

// aboutTLS reports whether err came out of a TLS handshake. Much of crypto/tls returns plain errors that only their
// prefix tells apart.
func aboutTLS(err error) bool {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if text := err.Error(); strings.HasPrefix(text, "tls: ") || strings.HasPrefix(text, "x509: ") {
			return true
		}
	}
	return false
}

// tlsDetail says what was wrong in words of our own: those of crypto/x509 hold host names.
func tlsDetail(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return errors.New("certificate of an unknown authority")
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return errors.New("certificate for another host")
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return errors.New("certificate expired or not yet valid")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New("certificate not valid")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("the other side does not speak TLS")
	}
	return errors.New("TLS handshake failed")
}
