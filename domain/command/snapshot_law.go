package command

import (
	"context"
	"fmt"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// snapshotLaw is the law with what a snapshot asks beyond it: what each version in between let through.
type snapshotLaw struct {
	*journal.Law
	journal  *journal.Journal
	approved []consent.Agreement // in force, by id
	earlier  map[string][]earlierRules
}

// earlierRules are the rules as they were while a version was the newest, whatever the date.
type earlierRules struct {
	version int
	rules   *consent.Rules
}

func (s *Snapshots) freshLaw(ctx context.Context) (*snapshotLaw, error) {
	law, err := s.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	if known := s.law.Load(); known != nil && known.Law == law {
		return known, nil
	}
	made := &snapshotLaw{Law: law, journal: s.journal, approved: law.Book.Approved(), earlier: map[string][]earlierRules{}}
	versions := law.Book.Versions() // by id and version
	for i := range versions {
		versions[i].ValidFrom, versions[i].ValidUntil = 0, 0
	}
	for from, i := 0, 0; i+1 < len(versions); i++ {
		if versions[i+1].ID != versions[i].ID {
			from = i + 1
			continue
		}
		rules, err := s.journal.Compile(versions[from : i+1]...)
		if err != nil {
			return nil, err
		}
		id := versions[i].ID
		made.earlier[id] = append(made.earlier[id], earlierRules{version: versions[i].Version, rules: rules})
	}
	s.law.Store(made)
	return made, nil
}

// steps are the snapshots that one citizen lacks, each as if the one before were on the log.
func (l *snapshotLaw) steps(j *journal.Journal, led *ledger, p person, day journal.Day) []journal.Step {
	if led.state.Gone != nil {
		return nil
	}
	var steps []journal.Step
	for _, t := range p.triggers {
		for i := range l.approved {
			a := &l.approved[i]
			if !t.covers(a, &led.state.Standing) || led.taken[takenKey{t.position, a.ID}] {
				continue
			}
			facts := l.lacking(led, a, day.Date)
			if len(facts) == 0 {
				continue
			}
			event := journal.SnapshotTaken{Agreement: a.ID, Cause: t.position, Facts: facts, Version: a.Version}
			record := about(led.state, event, journal.Meta{})
			record.Cause = t.position
			steps = append(steps, journal.Step{
				Command: snapshotCommand(t.position, a.ID, led.state.ID), Origin: journal.Origin{Issuer: journal.IssuerHub, Actor: journal.ActorHub},
				Expect: []eventstore.Expect{led.state.Expect(), l.Expect()}, Day: day, Events: []journal.New{record},
			})
			led.take(provisional, event)
			led.state.Apply(provisional, event)
		}
	}
	return steps
}

// snapshotCommand names the one snapshot of a trigger, an agreement and a citizen: nothing else can ever be appended under it.
func snapshotCommand(position int64, agreement string, id citizen.ID) journal.CommandID {
	name := fmt.Sprintf("%d/%s/%s", position, agreement, id)
	return journal.CommandID{Issuer: "snapshot", ID: name, Content: []byte(name)}
}

// lacking are the current and announced values that an agreement may have now and neither has nor gets by themselves, by position.
func (l *snapshotLaw) lacking(led *ledger, a *consent.Agreement, today consent.Date) []journal.SnapshotShare {
	var out []journal.SnapshotShare
	on := today.String()
	for _, f := range slices.Concat(led.history.On(on), led.history.Announced(on)) {
		fact := l.journal.Fact(f.Change, today)
		now, reason := consent.Permitted(l.Rules, &led.state.Standing, &fact, a.ID, provisional)
		if reason == consent.None && now&^l.has(led, a, f.Position, &fact) != 0 {
			out = append(out, journal.SnapshotShare{Fields: now, Position: f.Position})
		}
	}
	slices.SortFunc(out, func(a, b journal.SnapshotShare) int { return int(a.Position - b.Position) })
	return out
}

// has is what an agreement's stream has for certain of a fact, or gets without a snapshot: what was permitted by the fact's own decision or
// by an earlier snapshot under the grant and the link that still hold, and by everything that was the rule since, for nobody says here
// when it was disclosed.
func (l *snapshotLaw) has(led *ledger, a *consent.Agreement, position int64, fact *consent.Fact) (has consent.FieldSet) {
	var begin int64
	if grant, ok := led.state.Standing.Grant(a.ID); ok && a.Basis.Kind == consent.BasisConsent {
		begin = grant.Since
	}
	if link, ok := led.state.Standing.Link(a.Ministry); ok && a.Population == consent.PopulationLinked {
		begin = max(begin, link.Since)
	}
	for _, h := range led.held[heldKey{a.ID, position}] {
		if h.since < begin {
			continue
		}
		fields := h.fields
		for _, e := range l.earlier[a.ID] {
			if e.version > h.version {
				fields &= e.permits(&led.state.Standing, fact, a.ID)
			}
		}
		has |= l.narrowed(led, a, h.since, fact.Type, fields)
	}
	return has
}

// permits is what a version let through while it was the newest, whatever the grant: of grants, narrowed knows.
func (e earlierRules) permits(standing *consent.Standing, fact *consent.Fact, agreement string) consent.FieldSet {
	then := standing.Clone()
	for i := range then.Grants {
		then.Grants[i].Version, then.Grants[i].Fields = e.version, nil
	}
	fields, _ := consent.Permitted(e.rules, then, fact, agreement, provisional)
	return fields
}

// narrowed is what the grants and restrictions since a position left of fields.
func (l *snapshotLaw) narrowed(led *ledger, a *consent.Agreement, since int64, eventType string, fields consent.FieldSet) consent.FieldSet {
	for _, n := range led.narrowings {
		switch {
		case n.position < since:
		case n.protects && !a.ReceivesProtected:
			return 0
		case n.agreement == a.ID:
			fields &= l.granted(n, eventType)
		}
	}
	return fields
}

// granted is what a grant covers of an event type.
func (l *snapshotLaw) granted(n narrowing, eventType string) (fields consent.FieldSet) {
	version, ok := l.Agreement(n.agreement, n.version)
	row, known := l.journal.Registry().Row(eventType)
	if !ok || !known {
		return 0
	}
	share := version.Share(eventType)
	if share == nil {
		return 0
	}
	for bit, name := range row.FieldNames() {
		if slices.Contains(share.Fields, name) && (n.fields == nil || slices.Contains(n.fields, name)) {
			fields |= 1 << bit
		}
	}
	return fields
}
