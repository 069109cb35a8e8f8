package journal

import (
	"bytes"
	"context"
	"errors"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// Names is the view that finds people by exact reference data: keyed hashes of a name and a birth date, nothing readable. It only finds
// whom to look at. Whether they have that name today, and whether the caller may know of them, is for the caller to judge by the log.
// Keys are a letter and:
//
//	n hash, citizen → the citizen has, or is announced to have, this name and birth date
//	c citizen       → the citizen's hashes
//
// The rows of somebody who is not served any more are dropped.
type Names struct{ journal *Journal }

// NewNames returns the view on a journal.
func NewNames(j *Journal) Names { return Names{journal: j} }

// Name is the view's name in the store.
func (Names) Name() string { return "names" }

// Wants says yes to what gives, changes or takes back a name or a birth date, and to what ends an id.
func (Names) Wants(eventType string) bool {
	switch eventType {
	case citizen.PersonRegistered, citizen.NameChanged, TypeChangeCorrected, TypeChangeCancelled, TypeErased, TypeCitizensMerged,
		TypeIdentityReplaced:
		return true
	}
	return false
}

// hashSize is how long a hash is.
const hashSize = 32

// Apply folds names. What changes or takes back is folded from the citizen's whole history: it is rare, and needs the other facts.
func (v Names) Apply(ctx context.Context, tx *ViewTx, entries []Entry) error {
	for i := range entries {
		e := &entries[i]
		id := citizen.ID(e.Aggregate.ID)
		names, err := v.names(ctx, id, e.Event)
		if err != nil {
			return err
		}
		var hashes []byte
		for _, name := range names {
			hash := v.hash(name)
			hashes = append(hashes, hash[:]...)
		}
		if err := v.replace(ctx, tx, id, hashes); err != nil {
			return err
		}
	}
	return nil
}

// names are those of a citizen after an event; none once they are not served any more. An event without content is one whose key is gone.
func (v Names) names(ctx context.Context, id citizen.ID, event any) ([]citizen.Identity, error) {
	if change, ok := event.(citizen.Change); ok && change.Type == citizen.PersonRegistered {
		return (&citizen.Profile{Facts: map[citizen.Key]citizen.Fact{{Type: change.Type}: {Change: change}}}).Names(), nil
	}
	history, entries, err := v.journal.History(ctx, id)
	if err != nil {
		return nil, err
	}
	state := &State{ID: id}
	for i := range entries {
		state.Fold(&entries[i])
	}
	if state.Gone != nil {
		return nil, nil
	}
	return history.Profile(v.journal.DayOf(v.journal.Now(Timing{})).Date.String()).Names(), nil
}

// hash is the keyed hash of a name and a birth date.
func (v Names) hash(i citizen.Identity) [hashSize]byte {
	return v.journal.Digest("name and birth date",
		[]byte(schemas.NormalizeText(i.GivenNames)), []byte(schemas.NormalizeText(i.FamilyName)), []byte(i.BirthDate))
}

func (v Names) replace(ctx context.Context, tx *ViewTx, id citizen.ID, hashes []byte) error {
	known, err := tx.Get(ctx, ownKey(id))
	if err != nil || bytes.Equal(known, hashes) {
		return err
	}
	for ; len(known) >= hashSize; known = known[hashSize:] {
		tx.Put(nameKey(known[:hashSize], id), nil)
	}
	for rest := hashes; len(rest) >= hashSize; rest = rest[hashSize:] {
		tx.Put(nameKey(rest[:hashSize], id), []byte{1})
	}
	if len(hashes) == 0 {
		hashes = nil
	}
	tx.Put(ownKey(id), hashes)
	return nil
}

// maxAlike is how many people of one name and birth date are looked at.
const maxAlike = 16

// Find returns for each wanted name and birth date the citizens to look at, complete up to the head: all who have that name and birth date
// (16 at most), and where there is nobody, somebody else. So whoever looks at them does the same work for a person of whom nobody may know
// as for nobody. Names are compared as texts are normalised: trimmed, in NFC, and else as they stand.
func (v Names) Find(ctx context.Context, wanted ...citizen.Identity) ([][]citizen.ID, error) {
	head, err := v.journal.Head(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := v.journal.CatchUp(ctx, v, head.Position+1); err != nil {
		return nil, err
	}
	first, err := v.journal.store.Scan(ctx, v.Name(), []byte{'n'}, []byte{'n' + 1}, 1, false)
	if err != nil {
		return nil, err
	}
	out := make([][]citizen.ID, len(wanted))
	for i, w := range wanted {
		hash := v.hash(w)
		from := nameKey(hash[:], citizen.ID{})
		rows, err := v.journal.store.Scan(ctx, v.Name(), from, []byte{'n' + 1}, maxAlike, false)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 { // nobody comes after it
			rows = first
		}
		if out[i], err = alike(rows, hash); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// alike are the citizens of the rows of a hash; if there is none, that of the next row.
func alike(rows []eventstore.Row, hash [hashSize]byte) (out []citizen.ID, err error) {
	for i, row := range rows {
		if len(row.Key) != 1+hashSize+16 {
			return nil, errNames
		}
		if i > 0 && !bytes.Equal(row.Key[1:1+hashSize], hash[:]) {
			break
		}
		out = append(out, citizen.ID(row.Key[1+hashSize:]))
	}
	return out, nil
}

var errNames = errors.New("journal: a row of the view names can't be read: rebuild it with `tellonce rebuild names`")

func ownKey(id citizen.ID) []byte { return append([]byte{'c'}, id[:]...) }

func nameKey(hash []byte, id citizen.ID) []byte {
	return append(append(append(make([]byte, 0, 1+hashSize+16), 'n'), hash...), id[:]...)
}
