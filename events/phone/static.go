package phone

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"strconv"
	"sync"

	"carehub/events/page"
)

//go:embed pages.html row.html static/app.js static/sw.js
var files embed.FS

var (
	layoutTemplate = page.Parse(file("pages.html"), words)
	rowTemplate    = template.Must(template.New("row").Parse(file("row.html")))

	app        = []byte(file("static/app.js"))
	scriptPath = "/static/app-" + short(app) + ".js"
)

const (
	manifestPath = "/manifest.webmanifest"
	workerPath   = "/sw.js"
)

func file(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(b)
}

// short names what a file holds, so that browsers may keep it for ever.
func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// asset is a file that a browser may keep, for its name says what it holds.
type asset struct {
	media string
	body  []byte
}

// assets are made when they are first asked for: not at the start of each command, which would draw the icons for nobody.
var assets = sync.OnceValue(func() map[string]asset {
	all := map[string]asset{scriptPath: {"text/javascript; charset=utf-8", app}}
	for _, size := range iconSizes {
		all[iconPath(size)] = asset{"image/png", icon(size)}
	}
	return all
})

// worker is the service worker, which keeps the script that is served now.
var worker = []byte("const script = " + strconv.Quote(scriptPath) + ";\n" + file("static/sw.js"))

// staticRoutes are what a browser loads beside the pages: the same for everybody.
func (p *Pages) staticRoutes(handle func(pattern string, h func(http.ResponseWriter, *http.Request))) {
	handle("GET /static/{file}", func(w http.ResponseWriter, r *http.Request) {
		if a, ok := assets()[r.URL.Path]; ok {
			write(w, a.media, "public, max-age=31536000, immutable", a.body)
			return
		}
		http.NotFound(w, r)
	})
	handle("GET "+workerPath, func(w http.ResponseWriter, _ *http.Request) {
		write(w, "text/javascript; charset=utf-8", "no-cache", worker)
	})
	handle("GET "+manifestPath, func(w http.ResponseWriter, r *http.Request) {
		write(w, "application/manifest+json", "no-cache", p.manifest(r))
	})
}

func write(w http.ResponseWriter, media, caching string, body []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) // a browser that is gone asks again
}

// manifest is the web app's (W3C Web Application Manifest).
func (p *Pages) manifest(r *http.Request) []byte {
	type image struct {
		Src     string `json:"src"`
		Sizes   string `json:"sizes"`
		Type    string `json:"type"`
		Purpose string `json:"purpose"`
	}
	m := struct {
		Name       string  `json:"name"`
		Short      string  `json:"short_name"`
		ID         string  `json:"id"`
		Start      string  `json:"start_url"`
		Scope      string  `json:"scope"`
		Display    string  `json:"display"`
		Background string  `json:"background_color"`
		Theme      string  `json:"theme_color"`
		Icons      []image `json:"icons"`
	}{p.Writer.Hub().Name, words.Say(page.LangOf(r), "short-name"), "/", "/", "/", "standalone", "#ffffff", "#005eb8", nil}
	for _, size := range iconSizes {
		m.Icons = append(m.Icons, image{iconPath(size), strconv.Itoa(size) + "x" + strconv.Itoa(size), "image/png", "any maskable"})
	}
	body, _ := json.Marshal(m) // strings always marshal
	return body
}

var iconSizes = []int{192, 512}

func iconPath(size int) string { return "/static/icon-" + strconv.Itoa(size) + ".png" }

// icon is a white tick on blue: what was saved, and told.
func icon(size int) []byte {
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.RGBA{0, 0x5e, 0xb8, 0xff}, color.White})
	stroke := func(x0, y0, x1, y1 float64) { // in 512ths
		for i := range 200 {
			t := float64(i) / 199
			x, y, half := (x0+(x1-x0)*t)*float64(size)/512, (y0+(y1-y0)*t)*float64(size)/512, 26*float64(size)/512
			draw.Draw(img, image.Rect(int(x-half), int(y-half), int(x+half), int(y+half)), image.White, image.Point{}, draw.Src)
		}
	}
	stroke(150, 265, 225, 340)
	stroke(225, 340, 370, 185)
	var b bytes.Buffer
	_ = png.Encode(&b, img) // into memory
	return b.Bytes()
}
