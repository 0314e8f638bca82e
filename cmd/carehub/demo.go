package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"carehub/deploy"
	"carehub/events"
)

func demoCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a hub with invented people and stand-in providers on this machine", Args: cobra.NoArgs,
		Long: "Run the hub with the example configuration, a mailbox and three receivers that stand in for providers,\n" +
			"log \"dad admitted\", and show the four receipts arriving. Nothing leaves this machine.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "stop when all four receipts have arrived")
	return cmd
}

// demo is a hub and the stand-ins around it.
type demo struct {
	dir     string
	once    bool
	mail    *mailbox
	started time.Time

	mu  sync.Mutex
	out io.Writer
}

// say prints one line with the seconds since the start.
func (d *demo) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, "%5.1fs  %s\n", time.Since(d.started).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) print(lines ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintln(d.out, strings.Join(lines, "\n"))
}

func runDemo(ctx context.Context, out io.Writer, once bool) error {
	dir, err := os.MkdirTemp("", "carehub-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{dir: dir, once: once, out: out, started: time.Now()}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop(nil) // before the wait
	run := func(part func(context.Context) error) {
		parts.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				stop(err)
			}
		})
	}
	pages, err := d.standIns(run)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(dir, "hub.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) // #nosec G304 -- in the folder just made
	if err != nil {
		return err
	}
	defer log.Close()
	f, err := loadForUse(dir)
	if err != nil {
		return err
	}
	up := make(chan string, 1)
	run(func(ctx context.Context) error {
		return serve(ctx, f, slog.New(slog.NewJSONHandler(log, nil)), func(address string) { up <- address })
	})
	select {
	case address := <-up:
		err = d.story(ctx, f, "http://"+address, pages)
	case <-ctx.Done():
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// standIns copies the example configuration, with fresh secrets, and starts what stands in for the providers. Where a
// port of the example is taken another one is written into the copy.
func (d *demo) standIns(run func(func(context.Context) error)) (mailboxPage string, err error) {
	secrets := map[string]string{"riverside-surgery": hookSecret(), "district-nurses": hookSecret(), "hospice": rand.Text()}
	d.mail = &mailbox{say: d.say}
	receivers := map[string]http.Handler{
		"127.0.0.1:9101": d.receiver("Riverside Surgery's system", secrets["riverside-surgery"], "", 0, 2),
		"127.0.0.1:9102": d.receiver("The district nurses' slow system", secrets["district-nurses"], "", 3*time.Second, 0),
		"127.0.0.1:9103": d.receiver("The hospice's FHIR server", "", secrets["hospice"], 0, 0),
		"127.0.0.1:8025": d.mail,
	}
	var swaps []string
	for address, handler := range receivers {
		l, err := listenNear(address)
		if err != nil {
			return "", err
		}
		swaps = append(swaps, address, l.Addr().String())
		if address == "127.0.0.1:8025" {
			mailboxPage = "http://" + l.Addr().String()
		}
		run(func(ctx context.Context) error { return serveUntil(ctx, l, handler, slog.New(slog.DiscardHandler)) })
	}
	smtp, err := listenNear("127.0.0.1:2525")
	if err != nil {
		return "", err
	}
	run(func(ctx context.Context) error { return d.mail.serve(ctx, smtp) })
	_, port, _ := net.SplitHostPort(smtp.Addr().String())
	swaps = append(swaps, "port: 2525", "port: "+port)
	own, err := listenNear("127.0.0.1:8080")
	if err != nil {
		return "", err
	}
	swaps = append(swaps, "127.0.0.1:8080", own.Addr().String())
	_ = own.Close()
	return mailboxPage, copyExample(d.dir, strings.NewReplacer(swaps...), secrets)
}

func (d *demo) receiver(name, secret, token string, delay time.Duration, fails int) *receiver {
	return &receiver{say: d.say, name: name, secret: secret, token: token, delay: delay, fails: fails, seen: map[string]bool{}}
}

func hookSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

func copyExample(dir string, swap *strings.Replacer, secrets map[string]string) error {
	err := fs.WalkDir(deploy.Example, "example", func(path string, e fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(path, "example/secrets") || strings.HasPrefix(path, "example/data") {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, "example"))
		if e.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		data, err := deploy.Example.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, []byte(swap.Replace(string(data))), 0o600)
	})
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		return err
	}
	for name, secret := range secrets {
		if err := os.WriteFile(filepath.Join(dir, "secrets", name), []byte(secret), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// story logs "dad admitted" as Ruth would, shows the receipts, and says what to try next.
func (d *demo) story(ctx context.Context, f *folder, url, mailboxPage string) error {
	token, err := d.token(ctx, f, "ruth")
	if err != nil {
		return err
	}
	d.print("", "The hub runs at "+url+" with the configuration in "+d.dir,
		"The three receivers and the mailbox are stand-ins on this machine: one is slow, one fails twice and then works.", "")
	if err := d.inboxes(ctx, f); err != nil {
		return err
	}
	d.print(`Ruth, in a corridor, logs: dad admitted at "Riverside Hospital" 20m ago`, "")
	c := client{hub: url, token: token}
	saved, err := c.logAndWatch(ctx, &lines{d}, logRequest{
		Text: `dad admitted at "Riverside Hospital" 20m ago`, Words: "He is awake. I am with him.", Key: rand.Text()})
	if err != nil {
		return err
	}
	if err := allTold(ctx, c, saved.ID); err != nil {
		return err
	}
	d.print("", "All four have been told.")
	if d.once {
		return nil
	}
	d.next(url, mailboxPage, saved.ID)
	<-ctx.Done()
	return nil
}

// token makes a token and leaves it where the commands of the next steps find it.
func (d *demo) token(ctx context.Context, f *folder, id string) (string, error) {
	var plain string
	err := askAdmin(ctx, f.hub.Store, http.MethodPost, "/tokens", events.Actor{Kind: events.Carer, ID: id}, &plain)
	if err != nil {
		return "", err
	}
	return plain, os.WriteFile(filepath.Join(d.dir, id+".token"), []byte(plain+"\n"), 0o600)
}

// next says what to try now that event has been told.
func (d *demo) next(url, mailboxPage, event string) {
	token := filepath.Join(d.dir, "ruth.token")
	carehub, err := os.Executable()
	if err != nil || strings.Contains(carehub, "go-build") {
		carehub = "go run ./cmd/carehub"
	}
	asRuth := " --hub " + url + " --token-file " + token
	d.print("", "Try next, in another terminal:", "",
		"  the frailty team's mail           "+mailboxPage,
		"  what its link opens               "+strings.Join(d.mail.links(), "")+" with the code "+demoCode,
		"  Ruth's own page                   "+carehub+" invite ruth --dir "+d.dir+"    and open the link that it prints",
		"  which inboxes are verified        "+carehub+" subscriber list --dir "+d.dir, "",
		"  who has been told by now          "+carehub+" status "+event+asRuth,
		"  dad comes home                    "+carehub+" log dad came home --yes"+asRuth,
		"  who would be told of a fall       "+carehub+" who p-7f3k fall --by ruth --dir "+d.dir,
		"  a wrong edit is found             echo 'colour: blue' >> "+d.dir+"/hub.yaml; "+carehub+" check "+d.dir+"; sed -i '$d' "+d.dir+"/hub.yaml",
		"  the same by API                   curl -sS "+url+"/events -H \"Authorization: Bearer $(cat "+token+")\" \\",
		"                                      -H 'Idempotency-Key: my-first' -H 'Content-Type: application/json' -d '{\"text\": \"dad had a fall at home\"}'", "",
		"  for the lines of README and docs  export CAREHUB_HUB="+url+" CAREHUB_TOKEN=$(cat "+token+") DEMO="+d.dir+" EVENT="+event,
		"", "Stop with Ctrl-C; everything of the demo is then removed.")
}

// lines hands whole lines to the demo's clock.
type lines struct{ d *demo }

func (l *lines) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if text := strings.TrimRight(string(line), "\n"); text != "" {
			l.d.say("%s", text)
		}
	}
	return len(p), nil
}

// allTold makes sure that nobody was given up on: a stream settles after a refusal too.
func allTold(ctx context.Context, c client, id string) error {
	view, _, err := c.get(ctx, id)
	if err != nil {
		return err
	}
	for _, r := range view.Recipients {
		if !r.State.Told() {
			return fmt.Errorf("%s was not told: %s", r.ID, r.State)
		}
	}
	return nil
}
