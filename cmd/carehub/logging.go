package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
)

// loggingFlags are the flags of a command that keeps a log.
type loggingFlags struct{ level, format string }

func (f *loggingFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.level, "log-level", "info", "the least that is logged: debug, info, warn or error")
	cmd.Flags().StringVar(&f.format, "log-format", "json", "json or text")
}

// logger is a log to w as the flags say.
func (f *loggingFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, misused("--log-level must be debug, info, warn or error")
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, misused("--log-format must be json or text")
}

// plainLog passes on what libraries say by the standard library's plain log, net/http above all, without what others sent
// or where they are: net/http quotes bytes of a receiver's answer, names clients and prints whatever panicked.
type plainLog struct{ log *slog.Logger }

// logger is for those that take a logger of their own.
func (l plainLog) logger() *log.Logger { return log.New(l, "", 0) }

// takeOver makes it everybody's who uses the plain log's default.
func (l plainLog) takeOver() {
	log.SetFlags(0)
	log.SetOutput(l)
}

// Write logs one line of the plain log up to the first thing that came from outside, and of a panic where it was.
func (l plainLog) Write(p []byte) (int, error) {
	said, rest, _ := strings.Cut(string(p), "\n")
	for _, outside := range []string{`"`, " from ", " serving ", " ["} {
		said, _, _ = strings.Cut(said, outside)
	}
	if strings.HasPrefix(said, "http: panic") {
		l.log.Error("a request made the hub panic", "stack", frames(rest))
		return len(p), nil
	}
	l.log.Warn("library", "said", strings.TrimSpace(said))
	return len(p), nil
}

// frames keeps the functions and lines of a stack, without the arguments.
func frames(stack string) (out []string) {
	for line := range strings.Lines(stack) {
		if file, at, ok := strings.Cut(strings.TrimSpace(line), ".go:"); ok && strings.HasPrefix(line, "\t") {
			number, _, _ := strings.Cut(at, " ")
			out = append(out, fmt.Sprintf("%s.go:%s", file[strings.LastIndex(file, "/")+1:], number))
		}
	}
	return out
}
