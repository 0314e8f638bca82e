package sms

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSeptets(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "€": 2, "[~]": 6, "£5": 2, "https://h.example/m/a_b-c": 25} {
		if n, ok := septets(text); n != want || !ok {
			t.Errorf("septets(%q) = %d, %v; want %d", text, n, ok, want)
		}
	}
	for _, text := range []string{"ŵ", "ç", "`", "–", "’", "\x1b", "\xff", "ok 🙂"} {
		if _, ok := septets(text); ok {
			t.Errorf("septets(%q) took a character that is outside of the alphabet", text)
		}
	}
	// The default alphabet has 128 places, of which the escape is one.
	if n := utf8.RuneCountInString(basic); n != 127 {
		t.Errorf("the default alphabet has %d characters, want 127", n)
	}
	if n := utf8.RuneCountInString(extended); n != 10 {
		t.Errorf("the extension table has %d characters, want 10", n)
	}
}

func TestFits(t *testing.T) {
	if !fits(strings.Repeat("a", 160)) || fits(strings.Repeat("a", 161)) {
		t.Error("one message has 160 septets")
	}
	if !fits(strings.Repeat("€", 80)) || fits(strings.Repeat("€", 80)+"a") {
		t.Error("a character of the extension table has two septets")
	}
}

func FuzzSeptets(f *testing.F) {
	f.Add("You have a message: https://h.example/m/a_b")
	f.Add("\xff€")
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := septets(text)
		if runes := utf8.RuneCountInString(text); ok && (n < runes || n > 2*runes) {
			t.Errorf("%q has %d characters and %d septets", text, runes, n)
		}
	})
}
