package timeline

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/signintech/gopdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"

	"carehub/events"
	"carehub/events/page"
)

// Measures of the sheet, in points.
const (
	margin = 51 // 18 mm
	small  = 10
	leaded = 1.35 // height of a line, in sizes of its type
)

// sheet is a letter being laid out on A4, from the top down. The first error stays; what comes after it does nothing.
type sheet struct {
	pdf   gopdf.GoPdf
	lang  page.Lang
	pages int
	err   error
}

// answerPDF answers with the letter as a PDF. Neither its name nor its title says whom it is about.
func (p *Pages) answerPDF(w http.ResponseWriter, r *http.Request, lang page.Lang, b body) {
	out, err := p.pdf(lang, b)
	if err != nil {
		p.refuse(w, r, &events.Error{Kind: events.Internal, Message: "the letter cannot be laid out", Err: err})
		return
	}
	for name, value := range map[string]string{
		"Content-Type": "application/pdf", "Content-Disposition": `inline; filename="letter.pdf"`, "Content-Length": strconv.Itoa(len(out)),
		"Content-Language": string(lang), "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex",
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		w.Header().Set(name, value)
	}
	_, _ = w.Write(out) // a reader who is gone can open it again
}

func (p *Pages) pdf(lang page.Lang, b body) ([]byte, error) {
	s := &sheet{lang: lang}
	s.start()
	hub := p.Writer.Hub()
	s.line("bold", 15, s.say("letter.title"))
	s.line("regular", small, strings.TrimSpace(hub.Name+" "+hub.Phone))
	s.gap()
	s.fact("name", b.Person.Name)
	s.fact("born", b.Person.Born)
	s.fact("nhs", b.Person.NHSNumber)
	s.gap()
	if f := b.Summary; f != nil {
		s.fact("conditions", strings.Join(f.Conditions, "; "))
		s.line("bold", small, f.Form)
		s.line("regular", small, f.Checked)
	} else {
		s.line("regular", small, s.say("no-summary"))
	}
	for _, e := range b.Entries {
		s.event(e)
	}
	for _, key := range []string{"signed", "sign-name", "sign-date"} {
		s.gap()
		s.line("regular", small, s.say(key)+": ______________________________________")
	}
	s.gap()
	s.line("regular", small, s.say("written", "at", b.At))
	var out bytes.Buffer
	if s.err == nil {
		_, s.err = s.pdf.WriteTo(&out)
	}
	return out.Bytes(), s.err
}

func (s *sheet) event(e entry) {
	s.gap()
	s.line("bold", 13, e.What)
	for _, caution := range e.Cautions {
		s.line("bold", small, caution)
	}
	s.fact("when", e.When)
	s.fact("where", e.Place)
	s.fact("words", e.Words)
	by := "by-system"
	if e.Carer {
		by = "by-carer"
	}
	s.fact("by", e.By+", "+s.say(by))
	s.fact("logged", e.Logged)
	s.rows("untold", e.Untold)
	s.rows("told", e.Told)
	s.line("regular", small, "Ref "+e.Ref)
}

func (s *sheet) rows(key string, rows []row) {
	if len(rows) == 0 {
		return
	}
	s.gap()
	s.line("bold", small, s.say(key))
	for _, r := range rows {
		s.line("regular", small, strings.TrimSpace(r.Name+" "+r.Phone)+": "+r.Words)
	}
}

func (s *sheet) say(key string, pairs ...any) string { return words.Say(s.lang, key, pairs...) }

func (s *sheet) start() {
	s.pdf.Start(gopdf.Config{PageSize: *gopdf.PageSizeA4})
	s.pdf.SetInfo(gopdf.PdfInfo{Title: s.say("letter.title"), Creator: "carehub"})
	s.pdf.SetMargins(margin, margin, margin, margin)
	for name, font := range map[string][]byte{"regular": goregular.TTF, "bold": gobold.TTF} {
		// A letter that the font lacks shows as a box: a reader sees that something is missing.
		option := gopdf.TtfOption{OnGlyphNotFoundSubstitute: func(rune) rune { return '□' }}
		if err := s.pdf.AddTTFFontDataWithOption(name, font, option); err != nil {
			s.err = fmt.Errorf("font: %w", err)
		}
	}
	s.next()
}

// next begins a page. Every page but the first says which it is.
func (s *sheet) next() {
	s.pages++
	s.pdf.AddPage()
	s.pdf.SetXY(margin, margin)
	if s.pages > 1 {
		s.put("bold", small, s.say("pdf.page", "n", s.pages))
	}
}

func (s *sheet) gap() { s.pdf.SetY(s.pdf.GetY() + small*0.6) }

func (s *sheet) fact(key, value string) {
	if value != "" {
		s.line("regular", small, s.say(key)+": "+value)
	}
}

// line writes a paragraph in as many lines as it takes, and on the next page what this one has no room for, which it says.
func (s *sheet) line(font string, size float64, text string) {
	for _, paragraph := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if s.err != nil {
			return
		}
		if s.err = s.pdf.SetFont(font, "", size); s.err != nil {
			return
		}
		lines, err := s.pdf.SplitTextWithWordWrap(paragraph, gopdf.PageSizeA4.W-2*margin)
		if err != nil {
			s.err = err
			return
		}
		for _, l := range lines {
			if s.pdf.GetY()+size*leaded > gopdf.PageSizeA4.H-margin-small*leaded {
				s.put("bold", small, s.say("pdf.more", "n", s.pages+1))
				s.next()
			}
			s.put(font, size, l)
		}
	}
}

// put writes one line.
func (s *sheet) put(font string, size float64, text string) {
	if s.err != nil {
		return
	}
	if s.err = s.pdf.SetFont(font, "", size); s.err != nil {
		return
	}
	s.pdf.SetX(margin)
	if s.err = s.pdf.Cell(nil, text); s.err == nil {
		s.pdf.SetY(s.pdf.GetY() + size*leaded)
	}
}
