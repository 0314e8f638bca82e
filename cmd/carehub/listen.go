package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// listenCommand is carehub listen: a receiver at an integrator's desk. Nothing of it can be reached from elsewhere.
func listenCommand() *cobra.Command {
	var address, forward, secretFile string
	cmd := &cobra.Command{
		Use: "listen", Short: "Receive webhooks on this machine, show them, and pass them on to your own program", Args: cobra.NoArgs,
		Long: "Receive webhooks on this machine: answer the challenge, check the signature, print what came, and pass it on to URL as\n" +
			"it came. What your program answers, the hub gets. Use it with the demo, a hub of your own, or carehub trigger.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			secret, err := secretOf(secretFile)
			if err != nil {
				return err
			}
			return listen(cmd.Context(), cmd.OutOrStdout(), address, forward, secret)
		},
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:4242", "address on this machine")
	cmd.Flags().StringVar(&forward, "forward-to", "", "URL of your program; without it every message is answered 204")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file that holds the webhook's secret; without it one is made up")
	return cmd
}

// secretOf reads a webhook's secret, or makes one up.
func secretOf(file string) (string, error) {
	if file == "" {
		return hookSecret(), nil
	}
	held, err := os.ReadFile(file) // #nosec G304 -- the file that the user names
	if err != nil {
		return "", misused("--secret-file: " + err.Error())
	}
	return strings.TrimSpace(string(held)), nil
}

func listen(ctx context.Context, out io.Writer, address, forward, secret string) error {
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return misused("the secret must be whsec_ and base64")
	}
	if u, err := url.Parse(forward); err != nil || forward != "" && u.Host == "" {
		return misused("--forward-to must be a URL such as http://127.0.0.1:3000/hooks/care")
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || !loopback(host) {
		return misused("--listen must be an address of this machine alone, such as 127.0.0.1:4242")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Listening on http://%s\n\n"+
		"In hub.yaml of a hub on this machine:   egress: {allow: [127.0.0.0/8]}\n"+
		"Among the channels of a subscriber:     - webhook: {url: \"http://%s/\", secret: \"${env:LISTEN_SECRET}\"}\n"+
		"Before it is started:                   export LISTEN_SECRET=%s\n\n", l.Addr(), l.Addr(), secret)
	return serveUntil(ctx, l, &listener{out: out, hook: hook, forward: forward, seen: map[string]bool{}}, slog.New(slog.DiscardHandler))
}

// listener prints what comes and passes it on.
type listener struct {
	hook    *standardwebhooks.Webhook
	forward string

	mu   sync.Mutex
	out  io.Writer
	seen map[string]bool
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2<<20))
	if err != nil {
		http.Error(w, "cannot read", http.StatusBadRequest)
		return
	}
	proof := "signature verified"
	verified := l.hook.Verify(body, r.Header)
	if verified != nil {
		proof = "SIGNATURE NOT VERIFIED: " + verified.Error()
	}
	nonce, challenged := challengeIn(body)
	switch {
	case challenged && verified == nil:
		l.say(r, "challenge", proof, "echoed")
		echoChallenge(w, nonce)
	case challenged:
		l.say(r, "challenge", proof, "answered 401")
		w.WriteHeader(http.StatusUnauthorized)
	case l.forward == "":
		l.say(r, kindOfBody(body), proof, "answered 204")
		w.WriteHeader(http.StatusNoContent)
	default:
		l.pass(w, r, body, proof)
	}
}

// say prints one line.
func (l *listener) say(r *http.Request, what, proof, answer string) {
	id := r.Header.Get("webhook-id")
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[id] && id != "" {
		proof += ", a repeat"
	}
	l.seen[id] = true
	fmt.Fprintf(l.out, "%s  %s  %s  %s  %s\n", time.Now().Format("15:04:05"), id, what, proof, answer)
}

// pass has the integrator's program answer.
func (l *listener) pass(w http.ResponseWriter, r *http.Request, body []byte, proof string) {
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	resp, err := l.ask(ctx, r, body)
	if err != nil {
		l.say(r, kindOfBody(body), proof, "your program could not be reached: answered 502")
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	l.say(r, kindOfBody(body), proof, "your program answered "+resp.Status)
	for _, name := range []string{"Content-Type", "Retry-After"} {
		if v := resp.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, io.LimitReader(resp.Body, maxAnswer)) // the hub may have gone
}

func (l *listener) ask(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.forward, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Content-Type", "User-Agent", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		req.Header.Set(name, r.Header.Get(name))
	}
	return web.Do(req)
}

// challengeIn returns the nonce of a hub's challenge, if body is one.
func challengeIn(body []byte) (nonce string, is bool) {
	var c struct{ Type, Nonce string }
	if json.Unmarshal(body, &c) != nil || c.Type != "carehub.endpoint.verification" {
		return "", false
	}
	return c.Nonce, true
}

// echoChallenge answers it.
func echoChallenge(w http.ResponseWriter, nonce string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"nonce": nonce}) // the hub may have gone
}

// kindOfBody names what came, in any of the three formats.
func kindOfBody(body []byte) string {
	var b struct {
		Type         string `json:"type"`
		ResourceType string `json:"resourceType"`
		SpecVersion  string `json:"specversion"`
	}
	if json.Unmarshal(body, &b) != nil {
		return fmt.Sprintf("%d bytes that are no JSON", len(body))
	}
	if b.ResourceType == "Bundle" {
		return whatItSays(body)
	}
	return fmt.Sprintf("%q", cmp.Or(b.Type, "no type"))
}
