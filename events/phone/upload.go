package phone

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

const (
	mostUploads = 4                      // at once: each is in memory while it is looked at
	slowUpload  = 2 * time.Minute        // 10 MB at less than 1 Mbit/s
	maxUpload   = 3 * events.MaxAttached // bytes that are read at all, so that who sends too much can be told so
	keepFor     = 30 * time.Second       // to look at what was uploaded and to store it
)

// upload is the files of a form. Their names are not looked at.
type upload struct {
	files [][]byte
	large bool // there was more than may be
}

type uploadKey struct{}

// uploading lets a form have files in it. It takes no more into memory than may be attached, and nothing of who is not signed in.
func (p *Pages) uploading(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, in := p.Session(r); !in || !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
			next(w, r)
			return
		}
		select {
		case p.uploads <- struct{}{}:
			defer func() { <-p.uploads }()
		case <-r.Context().Done():
			return
		}
		rc := http.NewResponseController(w)
		_ = rc.SetReadDeadline(time.Now().Add(slowUpload))            // a server that cannot has the deadlines that it has
		_ = rc.SetWriteDeadline(time.Now().Add(slowUpload + keepFor)) // as above
		r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
		r.PostForm, r.Form = url.Values{}, url.Values{}
		u := &upload{}
		if parts, err := r.MultipartReader(); err == nil {
			u.read(parts, r.PostForm) // what cannot be read is missing in the form, which then says so
		}
		for name, values := range r.PostForm {
			r.Form[name] = values
		}
		next(w, r.WithContext(context.WithValue(r.Context(), uploadKey{}, u)))
	}
}

// read takes the parts of a form apart.
func (u *upload) read(parts *multipart.Reader, fields url.Values) {
	left, text := int64(events.MaxAttached), int64(maxForm)
	for {
		part, err := parts.NextPart()
		if err != nil {
			u.large = u.large || !errors.Is(err, io.EOF)
			return
		}
		if part.FileName() == "" {
			value, err := io.ReadAll(io.LimitReader(part, text))
			if text -= int64(len(value)); err == nil && text > 0 {
				fields.Add(part.FormName(), string(value))
			}
			continue
		}
		file, err := io.ReadAll(io.LimitReader(part, min(left, events.MaxDocument)+1))
		if left -= int64(len(file)); err != nil || left < 0 || len(u.files) == events.MaxDocuments {
			u.large, left = true, 0
			continue
		}
		if len(file) > 0 {
			u.files = append(u.files, file)
		}
	}
}

// attach keeps the files of a form, and finds those that were kept before. problem is the key of what is wrong with them, if anything
// is; what could be kept is in the form even so.
func (p *Pages) attach(r *http.Request, who page.Session, f *Form) (problem string, err error) {
	u, _ := r.Context().Value(uploadKey{}).(*upload)
	ids := r.PostForm["document"]
	if f.Key == "" || u == nil && len(ids) == 0 {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), keepFor)
	defer cancel()
	if u != nil {
		if u.large {
			problem = "document.many"
		}
		for _, file := range u.files {
			d, err := p.Keep(ctx, who.Actor, f.Patient.ID, f.Key, f.Sort, file)
			if unfit, is := errors.AsType[*Unfit](err); is {
				problem = "document." + unfit.Why
			} else if err != nil {
				return "", err
			} else {
				ids = append(ids, d.ID)
			}
		}
	}
	f.Documents, err = p.Kept(ctx, who.Actor, f.Patient.ID, f.Key, ids)
	if unfit, is := errors.AsType[*Unfit](err); is {
		return "document." + unfit.Why, nil
	}
	return problem, err
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
