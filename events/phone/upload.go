package phone

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"carehub/events"
	"carehub/events/page"
)

const (
	mostUploads = 4                      // at once: each is in memory while it is looked at
	slotFor     = 5 * time.Second        // to wait for one of those; whoever reports something is not kept longer
	slowUpload  = 2 * time.Minute        // 10 MB at less than 1 Mbit/s
	maxUpload   = 3 * events.MaxAttached // bytes that are read at all, so that who sends too much can be told so
	keepFor     = 30 * time.Second       // to look at what was uploaded and to store it
)

// upload is the files of a form. Their names are not looked at.
type upload []chosen

// chosen is a file of a form, or why it is not taken.
type chosen struct {
	content []byte
	why     string
}

type uploadKey struct{}

// uploading lets a form have files in it. It takes no more into memory than may be attached, and nothing of who is not signed in.
func (p *Pages) uploading(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, in := p.Session(r); !in || !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
			next(w, r)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
		r.PostForm, r.Form = url.Values{}, url.Values{}
		var u upload
		if parts, err := r.MultipartReader(); err == nil { // what cannot be read is missing in the form, which then says so
			var mine bool
			slot := sync.OnceValue(func() bool { mine = p.slot(w, r); return mine })
			defer func() {
				if mine {
					<-p.uploads
				}
			}()
			u.read(parts, r.PostForm, slot)
		}
		for name, values := range r.PostForm {
			r.Form[name] = values
		}
		next(w, r.WithContext(context.WithValue(r.Context(), uploadKey{}, u)))
	}
}

// slot waits for one of the slots for forms with files, and reports whether it has one. From here on the form may take long.
func (p *Pages) slot(w http.ResponseWriter, r *http.Request) bool {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(slowUpload))            // a server that cannot has the deadlines that it has
	_ = rc.SetWriteDeadline(time.Now().Add(slowUpload + keepFor)) // as above
	ctx, cancel := context.WithTimeout(r.Context(), slotFor)
	defer cancel()
	select {
	case p.uploads <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// read takes the parts of a form apart. slot, asked at each file, reports whether files may be taken into memory.
func (u *upload) read(parts *multipart.Reader, fields url.Values, slot func() bool) {
	left, text := int64(events.MaxAttached), int64(maxForm)
	for {
		part, err := parts.NextPart()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				*u = append(*u, chosen{why: "many"})
			}
			return
		}
		if part.FileName() == "" { // also a field for files that was left empty
			value, err := io.ReadAll(io.LimitReader(part, text))
			if text -= int64(len(value)); err == nil && text > 0 {
				fields.Add(part.FormName(), string(value))
			}
			continue
		}
		if len(*u) > events.MaxDocuments { // it was said already
			continue
		}
		var one chosen
		if slot() {
			one = take(part, left)
			left -= int64(len(one.content))
		} else {
			one.why = "busy"
		}
		if len(*u) == events.MaxDocuments {
			one = chosen{why: "many"}
		}
		if one.why != "" || len(one.content) > 0 {
			*u = append(*u, one)
		}
	}
}

// take reads one file, of which no more than left can be taken.
func take(part io.Reader, left int64) chosen {
	file, err := io.ReadAll(io.LimitReader(part, events.MaxDocument+1))
	switch {
	case len(file) > events.MaxDocument:
		return chosen{why: "large"}
	case err != nil || int64(len(file)) > left:
		return chosen{why: "many"}
	}
	return chosen{content: file}
}

// attach keeps the files of a form, and finds those that were kept before. What cannot be attached is left out, and said in the form.
func (p *Pages) attach(r *http.Request, who page.Session, f *Form) {
	u, _ := r.Context().Value(uploadKey{}).(upload)
	kept := r.PostForm["document"]
	if f.Key == "" || len(u) == 0 && len(kept) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), keepFor)
	defer cancel()
	var ids []string
	add := func(n int, id string) {
		all, err := p.Kept(ctx, who.Actor, f.Patient.ID, f.Key, append(slices.Clone(ids), id))
		if err != nil {
			f.leave(n, p.unfit(err))
			return
		}
		ids, f.Documents = append(ids, id), all
	}
	for n, id := range kept {
		if n == 2*events.MaxDocuments { // no page of ours sends as many
			f.leave(0, "many")
			break
		}
		add(0, id)
	}
	for n, one := range u {
		if n++; len(u) == 1 {
			n = 0
		}
		if one.why != "" {
			f.leave(n, one.why)
			continue
		}
		d, err := p.Keep(ctx, who.Actor, f.Patient.ID, f.Key, f.Sort, one.content)
		if err != nil {
			f.leave(n, p.unfit(err))
			continue
		}
		add(n, d.ID)
	}
}

// unfit is why a file is left out.
func (p *Pages) unfit(err error) string {
	if unfit, is := errors.AsType[*Unfit](err); is {
		return unfit.Why
	}
	if events.IsMissing(err) {
		return "gone"
	}
	p.Logger.Error("a file cannot be kept", "error", string(events.KindOf(err)), "cause", errors.Unwrap(err))
	return "away"
}

// document gives out what an event has attached.
func (p *Pages) document(w http.ResponseWriter, r *http.Request, who page.Session) {
	st, err := p.found(r, who)
	if err != nil {
		p.failed(w, r, who, err)
		return
	}
	d, n, content, err := p.Document(r, who.Actor, st, r.PathValue("document"))
	if err != nil {
		p.failed(w, r, who, err)
		return
	}
	page.Download(w, d, n, content)
}

// gets says what a recipient gets of what is attached: all of it, some, or that there is something; "" where nothing is.
func gets(lang page.Lang, e events.Event, to events.Recipient) string {
	may := 0
	for _, d := range e.Documents {
		if to.MayHave(d) {
			may++
		}
	}
	switch {
	case len(e.Documents) == 0:
		return ""
	case may == len(e.Documents):
		return words.Say(lang, "gets.all")
	case may > 0:
		return words.Say(lang, "gets.some")
	}
	return words.Say(lang, "gets.none")
}

// attachedTo are the documents of an event as its page lists them.
func attachedTo(lang page.Lang, e events.Event) (all []attachedDocument) {
	if e.Correction.Retracts() {
		return nil
	}
	for _, d := range e.Documents {
		all = append(all, attachedDocument{d.ID, lang.Document(d)})
	}
	return all
}

type attachedDocument struct{ ID, Says string }
