package eventstore

import (
	"fmt"

	"github.com/google/uuid"
)

// plan is one batch before it is numbered: its members and what must be known to check them.
//
// Each aggregate, command and subject that a member names stands once in ask; the maps give its index there, and the slices beside ask
// are parallel to it.
type plan struct {
	members []*member
	alone   bool // the batch starts a generation: nobody else fits in
	rows    bool // it writes rows of views
	// hopeful: every version the batch needs is expected or remembered, so it may be written without asking.
	hopeful bool

	ask        Ask
	aggregates map[Aggregate]int
	commands   map[CommandKey]int
	subjects   map[uuid.UUID]int
	hoped      []int32 // the version by which an aggregate was first expected, or that is remembered
	written    []bool  // by a member of this batch
	unexpected []bool  // written by a member that didn't expect it
	after      []int64 // the lowest position after which a subject is guarded
	restricts  map[uuid.UUID]struct{}

	hopedFor Answer
	assume   Assumption
}

// keepMaps bounds the maps that are kept for the next batch: clearing a map costs as much as it ever held.
const keepMaps = 8192

func (p *plan) reset() {
	clear(p.members)
	p.members, p.alone, p.rows, p.hopeful = p.members[:0], false, false, true
	if p.aggregates == nil || len(p.aggregates)+len(p.commands)+len(p.restricts) > keepMaps {
		p.aggregates, p.commands = map[Aggregate]int{}, map[CommandKey]int{}
		p.subjects, p.restricts = map[uuid.UUID]int{}, map[uuid.UUID]struct{}{}
	}
	clear(p.aggregates)
	clear(p.commands)
	clear(p.subjects)
	clear(p.restricts)
	p.ask.Aggregates, p.ask.Commands, p.ask.Subjects = p.ask.Aggregates[:0], p.ask.Commands[:0], p.ask.Subjects[:0]
	p.hoped, p.written, p.unexpected, p.after = p.hoped[:0], p.written[:0], p.unexpected[:0], p.after[:0]
}

// mustWait says whether m expects, guards or repeats what a member already in the batch writes: whether m then holds is known only
// when the batch has committed. Writing an aggregate without expecting it never waits.
func (p *plan) mustWait(m *member) bool {
	if p.alone {
		return true
	}
	for i := range m.appends {
		a := &m.appends[i]
		if a.Begins != nil && len(p.members) > 0 {
			return true
		}
		if _, ok := p.commands[a.Command.Key]; ok {
			return true
		}
		for _, e := range a.Expect {
			if at, ok := p.aggregates[e.Aggregate]; ok && p.written[at] {
				return true
			}
		}
		for _, subject := range a.Guard.Subjects {
			if _, ok := p.restricts[subject]; ok {
				return true
			}
		}
		if _, all := p.restricts[uuid.Nil]; all && len(a.Guard.Subjects) > 0 {
			return true
		}
	}
	return false
}

// holdsUp says whether m can't be executed while this batch is under way: it depends on what the batch writes, or writes the same, and
// would wait in the database for the batch or the batch for it.
func (p *plan) holdsUp(m *member) bool {
	if p.mustWait(m) {
		return true
	}
	for i := range m.appends {
		a := &m.appends[i]
		if a.Begins != nil || (p.rows && len(a.Rows) > 0) {
			return true
		}
		for j := range a.Events {
			if at, ok := p.aggregates[a.Events[j].Aggregate]; ok && p.written[at] {
				return true
			}
		}
	}
	return false
}

// add takes m into the batch. remembered holds versions known from earlier batches.
func (p *plan) add(m *member, remembered map[Aggregate]int32) {
	p.members = append(p.members, m)
	for i := range m.appends {
		a := &m.appends[i]
		p.alone, p.rows = p.alone || a.Begins != nil, p.rows || len(a.Rows) > 0
		p.addCommand(a.Command.Key)
		for _, e := range a.Expect {
			if _, ok := p.aggregates[e.Aggregate]; !ok {
				p.addAggregate(e.Aggregate, e.Version)
			}
		}
		p.addGuard(&a.Guard)
		for j := range a.Events {
			p.addEvent(&a.Events[j], remembered)
		}
	}
}

func (p *plan) addCommand(key CommandKey) {
	if key == (CommandKey{}) {
		return
	}
	if _, ok := p.commands[key]; !ok {
		p.commands[key] = len(p.ask.Commands)
		p.ask.Commands = append(p.ask.Commands, key)
	}
}

func (p *plan) addAggregate(aggregate Aggregate, hoped int32) int {
	at := len(p.ask.Aggregates)
	p.aggregates[aggregate] = at
	p.ask.Aggregates = append(p.ask.Aggregates, aggregate)
	p.hoped, p.written, p.unexpected = append(p.hoped, hoped), append(p.written, false), append(p.unexpected, false)
	return at
}

func (p *plan) addGuard(guard *Guard) {
	if len(guard.Subjects) == 0 {
		return
	}
	p.addSubject(uuid.Nil, guard.After) // what restricts everyone restricts each of them
	for _, subject := range guard.Subjects {
		p.addSubject(subject, guard.After)
	}
}

func (p *plan) addSubject(subject uuid.UUID, after int64) {
	at, ok := p.subjects[subject]
	if !ok {
		p.subjects[subject] = len(p.ask.Subjects)
		p.ask.Subjects, p.after = append(p.ask.Subjects, subject), append(p.after, after)
		return
	}
	p.after[at] = min(p.after[at], after)
}

func (p *plan) addEvent(e *Event, remembered map[Aggregate]int32) {
	at, ok := p.aggregates[e.Aggregate]
	if !ok {
		version, known := remembered[e.Aggregate]
		p.hopeful = p.hopeful && known
		at = p.addAggregate(e.Aggregate, version)
		p.unexpected[at] = true
	}
	p.written[at] = true
	if e.Restricting {
		p.restricts[e.Subject] = struct{}{}
	}
}

// hope is the answer that the store would give if everybody's expectations held.
func (p *plan) hope(head Head, identity Identity) *Answer {
	h := &p.hopedFor
	h.Head, h.Identity, h.Versions = head, identity, append(h.Versions[:0], p.hoped...)
	h.Commands, h.Restricted = h.Commands[:0], h.Restricted[:0]
	for range p.ask.Commands {
		h.Commands = append(h.Commands, KnownCommand{})
	}
	for range p.ask.Subjects {
		h.Restricted = append(h.Restricted, -1)
	}
	return h
}

// assumption is what must hold for the hoped answer to be good enough, when the last position is head, of which the last `under` may not
// be seen yet.
func (p *plan) assumption(head int64, under int) *Assumption {
	a := &p.assume
	a.Head, a.Under, a.Versions, a.Guards = head, under, a.Versions[:0], a.Guards[:0]
	for i, aggregate := range p.ask.Aggregates {
		a.Versions = append(a.Versions, Expect{Aggregate: aggregate, Version: p.hoped[i]})
	}
	for i, subject := range p.ask.Subjects {
		a.Guards = append(a.Guards, SubjectGuard{Subject: subject, After: p.after[i]})
	}
	return a
}

func (p *plan) anyFailed() bool {
	for _, m := range p.members {
		if m.err != nil {
			return true
		}
	}
	return false
}

func (p *plan) anyRepeated() bool {
	for _, m := range p.members {
		for i := range m.results {
			if m.results[i].Repeated {
				return true
			}
		}
	}
	return false
}

// answer lets every caller go with what the builder found for it.
func (p *plan) answer() {
	for _, m := range p.members {
		close(m.done)
	}
}

// fail lets every caller go with err: the batch as a whole was not written, or nobody knows.
func (p *plan) fail(err error) {
	for _, m := range p.members {
		m.results, m.err = nil, err
		close(m.done)
	}
}

// validate refuses what no state of the log could accept, before it comes near a batch, and measures the member.
func (m *member) validate() error {
	for i := range m.appends {
		a := &m.appends[i]
		if a.Command.Key != (CommandKey{}) && len(a.Events) == 0 {
			return fmt.Errorf("eventstore: append %d has a command and no event", i)
		}
		m.records += len(a.Events)
		for j := range a.Events {
			e := &a.Events[j]
			m.bytes += len(e.Payload)
			if e.Cause < NoCause && int(NoCause-e.Cause) > j {
				return fmt.Errorf("eventstore: event %d of append %d is caused by one before the append", j, i)
			}
			if e.Restricting && e.Subject == uuid.Nil && e.Aggregate.Category != Hub {
				return fmt.Errorf("eventstore: event %d of append %d restricts nobody", j, i)
			}
		}
	}
	return nil
}
