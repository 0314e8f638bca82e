package documents

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"

	"carehub/events"
)

// withoutFolder keeps the library from making a folder of its own in the home of whoever runs the hub.
var withoutFolder = sync.OnceFunc(api.DisableConfigDir)

// pdfSettings bound what a few megabytes may unfold to.
func pdfSettings() *model.Configuration {
	withoutFolder()
	c := model.NewDefaultConfiguration()
	c.ValidationMode, c.Offline, c.Optimize, c.CheckFileNameExt = model.ValidationRelaxed, true, false, false
	c.Limits.MaxStreamBytes, c.Limits.MaxDecodeBytes = events.MaxDocument, 2<<20 // of each one; all together see watch
	c.Limits.MaxObjectCount, c.Limits.MaxXRefEntries = 100_000, 100_000
	c.Limits.MaxRecursionDepth = 100
	return c
}

// cleanPDF writes a PDF again from what its pages need. Earlier versions that a file still has in it, and what nothing refers to, stay
// behind with the metadata.
func cleanPDF(file []byte) (clean []byte, err error) {
	defer func() {
		if recover() != nil { // a file that a library cannot read is no reason to fall over
			clean, err = nil, errDamaged
		}
	}()
	bounded, cancel := context.WithTimeout(context.Background(), slowest)
	defer cancel()
	w := newWatch(bounded)
	ctx, err := pdfcpu.ReadWithContext(w, bytes.NewReader(file), pdfSettings())
	switch {
	case errors.Is(err, pdfcpu.ErrWrongPassword), err == nil && ctx.Encrypt != nil:
		return nil, errEncrypted
	case err != nil && bytes.Contains(file, []byte("/Encrypt")):
		return nil, errEncrypted
	case err != nil:
		return nil, errDamaged
	}
	c := pdfCleaner{ctx, w}
	if err := c.all(); err != nil {
		return nil, err
	}
	if ctx.EnsurePageCount() != nil || ctx.PageCount == 0 {
		return nil, errDamaged
	}
	ctx.Info, ctx.ID, ctx.AdditionalStreams = nil, nil, nil // the first two are made anew
	var out bytes.Buffer
	if err := api.WriteContext(ctx, &out); err != nil {
		return nil, errDamaged
	}
	if out.Len() > events.MaxDocument {
		return nil, errLarge
	}
	return out.Bytes(), nil
}

// pdfCleaner takes out of the objects of a file what tells too much, and finds what may not be.
type pdfCleaner struct {
	ctx   *model.Context
	watch *watch
}

// all goes through all that is in a file, whether or not a page leads there.
func (c pdfCleaner) all() error {
	for _, number := range slices.Sorted(maps.Keys(c.ctx.Table)) {
		entry := c.ctx.Table[number]
		if entry == nil || entry.Free {
			continue
		}
		generation := 0
		if entry.Generation != nil {
			generation = *entry.Generation
		}
		o, err := c.ctx.Dereference(*types.NewIndirectRef(number, generation))
		if err != nil || c.watch.Err() != nil {
			return errDamaged
		}
		if o, err = c.object(o, 0); err != nil {
			return err
		}
		if entry = c.ctx.Table[number]; entry.Object != nil && o != nil {
			entry.Object = o
		}
	}
	return nil
}

const deepest = 100 // of objects in one another

func (c pdfCleaner) object(o types.Object, depth int) (types.Object, error) {
	if depth > deepest {
		return nil, errDamaged
	}
	switch one := o.(type) {
	case types.Dict:
		return one, c.dict(one, depth)
	case types.StreamDict:
		if err := c.dict(one.Dict, depth); err != nil {
			return nil, err
		}
		return cleanPicture(one)
	case types.Array:
		for _, inner := range one {
			if _, err := c.object(inner, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return o, nil
}

// active are the keys of what does more than be looked at: scripts, files within the file, forms that a program draws, sound and film
// (ISO 32000-1, 7.11.4, 12.5.6, 12.6.4, 12.7.8, 13.6.3).
var active = []string{"JS", "JavaScript", "OnInstantiate", "EF", "EmbeddedFiles", "AF", "XFA", "RichMediaContent", "Sound", "Movie"}

// doing are actions that do more than turn a page or open a web page.
var doing = []string{"JavaScript", "Launch", "ImportData", "SubmitForm", "Rendition", "RichMediaExecute", "GoToE", "GoToR"}

// telling are the keys of what tells about a document and is no part of it.
var telling = []string{"Metadata", "PieceInfo", "LastModified", "Thumb"}

// noted are the keys of who wrote a note on a page, and when (12.5.2, 12.5.6.2). Of a form's field T is the name.
var noted = []string{"T", "M", "CreationDate", "NM"}

func (c pdfCleaner) dict(d types.Dict, depth int) error {
	for _, key := range telling {
		d.Delete(key)
	}
	if _, placed := d["Rect"]; placed && c.name(d["Subtype"]) != "Widget" {
		for _, key := range noted {
			d.Delete(key)
		}
	}
	for key, inner := range d {
		if slices.Contains(active, key) || key == "S" && slices.Contains(doing, c.name(inner)) {
			return errActive
		}
		if _, err := c.object(inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// name is that which an object is, wherever it stands; "" if it is none.
func (c pdfCleaner) name(o types.Object) string {
	o, err := c.ctx.Dereference(o)
	if name, is := o.(types.Name); is && err == nil {
		return name.Value()
	}
	return ""
}

// cleanPicture cleans a photograph that is a part of a page, as scanners put it there. What packs it once more is taken away. JPEG 2000 has
// metadata of its own that nothing here takes out.
func cleanPicture(s types.StreamDict) (types.Object, error) {
	filters := s.FilterPipeline
	if slices.ContainsFunc(filters, func(f types.PDFFilter) bool { return f.Name == "JPXDecode" }) {
		return nil, errActive
	}
	at := slices.IndexFunc(filters, func(f types.PDFFilter) bool { return f.Name == "DCTDecode" || f.Name == "DCT" })
	if at < 0 {
		return s, nil
	}
	if at != len(filters)-1 {
		return nil, errDamaged
	}
	photo := s.Raw
	if at > 0 {
		packed := types.StreamDict{Dict: s.Dict, Raw: s.Raw, FilterPipeline: filters[:at]}
		if packed.DecodeWithLimit(events.MaxDocument) != nil {
			return nil, errDamaged
		}
		photo = packed.Content
	}
	picture, err := cleanJPEG(photo)
	if err != nil {
		if at > 0 || bytes.Contains(photo, []byte("Exif\x00")) || bytes.Contains(photo, []byte("ns.adobe.com")) {
			return nil, errDamaged
		}
		return s, nil
	}
	length := int64(len(picture))
	s.Raw, s.Content, s.StreamLength, s.FilterPipeline = picture, nil, &length, filters[at:]
	s.Update("Length", types.Integer(length))
	s.Update("Filter", types.Name("DCTDecode"))
	s.Delete("DecodeParms")
	if parms := filters[at].DecodeParms; parms != nil {
		s.Insert("DecodeParms", parms)
	}
	return s, nil
}
