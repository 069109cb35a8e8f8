package command

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// ErrWallClock refuses `--clock told` on a log whose time is the wall clock's.
var ErrWallClock = errors.New("this log's clock is the wall clock: --clock told works only on a log made by init --sandbox")

// The results of a line.
const (
	Accepted  = "accepted"
	Duplicate = "duplicate"
	Rejected  = "rejected"
)

// LineResult is what one line of an import came to, in INTERFACES.md's format.
type LineResult struct {
	Line     int     `json:"line"` // from 1
	Result   string  `json:"result"`
	Reason   string  `json:"reason,omitempty"`
	Pointer  *string `json:"pointer,omitempty"`
	Position *int64  `json:"position,omitempty"`
}

// importLine is a line on its way through a batch.
type importLine struct {
	number  int
	parsed  *schemas.Line
	problem *schemas.Problem
	citizen citizen.ID
	child   citizen.ID // who is registered by it, if it tells a birth
	known   eventstore.Known
	end     int64    // bytes of the input up to its end
	sum     [32]byte // hash of them
	first   []byte   // the chunk's first line
}

// batch is one import batch being judged: the states as they will be once its steps are appended.
type batch struct {
	h        *Handler
	importer *importer
	law      *journal.Law
	states   map[citizen.ID]*journal.State
	base     map[citizen.ID]*journal.State
	inBatch  map[string]int // command id → index in steps
	bodies   map[string][]byte
	now      time.Time // the recorded at that the next step would take
	steps    []journal.Step
	verdicts []verdict
	about    []citizen.ID
	results  []LineResult
	stepOf   []int // results[i]'s step, or -1
	targets  map[int64]target
	refused  map[citizen.ID]bool
}

// appendBatch judges lines in order and appends what is accepted in one call; it returns the results of the lines it got through: all of
// them, unless one must see an earlier one's position first (a withdrawal of a grant of this same batch).
func (im *importer) appendBatch(ctx context.Context, lines []importLine, rows func(results []LineResult) []eventstore.Row) ([]LineResult, error) {
	for attempt := range maxAttempts {
		b, err := im.newBatch(ctx, lines, attempt > 0)
		if err != nil {
			return nil, err
		}
		for i := range lines {
			if !b.take(&lines[i]) {
				break
			}
		}
		if early, err := im.recheck(ctx, lines[:len(b.results)], b.results); err != nil {
			return nil, err
		} else if early {
			continue
		}
		err = b.append(ctx, rows)
		if errors.Is(err, eventstore.ErrConflict) || errors.Is(err, eventstore.ErrCommandReused) { // judged too early: look again
			if _, err := im.h.journal.Head(ctx); err != nil {
				return nil, err
			}
			continue
		}
		return b.results, err
	}
	return nil, ErrBusy
}

// recheck looks up the commands of refused lines once more, now that the states are read by which they were refused: between the two
// another import of the same source may have brought them onto the log. It says whether one was, and the batch must be judged again.
func (im *importer) recheck(ctx context.Context, lines []importLine, results []LineResult) (early bool, err error) {
	var refused []int
	var commands []journal.CommandID
	for i := range lines {
		if results[i].Result == Rejected && lines[i].problem == nil && !lines[i].known.Reused {
			refused, commands = append(refused, i), append(commands, im.commandID(lines[i].parsed))
		}
	}
	if len(refused) == 0 {
		return false, nil
	}
	known, err := im.h.journal.Find(ctx, commands...)
	if err != nil {
		return false, err
	}
	for n, i := range refused {
		if known[n].Found || known[n].Reused {
			lines[i].known, early = known[n], true
		}
	}
	return early, nil
}

func (im *importer) newBatch(ctx context.Context, lines []importLine, fresh bool) (*batch, error) {
	b := &batch{
		h: im.h, importer: im, states: map[citizen.ID]*journal.State{}, base: map[citizen.ID]*journal.State{}, inBatch: map[string]int{},
		bodies: map[string][]byte{}, refused: map[citizen.ID]bool{}, now: im.h.journal.Now(journal.Timing{At: time.Unix(0, 0)}), results: make([]LineResult, 0, len(lines)),
	}
	readLaw, readStates := im.h.journal.CurrentLaw, im.h.journal.States
	if fresh {
		readLaw, readStates = im.h.journal.FreshLaw, im.h.journal.FreshStates
		if err := im.identify(ctx, lines); err != nil {
			return nil, err
		}
	}
	law, err := readLaw(ctx)
	if b.law = law; err != nil {
		return nil, err
	}
	ids := citizensOf(lines)
	states, err := readStates(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for i, s := range states {
		b.states[ids[i]], b.base[ids[i]] = s, s
	}
	return b, b.aim(ctx, lines)
}

// aim reads what the lines are about that are about something told before.
func (b *batch) aim(ctx context.Context, lines []importLine) error {
	var positions []int64
	for i := range lines {
		if lines[i].problem == nil {
			if position, member := aims(lines[i].parsed.Type, lines[i].parsed.Data); member != "" {
				positions = append(positions, position)
			}
		}
	}
	targets, err := b.h.targets(ctx, positions...)
	b.targets = make(map[int64]target, len(targets))
	for i := range targets {
		b.targets[targets[i].position] = targets[i]
	}
	return err
}

// citizensOf are the distinct citizens of lines.
func citizensOf(lines []importLine) []citizen.ID {
	seen := make(map[citizen.ID]bool, len(lines))
	ids := make([]citizen.ID, 0, len(lines))
	for i := range lines {
		if id := lines[i].citizen; !id.IsZero() && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// prepare looks a batch's people and commands up and makes their keys, while the batch before is appended. What that one appends is not
// seen here: its commands are in recent, and a state that it makes stale is refused by the append.
func (im *importer) prepare(ctx context.Context, lines []importLine) error {
	if err := im.identify(ctx, lines); err != nil {
		return err
	}
	ids := citizensOf(lines)
	if err := im.h.journal.EnsureKeys(ctx, append(childrenOf(lines), ids...)...); err != nil {
		return err
	}
	_, err := im.h.journal.States(ctx, ids...)
	return err
}

// childrenOf gives their ids to the children whose births lines tell. A command that is known already registers nobody again.
func childrenOf(lines []importLine) []citizen.ID {
	var ids []citizen.ID
	for i := range lines {
		l := &lines[i]
		if l.problem != nil || l.citizen.IsZero() || l.known.Found || l.known.Reused {
			continue
		}
		if l.child = childOf(l.parsed.Type); !l.child.IsZero() {
			ids = append(ids, l.child)
		}
	}
	return ids
}

// identify fills in who the lines are about and which commands are known. A reference that a valid registration names gets its citizen.
func (im *importer) identify(ctx context.Context, lines []importLine) error {
	var references, newcomers []string
	var commands []journal.CommandID
	for i := range lines {
		if lines[i].problem == nil {
			references = append(references, lines[i].parsed.Person)
			commands = append(commands, im.commandID(lines[i].parsed))
			if lines[i].parsed.Type == citizen.PersonRegistered {
				newcomers = append(newcomers, lines[i].parsed.Person)
			}
		}
	}
	known, err := im.h.journal.Find(ctx, commands...)
	if err != nil {
		return err
	}
	if _, err := im.h.journal.Register(ctx, im.source, newcomers...); err != nil {
		return err
	}
	ids, err := im.h.journal.Reference(ctx, im.source, references...)
	if err != nil {
		return err
	}
	for i, n := 0, 0; i < len(lines); i++ {
		if lines[i].problem == nil {
			lines[i].citizen, lines[i].known = ids[n], known[n]
			n++
		}
	}
	return nil
}

// take judges one line; false if it must wait for the steps before it to be on the log.
func (b *batch) take(line *importLine) bool {
	if line.problem != nil {
		b.result(line, Rejected, &citizen.Rejection{Code: line.problem.Code, Pointer: line.problem.Pointer}, -1)
		return true
	}
	id := strings.ToLower(line.parsed.ID)
	switch {
	case line.known.Reused:
		b.result(line, Rejected, citizen.Reject(citizen.CodeCommandReused), -1)
		return true
	case line.known.Found:
		position := line.known.Result.Position // a line has no consents before it
		b.result(line, Duplicate, nil, -1)
		b.results[len(b.results)-1].Position = &position
		return true
	}
	if first, ok := b.importer.lately(id); ok {
		if first.body == sha256.Sum256(line.parsed.Content) {
			b.result(line, Duplicate, nil, -1)
			b.results[len(b.results)-1].Position = &first.position
		} else {
			b.result(line, Rejected, citizen.Reject(citizen.CodeCommandReused), -1)
		}
		return true
	}
	if step, ok := b.inBatch[id]; ok {
		if string(b.bodies[id]) == string(line.parsed.Content) {
			b.result(line, Duplicate, nil, step)
		} else {
			b.result(line, Rejected, citizen.Reject(citizen.CodeCommandReused), -1)
		}
		return true
	}
	return b.judge(line)
}

func (b *batch) judge(line *importLine) bool {
	state := b.states[line.citizen]
	if state == nil {
		state = &journal.State{ID: line.citizen}
	}
	c := b.importer.command(line.parsed)
	timing := journal.Timing{Told: true, At: c.RecordAt}
	now := b.now
	if at := b.h.journal.Now(timing); at.After(now) {
		now = at
	}
	day := b.h.journal.DayOf(now)
	position, _ := aims(line.parsed.Type, line.parsed.Data)
	on := b.targets[position]
	if line.child.IsZero() { // its person was not known yet when it was prepared
		line.child = childOf(line.parsed.Type)
	}
	if position != 0 && on.subject.IsZero() && len(b.steps) > 0 { // it may be about something in this very batch
		return false
	}
	v, rejection := b.h.judgeLine(c, line, on)(b.law, state, day)
	if rejection == nil {
		rejection = c.frozenBars([]*journal.State{state}, v)
	}
	if rejection != nil {
		b.refused[line.citizen] = true
		b.result(line, Rejected, rejection, -1)
		return true
	}
	if w, ok := v.events[0].Event.(journal.ConsentWithdrawn); ok && w.Grant >= provisional {
		return false
	}
	b.now = now
	b.states[line.citizen] = applied(state, provisional, v)
	id := strings.ToLower(line.parsed.ID)
	b.inBatch[id], b.bodies[id] = len(b.steps), line.parsed.Content
	b.result(line, Accepted, nil, len(b.steps))
	b.steps = append(b.steps, step(c, b.law, []*journal.State{state}, day, timing, v))
	b.verdicts = append(b.verdicts, v)
	b.about = append(b.about, line.citizen)
	return true
}

func (b *batch) result(line *importLine, result string, rejection *citizen.Rejection, step int) {
	r := LineResult{Line: line.number, Result: result}
	if rejection != nil {
		r.Reason, r.Pointer = rejection.Code, rejection.Pointer
	}
	b.results = append(b.results, r)
	b.stepOf = append(b.stepOf, step)
}

// append commits the batch and, in the same call, how far the import is. Positions are known only then: rows hold everything but them for
// accepted lines, and an interrupted import finds those by command id.
func (b *batch) append(ctx context.Context, rows func([]LineResult) []eventstore.Row) error {
	closing := journal.Step{Expect: b.refusedBy(), Rows: rows(b.results)}
	results, err := b.h.journal.Append(ctx, append(b.steps, closing)...)
	if err != nil {
		return err
	}
	repeated := false
	recent := b.importer.recent[len(b.importer.recent)-1]
	for i := range b.results {
		s := b.stepOf[i]
		if s < 0 {
			continue
		}
		position := results[s].Position + int64(b.verdicts[s].main)
		if results[s].Repeated { // another import of the same source was faster with this very command
			repeated, position, b.results[i].Result = true, results[s].Position, Duplicate
		}
		b.results[i].Position = &position
		recent[b.steps[s].Command.ID] = taken{body: sha256.Sum256(b.steps[s].Command.Content), position: position}
	}
	if !repeated {
		b.remember(results)
	}
	return nil
}

// refusedBy is what the batch's refusals were judged by, and no step of theirs expects: what this process remembers may be stale, and
// only the log itself may refuse.
func (b *batch) refusedBy() []eventstore.Expect {
	written := map[citizen.ID]bool{}
	for _, id := range b.about {
		written[id] = true
	}
	expect := []eventstore.Expect{b.law.Expect()}
	for id := range b.refused {
		if !id.IsZero() && !written[id] {
			expect = append(expect, b.base[id].Expect())
		}
	}
	return expect
}

// remember folds the batch again, now that its positions are known.
func (b *batch) remember(results []eventstore.Result) {
	states := make(map[citizen.ID]*journal.State, len(b.base))
	for s, v := range b.verdicts {
		state := states[b.about[s]]
		if state == nil {
			state = b.base[b.about[s]].Clone()
			states[b.about[s]] = state
		}
		applyTo(state, results[s].Position, v)
	}
	for _, state := range states {
		b.h.journal.Remember(state)
	}
}
