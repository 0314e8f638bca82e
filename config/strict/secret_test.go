package strict_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"carehub/config/strict"
)

type account struct {
	Password strict.Secret `yaml:"password"`
}

func TestSecretIsRead(t *testing.T) {
	t.Setenv("CAREHUB_TEST_SECRET", "from the environment")
	for reference, want := range map[string]string{
		"${file:secret}":             "two\nlines",
		"${env:CAREHUB_TEST_SECRET}": "from the environment",
	} {
		top, folder := read(t, fmt.Sprintf("password: %q\n", reference))
		write(t, folder.Dir, "secret", "two\nlines\r\n")
		var a account
		if err := top.Decode(&a); err != nil || a.Password.Reveal() != want || a.Password.IsZero() {
			t.Errorf("%s: got %q, %v", reference, a.Password.Reveal(), folder.Problems())
		}
	}
}

// TestSecretErrorsKeepIt: what was found instead of a reference, or in a file, is not in the error.
func TestSecretErrorsKeepIt(t *testing.T) {
	for text, want := range map[string]string{
		"hunter2":                   "a.yaml:1:11: password: must be written ${file:path} or ${env:NAME}: a secret does not belong in this file",
		"x${file:secret}":           "a.yaml:1:11: password: must be written ${file:path} or ${env:NAME}: a secret does not belong in this file",
		"[hunter2]":                 "a.yaml:1:11: password: must be written ${file:path} or ${env:NAME}: a secret does not belong in this file",
		"${file:gone}":              "a.yaml:1:11: password: cannot read the secret file gone: no such file",
		"${file:empty}":             "a.yaml:1:11: password: the secret file empty is empty",
		"${file:large}":             "a.yaml:1:11: password: the secret file large is too large: at most 65536 bytes",
		"${file:.}":                 "a.yaml:1:11: password: cannot read the secret file .: is a directory",
		"${env:CAREHUB_TEST_UNSET}": "a.yaml:1:11: password: the environment variable CAREHUB_TEST_UNSET is not set",
	} {
		top, folder := read(t, "password: "+text+"\n")
		write(t, folder.Dir, "empty", "\n")
		write(t, folder.Dir, "large", strings.Repeat("x", 64<<10+1))
		_ = top.Decode(new(account))
		if got := folder.Problems().Error(); got != want {
			t.Errorf("%s: got %s", text, got)
		}
	}
}

func TestWithoutSecrets(t *testing.T) {
	top, folder := read(t, "password: ${file:gone}\n")
	folder.NoSecrets = true
	var a account
	if err := top.Decode(&a); err != nil || a.Password.IsZero() || a.Password.Reveal() != "" {
		t.Errorf("got %v, %v", a, folder.Problems())
	}
	top, folder = read(t, "password: hunter2\n")
	folder.NoSecrets = true
	if top.Decode(&a) == nil {
		t.Error("a literal secret was taken")
	}
}

// TestSecretIsNotPrinted tries every way that a secret could get into a log or a file.
func TestSecretIsNotPrinted(t *testing.T) {
	type holder struct {
		Open   strict.Secret
		hidden strict.Secret
		list   []strict.Secret
	}
	s := strict.NewSecret("hunter2")
	h := holder{s, s, []strict.Secret{s}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, s, &s, h, &h)
	}
	inJSON, _ := json.Marshal(h)
	inYAML, err := yaml.Dump(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(inJSON)
	out.Write(inYAML)
	slog.New(slog.NewTextHandler(&out, nil)).Info("test", "secret", s, "holder", h)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("test", "secret", s, "holder", h)
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed:\n%s", out.String())
		}
	}
	if !strings.Contains(out.String(), "[secret]") {
		t.Errorf("nothing says that there is a secret:\n%s", out.String())
	}
}
