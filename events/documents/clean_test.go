package documents

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"strings"
	"testing"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"

	"carehub/events"
)

// picture is a small photograph whose first half is black, without anything beside it.
func picture(t testing.TB) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 32, 16))
	for i := range 16 * 32 {
		if i%32 >= 16 {
			img.Set(i%32, i/32, color.White)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// secret is what no document may keep.
const secret = "51.5007N 0.1246W Thomas Example"

func segment(marker byte, content string) []byte {
	head := []byte{0xFF, marker, 0, 0}
	binary.BigEndian.PutUint16(head[2:], uint16(len(content)+2)) // #nosec G115 -- of a test
	return append(head, content...)
}

// taken is a photograph as a phone takes it, lying on its side, with all that phones write down, and a second picture behind it.
func taken(t testing.TB) []byte {
	t.Helper()
	plain := picture(t)
	exif := "Exif\x00\x00II\x2A\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00" + secret
	return slices.Concat(plain[:2],
		segment(app0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x01\x01"+"abc"), segment(app1, exif),
		segment(app1, "http://ns.adobe.com/xap/1.0/\x00"+secret), segment(0xE2, "ICC_PROFILE\x00"+secret), segment(0xED, secret),
		segment(0xFE, secret), plain[2:], segment(app1, exif), plain)
}

func TestPhotograph(t *testing.T) {
	media, clean, err := Clean(taken(t))
	if err != nil || media != events.JPEG {
		t.Fatal(media, err)
	}
	if bytes.Contains(clean, []byte(secret)) || bytes.Contains(clean, []byte("abc")) {
		t.Error("the photograph tells where it was taken")
	}
	before, _ := jpeg.Decode(bytes.NewReader(picture(t)))
	after, err := jpeg.Decode(bytes.NewReader(clean))
	if err != nil || after.At(3, 3) != before.At(3, 3) || after.At(20, 3) != before.At(20, 3) {
		t.Error("the picture is another", err)
	}
	if at := bytes.Index(clean, []byte("Exif\x00\x00")); at < 0 || upOf(clean[at:]) != 6 {
		t.Error("the photograph does not say which way up it is")
	}
	if _, again, err := Clean(clean); err != nil || !bytes.Equal(again, clean) {
		t.Error("a clean photograph is changed again", err)
	}
	if _, clean, err = Clean(picture(t)); err != nil || !bytes.Equal(clean, picture(t)) {
		t.Error("a photograph with nothing to take out is changed", err)
	}
}

// letter is a PDF with a photograph in it twice, a note, what PDFs say about themselves, and an object of an earlier version that no page
// leads to. catalog is what its first object has beside its pages, more are objects from 10 on.
func letter(t testing.TB, catalog string, more ...string) []byte {
	t.Helper()
	stream := func(dict, content string) string {
		return fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(content), content)
	}
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R/Metadata 6 0 R" + catalog + ">>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</XObject<</I 5 0 R/J 9 0 R>>/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>/PieceInfo<</X<</LastModified(D:20260101000000Z)/Private(" + secret + ")>>>>" +
			"/Annots[<</Type/Annot/Subtype/Text/Rect[0 0 9 9]/Contents(Call me)/T(" + secret + ")/M(" + secret + ")/NM(" + secret + ")>>]>>",
		stream("", "BT /F 12 Tf 50 700 Td (Dear family) Tj ET q 100 0 0 50 50 600 cm /I Do Q"),
		stream("/Type/XObject/Subtype/Image/Width 32/Height 16/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/DCTDecode", string(taken(t))),
		stream("/Type/Metadata/Subtype/XML", "<x:xmpmeta>"+secret+"</x:xmpmeta>"),
		"<</Author(" + secret + ")/Producer(Scanner)>>",
		"(" + secret + ")",
		stream("/Type/XObject/Subtype/Image/Width 32/Height 16/BitsPerComponent 8/ColorSpace/DeviceGray/Filter[/ASCIIHexDecode/DCTDecode]/DecodeParms[null null]",
			fmt.Sprintf("%X>", taken(t))),
	}
	objects = append(objects, more...)
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	table := fmt.Sprintf("xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for i, object := range objects {
		table += fmt.Sprintf("%010d 00000 n \n", b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	fmt.Fprintf(&b, "%strailer\n<</Size %d/Root 1 0 R/Info 7 0 R/AdditionalStreams[8 0 R]/ID[(%s)(%s)]>>\nstartxref\n%d\n%%%%EOF\n",
		table, len(objects)+1, secret, secret, b.Len())
	return b.Bytes()
}

// locked is a letter that opens without a password, and is encrypted all the same.
func locked(t testing.TB) []byte {
	t.Helper()
	withoutFolder()
	var b bytes.Buffer
	if err := api.Encrypt(bytes.NewReader(letter(t, "")), &b, model.NewAESConfiguration("", "owner", 256)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLetter(t *testing.T) {
	media, clean, err := Clean(letter(t, ""))
	if err != nil || media != events.PDF {
		t.Fatal(media, err)
	}
	for _, tells := range []string{secret, fmt.Sprintf("%X", secret), fmt.Sprintf("%x", secret), "xmpmeta", "Scanner"} {
		if bytes.Contains(clean, []byte(tells)) {
			t.Errorf("the letter keeps %q", tells)
		}
	}
	if _, _, err := Clean(clean); err != nil || !bytes.Contains(clean, []byte("Dear family")) || bytes.Count(clean, []byte("\xFF\xD8\xFF")) != 2 {
		t.Error("the letter is not whole", err)
	}
}

// sized is a photograph that says another height and width, of two bytes each.
func sized(t testing.TB, size string) []byte {
	t.Helper()
	file := picture(t)
	copy(file[bytes.Index(file, []byte{0xFF, sof0})+5:], size)
	return file
}

func TestRefused(t *testing.T) {
	small, large := picture(t), make([]byte, events.MaxDocument+1)
	huge := sized(t, "\xFF\xFF\xFF\xFF")
	for why, file := range map[string][]byte{
		"large": large, "empty": nil, "pixels": huge,
		"foreign": []byte("<html>\xFF\xD8\xFF"), "damaged": small[:len(small)-9],
		"damaged height": sized(t, "\x00\x00\x00\x08"), "damaged width": sized(t, "\x00\x08\x00\x00"),
		"locked":          locked(t),
		"active":          letter(t, "/OpenAction<</S/JavaScript/JS(app.alert)>>"),
		"active hidden":   letter(t, "/OpenAction<</S/J#61vaScript/J#53(app.alert)>>"),
		"active file":     letter(t, "/Names<</EmbeddedFiles<</Names[(a)<</F(a)/EF<</F 4 0 R>>>>]>>>>"),
		"active launch":   letter(t, "/OpenAction<</S/Launch/F(calc)>>"),
		"active remote":   letter(t, "/OpenAction<</S/GoToR/F(other.pdf)>>"),
		"active apart":    letter(t, "/OpenAction<</S 10 0 R/F(calc)>>", "/Launch"),
		"active later":    letter(t, "", "<</OnInstantiate 4 0 R>>"),
		"active picture":  letter(t, "", "<</Filter/JPXDecode/Length 1>>\nstream\nx\nendstream"),
		"damaged picture": letter(t, "", "<</Filter[/FlateDecode/DCTDecode]/Length 1>>\nstream\nx\nendstream"),
		"active form":     letter(t, "/AcroForm<</Fields[]/XFA 4 0 R>>"),
		"damaged letter":  []byte("%PDF-1.4\nnothing"),
	} {
		_, clean, err := Clean(file)
		if word, _, _ := strings.Cut(why, " "); clean != nil || Why(err) != word {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// FuzzPhotograph: no file makes it panic, and a photograph that it lets through is clean: another time changes nothing.
func FuzzPhotograph(f *testing.F) {
	f.Add(picture(f))
	f.Add(taken(f))
	f.Add(sized(f, "\x00\x00\x00\x08"))
	f.Add(sized(f, "\x00\x08\x00\x00"))
	f.Add([]byte("\xFF\xD8\xFF\xE1\x00\x08Exif\x00\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if bytes.HasPrefix(file, []byte("%PDF-")) { // is for the library
			return
		}
		_, clean, err := Clean(file)
		if err != nil {
			if Why(err) == "" || clean != nil {
				t.Fatal(err)
			}
			return
		}
		if _, again, err := Clean(clean); err != nil || !bytes.Equal(clean, again) {
			t.Fatal("not clean yet", err)
		}
	})
}
