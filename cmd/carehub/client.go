package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/intake"
	"carehub/events/receipts"
)

// client talks to a hub's API as a carer or system.
type client struct {
	hub   string // base URL
	token string

	patience time.Duration // how long to try a hub that does not answer; 30 s if zero
	pause    time.Duration // before the first repeat, then twice as long each time; 500 ms if zero
}

const (
	answerTimeout = 15 * time.Second // for one request
	silence       = 45 * time.Second // of a stream before it counts as broken: three missed signs of life
	maxAnswer     = 1 << 20          // bytes
)

// web never follows a redirect: the token is for the hub alone.
var web = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// hubFlags are the flags of every command that asks a hub.
type hubFlags struct{ hub, tokenFile string }

func (f *hubFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.hub, "hub", cmp.Or(os.Getenv("CAREHUB_HUB"), "http://127.0.0.1:8080"), "URL of the hub, or CAREHUB_HUB")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "file that holds your token; without it CAREHUB_TOKEN does")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misused(err.Error()) })
}

func misused(msg string) error { return exitError{2, msg} }

func (f *hubFlags) client() (client, error) {
	u, err := url.Parse(f.hub)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return client{}, misused("--hub must be the URL of a hub, such as https://hub.example")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return client{}, misused("--hub must be https:// unless the hub is on this machine: a token must not cross a network in the clear")
	}
	token := os.Getenv("CAREHUB_TOKEN")
	if f.tokenFile != "" {
		held, err := os.ReadFile(f.tokenFile) // #nosec G304 -- the file that the user names
		if err != nil {
			return client{}, misused("--token-file: " + err.Error())
		}
		token = string(held)
	}
	if token = strings.TrimSpace(token); token == "" {
		return client{}, misused("no token: give --token-file or set CAREHUB_TOKEN. Whoever runs the hub makes one with: carehub token create ID")
	}
	return client{hub: strings.TrimRight(f.hub, "/"), token: token}, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// refusal is the hub's no.
type refusal struct {
	intake.Refused
	status int
}

func (r *refusal) Error() string {
	said := cmp.Or(r.Message, fmt.Sprintf("The hub answered with status %d.", r.status))
	if r.Understood != "" {
		said += "\nUnderstood: " + r.Understood
	}
	if r.Suggestion != "" {
		said += "\n" + r.Suggestion
	}
	return said
}

// temporary reports whether the same request may work later: the hub, or what stands before it, said so (RFC 9110, 15.6).
func temporary(err error) bool {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.status == http.StatusTooManyRequests || r.status >= 502
	}
	_, network := errors.AsType[*url.Error](err)
	return network
}

// logRequest is what carehub log sends. Text, Words and Key stay the same over all tries.
type logRequest struct{ Text, Words, Key string }

func (c client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.hub+path, &b)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// do sends one request and reads the answer into into.
func (c client) do(req *http.Request, into any) error {
	ctx, cancel := context.WithTimeout(req.Context(), answerTimeout)
	defer cancel()
	resp, err := web.Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := refused(resp); err != nil {
		return err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return &url.Error{Op: req.Method, URL: c.hub, Err: fmt.Errorf("the answer did not arrive whole: %w", err)}
	}
	return nil
}

// refused reads an answer that is no success.
func refused(resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	r := &refusal{status: resp.StatusCode}
	_ = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&r.Refused) // a proxy's words are no loss
	return r
}

// preview asks what the hub makes of the text. Nothing is saved.
func (c client) preview(ctx context.Context, r logRequest) (p intake.Preview, err error) {
	req, err := c.request(ctx, http.MethodPost, "/events", map[string]any{"text": r.Text, "words": r.Words, "dry_run": true})
	if err == nil {
		err = c.do(req, &p)
	}
	return p, err
}

// log saves an event. It tries again, with the same key, for as long as the hub cannot be reached or says so: with one
// key a repeat is never a second event.
func (c client) log(ctx context.Context, out io.Writer, r logRequest) (saved receipts.View, err error) {
	err = c.insist(ctx, func(try int) error {
		if try > 0 {
			fmt.Fprintln(out, "Not saved yet. Trying again…")
		}
		req, err := c.request(ctx, http.MethodPost, "/events", intake.Request{Text: r.Text, Words: r.Words})
		if err != nil {
			return err
		}
		req.Header.Set("Idempotency-Key", r.Key)
		return c.do(req, &saved)
	})
	return saved, err
}

// insist repeats what fails for the time being, with a growing pause, until patience ends.
func (c client) insist(ctx context.Context, try func(n int) error) error {
	pause := c.firstPause()
	ends := time.Now().Add(cmp.Or(c.patience, 30*time.Second))
	for n := 0; ; n++ {
		err := try(n)
		if err == nil || !temporary(err) || ctx.Err() != nil || time.Now().Add(pause).After(ends) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (c client) firstPause() time.Duration { return cmp.Or(c.pause, 500*time.Millisecond) }

func (c client) get(ctx context.Context, id string) (v receipts.View, raw json.RawMessage, err error) {
	req, err := c.request(ctx, http.MethodGet, "/events/"+url.PathEscape(id), nil)
	if err == nil {
		err = c.do(req, &raw)
	}
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	return v, raw, err
}

// follow hands each event of a stream to see until it says that is enough. A stream that breaks is opened again, and
// begins with how things stand.
func (c client) follow(ctx context.Context, id string, see func(name string, data []byte) (enough bool)) error {
	for {
		heard := false
		err := c.insist(ctx, func(int) error {
			return c.stream(ctx, id, func(name string, data []byte) bool {
				heard = true
				return see(name, data)
			})
		})
		if err == nil || !heard || !temporary(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(c.firstPause()): // it worked for a while: a new start
		}
	}
}

// stream reads one connection's events. Its error is temporary when the connection broke.
func (c client) stream(ctx context.Context, id string, see func(name string, data []byte) (enough bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	req, err := c.request(ctx, http.MethodGet, "/events/"+url.PathEscape(id)+"/stream", nil)
	if err != nil {
		return err
	}
	resp, err := web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := refused(resp); err != nil {
		return err
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxAnswer)
	name := ""
	for lines.Scan() {
		quiet.Reset(silence)
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			if see(name, []byte(value)) {
				return nil
			}
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return &url.Error{Op: req.Method, URL: c.hub, Err: err}
}

// receiptLines prints a line for each receipt that says something new, until all are settled.
func receiptLines(out io.Writer) func(name string, data []byte) (settled bool) {
	said := map[string]string{}
	line := func(r receipts.Recipient) {
		if said[r.ID] != r.Words {
			said[r.ID] = r.Words
			fmt.Fprintln(out, r.Words)
		}
	}
	return func(name string, data []byte) bool {
		var v receipts.View
		var r receipts.Recipient
		switch name {
		case "receipts":
			if json.Unmarshal(data, &v) == nil {
				for _, r := range v.Recipients {
					line(r)
				}
			}
		case "receipt":
			if json.Unmarshal(data, &r) == nil {
				line(r)
			}
		}
		return name == "settled"
	}
}

// logAndWatch saves an event and prints the receipts as they come, until the hub is done with everyone.
func (c client) logAndWatch(ctx context.Context, out io.Writer, r logRequest) (receipts.View, error) {
	saved, err := c.save(ctx, out, r)
	if err == nil {
		err = c.watch(ctx, out, saved.ID)
	}
	return saved, err
}

// save logs an event and says how to come back to it, or that it is not saved.
func (c client) save(ctx context.Context, out io.Writer, r logRequest) (receipts.View, error) {
	v, err := c.log(ctx, out, r)
	if err != nil {
		return v, notSaved(err, r.Key)
	}
	fmt.Fprintf(out, "%s\nThis is event %s, reference %s. To come back to it: carehub status %s --watch\n", v.Message, v.ID, events.Ref(v.ID), v.ID)
	return v, nil
}

// watch prints receipts until the hub is done with everyone.
func (c client) watch(ctx context.Context, out io.Writer, id string) error {
	return c.follow(ctx, id, receiptLines(out))
}
