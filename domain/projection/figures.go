package projection

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Figures is the view of the public numbers: counts by civil month, and of nobody who was ever protected, from that record on. What it
// counts by is in the open on the log, or in decisions, which outlive the months that are published: so a rebuild gives the same figures,
// whoever was erased meanwhile. Keys are a letter and:
//
//	h citizen                             → 1: counts no more
//	e agreement, version                  → 1: waits for effective dates, so that its deliveries say nothing of how fast the hub is
//	t month, event type                   → changes told
//	s, w month, agreement, event type     → facts shared, withheld, as decided when they were told
//	d month, bucket                       → deliveries by how long they took, by the month they left in
type Figures struct{ journal *journal.Journal }

// NewFigures returns the view on a journal.
func NewFigures(j *journal.Journal) Figures { return Figures{journal: j} }

// Name is the view's name in the store.
func (Figures) Name() string { return "figures" }

// Wants says yes to what is counted, and to what ends being counted.
func (Figures) Wants(eventType string) bool {
	switch eventType {
	case journal.TypeDecided, journal.TypeDisclosed, journal.TypeAgreementProposed, journal.TypeRestrictionSet, journal.TypeIdentityReplaced:
		return true
	}
	return false
}

// limits are the upper ends of the buckets of delays, included; the last bucket has none.
var limits = [...]time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour}

// Apply counts. A page is folded whole or not at all, so nothing counts twice if the process dies here.
func (f Figures) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	c := count{tx: tx, hidden: map[citizen.ID]bool{}, waits: map[string]bool{}, more: map[string]uint64{}}
	if err := c.load(ctx); err != nil {
		return err
	}
	causes, err := f.causes(ctx, entries)
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		switch e.Type { // not by content: what is locked or erased counts all the same
		case journal.TypeRestrictionSet, journal.TypeIdentityReplaced:
			c.hide(citizen.ID(e.Aggregate.ID))
			continue
		case journal.TypeDecided:
			c.decided(e, causes[e.Cause], f.month(e.RecordedAt), f.journal)
			continue
		}
		switch event := e.Event.(type) {
		case journal.AgreementProposed:
			err = c.proposed(event)
		case journal.Disclosed:
			err = f.disclosed(ctx, &c, e, event)
		}
		if err != nil {
			return err
		}
	}
	return c.write(ctx)
}

// causes are the types of the changes that were decided on, by position.
func (f Figures) causes(ctx context.Context, entries []journal.Entry) (map[int64]string, error) {
	var positions []int64
	for i := range entries {
		if entries[i].Type == journal.TypeDecided {
			positions = append(positions, entries[i].Cause)
		}
	}
	out := make(map[int64]string, len(positions))
	if len(positions) == 0 {
		return out, nil
	}
	recs, err := f.journal.Records(ctx, positions...)
	for i := range recs {
		out[recs[i].Position] = recs[i].Type
	}
	return out, err
}

// disclosed counts how long facts took that left by themselves: a snapshot or a correction is of a fact told earlier, and says nothing of it.
func (f Figures) disclosed(ctx context.Context, c *count, e *journal.Entry, d journal.Disclosed) error {
	var positions []int64
	for i := range d.Items {
		if item := &d.Items[i]; item.Kind == "fact" && item.Cause == 0 && item.Corrects == 0 && !c.waits[versionKey(item.Agreement, item.Version)] {
			positions = append(positions, item.Position)
		}
	}
	if len(positions) == 0 {
		return nil
	}
	recs, err := f.journal.Records(ctx, positions...)
	if err != nil {
		return err
	}
	month := f.month(e.RecordedAt)
	for i := range recs {
		if !c.hidden[citizen.ID(recs[i].Subject)] {
			c.more[figureKey('d', month, strconv.Itoa(bucket(e.RecordedAt.Sub(recs[i].RecordedAt))))]++
		}
	}
	return nil
}

func bucket(took time.Duration) int {
	for i, limit := range limits {
		if took <= limit {
			return i
		}
	}
	return len(limits)
}

// month is the civil month of a time, as 2026-12.
func (f Figures) month(t time.Time) string { return monthOf(f.journal.DayOf(t).Date) }

func monthOf(day consent.Date) string { return day.String()[:len("2026-12")] }

// count is the fold of one page.
type count struct {
	tx     *journal.ViewTx
	hidden map[citizen.ID]bool
	waits  map[string]bool   // agreement versions that wait for effective dates
	more   map[string]uint64 // what the page adds, by key
}

// load reads who is hidden and which versions wait: both are few, and one look at each person would cost more.
func (c *count) load(ctx context.Context) error {
	rows, err := c.tx.Scan(ctx, []byte{'h'}, []byte{'h' + 1}, 0)
	if err != nil {
		return err
	}
	for _, row := range rows {
		c.hidden[citizen.ID(row.Key[1:])] = true
	}
	rows, err = c.tx.Scan(ctx, []byte{'e'}, []byte{'e' + 1}, 0)
	for _, row := range rows {
		c.waits[string(row.Key)] = true
	}
	return err
}

func (c *count) hide(id citizen.ID) {
	c.hidden[id] = true
	c.tx.Put(append([]byte{'h'}, id[:]...), []byte{1})
}

// decided counts a change and what each agreement was to get of it. What is told about an earlier change (a correction) is not counted.
func (c *count) decided(e *journal.Entry, eventType, month string, j *journal.Journal) {
	row, ok := j.Registry().Row(eventType)
	if !ok || !row.Fact || c.hidden[citizen.ID(e.Subject)] {
		return
	}
	c.more[figureKey('t', month, eventType)]++
	decided, _ := e.Event.(journal.Decided)
	for _, d := range decided.Decisions {
		letter := byte('w')
		if d.Reason == consent.None {
			letter = 's'
		}
		c.more[figureKey(letter, month, d.Agreement, eventType)]++
	}
}

func (c *count) proposed(p journal.AgreementProposed) error {
	a, err := readAgreement(p)
	if err == nil && a.Deliver == consent.DeliverEffective {
		key := versionKey(p.ID, p.Version)
		c.waits[key] = true
		c.tx.Put([]byte(key), []byte{1})
	}
	return err
}

func (c *count) write(ctx context.Context) error {
	if err := c.tx.Load(ctx, slices.Collect(maps.Keys(c.more))...); err != nil {
		return err
	}
	for key, n := range c.more {
		was, err := c.tx.Get(ctx, []byte(key))
		if err != nil {
			return err
		}
		if len(was) == 8 {
			n += binary.BigEndian.Uint64(was)
		}
		c.tx.Put([]byte(key), binary.BigEndian.AppendUint64(nil, n))
	}
	return nil
}

// figureKey is a letter and words that hold no zero byte: a month comes first, so that months lie in their order.
func figureKey(letter byte, words ...string) string {
	return string(letter) + strings.Join(words, "\x00")
}

func versionKey(agreement string, version int) string {
	return figureKey('e', agreement, strconv.Itoa(version))
}

// whole reads the counts of some months, complete up to the head. A view may be dropped at any moment to be built again; what was read then
// is read again, for figures that move for a moment would give away what they hide.
func (f Figures) whole(ctx context.Context, first, last string) (map[string]uint64, error) {
	for {
		head, err := f.journal.Head(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := f.journal.CatchUp(ctx, f, head.Position+1); err != nil {
			return nil, err
		}
		out := map[string]uint64{}
		for _, letter := range []byte("dstw") {
			rows, err := f.journal.Store().Scan(ctx, f.Name(), []byte(figureKey(letter, first)), []byte(figureKey(letter, last, "\xff")), 0, false)
			if err != nil {
				return nil, err
			}
			addCounts(out, rows)
		}
		at, err := f.journal.Reached(ctx, f)
		if err != nil || at > head.Position {
			return out, err
		}
	}
}

func addCounts(to map[string]uint64, rows []eventstore.Row) {
	for _, row := range rows {
		if len(row.Value) == 8 {
			to[string(row.Key)] = binary.BigEndian.Uint64(row.Value)
		}
	}
}
