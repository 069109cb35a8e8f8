package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress shows how far a long work is: a bar on a terminal, else a line every ten seconds.
type progress struct {
	out   io.Writer
	bar   bool
	what  string
	unit  string
	total int64 // 0: not known
	start time.Time
	last  time.Time
}

func (c *cli) progress(what, unit string, total int64) *progress {
	now := time.Now()
	return &progress{out: c.err, bar: terminal(c.err), what: what, unit: unit, total: total, start: now, last: now}
}

// at shows that done of total units are done; count is what people count (lines, records).
func (p *progress) at(done, count int64) {
	every := 10 * time.Second
	if p.bar {
		every = 100 * time.Millisecond
	}
	if now := time.Now(); now.Sub(p.last) >= every {
		p.last = now
		p.show(done, count)
	}
}

func (p *progress) show(done, count int64) {
	rate := float64(count) / max(time.Since(p.start).Seconds(), 0.001)
	text := fmt.Sprintf("%s: %d %s, %.0f/s", p.what, count, p.unit, rate)
	if p.total > 0 {
		part := min(float64(done)/float64(p.total), 1)
		left := time.Duration(float64(time.Since(p.start)) * (1 - part) / max(part, 0.0001)).Round(time.Second)
		text += fmt.Sprintf(", %.0f %%, %s left", part*100, left)
		if p.bar {
			full := int(part * 30)
			text = "[" + strings.Repeat("#", full) + strings.Repeat("-", 30-full) + "] " + text
		}
	}
	if p.bar {
		fmt.Fprintf(p.out, "\r\033[K%s", text)
		return
	}
	fmt.Fprintln(p.out, text)
}

// done ends the bar with one line.
func (p *progress) done(count int64) {
	if p.bar {
		fmt.Fprint(p.out, "\r\033[K")
	}
	fmt.Fprintf(p.out, "%s: %d %s in %s\n", p.what, count, p.unit, time.Since(p.start).Round(time.Millisecond))
}
