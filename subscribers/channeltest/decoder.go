package channeltest

import (
	"os"
	"path/filepath"
	"testing"

	"carehub/config/strict"
)

// Decoder returns what subscribers.Type.Open is given for one channel's YAML. secrets are what ${file:name} leads to; if
// nil, the folder is read without secrets.
func Decoder(t testing.TB, yaml string, secrets map[string]string) func(into any) error {
	t.Helper()
	folder := &strict.Folder{Dir: t.TempDir(), NoSecrets: secrets == nil}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(folder.Dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range secrets {
		write(name, content)
	}
	write("channel.yaml", yaml)
	top, ok := folder.Read("channel.yaml")
	if !ok {
		t.Fatal(folder.Problems())
	}
	return func(into any) error {
		err := top.Decode(into)
		if err != nil {
			t.Log(folder.Problems())
		}
		return err
	}
}
