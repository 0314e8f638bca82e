package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"carehub/subscribers"
)

// demoCode is what the demo's mailboxes choose.
const demoCode = "4827"

// inboxes has every mailbox of the demo verified as a real one is: the hub sends a link, and whoever reads the mailbox opens
// its page and chooses a code.
func (d *demo) inboxes(ctx context.Context, f *folder) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	n := 0
	for _, s := range f.register.All() {
		for _, c := range s.Channels {
			m, ok := c.Endpoint.(subscribers.Mailbox)
			if !ok {
				continue
			}
			var done bool
			if err := askAdmin(ctx, f.hub.Store, http.MethodPost, "/inboxes/"+s.ID+"/"+c.Key+"/verify", nil, &done); err != nil {
				return err
			}
			if err := d.choose(ctx, m.Address()); err != nil {
				return err
			}
			n++
		}
	}
	d.mail.speak()
	d.mu.Lock()
	d.started = time.Now() // of the story
	d.mu.Unlock()
	d.print(fmt.Sprintf("Each of the %d inboxes has shown that somebody reads it: the hub's mail has a link to a page, where they chose the code %s.", n, demoCode), "")
	return nil
}

// choose waits for the mail to an address, opens its link and sends the form there.
func (d *demo) choose(ctx context.Context, to string) error {
	link, ok := d.mail.asks(to)
	for ; !ok; link, ok = d.mail.asks(to) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the mail that verifies an inbox has not come: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	page, err := http.PostForm(link, url.Values{"code": {demoCode}}) // #nosec G107 -- of the demo's own hub
	if err != nil {
		return err
	}
	defer page.Body.Close()
	if page.StatusCode != http.StatusOK {
		return fmt.Errorf("the page that verifies an inbox answered %s", page.Status)
	}
	return nil
}
