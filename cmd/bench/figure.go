package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// figure is one thing measured.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Raw is what it is compared with, in the same unit; Than says what that is, if not the raw limit.
	Raw   float64 `json:"raw,omitempty"`
	Than  string  `json:"than,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
	Goal  string  `json:"goal,omitempty"`
	Met   *bool   `json:"met,omitempty"` // nil without a goal
	Note  string  `json:"note,omitempty"`
}

// to compares it with the raw limit; ratio is Value/Raw, or a fairer one, such as the median of several rounds.
func (f figure) to(raw, ratio float64) figure {
	f.Raw, f.Ratio = raw, ratio
	return f
}

// measured is what a goal is about: the ratio, or the value if there is none.
func (f figure) measured() (float64, string) {
	if f.Ratio != 0 {
		return f.Ratio, "×"
	}
	return f.Value, strings.TrimRight(" "+f.Unit, " ")
}

func (f figure) atMost(limit float64) figure {
	v, unit := f.measured()
	f.Goal, f.Met = "≤ "+short(limit)+unit, new(v <= limit)
	return f
}

func (f figure) atLeast(limit float64) figure {
	v, unit := f.measured()
	f.Goal, f.Met = "≥ "+short(limit)+unit, new(v >= limit)
	return f
}

func (f figure) met() string {
	switch {
	case f.Met == nil:
		return ""
	case *f.Met:
		return "yes"
	}
	return "no"
}

func (f figure) compared() string {
	if f.Ratio == 0 {
		return ""
	}
	if f.Than == "" {
		return short(f.Raw)
	}
	return short(f.Raw) + " (" + f.Than + ")"
}

func (f figure) ratio() string {
	if f.Ratio == 0 {
		return ""
	}
	return strconv.FormatFloat(f.Ratio, 'f', 2, 64)
}

// short writes a number with three digits that count, and no fewer than it has before the point.
func short(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// show prints figures for a terminal. A quick run judges nothing.
func show(w io.Writer, figures []figure, quick bool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\thub\tunit\tcompared with\tratio\tgoal\tmet")
	for _, f := range figures {
		met := f.met()
		if quick && met != "" {
			met = "(quick)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, short(f.Value), f.Unit, f.compared(), f.ratio(), f.Goal, met)
	}
	_ = t.Flush()
	for _, f := range figures {
		if f.Note != "" {
			fmt.Fprintf(w, "%s: %s\n", f.Name, f.Note)
		}
	}
}
