package bounces

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math"
	"net/mail"
	"regexp"
	"slices"
	"strings"

	"carehub/events"
)

// Addresses makes return addresses, one for each leg of each delivery and the same whenever it is made. Nobody without Key can
// make one, or read out of one what it stands for.
type Addresses struct {
	key            []byte // secret of the hub
	before, behind string // the token
	form           *regexp.Regexp
}

// What a token is made of: where the leg is and a check of whose it is, both hidden under a mask that is drawn from the tag, and
// the tag, by which nothing is looked up that the hub has not made itself. That is the idea of a synthetic IV (RFC 5297), with
// HMAC-SHA-256 for both parts. The check is for a store that was put back from a copy: another event may stand at the place.
const (
	placeSize = 2 + 6 + 3 + 1 // partition, sequence, index of the recipient, of the channel
	checkSize = 3
	tagSize   = 10
	tokenSize = (placeSize + checkSize + tagSize) * 8 / 5 // characters of base32
	maxLocal  = 64                                        // octets of a local part (RFC 5321, 4.5.3.1.1)
)

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewAddresses makes them by a pattern such as care+b-*@hub.example, where * is for the token.
func NewAddresses(key []byte, pattern string) (Addresses, error) {
	if err := checkPattern(pattern); err != nil {
		return Addresses{}, err
	}
	before, behind, _ := strings.Cut(pattern, "*")
	form := regexp.MustCompile(fmt.Sprintf("(?i)%s([a-z2-7]{%d})%s", regexp.QuoteMeta(before), tokenSize, regexp.QuoteMeta(behind)))
	return Addresses{key: key, before: before, behind: behind, form: form}, nil
}

// checkPattern says what is wrong with a pattern.
func checkPattern(pattern string) error {
	if strings.Count(pattern, "*") != 1 {
		return fmt.Errorf("must have one *, where the token goes, as in care+b-*@hub.example")
	}
	example := strings.Replace(pattern, "*", strings.Repeat("a", tokenSize), 1)
	parsed, err := mail.ParseAddress(example)
	local := strings.LastIndexByte(example, '@')
	switch {
	case err != nil || parsed.Address != example || strings.IndexByte(pattern, '*') > strings.LastIndexByte(pattern, '@'):
		return fmt.Errorf("must be an email address with * before the @, such as care+b-*@hub.example")
	case local > maxLocal:
		return fmt.Errorf("may have %d characters before the @ beside the *, not %d", maxLocal-tokenSize, local-tokenSize)
	}
	return nil
}

// Mark is a part that every return address has.
func (a Addresses) Mark() string { return cmp.Or(a.before, a.behind) }

// For is the return address of a leg; "" for the place of no event, or for more recipients than a token can count.
func (a Addresses) For(leg events.Leg, event, recipient string) string {
	plain, ok := pack(leg)
	if !ok {
		return ""
	}
	plain = append(plain, a.check(event, recipient)...)
	tag := a.tag(plain)
	return a.before + letters.EncodeToString(append(a.masked(plain, tag), tag...)) + a.behind
}

// find returns the tokens of the addresses in a message, those in its own headers first, as they stand.
func (a Addresses) find(message []byte) (tokens []string) {
	for _, m := range a.form.FindAllSubmatch(message, -1) {
		token := strings.ToLower(string(m[1]))
		if !slices.Contains(tokens, token) && len(tokens) < maxTokens {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// maxTokens is how many different ones of a message are looked at.
const maxTokens = 8

// open returns what For was given, if it made the token: the leg, and a check of the rest.
func (a Addresses) open(token string) (leg events.Leg, check []byte, ok bool) {
	b, err := letters.DecodeString(token)
	if err != nil || len(b) != placeSize+checkSize+tagSize {
		return events.Leg{}, nil, false
	}
	tag := b[placeSize+checkSize:]
	plain := a.masked(b[:placeSize+checkSize], tag)
	if !hmac.Equal(tag, a.tag(plain)) {
		return events.Leg{}, nil, false
	}
	return unpack(plain), plain[placeSize:], true
}

func (a Addresses) check(event, recipient string) []byte {
	return a.derive("return check", []byte(event+"/"+recipient))[:checkSize]
}

func (a Addresses) tag(plain []byte) []byte { return a.derive("return tag", plain)[:tagSize] }

// masked hides what it is given, or shows it again.
func (a Addresses) masked(b, tag []byte) []byte {
	mask, out := a.derive("return mask", tag), make([]byte, len(b))
	subtle.XORBytes(out, b, mask)
	return out
}

func (a Addresses) derive(use string, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, a.key)
	mac.Write([]byte(use))
	for _, p := range parts {
		mac.Write([]byte{0})
		mac.Write(p)
	}
	return mac.Sum(nil)
}

func pack(l events.Leg) ([]byte, bool) {
	if l.Partition < 0 || l.Partition > math.MaxUint16 || l.Seq >= 1<<48 || l.Index < 0 || l.Index >= 1<<24 || l.Channel < 0 || l.Channel > math.MaxUint8 {
		return nil, false
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, placeSize), uint64(l.Partition)<<48|l.Seq)  // #nosec G115 -- bounded
	return binary.BigEndian.AppendUint32(b, uint32(l.Index)<<8|uint32(l.Channel)), l.Place.Seq > 0 // #nosec G115 -- bounded
}

func unpack(b []byte) events.Leg {
	place, rest := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
	return events.Leg{Place: events.Place{Partition: int(place >> 48), Seq: place & (1<<48 - 1)}, Index: int(rest >> 8), Channel: int(rest & 0xff)} // #nosec G115 -- bounded
}
