package command

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// importView holds how far each unfinished import is: a row a batch, keyed by source, the input's first line and the batch's number.
// Rows hold a hash of the input, codes and pointers: nothing of what the lines say.
const importView = "import"

// importBatch is how many lines one append takes.
const importBatch = 2000

// ImportOptions say whose input it is.
type ImportOptions struct {
	Source    string // issuer of the commands and namespace of the references
	ClockTold bool   // record at the time told; log clock only
	// Progress, if not nil, is told after each batch how many lines and bytes are done.
	Progress func(lines int, bytes int64)
}

// Import reads lines of INTERFACES.md's import format and gives one result a line, in order, to out. Each batch commits with how far the
// input is done: if the process dies, the same input given again goes on behind the last batch, and prints the earlier results
// unchanged. flush makes what out took leave the process. Errors are those of reading, of the store and of out; a refused line is a result.
func (h *Handler) Import(ctx context.Context, in io.Reader, o ImportOptions, out func(LineResult) error, flush func() error) error {
	if o.ClockTold && h.journal.Genesis().Clock != journal.ClockLog {
		return ErrWallClock
	}
	im := &importer{h: h, source: o.Source, told: o.ClockTold, sandbox: h.journal.Genesis().Mode == journal.ModeSandbox, out: out, flush: flush, progress: o.Progress}
	group, ctx := errgroup.WithContext(ctx)
	parsed := make(chan []importLine, 1)
	chunks := make(chan chunk, 1)
	group.Go(func() error { defer close(chunks); return readChunks(ctx, in, chunks) })
	group.Go(func() error { defer close(parsed); return im.parse(ctx, chunks, parsed) })
	group.Go(func() error { return im.run(ctx, parsed) })
	return group.Wait()
}

// importer is one run of Import.
type importer struct {
	h        *Handler
	source   string
	told     bool
	sandbox  bool
	out      func(LineResult) error
	flush    func() error
	progress func(int, int64)

	recent  []map[string]taken // commands of the last chunks, by id: prepare may have been too early to see them on the log
	prefix  []byte
	batches int      // rows written or resumed
	pending []resume // rows of an earlier, interrupted run that may still fit
}

// taken is a command that this run has appended.
type taken struct {
	body     [32]byte
	position int64
}

// chunksAhead is how many chunks may have been prepared before the one in hand was appended, with that one itself.
const chunksAhead = 4

// nextChunk makes room for a chunk's commands, and forgets those that every chunk to come was prepared after.
func (im *importer) nextChunk() {
	im.recent = append(im.recent, map[string]taken{})
	if len(im.recent) > chunksAhead {
		im.recent = im.recent[1:]
	}
}

// lately finds a command among the last chunks'.
func (im *importer) lately(id string) (taken, bool) {
	for _, chunk := range im.recent {
		if t, ok := chunk[id]; ok {
			return t, true
		}
	}
	return taken{}, false
}

// chunk is a piece of the input: whole lines, with the hash of all input up to their end.
type chunk struct {
	first int // number of the first line, from 1
	lines [][]byte
	ends  []int64 // bytes of input up to each line's end
	sums  [][32]byte
}

// resume is one batch of an interrupted run.
type resume struct {
	Lines   int          `json:"lines"` // of the input, done with this batch
	Sum     []byte       `json:"sum"`   // hash of the input up to there
	Results []LineResult `json:"results"`
}

// readChunks cuts the input into chunks. A line beyond the limit keeps one byte more than it, which is enough to refuse it.
func readChunks(ctx context.Context, in io.Reader, chunks chan<- chunk) error {
	reader := bufio.NewReaderSize(in, 1<<18)
	chain := sha256.New() // each link hashes the one before it and a line: the hash so far, without copying its inside
	var sum [32]byte
	c, total := chunk{first: 1}, int64(0)
	for {
		chain.Reset()
		_, _ = chain.Write(sum[:])
		line, n, err := readLine(reader, chain)
		total += n
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the input: %w", err)
		}
		end := err != nil
		if n > 0 {
			c.lines, c.ends = append(c.lines, line), append(c.ends, total)
			chain.Sum(sum[:0])
			c.sums = append(c.sums, sum)
		}
		if len(c.lines) == importBatch || end {
			select {
			case chunks <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
			c = chunk{first: c.first + len(c.lines)}
		}
		if end {
			return nil
		}
	}
}

// readLine reads one line without its line feed, n bytes with it, into memory of its own.
func readLine(r *bufio.Reader, sum io.Writer) (line []byte, n int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		_, _ = sum.Write(part)
		n += int64(len(part))
		if room := schemas.MaxLine + 2 - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimSuffix(line, []byte{'\n'}), n, err
	}
}

// parse is step 1 of a change's life for an import (step 3 with it): it judges the shape of each chunk's lines while the chunk before is appended.
func (im *importer) parse(ctx context.Context, chunks <-chan chunk, parsed chan<- []importLine) error {
	for c := range chunks {
		lines := make([]importLine, len(c.lines))
		var group errgroup.Group
		for from := 0; from < len(lines); from += 256 {
			group.Go(func() error {
				for i := from; i < min(from+256, len(lines)); i++ {
					lines[i] = importLine{number: c.first + i, end: c.ends[i], sum: c.sums[i], first: c.lines[0]}
					lines[i].parsed, lines[i].problem = im.h.journal.Registry().ParseLine(c.lines[i])
				}
				return nil
			})
		}
		_ = group.Wait()
		if err := im.prepare(ctx, lines); err != nil {
			return err
		}
		select {
		case parsed <- lines:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// run takes the chunks in order; what an earlier, interrupted run has done is answered from its rows.
func (im *importer) run(ctx context.Context, parsed <-chan []importLine) error {
	for lines := range parsed {
		if im.prefix == nil && len(lines) > 0 {
			if err := im.begin(ctx, lines[0].first); err != nil {
				return err
			}
		}
		im.nextChunk()
		for len(lines) > 0 {
			n, err := im.resumed(ctx, lines)
			if err == nil && n == 0 {
				n, err = im.advance(ctx, lines)
			}
			if err != nil {
				return err
			}
			if im.progress != nil {
				im.progress(lines[n-1].number, lines[n-1].end)
			}
			lines = lines[n:]
		}
	}
	return im.finish(ctx)
}

// begin finds the rows of an earlier run of an input that began with the same line.
func (im *importer) begin(ctx context.Context, first []byte) error {
	sum := im.h.journal.Digest("import", []byte(im.source), first)
	im.prefix = sum[:16]
	rows, err := im.h.journal.Store().Scan(ctx, importView, im.prefix, after(im.prefix), 0, false)
	if err != nil {
		return err
	}
	for _, row := range rows {
		var r resume
		if err := json.Unmarshal(row.Value, &r); err != nil {
			return fmt.Errorf("command: an import's progress can't be read: %w", err)
		}
		im.pending = append(im.pending, r)
	}
	return nil
}

// resumed answers lines that an earlier run has done: as many as the next row covers, if the input is the same up to there. At the first
// row that doesn't fit, the other input's rows are forgotten and the import goes on as a new one: what was accepted is a duplicate.
func (im *importer) resumed(ctx context.Context, lines []importLine) (int, error) {
	if len(im.pending) == 0 {
		return 0, nil
	}
	r := im.pending[0]
	n := r.Lines - lines[0].number + 1
	if n < 1 || n > len(lines) || !bytes.Equal(r.Sum, lines[n-1].sum[:]) || len(r.Results) != n {
		im.pending = nil
		return 0, nil
	}
	im.pending, im.batches = im.pending[1:], im.batches+1
	commands := make([]journal.CommandID, 0, n)
	for i := range lines[:n] {
		if r.Results[i].Result != Rejected {
			commands = append(commands, im.commandID(lines[i].parsed))
		}
	}
	known, err := im.h.journal.Find(ctx, commands...)
	if err != nil {
		return 0, err
	}
	for i := range r.Results {
		if r.Results[i].Result != Rejected {
			position := known[0].Result.Position
			r.Results[i].Position, known = &position, known[1:]
		}
	}
	return n, im.print(r.Results)
}

func (im *importer) advance(ctx context.Context, lines []importLine) (int, error) {
	results, err := im.appendBatch(ctx, lines, func(results []LineResult) []eventstore.Row {
		last := lines[len(results)-1]
		value, err := json.Marshal(resume{Lines: last.number, Sum: last.sum[:], Results: results})
		if err != nil {
			panic(err) // codes, numbers and pointers: nothing that can fail
		}
		return []eventstore.Row{{View: importView, Key: im.rowKey(im.batches), Value: value}}
	})
	if err != nil {
		return 0, err
	}
	im.batches++
	return len(results), im.print(results)
}

// finish forgets the import's progress: a completed one is not resumed. If the process dies before, the same input prints all its results again.
func (im *importer) finish(ctx context.Context) error {
	if im.prefix == nil {
		return nil
	}
	rows, err := im.h.journal.Store().Scan(ctx, importView, im.prefix, after(im.prefix), 0, false)
	if err != nil {
		return err
	}
	if err := im.flush(); err != nil { // what is forgotten below must be with whoever reads the results
		return fmt.Errorf("write the results: %w", err)
	}
	for i := range rows {
		rows[i].Value = nil
	}
	return im.h.journal.Store().Commit(ctx, importView, 0, 0, rows)
}

func (im *importer) print(results []LineResult) error {
	for _, r := range results {
		if err := im.out(r); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}

func (im *importer) rowKey(batch int) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(im.prefix), uint32(batch))
}

// after is the first key behind all that begin with prefix.
func after(prefix []byte) []byte { return append(bytes.Clone(prefix), 0xff, 0xff, 0xff, 0xff, 0xff) }

func (im *importer) commandID(line *schemas.Line) journal.CommandID {
	return journal.CommandID{Issuer: "source:" + im.source, ID: strings.ToLower(line.ID), Content: line.Content}
}

func (im *importer) command(line *schemas.Line) Command {
	id := im.commandID(line)
	c := Command{
		ID: id.ID, Scope: id.Issuer, Content: id.Content, Issuer: journal.IssuerImport, Channel: journal.ParseChannel(line.Channel), ToldAt: line.ToldAt,
		Actor: journal.Actor{Kind: journal.ActorSource, ID: im.source, Source: im.source},
	}
	if im.sandbox && im.registrars(line) {
		c.Actor.Kind = journal.ActorRegistrar // INTERFACES.md: in a sandbox an import source has the registrar's authority
	}
	if im.told {
		c.RecordAt = line.ToldAt
	}
	return c
}

// registrars says whether a line's type needs or has a registrar's authority; a correction's is that of the fact.
func (im *importer) registrars(line *schemas.Line) bool {
	eventType := line.Type
	switch eventType {
	case journal.TypeChangeVerified, journal.TypeDeathCorrected:
		return true
	case journal.TypeChangeCorrected:
		eventType, _ = line.Data["type"].(string)
	}
	row, ok := im.h.journal.Registry().Row(eventType)
	return ok && row.Verified
}
