package delivery

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// view is what a step judges by: the lane, the law and the citizens as of one head.
type view struct {
	stream  journal.StreamOpened
	lane    int
	row     laneRow
	law     *journal.Law
	day     journal.Day
	since   int64                    // what was restricted up to here is in the states
	entries map[int64]*journal.Entry // facts and causes by position
	told    map[int64]citizen.Change // what holds by them
	states  map[citizen.ID]*journal.State
	page    map[int64][]givenRow // what the page that is being made gives, by root
	// withheld are those of whom something is dropped or recalled. That is for ever, so the append expects them as they were judged: what
	// they just told or were given back (a lifted restriction) must count, which the guard alone does not see.
	withheld map[citizen.ID]bool
}

// withhold notes that something about an entry's subject does not leave.
func (v *view) withhold(position int64) {
	if e := v.entries[position]; e != nil {
		v.withheld[citizen.ID(e.Subject)] = true
	}
}

// basis is what a step judges by: the log's head, and whether this process may judge by what it remembers of the law and of people. It may be
// stale: then the guard or an expectation of the append refuses the step, which is judged again by the log.
type basis struct {
	head     int64
	remember bool
}

// look reads entries and everything by which they are judged now.
func (d *Delivery) look(ctx context.Context, stream journal.StreamOpened, lane int, row laneRow, positions []int64, by basis) (_ *view, err error) {
	v := &view{
		stream: stream, lane: lane, row: row, since: by.head, entries: map[int64]*journal.Entry{}, told: map[int64]citizen.Change{},
		states: map[citizen.ID]*journal.State{}, page: map[int64][]givenRow{}, withheld: map[citizen.ID]bool{},
	}
	readLaw, read := d.journal.FreshLaw, d.journal.Read
	if by.remember {
		readLaw, read = d.journal.CurrentLaw, d.journal.Recent
	}
	if v.law, err = readLaw(ctx); err != nil {
		return nil, err
	}
	v.day = d.journal.DayOf(d.journal.Now(journal.Timing{}))
	entries, err := read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	told, err := d.journal.Told(ctx, entries)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		v.entries[entries[i].Position], v.told[entries[i].Position] = &entries[i], told[i]
	}
	ids := citizensOf(entries)
	if by.remember {
		ids = d.remembered(v, ids)
	}
	states, err := d.journal.FreshStates(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		v.states[id] = states[i]
	}
	return v, v.whole()
}

// remembered takes the states that this process remembers, as of when they knew all entries about their people, and returns the ids of the others.
// The append's guard begins where the oldest of them ends.
func (d *Delivery) remembered(v *view, ids []citizen.ID) (others []citizen.ID) {
	latest, head := map[citizen.ID]int64{}, v.since
	for position, e := range v.entries {
		id := citizen.ID(e.Subject)
		if latest[id] = max(latest[id], position); e.Err != nil {
			latest[id] = head + 1 // only the log says why
		}
	}
	for _, id := range ids {
		state, ok := d.journal.Remembered(id)
		if at, about := latest[id]; !ok || !about || state.Seen < at || state.Seen > head {
			others = append(others, id)
			continue
		}
		v.states[id], v.since = state, min(v.since, state.Seen)
	}
	return others
}

// citizensOf are the distinct people whom entries are about: their subjects, and whom a merge keeps.
func citizensOf(entries []journal.Entry) []citizen.ID {
	seen := map[citizen.ID]bool{}
	var out []citizen.ID
	add := func(id citizen.ID) {
		if !id.IsZero() && !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	for i := range entries {
		id, _ := journal.SubjectOf(&entries[i].Recorded)
		add(id)
		if merged, ok := entries[i].Event.(journal.CitizensMerged); ok {
			kept, _ := citizen.ParseID(merged.Kept)
			add(kept)
		}
	}
	return out
}

// whole refuses facts that can't be opened although no erasure closed them: somebody took the key, or changed the record.
func (v *view) whole() error {
	for position, e := range v.entries {
		if e.Err == nil || e.Class != eventstore.Facts {
			continue
		}
		if state := v.states[citizen.ID(e.Subject)]; state == nil || !erased(state) {
			return fmt.Errorf("%w: the content of position %d is closed, and no erasure closed it", ErrFatal, position)
		}
	}
	return nil
}

func erased(state *journal.State) bool {
	return state.Gone != nil && state.Gone.Why == journal.TypeErased
}

// guard refuses the append if anything was restricted for the people it is about since what was judged by.
func (d *Delivery) guard(v *view) eventstore.Guard {
	g := eventstore.Guard{After: v.since}
	if d.unguarded {
		return g
	}
	for id := range v.states {
		g.Subjects = append(g.Subjects, [16]byte(id))
	}
	return g
}

func (d *Delivery) step(v *view, event any) journal.Step {
	lane := journal.LaneAggregate(v.stream.Stream, v.lane)
	expect := []eventstore.Expect{{Aggregate: lane, Version: v.row.version}, v.law.Expect()}
	for id := range v.withheld {
		if state := v.states[id]; state != nil {
			expect = append(expect, state.Expect())
		}
	}
	return journal.Step{
		Origin: journal.Origin{Issuer: journal.IssuerHub, Actor: journal.ActorHub},
		Expect: expect,
		Guard:  d.guard(v), Day: v.day,
		Events: []journal.New{{Event: event, Aggregate: lane, Cause: eventstore.NoCause}},
	}
}

// judge says what leaves for a due row now, by the log alone; ok is false if nothing does.
func (d *Delivery) judge(ctx context.Context, v *view, r *dueRow) (item journal.DisclosedItem, ok bool, err error) {
	switch r.kind {
	case dueFact:
		return d.judgeFact(ctx, v, r)
	case dueRetract:
		return d.retract(ctx, v, r)
	case dueSnapshot:
		item, ok = d.permitted(v, r.position, r.order, r.agreement, r.fields)
		item.Kind, item.Cause = KindSnapshot, r.order
		return item, ok, nil
	case dueLeft:
		return d.judgeLeft(ctx, v, r)
	case dueEnded:
		item = r.notice(KindEnded)
		return item, v.hears(&item), nil
	case dueRekeyed:
		item = r.notice(KindRekeyed)
		return item, v.hears(&item), nil
	case dueErased:
		item = r.notice(KindErased)
		item.Numbers, err = d.numbersAbout(ctx, v, r.citizen)
		return item, len(item.Numbers) > 0, err
	case dueSynthetic:
		return d.judgeSynthetic(v, r), true, nil
	case dueOver: // is done: nobody is left of whom something was given under it
	}
	return item, false, nil
}

// notice is an item without values.
func (r *dueRow) notice(kind string) journal.DisclosedItem {
	item := journal.DisclosedItem{Agreement: r.agreement, Kind: kind, Position: r.position, Version: r.version}
	if kind != KindErased {
		item.Epoch = pairwiseEpoch
	}
	if r.order != r.position {
		item.Cause = r.order
	}
	return item
}

// judgeFact: a fact that is permitted; or, where an earlier value stands at the ministry in its place, its correction, and that value's
// retraction if the new one is not permitted. A wrong value that was never given never is.
func (d *Delivery) judgeFact(ctx context.Context, v *view, r *dueRow) (journal.DisclosedItem, bool, error) {
	if !v.stands(r.position) {
		return journal.DisclosedItem{}, false, nil // what took its place is due by itself
	}
	item, ok := d.permitted(v, r.position, r.position, r.agreement, r.fields)
	if r.root == r.position {
		return item, ok, nil
	}
	before, err := d.standing(ctx, v, r, r.root)
	switch {
	case err != nil || before.number == 0:
		return item, ok, err
	case ok:
		item.Kind, item.Corrects = KindCorrection, before.number
		return item, true, nil
	}
	return d.retract(ctx, v, r)
}

// retract takes back the value that stands at the ministry in a fact's place.
func (d *Delivery) retract(ctx context.Context, v *view, r *dueRow) (journal.DisclosedItem, bool, error) {
	item := r.notice(KindRetracted)
	value, err := d.standing(ctx, v, r, r.root)
	item.Corrects, item.Version = value.number, value.version
	return item, value.number > 0 && v.hears(&item), err
}

// standing is the value that stands at the ministry in a fact's place; its number is 0 if none does.
func (d *Delivery) standing(ctx context.Context, v *view, r *dueRow, root int64) (value givenRow, err error) {
	places, err := d.inPlace(ctx, v, r.citizen, root, r.agreement)
	for _, g := range places {
		switch g.kind {
		case placeValue:
			value = g
		case placeRetracted:
			value = givenRow{}
		}
	}
	return value, err
}

// judgeLeft: the citizen has left what an agreement is about, if what held before the new fact stands at the ministry, and the ministry
// might still hear of this citizen's facts.
func (d *Delivery) judgeLeft(ctx context.Context, v *view, r *dueRow) (item journal.DisclosedItem, ok bool, err error) {
	item = r.notice(KindLeftScope)
	told := v.told[r.position]
	if told.Type == "" || !v.stands(r.position) || !v.hears(&item) {
		return item, false, nil
	}
	fact := d.journal.Fact(told, v.day.Date)
	_, reason := consent.Permitted(v.law.Rules, &v.states[r.citizen].Standing, &fact, r.agreement, r.position)
	if reason != consent.None && reason != consent.NoFields && !reason.OfCondition() {
		return item, false, nil
	}
	own, err := d.inPlace(ctx, v, r.citizen, r.root, r.agreement)
	if err != nil || slices.ContainsFunc(own, func(g givenRow) bool { return g.kind != placeRetracted }) {
		return item, false, err // what this corrects was given, or was said to have left, itself
	}
	root, err := d.heldBefore(ctx, r, told)
	if err != nil || root == 0 {
		return item, false, err
	}
	value, err := d.standing(ctx, v, r, root)
	return item, value.number > 0, err
}

// heldBefore is the root of what held on a new fact's effective date before the fact was told; 0 for nothing.
func (d *Delivery) heldBefore(ctx context.Context, r *dueRow, told citizen.Change) (int64, error) {
	_, entries, err := d.journal.History(ctx, r.citizen)
	if err != nil {
		return 0, err
	}
	facts, err := d.journal.Told(ctx, entries)
	if err != nil {
		return 0, err
	}
	earlier := make([]journal.Entry, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.Position < r.position && e.Position != r.root && facts[i].Corrects != r.root && journal.Corrects(e.Event) != r.root {
			earlier = append(earlier, *e)
		}
	}
	history, err := d.journal.FoldHistory(ctx, earlier)
	if err != nil {
		return 0, err
	}
	for _, held := range history.On(told.Effective) {
		if held.Type == told.Type && held.Key == told.Key {
			return cmp.Or(held.Corrects, held.Position), nil
		}
	}
	return 0, nil
}

// permitted is what of a fact may leave now under an agreement: what was permitted then, and still is, under a grant and a link that have
// held since a position.
func (d *Delivery) permitted(v *view, position, since int64, agreement string, then consent.FieldSet) (journal.DisclosedItem, bool) {
	change := v.told[position]
	if change.Type == "" || !v.stands(position) { // erased, or not what the citizen says any more
		return journal.DisclosedItem{}, false
	}
	e := v.entries[position]
	state := v.states[citizen.ID(e.Subject)]
	fact := d.journal.Fact(change, v.day.Date)
	now, reason := consent.Permitted(v.law.Rules, &state.Standing, &fact, agreement, since)
	if reason != consent.None || now&then == 0 {
		return journal.DisclosedItem{}, false
	}
	current, _ := v.law.Book.Find(agreement)
	item := journal.DisclosedItem{
		Agreement: agreement, Epoch: pairwiseEpoch, Fields: now & then, Kind: KindFact, Position: position, Schema: d.schemaOf(e, change.Type),
		Version: current.Version,
	}
	if grant, ok := state.Standing.Grant(agreement); ok {
		item.Grant = grant.Since
	}
	if link, ok := state.Standing.Link(v.stream.Ministry); ok && (current.ClientReference || current.Population == consent.PopulationLinked) {
		item.Link = link.Since
	}
	return item, true
}

// schemaOf is the version of the shape that a fact has: of its own record, or, inside a correction, of the type.
func (d *Delivery) schemaOf(e *journal.Entry, factType string) int16 {
	if e.Type == factType {
		return e.Schema
	}
	row, _ := d.journal.Registry().Row(factType) // told by it, so it is there
	return row.Version
}

// stands says whether what was told at a position is still what the citizen says. A verification stands while what it verifies does.
func (v *view) stands(position int64) bool {
	e := v.entries[position]
	state := v.states[citizen.ID(e.Subject)]
	if verified, ok := e.Event.(journal.ChangeVerified); ok && !state.Stands(verified.Verifies) {
		return false
	}
	return state.Stands(position)
}

// hears says whether a ministry may hear of an item without values: not about somebody who is protected from it, nor about somebody of
// whom there is nothing left but what an erased says.
func (v *view) hears(item *journal.DisclosedItem) bool {
	if item.Kind == KindErased || item.Kind == KindSynthetic { // about numbers that the ministry has; about nobody
		return true
	}
	e := v.entries[item.Order()]
	if item.Kind == KindRekeyed && (e.Event == nil || v.hidden(v.kept(item), item.Agreement)) {
		return false
	}
	return !v.hidden(v.states[citizen.ID(v.entries[item.Position].Subject)], item.Agreement)
}

func (v *view) hidden(state *journal.State, agreement string) bool {
	if state == nil || erased(state) {
		return true
	}
	a, ok := v.law.Book.Find(agreement)
	return state.Standing.IsProtected(v.day.Date) && !(ok && a.ReceivesProtected)
}

// kept is who stays of a merge that an item tells.
func (v *view) kept(item *journal.DisclosedItem) *journal.State {
	merged, _ := v.entries[item.Position].Event.(journal.CitizensMerged)
	id, _ := citizen.ParseID(merged.Kept)
	return v.states[id]
}
