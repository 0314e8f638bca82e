package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// recordSize is the size of a record, of which a message is always one; maxText is what of it a push service has to take
// for us: 4096 octets (RFC 8030, 7.2) without header, delimiter and tag.
const (
	recordSize = 4096
	headerSize = 16 + 4 + 1 + 65
	maxText    = recordSize - headerSize - 1 - 16
)

// seal encrypts a text for one browser: browser is its public key p256dh as an uncompressed point, auth its secret of 16
// octets (RFC 8291, with content coding aes128gcm of RFC 8188). own and salt are of this message alone.
func seal(text, browser, auth []byte, own *ecdh.PrivateKey, salt [16]byte) ([]byte, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the text has %d octets, more than %d", len(text), maxText)
	}
	if len(auth) != 16 {
		return nil, errors.New("the secret of the browser does not have 16 octets")
	}
	peer, err := ecdh.P256().NewPublicKey(browser)
	if err != nil {
		return nil, fmt.Errorf("the key of the browser: %w", err)
	}
	shared, err := own.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("the key of the browser: %w", err)
	}
	public := own.PublicKey().Bytes()
	ikm, err := hkdf.Key(sha256.New, shared, auth, "WebPush: info\x00"+string(browser)+string(public), 32)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, ikm, salt[:], "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt[:], "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	body := binary.BigEndian.AppendUint32(salt[:], recordSize)
	body = append(append(body, byte(len(public))), public...)
	last := append(append([]byte(nil), text...), 2) // the delimiter of the last record
	return gcm.Seal(body, nonce, last, nil), nil
}
