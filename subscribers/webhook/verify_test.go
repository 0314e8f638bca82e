package webhook_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carehub/events/fhir/validate"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/endpoints"
	"carehub/subscribers/webhook"
)

// judged is a message for the official library, and what it must say of it: "" where it accepts.
type judged struct {
	name    string
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"` // base64 in JSON
	refused string
}

func judge(name, secret string, got channeltest.Taken) judged {
	j := judged{name: name, Secret: secret, Headers: map[string]string{}, Body: got.Body}
	for key := range got.Headers {
		j.Headers[strings.ToLower(key)] = http.Header(got.Headers).Get(key)
	}
	return j
}

func (j judged) but(name, refused string, change func(*judged)) judged {
	headers := map[string]string{}
	for k, v := range j.Headers {
		headers[k] = v
	}
	j.name, j.refused, j.Headers, j.Body = name, refused, headers, bytes.Clone(j.Body)
	change(&j)
	return j
}

// TestOfficialLibrary has the npm package of Standard Webhooks judge what was sent: in each format, the challenge, while a
// secret is being changed and after; and what nobody may accept.
func TestOfficialLibrary(t *testing.T) {
	const stranger = "whsec_bm90IG9uZSBvZiB0aGUgdHdvIGtleXMgYWJvdmU="
	sent := judge("a message", secret, post(t, options, "secret: ${file:secret}\n", channeltest.Sample()))
	all := []judged{sent}
	for _, format := range []string{"cloudevents", "thin"} {
		all = append(all, judge(format, secret, post(t, options, "secret: ${file:secret}\nformat: "+format+"\n", channeltest.Sample())))
	}
	two := post(t, options, "secrets: ['${file:secret}', '${file:older}']\n", channeltest.Sample())
	all = append(all, judge("two in the file, the new", secret, two), judge("two in the file, the old", older, two))
	all = append(all, rotatedMessages(t)...)
	const mismatch, early, late = "No matching signature found", "Message timestamp too new", "Message timestamp too old"
	all = append(all,
		sent.but("another's secret", mismatch, func(j *judged) { j.Secret = stranger }),
		sent.but("a changed body", mismatch, func(j *judged) { j.Body[len(j.Body)/2] ^= 1 }),
		sent.but("a longer body", mismatch, func(j *judged) { j.Body = append(j.Body, ' ') }),
		sent.but("another id", mismatch, func(j *judged) { j.Headers["webhook-id"] += "x" }),
		sent.but("a newer time", mismatch, func(j *judged) { j.Headers["webhook-timestamp"] = later(j.Headers["webhook-timestamp"]) }),
		sent.but("no signature", "Missing required headers", func(j *judged) { delete(j.Headers, "webhook-signature") }),
		judge("replayed after its time", secret, post(t, at(-6*time.Minute), "secret: ${file:secret}\n", channeltest.Sample())).but("expired", late, func(*judged) {}),
		judge("from the future", secret, post(t, at(6*time.Minute), "secret: ${file:secret}\n", channeltest.Sample())).but("early", early, func(*judged) {}),
	)
	for i, verdict := range ask(t, all) {
		if verdict != all[i].refused {
			t.Errorf("%s: %q, want %q", all[i].name, verdict, all[i].refused)
		}
	}
}

// at is options with a clock that is off.
func at(off time.Duration) webhook.Options {
	o := options
	o.Now = func() time.Time { return time.Now().Add(off) }
	return o
}

func later(stamp string) string {
	last := stamp[len(stamp)-1]
	return stamp[:len(stamp)-1] + string('0'+(last-'0'+1)%10)
}

// rotatedMessages are what is sent while the hub changes a secret by itself, and a day later.
func rotatedMessages(t *testing.T) []judged {
	t.Helper()
	d := &desk{answer: echo}
	e, registry := introduced(t, d, "secret: ${file:secret}\n")
	made, err := registry.Rotate(t.Context(), "riverside-surgery", "webhook", e.(subscribers.Signed).SecretHash())
	if err == nil {
		err = e.Send(t.Context(), channeltest.Numbered(0))
	}
	if err == nil {
		_, err = registry.Change(t.Context(), "riverside-surgery", "webhook", func(r *endpoints.Record) error {
			r.Secret.At = r.Secret.At.Add(-endpoints.Overlap)
			return nil
		})
	}
	if err == nil {
		err = e.Send(t.Context(), channeltest.Numbered(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	after := judge("a day later, the old", secret, d.got[1])
	after.refused = "No matching signature found"
	return []judged{judge("the challenge, the old", secret, d.asked[0]), judge("the challenge, the new", made.Value, d.asked[0]),
		judge("rotating, the old", secret, d.got[0]), judge("rotating, the new", made.Value, d.got[0]), judge("a day later, the new", made.Value, d.got[1]), after}
}

// ask runs the official library.
func ask(t *testing.T, all []judged) (verdicts []string) {
	t.Helper()
	dir, err := validate.Install(t.Context(), "subscribers/webhook/verify")
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "verify.mjs"))
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err == nil {
		err = json.Unmarshal(out, &verdicts)
	}
	if err != nil || len(verdicts) != len(all) {
		t.Fatalf("%v: %s", err, out)
	}
	return verdicts
}
