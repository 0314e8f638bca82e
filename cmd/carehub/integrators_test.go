package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	deskBlock  = regexp.MustCompile("carehub (listen|trigger)")
	tokenBlock = regexp.MustCompile("(?s)```js\n(// node token.mjs.*?)```")
)

// TestLinesOfTheDocs runs the lines of docs/integrators.md, and those of the README's API, as they are printed, but for the
// port of a receiver, against a hub with the example's configuration. An answer of 400 and more ends it.
func TestLinesOfTheDocs(t *testing.T) {
	t.Parallel()
	page := readText(t, "../../docs/integrators.md")
	_, api, _ := strings.Cut(readText(t, "../../README.md"), "## The API\n")
	w := newTown(t)
	w.start()
	ruth := w.token("ruth")
	v := w.says(ruth, `dad admitted at "Riverside Hospital" 20m ago`)
	w.settled(ruth, v.ID)

	dir := t.TempDir() // where what the lines write goes
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, ".curlrc"), "fail-with-body\n")
	writeFile(t, filepath.Join(dir, "token.mjs"), tokenBlock.FindStringSubmatch(page)[1])
	if err := os.Symlink(filepath.Join(root, "events"), filepath.Join(dir, "events")); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	lines.WriteString("set -Eeuo pipefail -m\ntrap 'echo \"FAILED: $BASH_COMMAND\"; jobs -p | xargs -r kill' ERR\n")
	for _, block := range append(shellBlock.FindAllStringSubmatch(page, -1), shellBlock.FindStringSubmatch(api)) {
		if !deskBlock.MatchString(block[1]) { // which listen_test.go tries
			lines.WriteString(block[1])
		}
	}
	_, port, _ := strings.Cut(freeAddress(t), ":")
	script := strings.NewReplacer(":9200", ":"+port, "127.0.0.1\", 9200", "127.0.0.1\", "+port, "go run ./cmd/carehub", "carehub",
		"# Ctrl-C ends it", "--max-time 1 || test $? = 28", "log dad came home --words", "log dad came home --yes --words").Replace(lines.String())

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir, shell.WaitDelay = dir, time.Second
	shell.Env = append(quickExit(), "CURL_HOME="+dir, "CAREHUB_HUB="+w.url, "CAREHUB_TOKEN="+ruth, "DEMO="+w.dir, "EVENT="+v.ID)
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	contains(t, string(out), `"access_token":"careat_`, "access_token: 'careat_", "304 Not Modified", "handshake requested",
		"event-notification active 1", "202 Accepted", "waits: admission", "event: receipts")
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
