package mailtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestStart(t *testing.T) {
	s := Start(t, "ward@hospice.example")
	if n := len(s.Mail(t, "ward@hospice.example")); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// TestMailIsOldestFirst: also those of one second, whose names do not sort as text, and whether or not somebody has seen them.
func TestMailIsOldestFirst(t *testing.T) {
	s := &Server{dir: t.TempDir()}
	home := s.path("mail/hospice.example/ward")
	for _, folder := range []string{"cur", "new"} {
		if err := os.MkdirAll(filepath.Join(home, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for n, name := range []string{
		"new/1795823395.M86534P10312.mail,S=3746",
		"cur/1795823395.M551391P10312.mail,S=3572:2,S",
		"new/1795823395.M1000P10375.mail",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(fmt.Sprint(n)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Mail(t, "ward@hospice.example"); !slices.Equal(got, []string{"2", "0", "1"}) {
		t.Errorf("in the order %v", got)
	}
}
