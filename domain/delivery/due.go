package delivery

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// due is the view of what is due and has no number yet, per lane, and of the numbers given so far. It says what to look at, never what is
// permitted: that is judged from the log, when a number is given. Its keys are a letter and:
//
//	l stream, lane                                    → the lane's version and next number
//	d stream, lane, order, position, agreement        → dueRow
//	w stream, lane, day, order, position, agreement   → dueRow that waits for a day
//	v stream, lane                                    → the earliest day that a row waits for, or an earlier one
//	n stream, lane, first number                      → position of the disclosed event, how many numbers it gave
//	r stream, lane, number                            → recalled for ever
//	f citizen, root, stream, lane, number             → givenRow: a number that was given in a fact's place
//	h stream, lane, agreement, citizen                → underRow: the last fact given under an agreement, since its last ended
//	c position                                        → root of a correction or a verification
//
// Root is the position in whose place a fact stands: its own, or that of the first fact that it corrects or verifies.
type due struct{ journal *journal.Journal }

// Name is the view's name in the store.
func (due) Name() string { return "due" }

// Wants everything that makes something due, and the lane's own events, which take it away.
func (due) Wants(eventType string) bool {
	switch eventType {
	case journal.TypeDecided, journal.TypeDisclosed, journal.TypeRedelivered, journal.TypeChangeCorrected, journal.TypeChangeCancelled,
		journal.TypeChangeVerified, journal.TypeDeathCorrected, citizen.DeathRegistered, journal.TypeConsentWithdrawn, journal.TypeMinistryLinked,
		journal.TypeMinistryUnlinked, journal.TypeAgreementEnded, journal.TypeSnapshotTaken, journal.TypeErased, journal.TypeCitizensMerged,
		journal.TypeParked, journal.TypeRedriven, journal.TypeSyntheticAsked:
		return true
	}
	return false
}

// Apply is step 8 of a change's life: what is permitted is filed under its lane.
func (v due) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	f := &filing{due: v, ctx: ctx, tx: tx, known: map[string][]byte{}}
	if err := f.prepare(entries); err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		if e.Err != nil {
			continue // its key was erased: nothing of it is due any more
		}
		if err := f.apply(e); err != nil {
			return err
		}
	}
	return nil
}

// filing is one page of the fold.
type filing struct {
	due
	ctx   context.Context //nolint:containedctx // lives for one Apply
	tx    *journal.ViewTx
	law   *journal.Law
	known map[string][]byte // rows read, most of them ahead, so that a page costs few round trips
}

// prepare reads the law, and ahead what the page's entries will ask for.
func (f *filing) prepare(entries []journal.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	read := f.journal.CurrentLaw
	var version int32
	var keys [][]byte
	for i := range entries {
		switch event := entries[i].Event.(type) {
		case journal.Decided:
			version = max(version, event.Agreements)
			if entries[i].Cause < entries[0].Position { // a page may begin between a correction and its decision
				keys = append(keys, rootKey(entries[i].Cause))
			}
		case journal.Disclosed:
			keys = append(keys, journal.LaneKey('v', event.Stream, event.Lane, 0))
		case journal.Redelivered:
			keys = append(keys, journal.LaneKey('l', event.Stream, event.Lane, 0))
		case journal.Parked, journal.Redriven:
		case journal.SnapshotTaken:
			for _, share := range event.Facts {
				keys = append(keys, rootKey(share.Position))
			}
			read = f.journal.FreshLaw
		default:
			read = f.journal.FreshLaw
		}
	}
	law, err := read(f.ctx)
	if err == nil && law.Version < version {
		law, err = f.journal.FreshLaw(f.ctx)
	}
	if err != nil {
		return err
	}
	f.law = law
	return f.readAhead(keys)
}

func (f *filing) readAhead(keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	values, err := f.journal.Store().Get(f.ctx, f.Name(), keys...)
	for i := range values {
		f.known[string(keys[i])] = values[i] // #nosec G602 -- a value for each key
	}
	return err
}

func (f *filing) get(key []byte) ([]byte, error) {
	if value, ok := f.known[string(key)]; ok {
		return value, nil
	}
	value, err := f.tx.Get(f.ctx, key)
	if err == nil {
		f.known[string(key)] = value
	}
	return value, err
}

func (f *filing) put(key, value []byte) {
	if _, read := f.known[string(key)]; read {
		f.known[string(key)] = value
	}
	f.tx.Put(key, value)
}

func (f *filing) apply(e *journal.Entry) error {
	subject, _ := journal.SubjectOf(&e.Recorded)
	switch event := e.Event.(type) {
	case journal.Decided:
		return f.decided(e, subject, event)
	case journal.Disclosed:
		return f.disclosed(e, event)
	case journal.Redelivered:
		return f.redelivered(e, event)
	case journal.Parked:
		return f.moved(e, event.Stream, event.Lane)
	case journal.Redriven:
		return f.moved(e, event.Stream, event.Lane)
	case journal.ChangeCorrected, journal.ChangeCancelled, journal.DeathCorrected:
		return f.corrected(e, subject)
	case journal.ChangeVerified:
		_, err := f.place(e)
		return err
	case journal.SnapshotTaken:
		return f.snapshot(e, subject, event)
	case journal.SyntheticAsked:
		return f.synthetic(e, event)
	}
	return f.applyEnd(e, subject)
}

// root is the position in whose place a fact stands.
func (f *filing) root(position int64) (int64, error) {
	value, ok := f.known[string(rootKey(position))]
	if !ok || value == nil {
		return position, nil
	}
	if len(value) != 8 {
		return 0, errRow
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// place files in whose place a correction or a verification stands: that of what it names, which may be a correction itself.
func (f *filing) place(e *journal.Entry) (int64, error) {
	named := journal.Corrects(e.Event)
	if _, ok := f.known[string(rootKey(named))]; !ok {
		if err := f.readAhead([][]byte{rootKey(named)}); err != nil {
			return 0, err
		}
	}
	root, err := f.root(named)
	key := rootKey(e.Position)
	f.known[string(key)] = nil // its decision asks for it
	f.put(key, binary.BigEndian.AppendUint64(nil, uint64(root)))
	return root, err
}

// lane is a citizen's lane in the stream of an agreement; ok is false if the agreement has none.
func (f *filing) lane(id citizen.ID, agreement string) (stream string, lane int, ok bool) {
	open, ok := f.law.Streams[f.law.StreamOf[agreement]]
	if !ok {
		return "", 0, false
	}
	return open.Stream, f.journal.Lane(id, open.Stream, open.Lanes), true
}

// decided files what its change's decision permits, and what it perhaps ends.
func (f *filing) decided(e *journal.Entry, subject citizen.ID, decided journal.Decided) error {
	root, err := f.root(e.Cause)
	if err != nil {
		return err
	}
	effective, _ := consent.ParseDate(e.Meta.Effective)
	for _, d := range decided.Decisions {
		stream, lane, ok := f.lane(subject, d.Agreement)
		if !ok {
			return fmt.Errorf("agreement %s has no stream", d.Agreement)
		}
		row := dueRow{order: e.Cause, position: e.Cause, agreement: d.Agreement, kind: dueFact, fields: d.Fields, root: root, citizen: subject}
		var corrects bool // something that was given there: that leaves at once, whatever its day
		if root != e.Cause {
			value, err := f.get(row.key(stream, lane))
			if err != nil {
				return err
			}
			corrects = value != nil
		}
		a, known := f.law.Agreement(d.Agreement, d.Version)
		switch {
		case d.Reason == consent.None:
		case corrects: // and so it is due as a retraction already
			continue
		case known && d.Reason.OfCondition() && a.OnLeaving == consent.LeavingNotify:
			row.kind, row.version = dueLeft, d.Version
		default:
			continue
		}
		if known && a.Deliver == consent.DeliverEffective && !corrects {
			row.on = effective
		}
		if err := f.file(e, stream, lane, &row); err != nil {
			return err
		}
	}
	return nil
}

// file puts a row where it waits: among what is due, or under its day.
func (f *filing) file(e *journal.Entry, stream string, lane int, row *dueRow) error {
	if row.on <= f.journal.DayOf(e.RecordedAt).Date {
		row.on = 0
		f.put(row.key(stream, lane), row.encode())
		return nil
	}
	f.put(row.waitKey(stream, lane), row.encode())
	key := journal.LaneKey('v', stream, lane, 0)
	earliest, err := f.get(key)
	if err == nil && (len(earliest) != 4 || row.on < consent.Date(binary.BigEndian.Uint32(earliest))) {
		f.put(key, binary.BigEndian.AppendUint32(nil, uint32(row.on)))
	}
	return err
}

// corrected files, for every stream that got what is corrected, that it must be told. Where the decision that follows permits the new
// value, that takes this row's place.
func (f *filing) corrected(e *journal.Entry, subject citizen.ID) error {
	root, err := f.place(e)
	if err != nil {
		return err
	}
	given, err := f.given(givenKey(subject, root))
	if err != nil {
		return err
	}
	for _, g := range given {
		if g.kind != placeValue {
			continue
		}
		row := dueRow{order: e.Position, position: e.Position, agreement: g.agreement, kind: dueRetract, root: root, citizen: subject, version: g.version}
		f.put(row.key(g.stream, g.lane), row.encode())
	}
	return nil
}

// given lists what was given, by a prefix of its keys.
func (f *filing) given(prefix []byte) ([]givenRow, error) {
	rows, err := f.tx.Scan(f.ctx, prefix, after(prefix), 0)
	if err != nil {
		return nil, err
	}
	return decodeGivenRows(rows)
}

func decodeGivenRows(rows []eventstore.Row) ([]givenRow, error) {
	out := make([]givenRow, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = decodeGiven(row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// snapshot files the facts of a snapshot. Announced values wait for their day where the agreement delivers on it.
func (f *filing) snapshot(e *journal.Entry, subject citizen.ID, taken journal.SnapshotTaken) error {
	stream, lane, ok := f.lane(subject, taken.Agreement)
	if !ok {
		return fmt.Errorf("agreement %s has no stream", taken.Agreement)
	}
	on := make([]consent.Date, len(taken.Facts))
	if a, ok := f.law.Agreement(taken.Agreement, taken.Version); ok && a.Deliver == consent.DeliverEffective {
		if err := f.effective(taken.Facts, on); err != nil {
			return err
		}
	}
	for i, share := range taken.Facts {
		root, err := f.root(share.Position)
		if err != nil {
			return err
		}
		row := dueRow{
			order: e.Position, position: share.Position, agreement: taken.Agreement, kind: dueSnapshot, fields: share.Fields, root: root, citizen: subject, on: on[i],
		}
		if err := f.file(e, stream, lane, &row); err != nil {
			return err
		}
	}
	return nil
}

// effective reads the effective dates of a snapshot's facts.
func (f *filing) effective(facts []journal.SnapshotShare, on []consent.Date) error {
	positions := make([]int64, len(facts))
	for i := range facts {
		positions[i] = facts[i].Position
	}
	entries, err := f.journal.Read(f.ctx, positions...)
	if err != nil {
		return err
	}
	told, err := f.journal.Told(f.ctx, entries)
	for i := range told {
		on[i], _ = consent.ParseDate(told[i].Effective)
	}
	return err
}

// lanesOf are the lanes that gave numbers about a citizen, each with the last number's row.
func lanesOf(given []givenRow) []givenRow {
	var out []givenRow
	for _, g := range given {
		i := slices.IndexFunc(out, func(o givenRow) bool { return o.stream == g.stream && o.lane == g.lane })
		switch {
		case i < 0:
			out = append(out, g)
		case out[i].number < g.number:
			out[i] = g
		}
	}
	return out
}
