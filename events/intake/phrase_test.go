package intake

import (
	"bufio"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need Europe/London wherever they run

	"carehub/events"
)

var london = func() *time.Location {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err)
	}
	return zone
}()

func ruths(now time.Time) PhraseContext {
	return PhraseContext{
		Aliases: map[string]string{"dad": "p-7f3k", "my mum": "p-2b9c", "Auntie Jean": "p-9zzz"},
		Now:     now, Zone: london,
	}
}

// TestPhrases reads testdata/phrases.txt, which is also what to show a carer.
func TestPhrases(t *testing.T) {
	file, err := os.Open("testdata/phrases.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var ctx PhraseContext
	lines, tried := bufio.NewScanner(file), 0
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if clock, ok := strings.CutPrefix(strings.TrimSpace(line), "clock "); ok {
			now, err := time.Parse(time.RFC3339, strings.TrimSpace(clock))
			if err != nil {
				t.Fatal(err)
			}
			ctx = ruths(now)
		}
		sentence, want, ok := strings.Cut(line, " => ")
		if !ok {
			continue
		}
		tried++
		if got := outcome(t, sentence, ctx); !strings.HasPrefix(got, want) || !strings.HasPrefix(want, "refused: ") && got != want {
			t.Errorf("line %d: %s\n got %s\nwant %s", n, sentence, got, want)
		}
	}
	if tried < 100 {
		t.Errorf("read only %d sentences", tried)
	}
}

// outcome says what became of a sentence in the words of phrases.txt.
func outcome(t *testing.T, sentence string, ctx PhraseContext) string {
	t.Helper()
	phrase, err := Parse(sentence, ctx)
	if err == nil {
		return phrase.String()
	}
	refusal, ok := err.(*Refusal)
	if !ok || events.KindOf(err) != events.Invalid {
		t.Fatalf("%q: %v is no refusal", sentence, err)
	}
	for alias := range ctx.Aliases {
		if strings.Contains(err.Error(), alias) {
			t.Errorf("%q: %q holds what a carer calls somebody", sentence, err)
		}
	}
	return "refused: " + err.Error() + " | " + refusal.Suggestion
}

func TestPhraseRefusalSaysWhatWasUnderstood(t *testing.T) {
	_, err := Parse(`dad admitted to "Riverside" very poorly`, ruths(time.Now()))
	refusal, ok := err.(*Refusal)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if want := `dad admitted at "Riverside"`; refusal.Understood != want {
		t.Errorf("understood %q, want %q", refusal.Understood, want)
	}
}

// TestTwice takes both moments of an hour that comes twice: which of them time.Date gives is not promised.
func TestTwice(t *testing.T) {
	for given, want := range map[string]bool{
		"2026-10-24T23:59:59Z": false, "2026-10-25T00:00:00Z": true, "2026-10-25T00:59:59Z": true,
		"2026-10-25T01:00:00Z": true, "2026-10-25T01:59:59Z": true, "2026-10-25T02:00:00Z": false,
		"2027-03-28T00:59:59Z": false, "2027-03-28T01:00:00Z": false,
	} {
		at, err := time.Parse(time.RFC3339, given)
		if err != nil {
			t.Fatal(err)
		}
		if twice(at.In(london)) != want {
			t.Errorf("%s: %v", given, !want)
		}
		if twice(at) {
			t.Errorf("%s comes twice without a zone", given)
		}
	}
}

func TestPhraseRefusesBrokenText(t *testing.T) {
	for name, text := range map[string]string{
		"not UTF-8":        "dad admitted \xff",
		"control":          "dad admitted\x00",
		"line break":       "dad\nadmitted",
		"too long":         "dad admitted" + strings.Repeat(" ", maxText),
		"place too long":   `dad admitted to "` + strings.Repeat("x", events.MaxPlace+1) + `"`,
		"nothing":          "",
		"only punctuation": " . ",
	} {
		if p, err := Parse(text, ruths(time.Now())); err == nil {
			t.Errorf("%s: understood as %v", name, p)
		}
	}
}

// FuzzParse holds that no text makes Parse panic, and that what it accepts names somebody literally, lies within the
// limits and says the same when read again in its plainest form.
func FuzzParse(f *testing.F) {
	file, err := os.ReadFile("testdata/phrases.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		if sentence, _, ok := strings.Cut(line, " => "); ok {
			f.Add(sentence)
		}
	}
	ctx := ruths(time.Date(2026, 10, 25, 9, 0, 0, 0, time.UTC))
	f.Fuzz(func(t *testing.T, text string) {
		first, err := Parse(text, ctx)
		if err != nil {
			return
		}
		if !strings.Contains(strings.Join(strings.Fields(fold(text)), " "), fold(first.Alias)) || !slices.Contains(slices.Collect(maps.Values(ctx.Aliases)), first.Patient) {
			t.Errorf("%q: nobody is called %q there", text, first.Alias)
		}
		if !first.Kind.Known() || first.Occurred.After(ctx.Now.Add(events.MaxFuture)) || len([]rune(first.Place)) > events.MaxPlace {
			t.Errorf("%q: accepted %v", text, first)
		}
		again, err := Parse(first.String(), ctx)
		if err != nil || again.String() != first.String() || !again.Occurred.Equal(first.Occurred) {
			t.Errorf("%q: %q was then read as %q, %v", text, first, again, err)
		}
	})
}
