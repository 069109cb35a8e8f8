package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// MaxSynthetic is how many synthetic events may be asked for at once.
const MaxSynthetic = 1000

// SyntheticPrefix is what the subjects of synthetic events begin with. Those of people begin with another version: the two can't be mistaken.
const SyntheticPrefix = "v0."

// SyntheticError says what is wrong with what was asked for.
type SyntheticError struct {
	Member string // count or type
	Detail string
}

// Error holds nothing of the caller's own text.
func (e *SyntheticError) Error() string {
	return fmt.Sprintf("synthetic events: %s: %s", e.Member, e.Detail)
}

// Synthesize makes count events due on a stream, 1 to MaxSynthetic, in turn on its lanes from lane 0 on. They are marked, about nobody, and
// numbered, sent, answered and sent again as all others. With the name of a fact's type that an agreement of the stream shares they have its
// shape, with invented values of the shared fields alone. It may be asked by the stream's ministry or an operator. Errors: ErrUnknownStream,
// ErrNotYours, *SyntheticError, eventstore.ErrCommandReused.
func (d *Delivery) Synthesize(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string, count int, factType string) error {
	if _, err := d.Open(ctx, actor, stream); err != nil {
		return err
	}
	if count < 1 || count > MaxSynthetic {
		return &SyntheticError{"count", fmt.Sprintf("must be 1 to %d", MaxSynthetic)}
	}
	if repeated, err := d.repeated(ctx, command); err != nil || repeated {
		return err
	}
	types, err := d.SharedTypes(ctx, stream)
	if err != nil {
		return err
	}
	if factType != "" && !slices.Contains(types, factType) {
		return &SyntheticError{"type", "must be one that the stream carries: " + strings.Join(types, ", ")}
	}
	step := commandStep(actor, command)
	step.Events = []journal.New{{
		Event:     journal.SyntheticAsked{Count: count, Stream: stream, Type: factType},
		Aggregate: journal.StreamAggregate(stream), Cause: eventstore.NoCause,
	}}
	_, err = d.journal.Append(ctx, step)
	return err
}

// SharedTypes are the types of facts that a stream's agreements share now, sorted. Errors: ErrUnknownStream.
func (d *Delivery) SharedTypes(ctx context.Context, stream string) ([]string, error) {
	if _, err := d.Stream(ctx, stream); err != nil {
		return nil, err
	}
	law, err := d.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	types := map[string]bool{}
	for _, a := range law.Book.Approved() {
		if a.Stream != stream {
			continue
		}
		for i := range a.Shares {
			types[a.Shares[i].Event] = true
		}
	}
	return slices.Sorted(maps.Keys(types)), nil
}

// syntheticRow is the row of one of the events that were asked for at a position. In the place of an agreement it has its index, which parts it
// from the others.
func syntheticRow(asked int64, index int) *dueRow {
	return &dueRow{order: asked, position: asked, agreement: fmt.Sprintf("%04d", index), kind: dueSynthetic, version: index, root: asked}
}

// synthetic files what was asked for, in turn on the stream's lanes.
func (f *filing) synthetic(e *journal.Entry, asked journal.SyntheticAsked) error {
	open, ok := f.law.Streams[asked.Stream]
	if !ok {
		return fmt.Errorf("there is no stream %s", asked.Stream)
	}
	for index := range asked.Count {
		row := syntheticRow(e.Position, index)
		f.put(row.key(open.Stream, index%open.Lanes), row.encode())
	}
	return nil
}

// judgeSynthetic is an item of the shape that was asked for. If no agreement of the stream shares that type any more, it has no shape: it leaves
// all the same, so that who asked for ten gets ten.
func (d *Delivery) judgeSynthetic(v *view, r *dueRow) journal.DisclosedItem {
	item := journal.DisclosedItem{Kind: KindSynthetic, Index: r.version, Position: r.position}
	asked, _ := v.entries[r.position].Event.(journal.SyntheticAsked)
	row, ok := d.journal.Registry().Row(asked.Type)
	if !ok {
		return item
	}
	example, ok := d.journal.Registry().Example(asked.Type, int(row.Version))
	if !ok {
		return item
	}
	for _, a := range v.law.Book.Approved() { // by id: always the same one
		share := a.Share(asked.Type)
		if a.Stream != asked.Stream || share == nil {
			continue
		}
		item.Agreement, item.Version, item.Schema = a.ID, a.Version, row.Version
		for bit, name := range row.FieldNames() {
			if _, told := example[name]; told && slices.Contains(share.Fields, name) {
				item.Fields |= 1 << bit
			}
		}
		if a.ClientReference {
			item.Link = r.position // stands for a link that nobody has
		}
		break
	}
	return item
}

// invented gives a synthetic event its values: those of its type's golden example, by the item and the log alone.
func (d *Delivery) invented(v *view, c *content) error {
	asked, ok := v.entries[c.item.Position].Event.(journal.SyntheticAsked)
	if !ok {
		return errRow
	}
	c.told = citizen.Change{Type: asked.Type, Effective: d.journal.DayOf(c.at).Date.String()}
	if c.item.Schema == 0 {
		return nil
	}
	row, ok := d.journal.Registry().Row(asked.Type)
	if ok {
		c.told.Data, ok = d.journal.Registry().Example(asked.Type, int(c.item.Schema))
	}
	if !ok {
		return fmt.Errorf("delivery: position %d asks for an unknown type", c.item.Position)
	}
	c.fields = row.FieldNames()
	if c.item.Link > 0 {
		c.reference = KindSynthetic + "-" + strconv.Itoa(c.item.Index)
	}
	return nil
}

// syntheticEncoding is that of pairwise ids.
var syntheticEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// syntheticSubject looks like a person's id. One index has one subject in a stream, whenever it was asked for, so that the order of what is about
// one can be tried.
func syntheticSubject(stream string, index int) string {
	sum := sha256.Sum256([]byte(KindSynthetic + "\x00" + stream + "\x00" + strconv.Itoa(index)))
	return SyntheticPrefix + syntheticEncoding.EncodeToString(sum[:20])
}
