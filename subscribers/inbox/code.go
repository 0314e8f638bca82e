package inbox

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// A code has so many digits and letters. It is short so that people on a ward remember it, and worth something only with a
// link, which nobody can guess, and with few guesses.
const (
	minCode = 4
	maxCode = 8
)

// normal is a code as it is compared: however it was typed.
func normal(code string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(code))
}

// checkForm says what is wrong with the form of a code.
func checkForm(code string) error {
	bad := strings.ContainsFunc(code, func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') })
	if bad || len(code) < minCode || len(code) > maxCode {
		return invalid("wrong.form")
	}
	return nil
}

// checkChoice says why a code should not be chosen.
func checkChoice(code string) error {
	if err := checkForm(code); err != nil {
		return err
	}
	for _, step := range []int{-1, 0, 1} { // 9876, 1111, 1234, ABCD
		if runs(code, step) {
			return invalid("wrong.easy")
		}
	}
	return nil
}

// runs reports whether each character of code follows the one before by step.
func runs(code string, step int) bool {
	for i := 1; i < len(code); i++ {
		if int(code[i])-int(code[i-1]) != step {
			return false
		}
	}
	return true
}

// Parameters of Argon2id (RFC 9106) for new hashes, as OWASP's Password Storage Cheat Sheet recommends: 19 MiB, two passes, one
// lane. They stand in each hash, so that they can be raised.
const (
	memory    = 19 * 1024 // KiB
	passes    = 2
	hashLen   = 32
	maxMemory = 64 * 1024
	maxPasses = 10
)

// phc is how a hash is written (PHC string format): memory, passes, salt and hash, the last two in base64.
const phc = "$argon2id$v=19$m=%d,t=%d,p=1$%s"

// hash makes the salted hash that is stored of a code.
func (k *Keeper) hash(ctx context.Context, code string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	sum, err := k.derive(ctx, code, salt, passes, k.memory)
	return fmt.Sprintf(phc, k.memory, passes, base64.RawStdEncoding.EncodeToString(salt)+"$"+base64.RawStdEncoding.EncodeToString(sum)), err
}

var errHash = errors.New("the stored code is of a form that this build does not know")

// matches reports, in constant time, whether a stored hash is that of code.
func (k *Keeper) matches(ctx context.Context, stored, code string) (bool, error) {
	var m, t uint32
	var rest string
	if n, err := fmt.Sscanf(stored, phc, &m, &t, &rest); n != 3 || err != nil || m > maxMemory || t == 0 || t > maxPasses {
		return false, errHash
	}
	encodedSalt, encodedSum, _ := strings.Cut(rest, "$")
	salt, err := base64.RawStdEncoding.DecodeString(encodedSalt)
	if err != nil {
		return false, errHash
	}
	want, err := base64.RawStdEncoding.DecodeString(encodedSum)
	if err != nil || len(want) != hashLen {
		return false, errHash
	}
	sum, err := k.derive(ctx, code, salt, t, m)
	return err == nil && subtle.ConstantTimeCompare(sum, want) == 1, err
}

// derive takes some tens of milliseconds and megabytes, so only few run at one time.
func (k *Keeper) derive(ctx context.Context, code string, salt []byte, passes, memory uint32) ([]byte, error) {
	select {
	case k.checking <- struct{}{}:
		defer func() { <-k.checking }()
		return argon2.IDKey([]byte(code), salt, passes, memory, 1, hashLen), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
