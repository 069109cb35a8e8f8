package lawtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// handout is one page that a ministry was given, with the log's head before and after.
type handout struct {
	stream        string
	lane          int
	before, after int64
	messages      []delivery.Message
}

// checker judges a log and everything that left the hub against the invariants.
type checker struct {
	*record
	stored   []journal.Entry // as they can be opened at the end
	streams  map[string]journal.StreamOpened
	handouts []handout
	sides    map[string][]delivery.Cursor // what replays sent, by their names
	breaches []string
	lanes    map[laneID]*laneRecord
	steered  map[string]*streamRecord
	replays  map[int64]journal.ReplayAsked
	bytes    map[delivery.Cursor]map[string]string // of each number, by stream, as it was handed out first
	// pairwise is a citizen's id for a ministry; empty once its secret is destroyed.
	pairwise func(ministry string, id citizen.ID) string
}

type laneID struct {
	stream string
	lane   int
}

// laneRecord is a lane by the log alone.
type laneRecord struct {
	items    []journal.DisclosedItem // number-1
	given    []int64                 // position of the disclosed that gave the number
	recalled map[int64]int64         // number → position since which it is recalled
	covers   []journal.Redelivered
	coverAt  []int64
	dropped  map[journal.DroppedItem]int64
	lastOf   map[citizen.ID]int64 // order of the citizen's last item
}

func (c *checker) breach(invariant int, format string, args ...any) {
	if len(c.breaches) < 50 {
		c.breaches = append(c.breaches, fmt.Sprintf("invariant %d: ", invariant)+fmt.Sprintf(format, args...))
	}
}

// check judges everything and returns what was breached.
func (c *checker) check() []string {
	c.lanes, c.steered, c.replays = map[laneID]*laneRecord{}, map[string]*streamRecord{}, map[int64]journal.ReplayAsked{}
	c.bytes = map[delivery.Cursor]map[string]string{}
	for i := range c.entries {
		switch event := c.entries[i].Event.(type) {
		case journal.Disclosed:
			c.disclosed(int64(i), event)
		case journal.Redelivered:
			c.redelivered(int64(i), event)
		case journal.Decided:
			c.decided(int64(i), event)
		default:
			c.steering(int64(i), event)
		}
	}
	for _, h := range c.handouts {
		c.handedOut(h)
	}
	c.nothingLost()
	c.nothingAskedLost()
	return c.breaches
}

func (c *checker) lane(stream string, lane int) *laneRecord {
	id := laneID{stream, lane}
	if c.lanes[id] == nil {
		c.lanes[id] = &laneRecord{recalled: map[int64]int64{}, dropped: map[journal.DroppedItem]int64{}, lastOf: map[citizen.ID]int64{}}
	}
	return c.lanes[id]
}

// decided: what is called permitted is permitted (3).
func (c *checker) decided(at int64, d journal.Decided) {
	cause := c.entries[at].Cause
	f, ok := c.fact(cause)
	if !ok {
		if len(d.Decisions) > 0 {
			c.breach(3, "the decided at %d decides on no fact", at)
		}
		return
	}
	for _, one := range d.Decisions {
		want := c.allowed(f, c.subject(cause), one.Agreement, at, at, c.day(cause))
		got := c.names(f.eventType, one.Fields)
		if !sameNames(want, got) {
			c.breach(3, "the decided at %d permits %s %v, and the law %v", at, one.Agreement, got, want)
		}
	}
}

func (c *checker) disclosed(at int64, d journal.Disclosed) {
	l := c.lane(d.Stream, d.Lane)
	if d.First != int64(len(l.items))+1 {
		c.breach(6, "the disclosed at %d begins with number %d of %s, after %d", at, d.First, d.Stream, len(l.items))
	}
	for _, item := range d.Items {
		l.items, l.given = append(l.items, item), append(l.given, at)
		if item.Kind == "synthetic" {
			c.synthetic(at, &d, &item)
			continue
		}
		id := c.subject(item.Position)
		a, _ := c.agreement(item.Agreement, at)
		// What waits for its day comes on it, maybe after what was told later.
		if last, ok := l.lastOf[id]; ok && item.Order() < last && a.Deliver != consent.DeliverEffective {
			c.breach(6, "number %d of %s is out of its citizen's order", len(l.items), d.Stream)
		}
		l.lastOf[id] = item.Order()
		c.lawful(at, d.Stream, item)
	}
	for _, position := range d.Dropped {
		l.dropped[journal.DroppedItem{Position: position}] = at
	}
	for _, one := range d.DroppedItems {
		l.dropped[one] = at
	}
}

// redelivered: what leaves again is as lawful as what leaves (3, 4).
func (c *checker) redelivered(at int64, r journal.Redelivered) {
	l := c.lane(r.Stream, r.Lane)
	for _, n := range r.Recalled {
		if _, already := l.recalled[n]; !already {
			l.recalled[n] = at
		}
	}
	l.covers, l.coverAt = append(l.covers, r), append(l.coverAt, at)
	for n := r.From; n <= r.To && n <= int64(len(l.items)); n++ {
		if item := l.items[n-1]; item.Kind != "erased" && c.person(c.subject(item.Position), at).gone { // recalled by the erasure itself
			if _, already := l.recalled[n]; !already {
				l.recalled[n] = at
			}
		}
		switch _, recalled := l.recalled[n]; {
		case !recalled:
			c.lawful(at, r.Stream, l.items[n-1])
		case l.items[n-1].Kind == "synthetic":
			c.breach(6, "at %d number %d of %s is recalled, which is about nobody", at, n, r.Stream)
		}
	}
}

// hasValues says whether an item holds something of what was told.
func hasValues(kind string) bool { return kind == "fact" || kind == "snapshot" || kind == "correction" }

// lawful: at a position of the log an item may leave (3, 4, 8, 11).
func (c *checker) lawful(at int64, stream string, item journal.DisclosedItem) {
	id := c.subject(item.Position)
	p := c.person(id, at)
	a, _ := c.agreement(item.Agreement, at)
	if p.isProtected(c.day(at)) && !a.ReceivesProtected && item.Kind != "erased" {
		c.breach(11, "at %d %s gets a %s about a protected person", at, stream, item.Kind)
	}
	if !hasValues(item.Kind) {
		return
	}
	f, ok := c.fact(item.Position)
	if !ok || p.gone {
		c.breach(8, "at %d %s gets a %s of position %d (%s), gone %v", at, stream, item.Kind, item.Position, c.entries[item.Position].Type, p.gone)
		return
	}
	since := item.Position
	if item.Kind == "snapshot" {
		since = item.Cause
	}
	then := c.allowed(f, id, item.Agreement, since+1, since, c.day(since))
	now := c.allowed(f, id, item.Agreement, at, since, c.day(at))
	names := c.names(f.eventType, item.Fields)
	if len(names) == 0 || !subset(names, then) || !subset(names, now) {
		c.breach(4, "at %d %s gets %v of the %s at %d (%s); permitted then %v, now %v", at, stream, names, f.eventType, item.Position, item.Kind, then, now)
	}
	if p.corrected[item.Position] {
		c.breach(6, "at %d %s gets the fact at %d, which is corrected", at, stream, item.Position)
	}
}

// handedOut: each message is its number's, covered by the log, and holds just what the log says (4, 5, 6).
func (c *checker) handedOut(h handout) {
	l := c.lane(h.stream, h.lane)
	for i := range h.messages {
		m := &h.messages[i]
		n := m.Cursor.Number
		if n < 1 || n > int64(len(l.items)) {
			c.breach(6, "%s handed out number %d, which the log never gave", h.stream, n)
			continue
		}
		cover := c.cover(l, n, h)
		if cover < 0 {
			c.breach(4, "%s handed out number %d with nothing on the log between %d and %d that covers it", h.stream, n, h.before, h.after)
			continue
		}
		if c.paused(h.stream, cover) {
			c.breach(4, "%s handed out number %d, let out at %d, while it was paused", h.stream, n, cover)
		}
		since, recalled := l.recalled[n]
		recalled = recalled && since <= cover
		if recalled != m.Recalled() {
			c.breach(6, "%s handed out number %d recalled=%v, and by the log it is %v", h.stream, n, m.Recalled(), recalled)
		}
		if !m.Recalled() {
			c.content(h.stream, m, l.items[n-1])
		}
	}
}

// cover is the last event by which a number was let out in a handout; -1 for none.
func (c *checker) cover(l *laneRecord, n int64, h handout) int64 {
	cover := int64(-1)
	if at := l.given[n-1]; at > h.before && at <= h.after {
		cover = at
	}
	for i, r := range l.covers {
		if at := l.coverAt[i]; r.From <= n && n <= r.To && at > h.before && at <= h.after {
			cover = at
		}
	}
	return cover
}

// content: a message says what its item permits of the fact, to the ministry alone (5).
func (c *checker) content(stream string, m *delivery.Message, item journal.DisclosedItem) {
	bytesOut := m.Structured()
	c.same(stream, m.Cursor, string(bytesOut))
	id := c.subject(item.Position)
	for _, secret := range []string{id.String(), c.entries[item.Position].ID.String()} {
		if bytes.Contains(bytesOut, []byte(secret)) {
			c.breach(5, "%s can see an id of the hub's", stream)
		}
	}
	for other, s := range c.streams {
		if s.Ministry == c.streams[stream].Ministry || item.Kind == "synthetic" {
			continue
		}
		if theirs := c.pairwise(s.Ministry, id); theirs != "" && bytes.Contains(bytesOut, []byte(theirs)) {
			c.breach(5, "%s can see the id by which %s knows a citizen", stream, other)
		}
	}
	var data map[string]any
	if err := json.Unmarshal(m.Data, &data); err != nil {
		c.breach(6, "%s: data of number %d is no JSON", stream, m.Cursor.Number)
		return
	}
	delete(data, "client_reference")
	if item.Kind == "synthetic" {
		c.madeUp(stream, m, &item, data)
		return
	}
	if !hasValues(item.Kind) {
		delete(data, "cursors")
		delete(data, "subject")
		if len(data) > 0 {
			c.breach(5, "%s gets values with a %s", stream, item.Kind)
		}
		return
	}
	f, _ := c.fact(item.Position)
	names := c.names(f.eventType, item.Fields)
	if len(names) != len(data) {
		c.breach(5, "number %d of %s holds %d fields and not %d", m.Cursor.Number, stream, len(data), len(names))
	}
	for _, name := range names {
		if fmt.Sprint(data[name]) != fmt.Sprint(f.data[name]) {
			c.breach(6, "number %d of %s says something else about %s", m.Cursor.Number, stream, name)
		}
	}
}

// nothingLost: once everything was pulled, whatever was permitted is given, or was dropped when it was not permitted any more; and who got
// a wrong value got a right one, or word that it was wrong (6).
func (c *checker) nothingLost() {
	for i := range c.entries {
		at := int64(i)
		decided, ok := c.entries[i].Event.(journal.Decided)
		if !ok {
			continue
		}
		cause := c.entries[i].Cause
		for _, one := range decided.Decisions {
			if one.Reason == 0 {
				c.accounted(cause, at, one.Agreement)
			}
		}
	}
	for i := range c.entries {
		// Who was given what is only verified since was told nothing wrong.
		if e := c.entries[i]; journal.Corrects(e.Event) != 0 && e.Type != journal.TypeChangeVerified {
			c.corrected(int64(i), journal.Corrects(e.Event))
		}
	}
}

func (c *checker) accounted(position, at int64, agreement string) {
	stream := c.streamOf(agreement, at+1)
	if stream == "" {
		return
	}
	for id, l := range c.lanes {
		if id.stream != stream {
			continue
		}
		if slices.ContainsFunc(l.items, func(i journal.DisclosedItem) bool { return i.Position == position && i.Agreement == agreement }) {
			return
		}
		if dropped, ok := l.dropped[journal.DroppedItem{Position: position}]; ok {
			f, _ := c.fact(position)
			p := c.person(c.subject(position), dropped)
			now := c.allowed(f, c.subject(position), agreement, dropped, position, c.day(dropped))
			if len(now) > 0 && !p.corrected[position] && c.entries[position].Type != journal.TypeChangeVerified {
				c.breach(6, "at %d %s dropped the fact at %d, which it may have: %v", dropped, stream, position, now)
			}
			return
		}
	}
	f, _ := c.fact(position)
	head := int64(len(c.entries))
	if p := c.person(c.subject(position), head); p.gone || p.corrected[position] || len(c.allowed(f, c.subject(position), agreement, head, position, c.day(head-1))) == 0 {
		return // its day has not come, or it will be dropped when it comes
	}
	if f.effective > c.day(head-1) {
		return
	}
	c.breach(6, "the fact at %d is permitted for %s and was never given", position, stream)
}

func (c *checker) streamOf(agreement string, before int64) string {
	a, _ := c.agreement(agreement, before)
	return a.Stream
}

// corrected: each stream that was given what is corrected has an item that says so, unless the person is protected from it or has left.
func (c *checker) corrected(by, root int64) {
	id := c.subject(by)
	head := int64(len(c.entries))
	p := c.person(id, head)
	if p.gone {
		return
	}
	for lane, l := range c.lanes {
		for n, item := range l.items {
			if item.Position != root || !hasValues(item.Kind) || l.given[n] > by {
				continue
			}
			a, _ := c.agreement(item.Agreement, head)
			if p.isProtected(c.day(head-1)) && !a.ReceivesProtected || a.ID == "" {
				continue
			}
			told := slices.ContainsFunc(l.items, func(i journal.DisclosedItem) bool {
				return i.Position == by && i.Corrects != 0 && (i.Kind == "correction" || i.Kind == "retracted")
			})
			_, dropped := l.dropped[journal.DroppedItem{Position: by}]
			if !told && !dropped {
				c.breach(6, "%s was given the fact at %d, and not told that %d corrects it\n%s", lane.stream, root, by, c.story(id, lane.stream))
			}
		}
	}
}

// story is what happened to a citizen and what a stream was given of them, for people who look for a fault.
func (c *checker) story(id citizen.ID, stream string) string {
	var b bytes.Buffer
	for _, at := range c.people[id] {
		if e := c.entries[at]; e.Type != journal.TypeDecided {
			fmt.Fprintf(&b, "%d %s %v; ", at, e.Type, e.Event)
		}
	}
	for i := range c.entries {
		switch event := c.entries[i].Event.(type) {
		case journal.Disclosed:
			if event.Stream == stream && slices.ContainsFunc(event.Items, func(item journal.DisclosedItem) bool { return c.subject(item.Position) == id }) ||
				slices.ContainsFunc(event.DroppedItems, func(d journal.DroppedItem) bool { return c.subject(d.Position) == id }) {
				fmt.Fprintf(&b, "\n%d %+v", i, event)
			}
		}
	}
	return b.String()
}
