package documents

import (
	"bytes"

	"carehub/events"
)

// Clean looks at what a file is, whatever it was said to be, and takes out what tells of anything but what can be seen: when and where
// a photograph was taken, by whom and with what a document was written. What could do more than be looked at is refused. The error is an
// *events.Error whose message is for whoever attached it: Invalid or TooLarge.
func Clean(file []byte) (media string, clean []byte, err error) {
	switch {
	case len(file) > events.MaxDocument:
		return "", nil, errLarge
	case len(file) == 0:
		return "", nil, errEmpty
	case bytes.HasPrefix(file, []byte("\xFF\xD8\xFF")):
		clean, err = cleanJPEG(file)
		return events.JPEG, clean, err
	case bytes.HasPrefix(file, []byte("%PDF-")):
		clean, err = cleanPDF(file)
		return events.PDF, clean, err
	}
	return "", nil, errForeign
}

func refused(kind events.ErrorKind, message string) error {
	return &events.Error{Kind: kind, Message: message}
}

// What is wrong with a file. The messages are told apart by nobody but whoever reads them; pages have words of their own, see Why.
var (
	errLarge     = refused(events.TooLarge, "The file is larger than 5 MB.")
	errEmpty     = refused(events.Invalid, "The file is empty.")
	errForeign   = refused(events.Invalid, "The file is neither a PDF nor a JPEG photograph.")
	errPixels    = refused(events.TooLarge, "The photograph has more than 50 million pixels.")
	errDamaged   = refused(events.Invalid, "The file is damaged, or not built as it should be.")
	errEncrypted = refused(events.Invalid, "The PDF is locked with a password. Remove the password, or photograph the pages.")
	errActive    = refused(events.Invalid, "The PDF has programs or other files in it. Print it into a new PDF, or photograph the pages.")
)

// Why is a word for what was wrong with a file, from Clean or Keep: large, empty, foreign, pixels, damaged, locked, active, many; ""
// for any other error.
func Why(err error) string {
	switch err {
	case errLarge:
		return "large"
	case errEmpty:
		return "empty"
	case errForeign:
		return "foreign"
	case errPixels:
		return "pixels"
	case errDamaged:
		return "damaged"
	case errEncrypted:
		return "locked"
	case errActive:
		return "active"
	case errMany:
		return "many"
	}
	return ""
}
