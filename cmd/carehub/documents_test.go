package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/jpeg"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"carehub/events"
)

// whereTaken is what a phone writes into a photograph.
const whereTaken = "GPSLatitude 51.5007 N"

// photograph is one as a phone takes it.
func photograph(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 32, 16)), nil); err != nil {
		t.Fatal(err)
	}
	exif := "Exif\x00\x00MM\x00\x2A\x00\x00\x00\x08\x00\x00" + whereTaken
	head := append([]byte("\xFF\xD8\xFF\xE1\x00"), byte(len(exif)+2))
	return append(append(head, exif...), b.Bytes()[2:]...)
}

// attaching lets the frailty team and the hospice have photographs that come with a fall or by themselves; the others hear of them.
func (w *town) attaching() {
	w.edit("routing/p-7f3k.yaml", "  - on: fall\n    notify: [frailty-team, riverside-surgery, district-nurses, hospice, tom]",
		"  - on: [fall, document]\n    notify: [frailty-team, hospice]\n    attach: [photo]\n"+
			"  - on: [fall, document]\n    notify: [riverside-surgery, district-nurses, tom]")
	w.edit("subscribers/hospice.yaml", `secrets/hospice}"`, `secrets/hospice}", documents: embedded`)
}

// TestPhonePhotograph: a photograph goes to those who may have it, without what tells where it was taken, and the others hear that there
// is one; without a signal it waits on the phone.
func TestPhonePhotograph(t *testing.T) {
	w := newTown(t)
	w.attaching()
	w.start()
	team, surgery := w.token("frailty-team"), w.token("riverside-surgery")
	s := newScreen(t, w.url, true)
	s.signsIn(w, "ruth")
	s.open("/log/p-7f3k/when?what=fall&safe=yes")
	s.chooses(photograph(t))
	s.judge("document-when")
	s.tap(tapNext)
	s.says("They get what is attached.")
	s.says("They hear that something is attached, and do not get it.")
	s.says("Photograph (JPEG, 1 KB)")
	s.judge("document-check")
	s.tap(`form[action$="/when"] button`)
	s.shows(`input[name=document]:checked`)
	s.tap(tapNext)
	s.tap(tapSend)
	s.shows(`a[href*="/document/"]`)
	s.says("Received by the Riverside Hospice system")
	s.judge("document-event")

	message := string(w.hospice.all()[0].body)
	d := w.hospice.messages()[0].Event.Documents[0]
	inside := regexp.MustCompile(`"resourceType":"Binary".*"data":"([^"]+)"`).FindStringSubmatch(message)
	content, err := base64.StdEncoding.DecodeString(inside[1])
	if err != nil || !isClean(content) || len(content) != d.Size {
		t.Error("the message does not have the photograph as it should be", err)
	}
	waitUntil(t, "the team has mail", func() bool { return len(w.mail.to("team@frailty.example")) == 1 })
	mail := w.mail.to("team@frailty.example")[0]
	if !strings.Contains(strings.ReplaceAll(mail, "\r\n", ""), inside[1]) || !strings.Contains(mail, `filename="`+d.FileName(0)+`"`) {
		t.Error("the photograph is not attached to the mail")
	}
	waitUntil(t, "the surgery is told", func() bool { return len(w.surgery.messages()) == 1 })
	if told := string(w.surgery.all()[0].body); strings.Contains(told, `"Binary"`) || w.surgery.messages()[0].Event.Documents[0] != d {
		t.Error("the surgery was told more or less than that there is a photograph")
	}
	w.reads(team, surgery, d, string(content))
	w.readsBehindLink(s, string(content))
	if strings.Contains(w.log.String(), whereTaken) || strings.Contains(message, whereTaken) {
		t.Error("it is known where the photograph was taken")
	}

	s.open("/")
	s.until("the page is kept", `caches.match("/log/p-7f3k/when?what=fall&safe=yes").then(Boolean)`)
	w.stop()
	s.open("/log/p-7f3k/when?what=fall&safe=yes")
	s.chooses(append(photograph(t), 0))
	s.tap(tapNext)
	s.says("NOT SENT")
	w.start()
	_ = eval[*bool](s, `dispatchEvent(new Event("online")); true`)
	s.until("it is sent", `waiting().then(all => all.length === 0)`)
	waitUntil(t, "the hospice is told", func() bool { return len(w.hospice.messages()) == 2 })
	if again := w.hospice.messages()[1].Event; len(again.Documents) != 1 || again.Documents[0].SHA256 != d.SHA256 {
		t.Errorf("%+v", again)
	}
}

func isClean(photograph []byte) bool {
	_, err := jpeg.Decode(bytes.NewReader(photograph))
	return err == nil && !bytes.Contains(photograph, []byte(whereTaken))
}

// chooses puts a photograph into the form that is open.
func (s *screen) chooses(file []byte) {
	s.t.Helper()
	s.shows("#file")
	_ = eval[*bool](s, `{ const bytes = Uint8Array.from(atob("`+base64.StdEncoding.EncodeToString(file)+`"), c => c.charCodeAt(0)), all = new DataTransfer();
		all.items.add(new File([bytes], "dad at home.png", {type: "text/html"})); document.getElementById("file").files = all.files;
		document.getElementById("sort").value = "photo"; } true`)
}

// reads has two systems read a document, one of which may.
func (w *town) reads(may, mayNot string, d events.Document, content string) {
	w.t.Helper()
	path := "/fhir/Binary/" + d.ID
	if status, got := w.ask(http.MethodGet, path, may, ""); status != http.StatusOK || got != content {
		w.t.Errorf("%d, %d bytes", status, len(got))
	}
	_, resource := w.ask(http.MethodGet, path, may, "", "Accept", "application/fhir+json")
	var binary struct {
		ContentType string
		Data        []byte
	}
	if err := json.Unmarshal([]byte(resource), &binary); err != nil || binary.ContentType != events.JPEG || string(binary.Data) != content {
		w.t.Errorf("%v in %.200s", err, resource)
	}
	for _, token := range []string{mayNot, w.token("riverside-hospital")} {
		if status, _ := w.ask(http.MethodGet, path, token, ""); status != http.StatusNotFound {
			w.t.Errorf("status %d for who may not", status)
		}
	}
	for _, at := range []string{"/fhir/DocumentReference/" + d.ID, "/fhir/DocumentReference?patient=p-7f3k"} {
		if status, got := w.ask(http.MethodGet, at, mayNot, ""); status != http.StatusOK || !strings.Contains(got, d.SHA1) {
			w.t.Errorf("%s: %d %s", at, status, got)
		}
	}
	if trail := w.carehub("audit", "export", w.dir); !strings.Contains(trail, "Binary/"+d.ID) {
		w.t.Error("the reading is not on record")
	}
}

// readsBehindLink has the team open what is behind the link of its mail: the page asks for a code first.
func (w *town) readsBehindLink(s *screen, content string) {
	w.t.Helper()
	link := strings.TrimPrefix(w.mail.links("team@frailty.example")[0], w.url)
	document := link + "/document/" + w.hospice.messages()[0].Event.Documents[0].ID
	if status, _ := w.ask(http.MethodGet, document, "", ""); status != http.StatusSeeOther {
		w.t.Errorf("status %d without the code", status)
	}
	nurse := newScreen(w.t, w.url, true)
	nurse.open(link)
	nurse.fill("#code", code)
	nurse.tap("main form button")
	nurse.says("Photograph (JPEG, 1 KB)")
	nurse.shows(`a[href="` + strings.TrimPrefix(document, "/m/") + `"]`)
	nurse.judge("document-letter")
	resp, err := w.http.PostForm(w.url+link, url.Values{"code": {code}})
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	if status, got := w.ask(http.MethodGet, document, "", "", "Cookie", resp.Cookies()[0].String()); status != http.StatusOK || got != content {
		w.t.Errorf("%d, %d bytes behind the link", status, len(got))
	}
	got := eval[string](s, `fetch(document.querySelector('a[href*="/document/"]').href).then(r => r.headers.get("content-disposition").startsWith("attachment") ? r.arrayBuffer() : null)
			.then(b => btoa(String.fromCharCode(...new Uint8Array(b))))`) // as the family opens it on its own page
	if got != base64.StdEncoding.EncodeToString([]byte(content)) {
		w.t.Errorf("%d characters", len(got))
	}
}

// sendsFiles posts a form with files in it, all of one kind.
func (h *handset) sendsFiles(path string, form url.Values, files ...[]byte) (int, string) {
	h.w.t.Helper()
	var b bytes.Buffer
	parts := multipart.NewWriter(&b)
	form.Set("csrf", h.csrf)
	for name, values := range form {
		for _, value := range values {
			_ = parts.WriteField(name, value)
		}
	}
	for _, file := range files {
		part, _ := parts.CreateFormFile("file", "dad.pdf")
		_, _ = part.Write(file)
	}
	_ = parts.Close()
	return h.w.ask(http.MethodPost, path, "", b.String(), "Content-Type", parts.FormDataContentType(), "Cookie", h.cookie)
}

// TestDocumentsOnPages: what cannot be attached is said so and is not sent; what was attached to one event is no other's; and an event
// that was taken back gives nothing out any more.
func TestDocumentsOnPages(t *testing.T) {
	w := newTown(t)
	w.attaching()
	w.start()
	ruth, tom := w.handset("ruth"), w.handset("tom")
	form := func(key string, more ...string) url.Values {
		f := url.Values{"what": {"document"}, "key": {key}, "sort": {"photo"}}
		for _, id := range more {
			f.Add("document", id)
		}
		return f
	}
	large := append(photograph(t), make([]byte, 4<<20)...)
	const check = "/log/p-7f3k/check"
	for says, files := range map[string][][]byte{
		"Please choose a file":        nil,
		"neither a PDF nor a JPEG":    {[]byte("<script>alert(1)</script>")},
		"damaged":                     {[]byte("%PDF-1.7 nothing")},
		"larger than 5 MB":            {make([]byte, events.MaxDocument+1)},
		"more than 5 files or 10 MB.": {large, large, large},
	} {
		if status, page := ruth.sendsFiles(check, form("none"), files...); status != http.StatusUnprocessableEntity || !strings.Contains(page, says) {
			t.Errorf("%d for %q", status, says)
		}
	}
	if status, _ := ruth.sendsFiles(check, form("k", "7f3k-"+strings.Repeat("a", 26))); status != http.StatusUnprocessableEntity {
		t.Errorf("status %d for a document that is not there", status)
	}
	_, page := ruth.sendsFiles(check, form("one"), photograph(t))
	id := regexp.MustCompile(`name="document" value="([^"]+)"`).FindStringSubmatch(page)[1]
	for _, c := range []struct {
		by  *handset
		key string
	}{{ruth, "two"}, {tom, "one"}} {
		if status, _ := c.by.sendsFiles("/log/p-7f3k/send", form(c.key, id)); status != http.StatusUnprocessableEntity {
			t.Errorf("status %d for the document of another event", status)
		}
	}
	fall := form("four", "7f3k-"+strings.Repeat("a", 26))
	fall.Set("what", "fall")
	fall.Set("another", "yes")
	if status, _ := ruth.sendsFiles("/log/p-7f3k/send", fall, photograph(t), []byte("GIF89a"), photograph(t)); status != http.StatusSeeOther {
		t.Errorf("status %d for a fall with files that cannot be attached", status)
	}
	four := "/e/" + events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, "p-7f3k", "four")
	if _, page := ruth.ask("GET", four+"?left=0-gone&left=2-foreign", nil); !strings.Contains(page, "File 2: That file is neither") || !strings.Contains(page, "chosen days ago") || strings.Count(page, four+"/document/") != 1 {
		t.Error(page)
	}
	f := form("three")
	f.Set("what", "fall")
	f.Set("another", "yes")
	_, page = ruth.sendsFiles(check, f, photograph(t))
	f.Set("document", regexp.MustCompile(`name="document" value="([^"]+)"`).FindStringSubmatch(page)[1])
	status, _ := ruth.sends(f)
	event := events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, "p-7f3k", "three")
	at := "/e/" + event + "/document/" + f.Get("document")
	if status != http.StatusSeeOther {
		t.Fatalf("status %d", status)
	}
	if status, _ := tom.ask("GET", at, nil); status != http.StatusNotFound {
		t.Errorf("status %d for who may not see the event", status)
	}
	team := w.token("frailty-team")
	if status, _ := w.ask("GET", "/fhir/Binary/"+f.Get("document"), team, ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	ruth.ask("POST", "/e/"+event+"/mistake", url.Values{"mistake": {"wrong-time"}, "day": {time.Now().AddDate(0, 0, -1).Format(time.DateOnly)}, "time": {"10:00"}})
	second := "/e/" + events.CorrectionID(event)
	waitUntil(t, "its time is corrected", func() bool {
		status, _ := ruth.ask("GET", second, nil)
		return status == http.StatusOK
	})
	if status, _ := ruth.ask("GET", at, nil); status != http.StatusOK {
		t.Errorf("status %d after its time was corrected", status)
	}
	ruth.ask("POST", second+"/mistake", url.Values{"mistake": {"wrong-person"}})
	waitUntil(t, "it is taken back", func() bool {
		here, _ := ruth.ask("GET", at, nil)
		there, _ := w.ask("GET", "/fhir/Binary/"+f.Get("document"), team, "")
		return here == http.StatusNotFound && there == http.StatusNotFound
	})
}
