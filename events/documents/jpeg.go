package documents

import (
	"bytes"
	"encoding/binary"
	"image/jpeg"
)

const (
	maxPixels = 50 << 20 // of a photograph
	maxScans  = 64       // of a progressive one
)

// Markers of a JPEG file (ITU-T T.81, table B.1).
const (
	soi   = 0xD8
	eoi   = 0xD9
	sos   = 0xDA
	dqt   = 0xDB
	dht   = 0xC4
	dri   = 0xDD
	sof0  = 0xC0
	sof2  = 0xC2
	app0  = 0xE0
	app1  = 0xE1
	app14 = 0xEE
	rst0  = 0xD0
	rst7  = 0xD7
)

// cleanJPEG keeps what the picture is drawn from, and which way up it is. Everything else goes, without the picture being compressed a
// second time: EXIF with its place and its thumbnail, XMP, IPTC, comments, colour profiles, and whatever stands behind the picture,
// where phones keep further pictures with all of that again.
func cleanJPEG(file []byte) ([]byte, error) {
	c := jpegCleaner{in: file[2:], up: 1, body: make([]byte, 0, len(file))}
	for !c.done {
		if err := c.segment(); err != nil {
			return nil, err
		}
	}
	out := append([]byte{0xFF, soi}, c.head...)
	if c.up != 1 {
		out = append(out, orientation(c.up)...)
	}
	out = append(out, c.body...)
	dim, err := jpeg.DecodeConfig(bytes.NewReader(out))
	switch {
	case err != nil, dim.Width == 0, dim.Height == 0:
		return nil, errDamaged
	case dim.Width > maxPixels/dim.Height:
		return nil, errPixels
	}
	return out, nil
}

type jpegCleaner struct {
	in   []byte // not read yet
	head []byte // JFIF's segment, which comes first
	body []byte
	up   byte // EXIF's orientation
	scan int
	exif bool // has been seen: only the first counts
	done bool
}

// segment reads one, and what is drawn from it if it begins a scan.
func (c *jpegCleaner) segment() error {
	for len(c.in) > 1 && c.in[0] == 0xFF && c.in[1] == 0xFF { // fill bytes
		c.in = c.in[1:]
	}
	if len(c.in) < 2 || c.in[0] != 0xFF {
		return errDamaged
	}
	marker := c.in[1]
	if marker == eoi {
		c.body, c.done = append(c.body, 0xFF, eoi), true
		return nil
	}
	if len(c.in) < 4 {
		return errDamaged
	}
	size := int(binary.BigEndian.Uint16(c.in[2:])) + 2
	if size < 4 || size > len(c.in) {
		return errDamaged
	}
	whole := c.in[:size]
	c.in = c.in[size:]
	return c.take(marker, whole)
}

// take sorts a segment in.
func (c *jpegCleaner) take(marker byte, whole []byte) error {
	inside := whole[4:]
	switch {
	case marker == app0 && bytes.HasPrefix(inside, []byte("JFIF\x00")) && len(inside) >= 14 && len(c.head) == 0:
		c.head = append(c.head, 0xFF, app0, 0, 16)
		c.head = append(append(c.head, inside[:12]...), 0, 0) // no thumbnail
	case marker == app1 && !c.exif && bytes.HasPrefix(inside, []byte("Exif\x00")):
		c.exif = true
		c.up = upOf(inside)
	case marker == app14 && bytes.HasPrefix(inside, []byte("Adobe")) && len(inside) == 12: // how the colours are to be read
		c.body = append(c.body, whole...)
	case marker == dqt, marker == dht, marker == dri, marker >= sof0 && marker <= sof2:
		c.body = append(c.body, whole...)
	case marker == sos:
		c.body = append(c.body, whole...)
		return c.drawn()
	case marker >= app0 && marker <= 0xEF, marker == 0xFE: // what applications and comments say
	default:
		return errDamaged
	}
	return nil
}

// drawn takes in the data of a scan, up to the next marker.
func (c *jpegCleaner) drawn() error {
	if c.scan++; c.scan > maxScans {
		return errDamaged
	}
	for i := 0; i+1 < len(c.in); i++ {
		next := c.in[i+1]
		if c.in[i] != 0xFF || next == 0 || next >= rst0 && next <= rst7 || next == 0xFF {
			continue
		}
		c.body = append(c.body, c.in[:i]...)
		c.in = c.in[i:]
		return nil
	}
	return errDamaged
}

const orientationTag = 0x0112

// upOf is the orientation that EXIF gives, 1 (as it is) where it gives none (CIPA DC-008, 4.6.4).
func upOf(exif []byte) byte {
	if len(exif) < 14 {
		return 1
	}
	tiff := exif[6:]
	var order binary.ByteOrder = binary.BigEndian
	if bytes.HasPrefix(tiff, []byte("II")) {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 1
		}
		if order.Uint16(entries) == orientationTag {
			if up := order.Uint16(entries[8:]); up >= 1 && up <= 8 {
				return byte(up)
			}
			return 1
		}
		entries = entries[12:]
	}
	return 1
}

// orientation is EXIF that says nothing but which way up a picture is.
func orientation(up byte) []byte {
	return []byte("\xFF\xE1\x00\x22Exif\x00\x00MM\x00\x2A\x00\x00\x00\x08" + // 34 bytes, the first directory at 8
		"\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string([]byte{up}) + "\x00\x00" + // one entry: a short
		"\x00\x00\x00\x00") // no other directory
}
