package lawtest

import (
	"slices"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// streamRecord is a stream by the log alone: its pauses, and the synthetic events that were asked for.
type streamRecord struct {
	pauses [][2]int64 // from the position of one to that of its end
	asked  map[int64]journal.SyntheticAsked
	given  map[synthetic]bool
	parked map[[2]int64]bool // lane, number
}

// synthetic names one of the events that were asked for at a position.
type synthetic struct {
	position int64
	index    int
}

func (c *checker) stream(name string) *streamRecord {
	if c.steered[name] == nil {
		c.steered[name] = &streamRecord{asked: map[int64]journal.SyntheticAsked{}, given: map[synthetic]bool{}, parked: map[[2]int64]bool{}}
	}
	return c.steered[name]
}

const never = int64(1) << 62

// steering notes what somebody does to a stream, and judges it.
func (c *checker) steering(at int64, event any) {
	switch event := event.(type) {
	case journal.StreamPaused:
		s := c.stream(event.Stream)
		s.pauses = append(s.pauses, [2]int64{at, never})
	case journal.StreamResumed:
		s := c.stream(event.Stream)
		s.pauses[len(s.pauses)-1][1] = at
	case journal.SyntheticAsked:
		c.stream(event.Stream).asked[at] = event
	case journal.ReplayAsked:
		if given := int64(len(c.lane(event.Stream, event.Lane).items)); event.From < 1 || event.From > event.To || event.To > given {
			c.breach(6, "at %d numbers %d to %d of %s are to be sent again, and it gave %d", at, event.From, event.To, event.Stream, given)
		}
		c.replays[at] = event
	case journal.Parked:
		for n := event.From; n <= event.To; n++ {
			c.stream(event.Stream).parked[[2]int64{int64(event.Lane), n}] = true
		}
	case journal.Redriven:
		s := c.stream(event.Stream)
		for n := event.From; n <= event.To; n++ {
			key := [2]int64{int64(event.Lane), n}
			if !s.parked[key] {
				c.breach(6, "at %d number %d of %s is tried again, and it is not parked", at, n, event.Stream)
			}
			delete(s.parked, key)
		}
	}
}

// paused says whether a stream is paused at a position.
func (c *checker) paused(stream string, at int64) bool {
	return slices.ContainsFunc(c.stream(stream).pauses, func(p [2]int64) bool { return p[0] < at && at < p[1] })
}

// synthetic: what is made up was asked for on that stream, comes on its lane, once, and in order (5, 6).
func (c *checker) synthetic(at int64, d *journal.Disclosed, item *journal.DisclosedItem) {
	s, this := c.stream(d.Stream), synthetic{item.Position, item.Index}
	asked, ok := s.asked[item.Position]
	switch {
	case !ok || item.Index < 0 || item.Index >= asked.Count:
		c.breach(5, "at %d %s gets a synthetic event %d of position %d, where nobody asked for it", at, d.Stream, item.Index, item.Position)
		return
	case item.Index%c.streams[d.Stream].Lanes != d.Lane:
		c.breach(6, "at %d %s gets the synthetic event %d of position %d on lane %d", at, d.Stream, item.Index, item.Position, d.Lane)
	case s.given[this]:
		c.breach(6, "at %d %s gets the synthetic event %d of position %d again under another number", at, d.Stream, item.Index, item.Position)
	case item.Index >= c.streams[d.Stream].Lanes && !s.given[synthetic{item.Position, item.Index - c.streams[d.Stream].Lanes}]:
		c.breach(6, "at %d %s gets the synthetic event %d of position %d before an earlier one", at, d.Stream, item.Index, item.Position)
	}
	s.given[this] = true
	a, _ := c.agreement(item.Agreement, at)
	share := shareOf(a, asked.Type)
	if item.Fields != 0 && (a.Stream != d.Stream || share == nil || !subset(c.names(asked.Type, item.Fields), share.Fields)) {
		c.breach(5, "at %d %s gets a synthetic %s with more than it shares", at, d.Stream, asked.Type)
	}
}

// madeUp: a synthetic message says that it is one, and holds nothing but its example's values (5).
func (c *checker) madeUp(stream string, m *delivery.Message, item *journal.DisclosedItem, data map[string]any) {
	attributes := map[string]string{}
	for _, a := range m.Attributes {
		attributes[a.Name] = a.Value
	}
	subject := attributes["subject"]
	if attributes["kind"] != "synthetic" || len(subject) < 3 || subject[:3] != "v0." || m.Key != subject {
		c.breach(5, "the synthetic number %d of %s looks like one about a person", m.Cursor.Number, stream)
	}
	asked, ok := c.stream(stream).asked[item.Position]
	if !ok {
		return // a breach already
	}
	names := []string{"index"}
	if item.Fields != 0 {
		names = c.names(asked.Type, item.Fields)
	}
	example, _ := c.registry.Example(asked.Type, int(item.Schema))
	for name, value := range data {
		if !slices.Contains(names, name) || name != "index" && value != example[name] {
			c.breach(5, "the synthetic number %d of %s holds a %s that nobody made up", m.Cursor.Number, stream, name)
		}
	}
	if len(data) != len(names) {
		c.breach(6, "the synthetic number %d of %s holds %d fields and not %d", m.Cursor.Number, stream, len(data), len(names))
	}
}

// nothingAskedLost: once everything was pulled and carried, what was asked for is there: synthetic events all, and replays whole and in order (6).
func (c *checker) nothingAskedLost() {
	for name, s := range c.steered {
		for position, asked := range s.asked {
			for index := range asked.Count {
				if !s.given[synthetic{position, index}] {
					c.breach(6, "the synthetic event %d of position %d was never given to %s", index, position, name)
				}
			}
		}
	}
	for position, asked := range c.replays {
		status := delivery.ReplayStatus{ID: position}
		sent := c.sides[status.Name()]
		want := make([]delivery.Cursor, 0, asked.To-asked.From+1)
		for n := asked.From; n <= asked.To; n++ {
			want = append(want, delivery.Cursor{Generation: 1, Lane: asked.Lane, Number: n})
		}
		if !slices.Equal(sent, want) {
			c.breach(6, "the replay at %d sent %v of %s and not %d to %d", position, sent, asked.Stream, asked.From, asked.To)
		}
	}
}

// same: a number always has the same bytes (6).
func (c *checker) same(stream string, cursor delivery.Cursor, now string) {
	if c.bytes[cursor] == nil {
		c.bytes[cursor] = map[string]string{}
	}
	if before, ok := c.bytes[cursor][stream]; ok && before != now {
		c.breach(6, "%s handed out number %d with other bytes than before", stream, cursor.Number)
	}
	c.bytes[cursor][stream] = now
}
