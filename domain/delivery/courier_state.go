package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// maxHeld is how many numbers of a lane may wait for their next attempt, or behind one that does: some hundred bytes each. At that many, no new
// ones are taken: the rest of the lane waits on the log.
const maxHeld = 4096

// held is a given number that is not delivered: it waits for its next attempt, or behind an earlier number about the same person.
type held struct {
	number   int64
	key      string // Message.Key; it is not kept in rows
	attempts int
	next     time.Time // of its next attempt; zero: at once
	code     string    // of the last attempt
	downs    int       // how often it met an endpoint that was down, while that did not count; forgotten by a restart
}

// tries is how often it was tried, as far as this courier knows.
func (h *held) tries() int { return h.attempts + h.downs }

// askedRange is a range of numbers that the event at a position asked for again; it begins with the first that is not taken up yet.
type askedRange struct{ position, from, to int64 }

// ledger is what a courier knows of its lane: every number up to taken is delivered, parked or held. It stands in rows of a view of its own,
// whose checkpoint counts the changes: of two couriers that both believe to have the lease, the second to write is refused. Its keys are a
// letter and:
//
//	c          → log generation, taken, position up to which it was looked for what is asked for again
//	h number   → attempts, next attempt (µs since the epoch), code
//	a position → askedRange
//	x number   → Outcome.Excerpt of the last attempt, closed under the key of whom it is about; it stays while the number is parked
type ledger struct {
	store   eventstore.Store
	view    string
	changes int64
	dirty   map[string][]byte

	generation int
	taken      int64
	looked     int64
	asked      []askedRange
	held       map[int64]*held
	chains     map[string][]int64 // numbers that are held, by key, in order
}

// errLedger is a row that this program did not write.
var errLedger = errors.New("delivery: what a courier had noted of its lane can't be read")

func numberKey(letter byte, number int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{letter}, uint64(number))
}

// openLedger reads what the courier before had noted. What it had noted of an earlier generation of the log is void.
func openLedger(ctx context.Context, store eventstore.Store, view string, generation int) (*ledger, error) {
	l := &ledger{store: store, view: view, dirty: map[string][]byte{}, generation: generation, held: map[int64]*held{}, chains: map[string][]int64{}}
	var err error
	if l.changes, err = store.Checkpoint(ctx, view); err != nil {
		return nil, err
	}
	rows, err := store.Scan(ctx, view, nil, []byte{'x'}, 0, false) // excerpts are read where they are shown
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if err := l.read(row); err != nil {
			return nil, err
		}
	}
	if l.generation < generation {
		excerpts, err := store.Scan(ctx, view, []byte{'x'}, nil, 0, false)
		if err != nil {
			return nil, err
		}
		for _, row := range slices.Concat(rows, excerpts) {
			l.dirty[string(row.Key)] = nil
		}
		l.generation, l.taken, l.looked, l.asked = generation, 0, 0, nil
		clear(l.held)
		l.note()
	}
	return l, nil
}

func (l *ledger) read(row eventstore.Row) error {
	key, value := row.Key, row.Value
	switch {
	case len(key) == 1 && key[0] == 'c' && len(value) == 20:
		l.generation = int(binary.BigEndian.Uint32(value))
		l.taken, l.looked = int64(binary.BigEndian.Uint64(value[4:])), int64(binary.BigEndian.Uint64(value[12:]))
	case len(key) == 9 && key[0] == 'h' && len(value) >= 12:
		h := &held{number: int64(binary.BigEndian.Uint64(key[1:])), attempts: int(binary.BigEndian.Uint32(value)), code: string(value[12:])}
		if us := int64(binary.BigEndian.Uint64(value[4:])); us != 0 {
			h.next = time.UnixMicro(us)
		}
		l.held[h.number] = h
	case len(key) == 9 && key[0] == 'a' && len(value) == 16:
		from, to, err := decodeRange(value)
		l.asked = append(l.asked, askedRange{position: int64(binary.BigEndian.Uint64(key[1:])), from: from, to: to})
		return err
	default:
		return errLedger
	}
	return nil
}

// note writes down how far the lane is.
func (l *ledger) note() {
	value := binary.BigEndian.AppendUint32(nil, uint32(l.generation))
	value = binary.BigEndian.AppendUint64(value, uint64(l.taken))
	l.dirty["c"] = binary.BigEndian.AppendUint64(value, uint64(l.looked))
}

// take notes that numbers up to one have been taken from the lane.
func (l *ledger) take(number int64) {
	if number > l.taken {
		l.taken = number
		l.note()
	}
}

// hold keeps a number back.
func (l *ledger) hold(h held) {
	if l.held[h.number] == nil {
		l.chain(h.number, h.key)
	}
	l.held[h.number] = &h
	value := binary.BigEndian.AppendUint32(nil, uint32(h.attempts))
	var us int64
	if !h.next.IsZero() {
		us = h.next.UnixMicro()
	}
	value = binary.BigEndian.AppendUint64(value, uint64(us))
	l.dirty[string(numberKey('h', h.number))] = append(value, h.code...)
}

func (l *ledger) chain(number int64, key string) {
	chain := l.chains[key]
	at, _ := slices.BinarySearch(chain, number)
	l.chains[key] = slices.Insert(chain, at, number)
}

// drop lets go of a number that is delivered or parked.
func (l *ledger) drop(number int64) {
	h := l.held[number]
	if h == nil {
		return
	}
	chain := l.chains[h.key]
	if at, ok := slices.BinarySearch(chain, number); ok {
		chain = slices.Delete(chain, at, at+1)
	}
	if l.chains[h.key] = chain; len(chain) == 0 {
		delete(l.chains, h.key)
	}
	delete(l.held, number)
	l.dirty[string(numberKey('h', number))] = nil
}

// quote keeps what an endpoint said last about a number, closed; nil forgets it.
func (l *ledger) quote(number int64, sealed []byte) { l.dirty[string(numberKey('x', number))] = sealed }

// first is the lowest number that is held; 0 for none.
func (l *ledger) first() (lowest int64) {
	for _, chain := range l.chains {
		if lowest == 0 || chain[0] < lowest {
			lowest = chain[0]
		}
	}
	return lowest
}

// behind says whether a number must wait for an earlier one: of the same person, or, where nobody can say any more whose it is, any.
func (l *ledger) behind(number int64, key string) bool {
	if key == "" {
		first := l.first()
		return first != 0 && first < number
	}
	chain := l.chains[key]
	return len(chain) > 0 && chain[0] < number
}

// stuck says who of a page can't be sent to: an earlier number holds them back. Of held numbers, ready has looked at that.
func (l *ledger) stuck(messages []Message) map[string]bool {
	out := map[string]bool{}
	for i := range messages {
		m := &messages[i]
		if l.held[m.Cursor.Number] == nil && l.behind(m.Cursor.Number, m.Key) {
			out[m.Key] = true
		}
	}
	return out
}

// ready returns the range of held numbers to try now, at most limit: the lowest that is due, and what stands right behind it and was never
// refused; with fresh, it begins with the lowest of those that were tried the least. Zeros for none. due is when the next one will be there, zero
// for never.
func (l *ledger) ready(now time.Time, limit int, fresh bool) (from, to int64, due time.Time) {
	for key, chain := range l.chains {
		h := l.held[chain[0]]
		switch {
		case key == "" && l.behind(h.number, ""):
		case h.next.After(now):
			if due.IsZero() || h.next.Before(due) {
				due = h.next
			}
		case from == 0, l.before(h, l.held[from], fresh):
			from = h.number
		}
	}
	if from == 0 || l.held[from].attempts > 0 {
		return from, from, due
	}
	for to = from; to-from+1 < int64(limit); to++ {
		h := l.held[to+1]
		if h == nil || h.attempts > 0 || h.next.After(now) || !l.within(h, from) {
			break
		}
	}
	return from, to, due
}

// before says whether a number is tried before another.
func (l *ledger) before(h, other *held, fresh bool) bool {
	if fresh && h.tries() != other.tries() {
		return h.tries() < other.tries()
	}
	return h.number < other.number
}

// within says whether all that a number must wait for stands from a number on.
func (l *ledger) within(h *held, from int64) bool {
	if h.key == "" {
		return l.first() >= from
	}
	return l.chains[h.key][0] >= from
}

// spent are the numbers whose attempts are used up, in order, but those that are asked for again.
func (l *ledger) spent(attempts int) (out []*held) {
	for _, h := range l.held {
		if h.attempts >= attempts && !slices.ContainsFunc(l.asked, func(a askedRange) bool { return a.from <= h.number && h.number <= a.to }) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *held) int { return int(a.number - b.number) })
	return out
}

// ask notes a range that is asked for again, or how far it has been taken up; an empty one is done.
func (l *ledger) ask(a askedRange) {
	at := slices.IndexFunc(l.asked, func(o askedRange) bool { return o.position == a.position })
	key := string(numberKey('a', a.position))
	switch {
	case a.from > a.to:
		if at >= 0 {
			l.asked = slices.Delete(l.asked, at, at+1)
		}
		l.dirty[key] = nil
		return
	case at < 0:
		l.asked = append(l.asked, a)
	default:
		l.asked[at] = a
	}
	l.dirty[key] = encodeRange(a.from, a.to)
}

// commit makes what was noted durable. If the process dies before, the numbers since the last commit are sent again, after a redelivered.
func (l *ledger) commit(ctx context.Context) error {
	if len(l.dirty) == 0 {
		return nil
	}
	rows := make([]eventstore.Row, 0, len(l.dirty))
	for _, key := range slices.Sorted(maps.Keys(l.dirty)) {
		rows = append(rows, eventstore.Row{View: l.view, Key: []byte(key), Value: l.dirty[key]})
	}
	if err := l.store.Commit(ctx, l.view, l.changes, l.changes+1, rows); err != nil {
		return fmt.Errorf("delivery: note how far a courier is: %w", err)
	}
	l.changes++
	clear(l.dirty)
	return nil
}

// keysPage is over how many numbers one look for who they are about goes.
const keysPage = 1000

// keys finds who numbers are about, after a restart or when they are asked for again.
func (c *courier) keys(ctx context.Context, numbers []int64) (map[int64]string, error) {
	out := map[int64]string{}
	for len(numbers) > 0 {
		last, _ := slices.BinarySearch(numbers, numbers[0]+keysPage)
		some := numbers[:last]
		numbers = numbers[last:]
		given, err := c.delivery.given(ctx, c.stream.Stream, c.lane, some[0], some[len(some)-1])
		if err != nil {
			return nil, err
		}
		v := &view{stream: c.stream, lane: c.lane, entries: map[int64]*journal.Entry{}}
		recs, err := c.delivery.journal.Store().Read(ctx, givenPositions(given)...)
		if err != nil {
			return nil, err
		}
		for i := range recs {
			v.entries[recs[i].Position] = &journal.Entry{Recorded: recs[i]}
		}
		items := make([]journal.DisclosedItem, len(given))
		for i := range given {
			items[i] = given[i].item
		}
		pairwise, err := c.delivery.pairwise(ctx, v, items)
		if err != nil {
			return nil, err
		}
		for i := range given {
			out[given[i].number] = pairwise[i]
		}
	}
	return out, nil
}
