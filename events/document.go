package events

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// DocumentKind says what a document is. A rule names these to say what its recipients may have of what is attached.
type DocumentKind string

// The kinds of documents.
const (
	DocLetter  DocumentKind = "letter"
	DocResult  DocumentKind = "result"
	DocReport  DocumentKind = "report"
	DocRespect DocumentKind = "respect" // a ReSPECT form
	DocPhoto   DocumentKind = "photo"
	DocOther   DocumentKind = "other"
)

// DocumentKinds lists them in the order in which pages offer them.
var DocumentKinds = []DocumentKind{DocLetter, DocResult, DocReport, DocRespect, DocPhoto, DocOther}

// Known reports whether k is one of DocumentKinds.
func (k DocumentKind) Known() bool { return slices.Contains(DocumentKinds, k) }

// Words are k as a noun: ReSPECT form.
func (k DocumentKind) Words() string {
	switch k {
	case DocRespect:
		return "ReSPECT form"
	case DocPhoto:
		return "photograph"
	case DocOther:
		return "document"
	}
	return string(k)
}

// Limits on what is attached. A photograph by a phone has 2 to 4 MB; what is larger than a mail server takes helps nobody.
const (
	MaxDocument  = 5 << 20  // bytes of one file
	MaxAttached  = 10 << 20 // bytes of all that is attached to an event
	MaxDocuments = 5        // files attached to an event
)

// The types of documents that there are (media types).
const (
	PDF  = "application/pdf"
	JPEG = "image/jpeg"
)

// Document is what was attached to an event, without its content, which is stored by itself under the patient's pseudonym. An event
// and what it has attached are frozen together.
type Document struct {
	ID     string       `json:"id"`
	Kind   DocumentKind `json:"kind"`
	Media  string       `json:"media"` // PDF or JPEG
	Size   int          `json:"size"`  // bytes
	SHA256 string       `json:"sha256"`
	SHA1   string       `json:"sha1"`  // in base64, as FHIR R4 has Attachment.hash
	Added  time.Time    `json:"added"` // when it was attached, in the hub's zone
}

// FileName is what a document is called where it is handed over, the n-th of its event from 0 on: letter-2026-11-26.pdf. It names
// nobody.
func (d Document) FileName(n int) string {
	name := string(d.Kind) + "-" + d.Added.Format(time.DateOnly)
	if n > 0 {
		name += "-" + strconv.Itoa(n+1)
	}
	if d.Media == JPEG {
		return name + ".jpg"
	}
	return name + ".pdf"
}

// DocumentID is the id of a document of an event by what was uploaded, before anything was taken out of it: the same again is the
// same document. It says where the patient's events are, and not what the document is.
func DocumentID(event string, kind DocumentKind, uploaded string) string {
	return strings.TrimPrefix(PatientOf(event), "p-") + "-" + hashed("document", event, string(kind), uploaded)
}

// PatientOfDocument is the patient that a document's id stands for, "" if it is none.
func PatientOfDocument(id string) string {
	at := len(id) - hashSize
	if at < 1 || id[at-1] != '-' || !only(id[at:], letters+"234567") || !pseudonym(id[:at-1]) {
		return ""
	}
	return "p-" + id[:at-1]
}

// MayHave reports whether the recipient may have a document, and not only hear that there is one.
func (r Recipient) MayHave(d Document) bool { return Attaches(r.Attach, d.Kind) }

// AttachAll in a rule stands for all kinds of documents.
const AttachAll DocumentKind = "all"

// Attaches reports whether documents of a kind are among what a rule gives.
func Attaches(given []DocumentKind, kind DocumentKind) bool {
	return slices.Contains(given, kind) || slices.Contains(given, AttachAll)
}

// StoredDocument is a document that the store has something of.
type StoredDocument struct {
	Patient, ID string
	At          time.Time // when its newest part was written
}
