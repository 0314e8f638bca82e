package compare

import (
	"fmt"
	"io"
	"strings"
)

// literal keeps what a name holds from being read as Markdown, HTML or a mention of somebody.
var literal = strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", ">", "&gt;", "&", "&amp;", "*", "\\*", "_", "\\_", "`", "\\`",
	"[", "\\[", "]", "\\]", "#", "\\#", "~", "\\~", "@", "&#64;", "\n", " ")

// rows is how many changes of one sort a comment shows: code hosts cut long ones off.
const rows = 50

// Markdown writes the report as a comment on a review: the summary first, then a table of each sort, folded unless it matters.
func (r Report) Markdown(w io.Writer) {
	mark := "✅"
	if r.Refused {
		mark = "❌"
	} else if r.Counts[Lost] > 0 {
		mark = "⚠️"
	}
	fmt.Fprintf(w, "### %s Routing\n\n%s\n", mark, capital(r.Summary()))
	if r.Refused {
		fmt.Fprintf(w, "\nIf it is meant: `%s`\n", r.acceptance())
	}
	for _, what := range order {
		if r.Counts[what] > 0 {
			r.table(w, what)
		}
	}
	fmt.Fprintf(w, "\n%s\n", uncompared)
	for _, name := range r.Unused {
		fmt.Fprintf(w, "\n`%s` was accepted, and loses nothing.\n", name)
	}
}

// table writes the changes of one sort.
func (r Report) table(w io.Writer, what string) {
	matters := what == Nobody || what == Must || what == Lost
	if matters {
		fmt.Fprintf(w, "\n**%s**\n\n", capital(r.title(what)))
	} else {
		fmt.Fprintf(w, "\n<details><summary>%s</summary>\n\n", capital(r.title(what)))
	}
	fmt.Fprint(w, "| patient | event | change | rule |\n|---|---|---|---|\n")
	n := 0
	for _, c := range r.Changes {
		if c.What != what {
			continue
		}
		if n++; n > rows {
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", c.who(shown), literal.Replace(c.When), literal.Replace(strings.Join(c.effects(), "; ")), literal.Replace(c.Rules[0]))
	}
	if n > rows {
		fmt.Fprintf(w, "\nand %d more\n", n-rows)
	}
	if !matters {
		fmt.Fprint(w, "\n</details>\n")
	}
}
