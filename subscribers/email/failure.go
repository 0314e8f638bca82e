package email

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strings"

	"carehub/events"
)

// step is how far the dialogue had come: fixed words, safe to log.
type step string

const (
	stepQueue    step = "waiting for a connection"
	stepToken    step = "access token"
	stepConnect  step = "connect"
	stepGreeting step = "greeting"
	stepHello    step = "EHLO"
	stepTLS      step = "STARTTLS"
	stepAuth     step = "AUTH"
	stepMail     step = "MAIL"
	stepRcpt     step = "RCPT"
	stepData     step = "DATA"
	stepBody     step = "message"
	stepAnswer   step = "answer to the message"
)

// fault is an error at one step. It never leaves the package: what is inside may quote the server, which may quote anything.
type fault struct {
	at  step
	err error
}

func (f *fault) Error() string { return string(f.at) }

func (f *fault) Unwrap() error { return f.err }

// at wraps err, if there is one.
func at(s step, err error) error {
	if err == nil {
		return nil
	}
	return &fault{s, err}
}

// reply returns the server's negative reply in err's chain: its code, its enhanced code (RFC 3463) if any.
func reply(err error) (code int, enhanced string, ok bool) {
	r, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return 0, "", false
	}
	return r.Code, enhancedCode.FindString(r.Msg), true
}

var enhancedCode = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// usable reports whether the connection can carry another message after err: the server has answered and has not said that
// it is closing.
func usable(err error) bool {
	code, _, ok := reply(err)
	return err == nil || ok && code != codeClosing
}

// codeClosing is the reply of a server that is about to close the connection (RFC 5321, 3.8).
const codeClosing = 421

var (
	errFlood      = errors.New("reply without end")
	errNoSTARTTLS = errors.New("server offers no STARTTLS")
	errMechanism  = errors.New("server does not offer the mechanism")
	errClosed     = errors.New("mail is shutting down")
	errLimit      = errors.New("the hub's own limit of messages a minute")
)

// classify turns what went wrong into what the engine and people need to know. Everything not proven permanent is temporary.
func classify(ctx context.Context, err error) *events.Failure {
	if failure, ok := errors.AsType[*events.Failure](err); ok {
		return failure
	}
	where := stepQueue
	if f, ok := errors.AsType[*fault](err); ok {
		where = f.at
	}
	if code, enhanced, ok := reply(err); ok {
		failure := refusal(where, code, enhanced)
		failure.Status = code
		failure.Err = errors.New(strings.TrimSpace(fmt.Sprintf("%s: %d %s", where, code, enhanced)))
		return failure
	}
	if ctx.Err() != nil {
		return &events.Failure{Reason: events.ReasonTimeout, Err: fmt.Errorf("%s: %w", where, ctx.Err())}
	}
	reason, words := broken(where, err)
	return &events.Failure{Reason: reason, Err: fmt.Errorf("%s: %s", where, words)}
}

// broken classifies what is not a reply.
func broken(where step, err error) (events.Reason, string) {
	switch {
	case errors.Is(err, errFlood):
		return events.ReasonServerError, errFlood.Error()
	case errors.Is(err, errNoSTARTTLS):
		return events.ReasonTLS, errNoSTARTTLS.Error()
	case errors.Is(err, errMechanism):
		return events.ReasonAuth, errMechanism.Error()
	case errors.Is(err, errClosed):
		return events.ReasonConnection, errClosed.Error()
	case errors.Is(err, errLimit):
		return events.ReasonBusy, errLimit.Error()
	case timedOut(err):
		return events.ReasonTimeout, "no answer"
	case where == stepToken:
		return events.ReasonAuth, "none to be had"
	case where == stepConnect:
		return events.ReasonConnection, "failed"
	case dropped(err):
		return events.ReasonConnection, "connection broke"
	case where == stepTLS:
		return events.ReasonTLS, certificateWords(err)
	case where == stepAuth:
		return events.ReasonAuth, "exchange failed"
	}
	return events.ReasonServerError, "not SMTP"
}

// dropped reports whether err is the network's. crypto/tls dresses its alerts as network errors too.
func dropped(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op != "remote error" && op.Op != "local error"
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// certificateWords says what was wrong with TLS without naming anyone.
func certificateWords(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "certificate of an unknown authority"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "certificate for another name"
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return "certificate expired or not valid"
	}
	return "handshake failed"
}

// refusal reads a negative reply (RFC 5321, 4.2; RFC 3463; RFC 4954, 6).
func refusal(where step, code int, enhanced string) *events.Failure {
	switch {
	case where == stepTLS:
		return &events.Failure{Reason: events.ReasonTLS}
	case code < 500:
		return &events.Failure{Reason: temporary(code, enhanced)}
	case where == stepAuth, code == 530, code == 534, code == 535, code == 538:
		// The hub's account, not this message: whoever runs the hub can mend it, and every message waits until then.
		return &events.Failure{Reason: events.ReasonAuth}
	case enhanced == "5.2.2":
		return &events.Failure{Reason: events.ReasonBusy} // mailbox full; people empty them
	case where == stepRcpt:
		return recipientRefused(code, enhanced)
	case where == stepAnswer:
		return messageRefused(code, enhanced)
	}
	return &events.Failure{Reason: events.ReasonServerError}
}

// temporary: 451 is "local error in processing", but with 4.7 a policy that asks us to come back later (greylisting).
func temporary(code int, enhanced string) events.Reason {
	switch {
	case code == codeClosing, code == 450, code == 452, strings.HasPrefix(enhanced, "4.7."):
		return events.ReasonBusy
	}
	return events.ReasonServerError
}

func recipientRefused(code int, enhanced string) *events.Failure {
	switch {
	case strings.HasPrefix(enhanced, "5.7."), code == 554:
		return &events.Failure{Reason: events.ReasonRejected, Permanent: true}
	case strings.HasPrefix(enhanced, "5.1."), code == 550, code == 551, code == 553, code == 556:
		return &events.Failure{Reason: events.ReasonAddress, Permanent: true}
	}
	return &events.Failure{Reason: events.ReasonServerError}
}

// messageRefused: some servers judge the recipient only now.
func messageRefused(code int, enhanced string) *events.Failure {
	switch {
	case strings.HasPrefix(enhanced, "5.1."):
		return &events.Failure{Reason: events.ReasonAddress, Permanent: true}
	case code == 550, code == 552, code == 553, code == 554:
		return &events.Failure{Reason: events.ReasonRejected, Permanent: true, Body: true}
	}
	return &events.Failure{Reason: events.ReasonServerError}
}
