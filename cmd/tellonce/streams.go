package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// streams are the standard ones, passed in so that tests run whole commands.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func standardStreams() streams { return streams{in: os.Stdin, out: os.Stdout, err: os.Stderr} }

// terminal says whether a writer is a terminal.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// logger writes to stderr: JSON off a terminal.
func (s streams) logger() *slog.Logger {
	if terminal(s.err) {
		return slog.New(slog.NewTextHandler(s.err, nil))
	}
	return slog.New(slog.NewJSONHandler(s.err, nil))
}

// lines writes data to stdout, one JSON object or one line of text each.
type lines struct {
	out  *bufio.Writer
	json bool
}

func (c *cli) lines() *lines {
	return &lines{out: bufio.NewWriter(c.out), json: c.config.output == "json"}
}

// emit writes one object, as JSON or by its text.
func (l *lines) emit(object any, text string) error {
	if !l.json {
		_, err := fmt.Fprintln(l.out, text)
		return err
	}
	encoder := json.NewEncoder(l.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(object)
}

func (l *lines) flush() error { return l.out.Flush() }
