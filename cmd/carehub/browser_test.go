package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	chromelog "github.com/chromedp/cdproto/log"
	chromepage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"carehub/events/fhir/validate"
)

// Sizes of screens, in CSS pixels: a phone of today, and the narrowest that every page must fit (WCAG 2.2, 1.4.10).
const (
	phoneWidth, phoneHeight = 390, 844
	narrowest               = 320
	zoom                    = 4 // 1280 by 1024 at 400 %: 320 by 256
	zoomedHeight            = 256
	maxPage                 = 60 * 1024 // bytes of a page with its script
)

// Pictures of all pages are taken in each run, into the test's artifacts (go test -artifacts keeps them). This environment variable
// has them written into docs/images too.
const (
	screenshots = "CAREHUB_SCREENSHOTS"
	images      = "../../docs/images"
)

// chromium is the browser of all tests. Each opens a tab in it that shares nothing with those of others: no cookie, no cache.
var chromium sharedBrowser

type sharedBrowser struct {
	once sync.Once
	ctx  context.Context
	stop context.CancelFunc
	err  error
}

// start starts the browser, unless it has been. It is no test's: by no test's context, and not what one leaves behind.
func (b *sharedBrowser) start() {
	b.once.Do(func() {
		unlabelled(func() {
			b.ctx, b.stop = chromedp.NewContext(context.Background(), // tests may run as root
				chromedp.WithAllocatorOptions(chromedp.NoSandbox, chromedp.Flag("lang", "en-GB"), chromedp.Env("LANGUAGE=en_GB")))
			b.err = chromedp.Do(b.ctx)
		})
	})
}

// close ends the browser, if there is one.
func (b *sharedBrowser) close() {
	if b.stop != nil {
		b.stop()
	}
}

// screen is a tab of a real browser, of the size of a phone's screen. It belongs to one test.
type screen struct {
	t   *testing.T
	ctx context.Context
	hub string
	axe string

	scripts bool // the pages' own run

	mu         sync.Mutex
	complaints []string // of the browser: refused by the policy, scripts that failed
}

// newScreen opens a tab for a hub. Without scripts it is one where somebody has turned them off.
func newScreen(t *testing.T, hub string, scripts bool) *screen {
	t.Helper()
	dir, err := validate.Install(t.Context(), "cmd/carehub/testdata/axe")
	if err != nil {
		t.Fatal(err)
	}
	axe, err := os.ReadFile(filepath.Join(dir, "node_modules/axe-core/axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	chromium.start()
	if chromium.err != nil {
		t.Fatalf("no browser: install chromium (%v)", chromium.err)
	}
	tab, stop := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	s := &screen{t: t, ctx: tab, hub: hub, axe: string(axe), scripts: scripts}
	if err := chromedp.Do(tab); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(tab, s.listen); err != nil {
		t.Fatal(err)
	}
	s.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Call(ctx, chromelog.Enable, cdp.Empty{})
		return err
	}))
	s.run(scripts)
	s.size(phoneWidth)
	return s
}

// run turns scripts on or off, for the pages and for the tests' own that wait for something.
func (s *screen) run(scripts bool) {
	s.t.Helper()
	s.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
		return err
	}))
}

// listen keeps what the browser complains of: what the policy of the pages refuses, and scripts that fail.
func (s *screen) listen(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := event.(type) {
	case *chromelog.EventEntryAdded:
		if e.Entry.Source == chromelog.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") {
			s.complaints = append(s.complaints, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		s.complaints = append(s.complaints, e.ExceptionDetails.Text)
	}
}

func (s *screen) do(steps ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) size(width int64) {
	s.t.Helper()
	s.do(chromedp.EmulateViewport(width, phoneHeight))
}

// zoomed holds the page against a small window at 400 %: nothing is to be scrolled sideways for, and nothing that has the focus is
// behind what stays in its place (WCAG 2.2, 1.4.10 and 2.4.11).
func (s *screen) zoomed(name string) {
	s.t.Helper()
	s.do(chromedp.EmulateViewport(narrowest, zoomedHeight, chromedp.EmulateScale(zoom)))
	defer s.size(phoneWidth)
	if wide := eval[int64](s, `document.documentElement.scrollWidth`); wide > narrowest {
		s.t.Errorf("%s at 400 %% is %d px wide, not %d", name, wide, narrowest)
	}
	for _, covered := range eval[[]string](s, coveredTargets) {
		s.t.Errorf("%s at 400 %%: %s", name, covered)
	}
}

// eval runs a script of the test's own in the page.
func eval[T any](s *screen, script string) T {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("%v in %s", err, script)
	}
	return value
}

// atFirst has a script of the test's own run in each page before its own.
func (s *screen) atFirst(script string) {
	s.t.Helper()
	s.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Call(ctx, chromepage.AddScriptToEvaluateOnNewDocument, chromepage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
}

func quoted(text string) string {
	b, _ := json.Marshal(text) // strings always marshal
	return string(b)
}

func (s *screen) open(path string) {
	s.t.Helper()
	s.do(chromedp.Navigate(s.hub + path))
}

// path is where the browser is.
func (s *screen) path() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	at, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimPrefix(at, s.hub)
}

// text is what can be read on the page.
func (s *screen) text() string {
	s.t.Helper()
	return eval[string](s, `document.body.innerText`)
}

// awaiting has a script's promise waited for, which nothing keeps where scripts are turned off.
func (s *screen) awaiting() (options []chromedp.EvaluateOption) {
	if s.scripts {
		options = append(options, chromedp.EvalAwaitPromise)
	}
	return options
}

// until waits for the page to come to something. The page may be on its way out when it is asked.
func (s *screen) until(what, script string) {
	s.t.Helper()
	last := ""
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!!document.body && (`+script+`)`, s.awaiting()...))
		cancel()
		if err == nil && ok {
			return
		}
		last = fmt.Sprint(err)
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Fatalf("waited in vain until %s (%s), at %s: %s", what, last, s.path(), s.text())
}

// shows waits until something is to be seen.
func (s *screen) shows(css string) {
	s.t.Helper()
	s.until(css+" is there", `document.readyState === "complete" && Array.from(document.querySelectorAll(`+quoted(css)+`)).some(e => e.getClientRects().length > 0)`)
}

// says waits until the page says something.
func (s *screen) says(text string) {
	s.t.Helper()
	s.until("the page says "+text, `document.body.innerText.includes(`+quoted(text)+`)`)
}

// tap meets the first element that is to be seen in its middle, as a finger does.
func (s *screen) tap(css string) {
	s.t.Helper()
	s.shows(css)
	at := eval[[]float64](s, `(() => { const e = Array.from(document.querySelectorAll(`+quoted(css)+`)).find(e => e.getClientRects().length > 0);
		e.scrollIntoView({block: "center", behavior: "instant"}); const r = e.getClientRects()[0]; return [r.x + r.width / 2, r.y + r.height / 2]; })()`)
	s.do(chromedp.MouseClickXY(at[0], at[1]))
}

// fill writes into a field.
func (s *screen) fill(css, text string) {
	s.t.Helper()
	s.do(chromedp.SetValue(chromedp.CSS(css), text))
}

// judge holds the page that is open against what every page must be, and takes its picture where that is asked for.
func (s *screen) judge(name string) {
	s.t.Helper()
	if !s.scripts { // the page has been read by now, and its own stay off
		s.run(true)
		defer s.run(false)
	}
	_ = eval[*bool](s, s.axe+"; true")
	for _, width := range []int64{narrowest, phoneWidth} {
		s.size(width)
		if wide := eval[int64](s, `document.documentElement.scrollWidth`); wide > width {
			s.t.Errorf("%s is %d px wide on a screen of %d", name, wide, width)
		}
		for _, small := range eval[[]string](s, smallTargets) {
			s.t.Errorf("%s, on a screen of %d: %s", name, width, small)
		}
	}
	for _, violation := range eval[[]string](s, violations) {
		s.t.Errorf("%s: axe: %s", name, violation)
	}
	if weight := eval[int64](s, weigh); weight > maxPage {
		s.t.Errorf("%s weighs %d bytes", name, weight)
	}
	s.mu.Lock()
	for _, complaint := range s.complaints {
		s.t.Errorf("%s: the browser complains: %s", name, complaint)
	}
	s.complaints = nil
	s.mu.Unlock()
	s.picture(name)
	s.zoomed(name)
}

// smallTargets are what a finger is to meet and cannot well: less than 48 px on a side, but for rounding.
const smallTargets = `Array.from(document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary"))
	.filter(e => e.getClientRects().length > 0 && !e.closest(".skip"))
	.map(e => [e, e.getBoundingClientRect()]).filter(([e, r]) => r.width < 47.5 || r.height < 47.5)
	.map(([e, r]) => e.outerHTML.slice(0, 120) + " is " + r.width + " by " + r.height)`

// coveredTargets are what cannot be seen though it has the focus: in its middle there is something else.
const coveredTargets = `(() => {
	const found = Array.from(document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary"))
		.filter(e => e.getClientRects().length > 0 && !e.disabled && !e.closest(".skip"))
		.map(e => {
			e.focus();
			e.scrollIntoView({block: "nearest", behavior: "instant"});
			const r = e.getClientRects()[0], x = r.x + r.width / 2, y = (Math.max(r.top, 0) + Math.min(r.bottom, innerHeight)) / 2;
			const there = document.elementFromPoint(x, y);
			return there && (e.contains(there) || there.contains(e) || e.labels && Array.from(e.labels).some(l => l.contains(there))) ? "" :
				e.outerHTML.slice(0, 120) + " is behind " + (there ? there.outerHTML.slice(0, 120) : "nothing");
		}).filter(Boolean);
	document.activeElement.blur();
	scrollTo(0, 0);
	return found;
})()`

const violations = `axe.run(document, {resultTypes: ["violations"]})
	.then(r => r.violations.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html.slice(0, 160)).join(" | ")))`

// weigh adds up the page and what it loads, as they are before any compression.
const weigh = `performance.getEntries().filter(e => e.entryType === "navigation" || e.entryType === "resource" && e.initiatorType === "script")
	.reduce((sum, e) => sum + e.decodedBodySize, 0)`

// picture keeps what the page looks like on a phone. Each page in English has its picture in docs/images.
func (s *screen) picture(name string) {
	s.t.Helper()
	if strings.HasSuffix(name, ".cy") {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		s.t.Fatal(err)
	}
	file := "phone-" + name + ".png"
	writeFile(s.t, filepath.Join(s.t.ArtifactDir(), file), string(shot))
	if os.Getenv(screenshots) != "" {
		if err := os.WriteFile(filepath.Join(images, file), small(s.t, shot), 0o644); err != nil { // #nosec G306 -- a picture for everybody
			s.t.Fatal(err)
		}
	}
}

// small is a picture at a third of the size.
func small(t *testing.T, shot []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, fewColours(img)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fewColours is a picture in its sixteen commonest colours, at a third of the size.
func fewColours(img image.Image) *image.Paletted {
	count := map[color.Color]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			count[img.At(x, y)]++
		}
	}
	common := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] })
	few := image.NewPaletted(img.Bounds(), common[:min(16, len(common))])
	draw.Draw(few, few.Bounds(), img, image.Point{}, draw.Src)
	return few
}

// judgedPages are the pages that the tests of this package hold to what every page must be.
var judgedPages = regexp.MustCompile(`\.judge\("([a-z-]+)"`)

// TestEveryPageHasItsPicture: docs/images shows the pages that the tests walk through, all of them and no other.
func TestEveryPageHasItsPicture(t *testing.T) {
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	walked := map[string]bool{}
	for _, file := range tests {
		for _, page := range judgedPages.FindAllStringSubmatch(readText(t, file), -1) {
			walked["phone-"+page[1]+".png"] = true
		}
	}
	shown, err := filepath.Glob(filepath.Join(images, "phone-*.png"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range shown {
		if name := filepath.Base(path); !walked[name] {
			t.Errorf("%s shows a page that no test walks through", name)
		} else if delete(walked, name); !strings.HasPrefix(readText(t, path), "\x89PNG") {
			t.Errorf("%s is no picture", name)
		}
	}
	for name := range walked {
		t.Errorf("docs/images has no %s: %s=1 go test -run TestPhone ./cmd/carehub makes it", name, screenshots)
	}
}
