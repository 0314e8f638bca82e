package documents

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// packed is a stream of a PDF.
func packed(t *testing.T, dict, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", dict, b.Len(), b.String())
}

// bomb is a small PDF with n packed streams, each of which unfolds to a large object.
func bomb(t *testing.T, n int) []byte {
	t.Helper()
	var b, table bytes.Buffer
	entry := func(kind byte, at, index int) {
		table.WriteByte(kind)
		_ = binary.Write(&table, binary.BigEndian, uint32(at))    // #nosec G115 G104 -- of a test
		_ = binary.Write(&table, binary.BigEndian, uint16(index)) // #nosec G115 G104 -- of a test
	}
	b.WriteString("%PDF-1.5\n")
	entry(0, 0, 0)
	number := 0
	add := func(object string) {
		number++
		entry(1, b.Len(), 0)
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", number, object)
	}
	add("<</Type/Catalog/Pages 2 0 R>>")
	add("<</Type/Pages/Kids[3 0 R]/Count 1>>")
	add("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>")
	large := packed(t, "/Type/ObjStm/N 1/First 4", "1 0 ["+strings.Repeat(" ", 1_700_000)+strings.Repeat("<</A 0>>", 10_000)+"]")
	for range n {
		add(large)
	}
	for i := range n {
		entry(2, 4+i, 0)
	}
	end := b.Len()
	entry(1, end, 0)
	size := number + n + 2
	fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n", size-1,
		packed(t, fmt.Sprintf("/Type/XRef/W[1 4 2]/Root 1 0 R/Size %d", size), table.String()), end)
	return b.Bytes()
}

// TestBomb: a file that unfolds to gigabytes is refused before it has them.
func TestBomb(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, clean, err := Clean(bomb(t, 400))
	runtime.ReadMemStats(&after)
	if Why(err) != "damaged" || clean != nil {
		t.Error(err)
	}
	if took := (after.Sys - before.Sys) >> 20; took > 300 {
		t.Errorf("it took %d MB", took)
	}
	t.Logf("it took %d MB, of which %d MB were new", (after.Sys-before.Sys)>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
	if _, _, err := Clean(letter(t, "")); err != nil {
		t.Error("the next is refused, too:", err)
	}
}
