package ministry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Value is something that a ministry was told about a person, as it stands. It is kept until it is retracted or erased, or another one takes its
// place; which of a person's values hold on a day is Current's to say.
type Value struct {
	Cursor    Cursor          // of the event that gave it
	First     Cursor          // of the event that gave what it corrects; else Cursor
	Subject   string          // the pairwise id that the person has now
	Agreement string          // id of the agreement under which it was given
	Type      string          // such as address-changed
	Key       string          // tells values of a type apart of which each holds by itself: home and mailing address
	Effective string          // civil date from which it holds
	Recorded  string          // when it was told, RFC 3339
	Assurance string          // Asserted or Verified
	Standing  string          // Stands, or why the hub keeps it up no more
	Fields    json.RawMessage // a JSON object
}

// What Value.Standing says.
const (
	Stands = "stands"
	Ended  = "ended"      // the grant, link or agreement is over: keep or delete it by your own law
	Left   = "left-scope" // something that holds now is outside the agreement: maybe instead of this
)

// Records keep a Table's values. Every method runs within the transaction that the context carries (see Store).
type Records interface {
	// Values returns what is kept of a person, in any order.
	Values(ctx context.Context, subject string) ([]Value, error)
	// Value returns the value of a cursor; ok is false if there is none.
	Value(ctx context.Context, c Cursor) (v Value, ok bool, err error)
	// Put keeps a value, in the place of that of the same cursor.
	Put(ctx context.Context, v Value) error
	// Delete forgets the values and aliases of cursors, where there are any.
	Delete(ctx context.Context, cursors ...Cursor) error
	// Alias keeps that one pairwise id is now known as another, gives that one the values of the first, and lets aliases of the first lead there.
	// Two of them MUST NOT run at the same time: the second would not see the first's.
	Alias(ctx context.Context, c Cursor, from, to string) error
	// Resolve returns the id to which an alias leads; the id itself if there is none.
	Resolve(ctx context.Context, subject string) (string, error)
}

// Table is a Handler for who wants to know what holds: it applies every kind of event to Records.
//
// Synthetic events change nothing. An event of a kind that this package does not know is rejected.
type Table struct{ Records Records }

var _ Handler = Table{}

// Handle applies an event.
func (t Table) Handle(ctx context.Context, e Event) error {
	switch e.Kind {
	case KindFact, KindSnapshot, KindCorrection:
		return t.tell(ctx, e)
	case KindRetracted:
		return t.Records.Delete(ctx, e.Corrects)
	case KindEnded:
		return t.mark(ctx, e, Ended)
	case KindLeftScope:
		return t.mark(ctx, e, Left)
	case KindErased:
		cursors, err := e.Erased()
		if err != nil {
			return Reject("the list of what is erased can't be read")
		}
		return t.Records.Delete(ctx, cursors...)
	case KindRekeyed:
		return t.rekey(ctx, e)
	case KindRecalled, KindSynthetic:
		return nil
	}
	return Reject("this client does not know events of this kind")
}

// tell keeps a value. A correction takes the place of what it corrects, and a snapshot that of the same fact, given before under a grant or a link
// that ended, or with other fields.
func (t Table) tell(ctx context.Context, e Event) error {
	v, err := t.value(ctx, e)
	if err != nil {
		return err
	}
	former, ok := Value{}, false
	switch e.Kind {
	case KindCorrection:
		v.First = e.Corrects // even if that is not here: it was recalled before it could come
		former, ok, err = t.Records.Value(ctx, e.Corrects)
	case KindSnapshot:
		former, ok, err = t.givenBefore(ctx, v)
	}
	if err != nil {
		return err
	}
	if ok {
		v.First = former.First
		if err := t.Records.Delete(ctx, former.Cursor); err != nil {
			return err
		}
	}
	return t.Records.Put(ctx, v)
}

func (t Table) value(ctx context.Context, e Event) (Value, error) {
	subject, err := t.Records.Resolve(ctx, e.Subject)
	if err != nil {
		return Value{}, err
	}
	name, _ := e.Fact()
	agreement, _, _ := strings.Cut(e.Agreement, "@")
	var data struct {
		Kind string `json:"kind"`
	}
	if json.Unmarshal(e.Data, &data) != nil || name == "" {
		return Value{}, Reject("the values can't be read")
	}
	return Value{
		Cursor: e.Cursor, First: e.Cursor, Subject: subject, Agreement: agreement, Type: name, Key: data.Kind, Effective: e.Effective,
		Recorded: e.Time.UTC().Format("2006-01-02T15:04:05Z"), Assurance: e.Assurance, Standing: Stands, Fields: e.Data,
	}, nil
}

// givenBefore finds the value that a snapshot gives again: of two facts that can't be told apart, the later.
func (t Table) givenBefore(ctx context.Context, v Value) (found Value, ok bool, err error) {
	values, err := t.Records.Values(ctx, v.Subject)
	for _, o := range values {
		same := o.Agreement == v.Agreement && o.Type == v.Type && o.Key == v.Key && o.Effective == v.Effective && o.Recorded == v.Recorded
		if same && o.Cursor.Lane == v.Cursor.Lane && (!ok || found.before(o)) {
			found, ok = o, true
		}
	}
	return found, ok, err
}

// mark notes why the hub keeps a person's values up no more.
func (t Table) mark(ctx context.Context, e Event, standing string) error {
	subject, err := t.Records.Resolve(ctx, e.Subject)
	if err != nil {
		return err
	}
	values, err := t.Records.Values(ctx, subject)
	if err != nil {
		return err
	}
	agreement, _, _ := strings.Cut(e.Agreement, "@")
	for _, v := range values {
		if v.Agreement != agreement || v.Standing == Ended {
			continue
		}
		v.Standing = standing
		if err := t.Records.Put(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func (t Table) rekey(ctx context.Context, e Event) error {
	kept, err := e.Rekeyed()
	if err != nil {
		return Reject("the subject that stays can't be read")
	}
	if kept, err = t.Records.Resolve(ctx, kept); err != nil {
		return err
	}
	if kept == e.Subject { // said already
		return nil
	}
	return t.Records.Alias(ctx, e.Cursor, e.Subject, kept)
}

// before says whether another value of the same key wins: the one that holds from later on; of the same day the one that was told later.
func (v Value) before(o Value) bool {
	switch {
	case v.Effective != o.Effective:
		return v.Effective < o.Effective
	case v.First.Generation != o.First.Generation:
		return v.First.Generation < o.First.Generation
	case v.First.Lane != o.First.Lane: // of two people who are one now: nothing tells which was first
		return v.First.Lane < o.First.Lane
	case v.First.Number != o.First.Number:
		return v.First.Number < o.First.Number
	}
	return v.Cursor.Number < o.Cursor.Number
}

// Current are those of a person's values that hold on a civil date: of each agreement, type and key the one that holds from the latest day up to
// that one; of several, the one told last. They are sorted by agreement, type and key.
func Current(values []Value, date string) []Value {
	holds := map[string]Value{}
	for _, v := range values {
		key := fmt.Sprintf("%q%q%q", v.Agreement, v.Type, v.Key)
		if held, ok := holds[key]; v.Effective <= date && (!ok || held.before(v)) {
			holds[key] = v
		}
	}
	out := make([]Value, 0, len(holds))
	for _, v := range holds {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b Value) int {
		return strings.Compare(a.Agreement+"\x00"+a.Type+"\x00"+a.Key, b.Agreement+"\x00"+b.Type+"\x00"+b.Key)
	})
	return out
}
