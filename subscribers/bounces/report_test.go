package bounces_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carehub/subscribers/bounces"
)

// The samples have the shapes of what these systems send; everybody in them is invented.
var samples = map[string]bounces.Report{
	"postfix-failed":       {Verdict: bounces.Failed, Status: "5.1.1"},
	"postfix-expired":      {Verdict: bounces.Failed, Status: "4.4.1"},
	"postfix-delayed":      {Verdict: bounces.Delay, Status: "4.4.1"},
	"postfix-relayed":      {},
	"postfix-delivered":    {},
	"microsoft365-failed":  {Verdict: bounces.Failed, Status: "5.1.10"},
	"google-failed":        {Verdict: bounces.Failed, Status: "5.1.1"},
	"exchange-plain":       {Verdict: bounces.Failed, Status: "5.1.1"},
	"google-plain":         {Verdict: bounces.Failed, Status: "5.1.1"},
	"google-plain-delayed": {Verdict: bounces.Delay},
	"qmail-plain":          {Verdict: bounces.Failed, Status: "5.1.1"},
	"alias-of-three":       {Verdict: bounces.Failed, Status: "5.2.1"},
	"vacation":             {},
	"read-receipt":         {},
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReports(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) != len(samples) {
		t.Errorf("%d files of %d samples, %v", len(files), len(samples), err)
	}
	for name, want := range samples {
		message := sample(t, name)
		for form, m := range map[string][]byte{"LF": message, "CRLF": bytes.ReplaceAll(message, []byte("\n"), []byte("\r\n"))} {
			if got := bounces.Read(m); got != want {
				t.Errorf("%s with %s: %+v, not %+v", name, form, got, want)
			}
		}
	}
}

func TestWhatPeopleWriteIsNoReport(t *testing.T) {
	for name, from := range map[string][2]string{
		"a person who quotes a code": {"From: MAILER-DAEMON@mx.hospice.example", "From: Ward 3 <ward3@hospice.example>"},
		"with a sender of its own":   {"Return-Path: <>", "Return-Path: <ward3@hospice.example>"},
		"with two authors":           {"From: MAILER-DAEMON@mx.hospice.example", "From: postmaster@hospice.example, ward3@hospice.example"},
		"a time, not a code":         {"(#5.1.1)", "(since 15.5.1.1 and 192.5.1.1)"},
		"a temporary code":           {"(#5.1.1)", "(#4.2.2)"},
	} {
		m := strings.Replace(string(sample(t, "qmail-plain")), from[0], from[1], 1)
		if got := bounces.Read([]byte(m)); got.Verdict != bounces.Other {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Postfix writes the empty sender so where it hands a message to a program.
func TestNullSenderByItsOtherName(t *testing.T) {
	m := strings.Replace(string(sample(t, "qmail-plain")), "Return-Path: <>", "Return-Path: <MAILER-DAEMON>", 1)
	if got := bounces.Read([]byte(m)); got.Verdict != bounces.Failed {
		t.Errorf("%+v", got)
	}
}

func TestBrokenReports(t *testing.T) {
	whole := sample(t, "postfix-failed")
	for _, m := range []string{"", "\n", "no header", "Content-Type: multipart/report; boundary=\n\n--\n",
		"Content-Type: message/delivery-status\n\nAction: failed\n\nno field\n\nStatus: 2.0.0\n",
		"Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: multipart/mixed; boundary=b\n\n", 500)} {
		bounces.Read([]byte(m)) // comes to an end
	}
	failed := 0
	for n := 0; n < len(whole); n += 13 {
		if bounces.Read(whole[:n]).Verdict == bounces.Failed {
			failed++
		}
	}
	if failed == 0 {
		t.Error("a report that was cut off after what matters is not read")
	}
}

// FuzzRead: no message is a failure without the word, or a code, that says so.
func FuzzRead(f *testing.F) {
	for name := range samples {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		r := bounces.Read(message)
		if r.Status != "" && !strings.Contains("245", r.Status[:1]) {
			t.Errorf("status %q", r.Status)
		}
		if r.Verdict == bounces.Failed && strings.HasPrefix(r.Status, "2") {
			t.Errorf("a success that failed: %+v", r)
		}
		if r.Verdict == bounces.Other && r.Status != "" {
			t.Errorf("a status of nothing: %+v", r)
		}
	})
}
