package main

import (
	"errors"
	"fmt"
	"io"

	"carehub/config/strict"
)

// incomparable is why a side of a comparison cannot be used.
type incomparable struct {
	side     string
	problems strict.Problems
}

// maxProblems is how many problems of a side are shown that cannot be compared.
const maxProblems = 20

func (i incomparable) Error() string {
	more := ""
	if n := len(i.problems) - maxProblems; n > 0 {
		more = fmt.Sprintf("\nand %d more: carehub check", n)
	}
	return fmt.Sprintf("%s cannot be compared:\n%v%s", i.side, i.problems[:min(len(i.problems), maxProblems)], more)
}

// incomparableAs says why nothing was compared. A program that asked for JSON gets it, whatever happens.
func incomparableAs(w io.Writer, format string, err error) error {
	var problems strict.Problems
	if i, ok := errors.AsType[incomparable](err); ok {
		problems, err = i.problems, exitError{2, i.Error()}
	}
	if format != formatJSON {
		return err
	}
	if failed := indented(w, struct {
		Error    string    `json:"error"`
		Problems []written `json:"problems"`
	}{err.Error(), findings(problems)}); failed != nil {
		return failed
	}
	return err
}
