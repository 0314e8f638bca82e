package strict

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// DidYouMean returns `; did you mean "x"?` for the candidate x nearest to word, or "" when none is near: a third of the
// word's letters may differ, three at most. The first of equally near ones wins.
func DidYouMean(word string, candidates []string) string {
	length := utf8.RuneCountInString(word)
	best, least := "", min(max(length/3, 1), 3)+1
	for _, c := range candidates {
		if differ := length - utf8.RuneCountInString(c); differ >= least || -differ >= least {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the letters to insert, delete, replace or swap with a neighbour to turn a into b (optimal string
// alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range t {
		rows[0][j+1] = j + 1
	}
	for i := range s {
		for j := range t {
			replaced := rows[i][j]
			if s[i] != t[j] {
				replaced++
			}
			d := min(replaced, rows[i][j+1]+1, rows[i+1][j]+1)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				d = min(d, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = d
		}
	}
	return rows[len(s)][len(t)]
}
