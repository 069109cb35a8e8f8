package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// input builds the lines of an import with ids that are the same in every run.
type input struct {
	text  bytes.Buffer
	lines int
}

func (in *input) id() string { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, in.lines)).String() }

func (in *input) add(person, eventType, data string) string {
	in.lines++
	id := in.id()
	fmt.Fprintf(&in.text, `{"id":%q,"person":%q,"channel":"web","told_at":"2026-01-05T18:00:28Z","effective":"2026-01-05","type":%q,"data":%s}`+"\n",
		id, person, eventType, data)
	return id
}

func (in *input) raw(line string) {
	in.lines++
	in.text.WriteString(line)
}

const (
	aPerson   = `{"given_names":"Invented","family_name":"Person","birth_date":"1980-05-17","language":"en"}`
	anAddress = `{"kind":"home","street":"7945 Sideroad 15","city":"Hamilton","province":"ON","postal_code":"L8P 4H9","country":"CA"}`
	french    = `{"language":"fr"}`
	aGrant    = `{"agreement":"outdoors-card"}`
)

// several is an input of more than two batches, with every kind of result and consents given and taken within a batch.
func several() *input {
	in := &input{}
	for i := range 460 {
		who := fmt.Sprintf("person-%d", i)
		in.add(who, "person-registered", aPerson)
		in.add(who, "consent-granted", aGrant)
		in.add(who, "address-changed", anAddress)
		lastLine := in.text.String()[strings.LastIndex(strings.TrimSuffix(in.text.String(), "\n"), "\n")+1:]
		if i%50 == 3 {
			in.raw(lastLine) // the same command again
			in.raw(strings.Replace(lastLine, "Hamilton", "Kenora", 1))
			in.raw("not JSON\n")
			in.add(who, "consent-withdrawn", aGrant)
		}
		in.add(who, "language-changed", french)
		in.add("nobody", "language-changed", french)
		in.add(who, "person-registered", aPerson)
		in.add(who, "ministry-linked", `{"ministry":"moh","client_reference":"r"}`)
		in.add(who, "marital-status-changed", `{"status":"married"}`)
		in.add(who, "name-changed", `{"given_names":"Other","family_name":"Person","reason":"court"}`)
		in.add(who, "contact-changed", `{"email":"someone@example.org"}`)
	}
	return in
}

var errInterrupted = errors.New("interrupted")

// importing imports a text; stop, if not nil, is asked after each batch and before each result whether the process "dies" now.
func importing(b *bundle, text []byte, stop func(lines int, printed int) bool) ([]command.LineResult, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var results []command.LineResult
	o := command.ImportOptions{Source: "import", ClockTold: true, Progress: func(lines int, _ int64) {
		if stop != nil && stop(lines, 0) {
			cancel()
		}
	}}
	err := b.command.Import(ctx, bytes.NewReader(text), o, func(r command.LineResult) error {
		if stop != nil && stop(0, len(results)) {
			return errInterrupted
		}
		results = append(results, r)
		return nil
	}, func() error { return nil })
	return results, err
}

func sandbox(t testing.TB) *bundle {
	t.Helper()
	b := setup(t)
	b.load(t)
	return b
}

// TestAnInterruptedImportGoesOn: however it was interrupted, in the end the results are those of one run, with their positions, and so is
// the log. A completed import is not resumed.
func TestAnInterruptedImportGoesOn(t *testing.T) {
	t.Parallel()
	in := several()
	whole := sandbox(t)
	want, err := importing(whole, in.text.Bytes(), nil)
	require.NoError(t, err)
	require.Len(t, want, in.lines)
	counts := map[string]int{}
	for i, r := range want {
		require.Equal(t, i+1, r.Line)
		counts[r.Result+r.Reason]++
	}
	require.Equal(t, map[string]int{
		"accepted": 460*8 + 10, "duplicate": 10, "rejectedcommand-reused": 10, "rejectedmalformed-json": 10, "rejectedunknown-person": 460, "rejectedperson-exists": 460,
	}, counts)
	for name, stops := range map[string][]func(lines, printed int) bool{
		"after the first batch":   {func(lines, _ int) bool { return lines >= 1 }},
		"while printing":          {func(_, printed int) bool { return printed == 700 }},
		"while printing again":    {func(_, printed int) bool { return printed == 700 }, func(_, printed int) bool { return printed == 2300 }},
		"after each of two":       {func(lines, _ int) bool { return lines > 0 }, func(lines, _ int) bool { return lines > 2000 }},
		"when all lines are done": {func(lines, _ int) bool { return lines == in.lines }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sandbox(t)
			for _, stop := range stops {
				part, err := importing(b, in.text.Bytes(), stop)
				require.Error(t, err, "it must have been interrupted")
				require.Equal(t, want[:len(part)], part)
			}
			got, err := importing(b, in.text.Bytes(), nil)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, whole.head(t), b.head(t))

			again, err := importing(b, in.text.Bytes(), nil)
			require.NoError(t, err)
			require.Equal(t, whole.head(t), b.head(t))
			for i, r := range again {
				if want[i].Result != command.Rejected {
					require.Equal(t, command.Duplicate, r.Result)
				}
				require.Equal(t, want[i].Position, r.Position)
				require.Equal(t, want[i].Reason, r.Reason)
			}
		})
	}
}

// TestAChangedInputIsANewOne, although it begins with the same line: what was accepted is a duplicate.
func TestAChangedInputIsANewOne(t *testing.T) {
	t.Parallel()
	b, in := sandbox(t), several()
	first, err := importing(b, in.text.Bytes(), func(lines, _ int) bool { return lines > 0 })
	require.Error(t, err)
	require.NotEmpty(t, first)
	text := in.text.String()
	second := strings.Index(text, "\n") + 1
	other := &input{lines: 100_000}
	other.add("person-0", "language-changed", french)
	changed := text[:second] + other.text.String() + text[second:]
	got, err := importing(b, []byte(changed), nil)
	require.NoError(t, err)
	require.Len(t, got, in.lines+1)
	require.Equal(t, command.Duplicate, got[0].Result)
	require.Equal(t, first[0].Position, got[0].Position)
	require.Equal(t, command.Accepted, got[1].Result)
	for i, r := range first[1:] {
		if r.Result != command.Rejected {
			require.Equal(t, command.Duplicate, got[i+2].Result, i)
		}
		require.Equal(t, r.Position, got[i+2].Position)
	}
}

func outcome(r command.LineResult) string {
	out := r.Result
	if r.Reason != "" {
		out += " " + r.Reason
	}
	if r.Pointer != nil {
		out += " " + *r.Pointer
	}
	return out
}

func outcomes(results []command.LineResult) []string {
	out := make([]string, len(results))
	for i, r := range results {
		out[i] = outcome(r)
	}
	return out
}

func TestAWithdrawalOfAGrantOfTheSameBatch(t *testing.T) {
	t.Parallel()
	b, in := sandbox(t), &input{}
	in.add("p", "person-registered", aPerson)
	in.add("p", "consent-withdrawn", aGrant)
	for range 2 {
		in.add("p", "consent-granted", aGrant)
		in.add("p", "address-changed", anAddress)
		in.add("p", "consent-withdrawn", aGrant)
		in.add("p", "address-changed", anAddress)
	}
	in.add("p", "consent-withdrawn", aGrant)
	results, err := importing(b, in.text.Bytes(), nil)
	require.NoError(t, err)
	no := "rejected no-such-grant /data/agreement"
	require.Equal(t, []string{
		"accepted", no, "accepted", "accepted", "accepted", "accepted", "accepted", "accepted", "accepted", "accepted", no,
	}, outcomes(results))
	ids, err := b.journal.Reference(context.Background(), "import", "p")
	require.NoError(t, err)
	at := map[int64]bool{}
	for _, r := range results {
		if r.Position != nil {
			at[*r.Position] = true
		}
	}
	b.checkRace(t, ids[0], at)
}

func TestDuplicatesWithinABatch(t *testing.T) {
	t.Parallel()
	b, in := sandbox(t), &input{}
	line := func() string {
		text := strings.TrimSuffix(in.text.String(), "\n")
		return text[strings.LastIndex(text, "\n")+1:] + "\n"
	}
	id := in.add("p", "person-registered", aPerson)
	first := line()
	in.raw(first)
	in.raw(strings.Replace(first, `"channel":"web",`, "", 1)[:1] + ` "channel": "web", ` + strings.Replace(first, `"channel":"web",`, "", 1)[1:]) // the same value
	in.raw(strings.Replace(first, "Invented", "Another", 1))
	in.raw(strings.Replace(first, id, strings.ToUpper(id), 1)) // the same command id, but not the same line
	in.raw(strings.Replace(first, id, "no uuid", 1))
	in.raw(strings.Replace(first, `"p"`, `"q"`, 1))
	results, err := importing(b, in.text.Bytes(), nil)
	require.NoError(t, err)
	reused := "rejected command-reused /id"
	require.Equal(t, []string{"accepted", "duplicate", "duplicate", reused, reused, "rejected schema /id", reused}, outcomes(results))
	require.Equal(t, results[0].Position, results[1].Position)
	require.Equal(t, results[0].Position, results[2].Position)
}

// TestShapesOfInput: huge and empty lines, an input without lines, one without a line feed at its end, and Windows line ends.
func TestShapesOfInput(t *testing.T) {
	t.Parallel()
	sized := func(size int) string {
		in := &input{lines: size}
		in.add(fmt.Sprintf("p-%d", size), "person-registered", aPerson)
		line := strings.TrimSuffix(in.text.String(), "\n")
		return line + strings.Repeat(" ", size-len(line))
	}
	malformed := "rejected malformed-json"
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"nothing":               {"", []string{}},
		"an empty line":         {"\n", []string{malformed}},
		"two empty lines":       {"\n\n", []string{malformed, malformed}},
		"no line feed":          {sized(500), []string{"accepted"}},
		"no line feed, second":  {sized(500) + "\n" + sized(600), []string{"accepted", "accepted"}},
		"Windows":               {sized(500) + "\r\n" + sized(600) + "\r\n", []string{"accepted", "accepted"}},
		"as long as may be":     {sized(65536) + "\n" + sized(500), []string{"accepted", "accepted"}},
		"too long":              {sized(65537) + "\n" + sized(500), []string{malformed, "accepted"}},
		"far too long":          {sized(3<<20) + "\n" + sized(500), []string{malformed, "accepted"}},
		"too long, no end":      {sized(3 << 20), []string{malformed}},
		"cut off in the middle": {sized(500) + "\n" + sized(500)[:200], []string{"accepted", malformed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sandbox(t)
			results, err := importing(b, []byte(test.text), nil)
			require.NoError(t, err)
			require.Equal(t, test.want, outcomes(results))
			if len(results) > 0 && results[0].Result == command.Rejected {
				require.Nil(t, results[0].Pointer)
			}
			rows, err := b.journal.Store().Scan(context.Background(), "import", nil, nil, 0, false)
			require.NoError(t, err)
			require.Empty(t, rows, "a completed import leaves no progress behind")
		})
	}
}

// brokenReader fails after a text.
type brokenReader struct{ text *strings.Reader }

func (r brokenReader) Read(p []byte) (int, error) {
	if r.text.Len() == 0 {
		return 0, errInterrupted
	}
	return r.text.Read(p)
}

func TestImportSaysWhatFailed(t *testing.T) {
	t.Parallel()
	ctx, in := context.Background(), &input{}
	in.add("p", "person-registered", aPerson)
	no := func(command.LineResult) error { return errInterrupted }
	yes := func(command.LineResult) error { return nil }
	b := sandbox(t)
	err := b.command.Import(ctx, brokenReader{strings.NewReader(in.text.String())}, command.ImportOptions{Source: "import"}, yes, func() error { return nil })
	require.ErrorIs(t, err, errInterrupted)
	err = b.command.Import(ctx, strings.NewReader(in.text.String()), command.ImportOptions{Source: "import"}, no, func() error { return nil })
	require.ErrorIs(t, err, errInterrupted)
	err = b.command.Import(ctx, strings.NewReader(in.text.String()), command.ImportOptions{Source: "import"}, yes, func() error { return errInterrupted })
	require.ErrorIs(t, err, errInterrupted)
	results, err := importing(b, in.text.Bytes(), nil) // nothing was confirmed as printed, so it is printed again
	require.NoError(t, err)
	require.Equal(t, []string{"accepted"}, outcomes(results))

	j := journaltest.New(t, journaltest.Options{Wall: true, Mode: journal.ModeProduction})
	wall := &bundle{journal: j, command: command.New(j)}
	_, err = importing(wall, in.text.Bytes(), nil)
	require.ErrorIs(t, err, command.ErrWallClock)
	require.Zero(t, wall.head(t))
	require.NoError(t, wall.command.Import(ctx, strings.NewReader(in.text.String()), command.ImportOptions{Source: "import"}, yes, func() error { return nil }))
	entries, err := j.Read(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, int16(journal.ActorSource), entries[0].ActorKind, "a source has the registrar's authority in a sandbox only")
}

func TestASandboxSourceHasTheRegistrarsAuthority(t *testing.T) {
	t.Parallel()
	b, in := sandbox(t), &input{}
	in.add("p", "person-registered", aPerson)
	in.add("p", "address-changed", anAddress)
	in.add("p", "death-registered", `{"death_date":"2026-01-04","reported_by":"spouse"}`)
	results, err := importing(b, in.text.Bytes(), nil)
	require.NoError(t, err)
	for i, want := range []journal.ActorKind{journal.ActorRegistrar, journal.ActorSource, journal.ActorRegistrar} {
		entries, err := b.journal.Read(context.Background(), *results[i].Position)
		require.NoError(t, err)
		require.Equal(t, int16(want), entries[0].ActorKind)
		require.Equal(t, int16(journal.IssuerImport), entries[0].Issuer)
		require.Equal(t, int16(journal.ChannelWeb), entries[0].Channel)
		require.Equal(t, "2026-01-05T18:00:28Z", entries[0].RecordedAt.Format("2006-01-02T15:04:05Z07:00"), "as told")
	}
}

// TestTwoImportsAtOnce of one input, in two processes: each command is on the log once, and both answer with its position.
func TestTwoImportsAtOnce(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	in := several()
	whole := sandbox(t)
	want, err := importing(whole, in.text.Bytes(), nil)
	require.NoError(t, err)
	results, errs := make([][]command.LineResult, 2), make([]error, 2)
	(&bundle{journal: replicas[0], command: command.New(replicas[0])}).load(t)
	// The second one gets the lines with another first line, so that they don't share their progress.
	texts := [][]byte{in.text.Bytes(), append([]byte("another first line\n"), in.text.Bytes()...)}
	var group sync.WaitGroup
	for i, j := range replicas {
		group.Go(func() { results[i], errs[i] = importing(&bundle{journal: j, command: command.New(j)}, texts[i], nil) })
	}
	group.Wait()
	require.Equal(t, []error{nil, nil}, errs)
	a, b := results[0], results[1][1:]
	require.Len(t, a, len(want))
	require.Len(t, b, len(want))
	accepted := 0
	for i := range want {
		require.Equal(t, a[i].Position, b[i].Position, "line %d", i+1)
		if want[i].Result == command.Accepted {
			one := []string{a[i].Result, b[i].Result}
			require.ElementsMatch(t, []string{command.Accepted, command.Duplicate}, one, "line %d", i+1)
			accepted++
		}
	}
	require.Equal(t, whole.head(t), (&bundle{journal: replicas[0]}).head(t))
	require.Positive(t, accepted)
}
