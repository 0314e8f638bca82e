package stream

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keyFile says that the store in its folder is encrypted, and proves a key without telling it: a random salt, and the
// HMAC-SHA256 of it under the key, both in hex.
const keyFile = "encrypted"

// MinKey is the least length of a store's key in bytes. JetStream derives the keys of its files from it.
const MinKey = 32

// checkKeyOf refuses a key that is not the store's, before a server could take a store that it cannot read for none.
func checkKeyOf(dir, key string) error {
	if key != "" && len(key) < MinKey {
		return fmt.Errorf("the key of the store must have at least %d characters", MinKey)
	}
	proof, err := os.ReadFile(filepath.Join(dir, keyFile)) // #nosec G304 -- the admin's own folder
	encrypted := err == nil
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, err = os.Stat(filepath.Join(dir, "jetstream"))
	exists := err == nil
	switch {
	case encrypted && key == "":
		return fmt.Errorf("the store in %s is encrypted: give its store_key", dir)
	case encrypted:
		salt, want, _ := strings.Cut(strings.TrimSpace(string(proof)), " ")
		if !hmac.Equal([]byte(proofOf(key, salt)), []byte(want)) {
			return fmt.Errorf("store_key is not the key that the store in %s was encrypted with", dir)
		}
	case key != "" && exists:
		return fmt.Errorf("the store in %s is not encrypted. To encrypt it: carehub backup, move it away, set store_key, carehub restore", dir)
	case key != "":
		return writeProof(dir, key)
	}
	return nil
}

func proofOf(key, salt string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("carehub store " + salt))
	return hex.EncodeToString(mac.Sum(nil))
}

func writeProof(dir, key string) error {
	salt := rand.Text()
	f, err := os.OpenFile(filepath.Join(dir, keyFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- the admin's own folder
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, salt, proofOf(key, salt)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDirectory(dir)
}
