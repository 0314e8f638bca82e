package documents

import (
	"bytes"
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
	c.Limits.MaxStreamBytes, c.Limits.MaxDecodeBytes = events.MaxDocument, 8*events.MaxDocument
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
	ctx, err := api.ReadContext(bytes.NewReader(file), pdfSettings())
	switch {
	case errors.Is(err, pdfcpu.ErrWrongPassword), err == nil && ctx.Encrypt != nil:
		return nil, errEncrypted
	case err != nil && bytes.Contains(file, []byte("/Encrypt")):
		return nil, errEncrypted
	case err != nil:
		return nil, errDamaged
	}
	if err := cleanObjects(ctx); err != nil {
		return nil, err
	}
	if ctx.EnsurePageCount() != nil || ctx.PageCount == 0 {
		return nil, errDamaged
	}
	ctx.Info = nil
	var out bytes.Buffer
	if err := api.WriteContext(ctx, &out); err != nil {
		return nil, errDamaged
	}
	if out.Len() > events.MaxDocument {
		return nil, errLarge
	}
	return out.Bytes(), nil
}

// cleanObjects goes through all that is in a file, whether or not a page leads there.
func cleanObjects(ctx *model.Context) error {
	for _, number := range slices.Sorted(maps.Keys(ctx.Table)) {
		entry := ctx.Table[number]
		if entry == nil || entry.Free {
			continue
		}
		generation := 0
		if entry.Generation != nil {
			generation = *entry.Generation
		}
		o, err := ctx.Dereference(*types.NewIndirectRef(number, generation))
		if err != nil {
			return errDamaged
		}
		if o, err = cleanObject(o, 0); err != nil {
			return err
		}
		if entry = ctx.Table[number]; entry.Object != nil && o != nil {
			entry.Object = o
		}
	}
	return nil
}

const deepest = 100 // of objects in one another

func cleanObject(o types.Object, depth int) (types.Object, error) {
	if depth > deepest {
		return nil, errDamaged
	}
	switch one := o.(type) {
	case types.Dict:
		return one, cleanDict(one, depth)
	case types.StreamDict:
		if err := cleanDict(one.Dict, depth); err != nil {
			return nil, err
		}
		return cleanPicture(one)
	case types.Array:
		for _, inner := range one {
			if _, err := cleanObject(inner, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return o, nil
}

// active are the keys of what does more than be looked at: scripts, files within the file, forms that a program draws, sound and film
// (ISO 32000-1, 7.11.4, 12.5.6, 12.6.4, 12.7.8).
var active = []string{"JS", "JavaScript", "EF", "EmbeddedFiles", "AF", "XFA", "RichMediaContent", "Sound", "Movie"}

// doing are actions that do more than turn a page or open a web page.
var doing = []string{"JavaScript", "Launch", "ImportData", "SubmitForm", "Rendition", "RichMediaExecute", "GoToE"}

// telling are the keys of what tells about a document and is no part of it.
var telling = []string{"Metadata", "PieceInfo", "LastModified", "Thumb"}

func cleanDict(d types.Dict, depth int) error {
	for _, key := range telling {
		d.Delete(key)
	}
	for key, inner := range d {
		if slices.Contains(active, key) {
			return errActive
		}
		name, named := inner.(types.Name)
		if key == "S" && named && slices.Contains(doing, name.Value()) {
			return errActive
		}
		if _, err := cleanObject(inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// cleanPicture cleans a photograph that is a part of a page, as scanners put it there.
func cleanPicture(s types.StreamDict) (types.Object, error) {
	if len(s.FilterPipeline) != 1 || s.FilterPipeline[0].Name != "DCTDecode" {
		return s, nil
	}
	picture, err := cleanJPEG(s.Raw)
	switch {
	case err == nil:
		length := int64(len(picture))
		s.Raw, s.Content, s.StreamLength = picture, nil, &length
		s.Update("Length", types.Integer(length))
	case bytes.Contains(s.Raw, []byte("Exif\x00")), bytes.Contains(s.Raw, []byte("ns.adobe.com")):
		return nil, errDamaged
	}
	return s, nil
}
