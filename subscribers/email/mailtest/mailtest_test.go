package mailtest_test

import (
	"testing"

	"carehub/subscribers/email/mailtest"
)

func TestStart(t *testing.T) {
	s := mailtest.Start(t, "ward@hospice.example")
	if n := len(s.Mail(t, "ward@hospice.example")); n != 0 {
		t.Errorf("%d messages", n)
	}
}
