package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"

	"carehub/events/page"
)

//go:embed pages.html parts.html static/live.js
var files embed.FS

//go:embed words.en.json words.cy.json
var catalogue embed.FS

var (
	words          = page.Catalogue(catalogue)
	layoutTemplate = page.Parse(file("pages.html")+file("parts.html"), words)
	// parts are what a live page is sent anew.
	parts = template.Must(template.New("parts").Parse(file("parts.html")))

	script     = []byte(file("static/live.js"))
	scriptName = "live-" + hash(script) + ".js"
	scriptPath = "/admin/static/" + scriptName
)

func file(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(b)
}

// hash names what a file holds, so that browsers may keep it for ever.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// serveScript is the pages' script, the same for everybody.
func serveScript(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("file") != scriptName {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(script) // a browser that is gone asks again
}
