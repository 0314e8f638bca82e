package config

import (
	"testing"
	"time"
)

func TestTerm(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 30 * 24 * time.Hour, "90d": 90 * 24 * time.Hour, "8y": 8 * 8766 * time.Hour,
		"200y": 200 * 8766 * time.Hour, "29d": 0, "0y": 0, "-8y": 0, "8": 0, "y": 0, "": 0, "8h": 0, "8 y": 0, "1e3d": 0, "201y": 0, "99999999999y": 0} {
		var got Term
		if err := got.UnmarshalText([]byte(text)); time.Duration(got) != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %v, %v", text, time.Duration(got), err)
		}
	}
}
