package strict

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Secret is a password, key or token. It is never written in YAML itself but as ${file:path} or ${env:NAME}, and every
// way of printing it prints [secret] instead. The zero Secret is "none given".
//
// The value sits behind a pointer because fmt prints unexported fields of a struct without asking their methods.
type Secret struct{ value *string }

const redacted = "[secret]"

// NewSecret makes a Secret from s, for what is not read from YAML.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the secret itself; "" if there is none, or if the folder was read without secrets.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether no secret was given.
func (s Secret) IsZero() bool { return s.value == nil }

func (s Secret) String() string { return redacted }

// GoString redacts %#v.
func (s Secret) GoString() string { return redacted }

// Format redacts every other verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText redacts JSON and every other text encoding.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML redacts YAML.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// maxSecret is the most bytes that a secret's file may hold: far more than any key, far less than a mistaken disk image.
const maxSecret = 64 << 10

var reference = regexp.MustCompile(`^\$\{(file|env):([^{}]+)\}$`)

// isReference reports whether text asks for a secret, well-formed or not.
func isReference(text string) bool {
	return strings.HasPrefix(text, "${file:") || strings.HasPrefix(text, "${env:")
}

// secret reads what text refers to. Its errors name the file or variable and never hold any content.
func (f *Folder) secret(text string) (Secret, error) {
	m := reference.FindStringSubmatch(text)
	if m == nil {
		return Secret{}, fmt.Errorf("must be written ${file:path} or ${env:NAME}: a secret does not belong in this file")
	}
	if f.NoSecrets {
		return NewSecret(""), nil
	}
	read := f.secretFile
	if m[1] == "env" {
		read = secretEnv
	}
	value, err := read(m[2])
	return NewSecret(value), err
}

func (f *Folder) secretFile(name string) (string, error) {
	data, err := f.readNamed(name, maxSecret)
	if filepath.IsLocal(name) {
		f.secrets = append(f.secrets, name)
	}
	value := strings.TrimRight(string(data), "\r\n")
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read the secret file %s: %s", name, reason(err))
	case len(data) > maxSecret:
		return "", fmt.Errorf("the secret file %s is too large: at most %d bytes", name, maxSecret)
	case value == "":
		return "", fmt.Errorf("the secret file %s is empty", name)
	}
	return value, nil
}

// readAtMost reads a file, stopping one byte after limit so that the caller can tell; below 0 there is none.
func readAtMost(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path) // #nosec G304 -- the path is the admin's own
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if limit < 0 {
		return io.ReadAll(file)
	}
	return io.ReadAll(io.LimitReader(file, limit+1))
}

func secretEnv(name string) (string, error) {
	value := os.Getenv(name)
	if value == "" {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	return value, nil
}
