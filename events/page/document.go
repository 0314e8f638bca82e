package page

import (
	"fmt"
	"net/http"
	"strconv"

	"carehub/events"
)

// Document says what a document is, and nothing of what is in it: Letter (PDF, 312 KB).
func (l Lang) Document(d events.Document) string {
	media := "PDF"
	if d.Media == events.JPEG {
		media = "JPEG"
	}
	return fmt.Sprintf("%s (%s, %d KB)", l.DocumentKind(d.Kind), media, max(1, d.Size>>10))
}

// DocumentKind is a kind of document as a heading has it.
func (l Lang) DocumentKind(k events.DocumentKind) string {
	return frameWords.Say(l, "document-"+string(k))
}

// Download answers a request with the content of a document, the n-th of its event from 0 on, to be kept and not shown by the browser: a
// file is no page of this hub, whatever it holds.
func Download(w http.ResponseWriter, d events.Document, n int, content []byte) {
	for name, value := range map[string]string{
		"Content-Type": d.Media, "Content-Disposition": `attachment; filename="` + d.FileName(n) + `"`, "Content-Length": strconv.Itoa(len(content)),
		"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex",
	} {
		w.Header().Set(name, value)
	}
	_, _ = w.Write(content) // a reader who is gone can ask again
}
