package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Deaths is the view of reported deaths that wait for a registrar: neither registered nor taken back. Keys are a citizen and the report's
// position; a row says nothing else.
type Deaths struct{ journal *journal.Journal }

// NewDeaths returns the view on a journal.
func NewDeaths(j *journal.Journal) Deaths { return Deaths{journal: j} }

// Name is the view's name in the store.
func (Deaths) Name() string { return "deaths" }

// Wants says yes to reports, and to what settles one.
func (Deaths) Wants(eventType string) bool {
	switch eventType {
	case citizen.DeathReported, citizen.DeathRegistered, journal.TypeChangeCancelled, journal.TypeErased, journal.TypeCitizensMerged,
		journal.TypeIdentityReplaced:
		return true
	}
	return false
}

// Apply files reports, and drops those that are settled. A person who is not served under an id any more has none waiting.
func (d Deaths) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	for i := range entries {
		e := &entries[i]
		switch e.Type {
		case citizen.DeathReported:
			tx.Put(deathKey(e.Aggregate.ID, e.Position), []byte{1})
			continue
		case journal.TypeChangeCancelled: // of another change there is no row
			if corrects := journal.Corrects(e.Event); corrects != 0 {
				tx.Put(deathKey(e.Aggregate.ID, corrects), nil)
			}
			continue
		case journal.TypeErased:
			if erased, ok := e.Event.(journal.Erased); ok && !slices.Contains(erased.Classes, eventstore.Facts) {
				continue
			}
		}
		rows, err := tx.Scan(ctx, deathKey(e.Aggregate.ID, 0), deathKey(e.Aggregate.ID, -1), 0)
		if err != nil {
			return err
		}
		for _, row := range rows {
			tx.Put(row.Key, nil)
		}
	}
	return nil
}

// deathKey orders a citizen's reports by position; -1 is behind all.
func deathKey(id uuid.UUID, position int64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(id[:]), uint64(position))
}

// waiting lists the reports that wait, complete up to the head, by position.
func (d Deaths) waiting(ctx context.Context) ([]waitingReport, error) {
	head, err := d.journal.Head(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := d.journal.CatchUp(ctx, d, head.Position+1); err != nil {
		return nil, err
	}
	rows, err := d.journal.Store().Scan(ctx, d.Name(), nil, bytes.Repeat([]byte{0xff}, 25), 0, false)
	if err != nil {
		return nil, err
	}
	out := make([]waitingReport, len(rows))
	for i, row := range rows {
		if len(row.Key) != 24 {
			return nil, errDeaths
		}
		out[i] = waitingReport{about: citizen.ID(row.Key[:16]), position: int64(binary.BigEndian.Uint64(row.Key[16:]))}
	}
	slices.SortFunc(out, func(a, b waitingReport) int { return cmp.Compare(a.position, b.position) })
	return out, nil
}

var errDeaths = errors.New("audit: a row of the view deaths can't be read: rebuild it with `tellonce rebuild deaths`")

type waitingReport struct {
	about    citizen.ID
	position int64
}

// ReportedDeath is a reported death that waits for a registrar, and who is said to have died.
type ReportedDeath struct {
	Receipt    string
	Position   int64
	RecordedAt time.Time
	By         journal.ActorKind
	Channel    journal.Channel
	DeathDate  string // ISO 8601
	ReportedBy string // spouse, child …
	Person     citizen.Identity
}

// maxWaiting is how much of what waits for somebody one look shows: the oldest.
const maxWaiting = 200

// ReportedDeaths lists the oldest reported deaths that wait, for a registrar. The look is on the log before it is answered, once for each
// person shown, who can read it.
func (a *Audit) ReportedDeaths(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look) ([]ReportedDeath, error) {
	look.Kind, look.Subject = KindDeaths, citizen.ID{}
	waiting, err := a.openWaiting(ctx, actor, issuer, look, "a reported death", NewDeaths(a.journal).waiting)
	if err != nil {
		return nil, err
	}
	out := make([]ReportedDeath, 0, len(waiting))
	for _, w := range waiting {
		if out, err = a.reported(ctx, out, w); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// openWaiting lists the oldest of what waits for an officer or a registrar, without people of whom the actor may know nothing. The look is on
// the log before anything is shown.
func (a *Audit) openWaiting(
	ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look, shown string, list func(context.Context) ([]waitingReport, error),
) ([]waitingReport, error) {
	look, err := a.judge(actor, look)
	if err != nil {
		return nil, err
	}
	waiting, err := list(ctx)
	if err != nil {
		return nil, err
	}
	concealed, err := a.protection.HiddenFrom(ctx, actor)
	if err != nil {
		return nil, err
	}
	waiting = slices.DeleteFunc(waiting, func(w waitingReport) bool { return concealed[w.about] })
	waiting = waiting[:min(len(waiting), maxWaiting)]
	return waiting, a.lookAtEach(ctx, actor, issuer, look, shown, waiting)
}

// lookAtEach puts a look at each person on the log, in one append; one at nobody if there is none.
func (a *Audit) lookAtEach(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look, shown string, waiting []waitingReport) error {
	step := journal.Step{Origin: journal.Origin{Issuer: issuer, Actor: actor.Kind}}
	seen := map[citizen.ID]bool{}
	event := journal.Accessed{Case: look.Case, Kind: look.Kind, Reason: look.Reason, Shown: shown}
	add := func(about citizen.ID) {
		if !seen[about] {
			step.Events = append(step.Events, journal.New{
				Event: event, Aggregate: journal.AccessesAggregate, Subject: about, Cause: eventstore.NoCause, Meta: journal.Meta{Actor: actor.ID},
			})
		}
		seen[about] = true
	}
	for _, w := range waiting {
		add(w.about)
	}
	if len(waiting) == 0 {
		event.Shown = nothing
		add(citizen.ID{})
	}
	_, err := a.journal.Append(ctx, step)
	return err
}

// reported adds a report to a list, unless it was erased meanwhile.
func (a *Audit) reported(ctx context.Context, list []ReportedDeath, w waitingReport) ([]ReportedDeath, error) {
	history, entries, err := a.journal.History(ctx, w.about)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(entries, func(e journal.Entry) bool { return e.Position == w.position })
	if i < 0 {
		return list, nil
	}
	e := &entries[i]
	report, ok := e.Event.(citizen.Change)
	if !ok {
		return list, nil
	}
	d := ReportedDeath{
		Receipt: journal.Receipt(e.ID), Position: e.Position, RecordedAt: e.RecordedAt, By: journal.ActorKind(e.ActorKind), Channel: journal.Channel(e.Channel),
	}
	d.DeathDate, _ = report.Data["death_date"].(string)
	d.ReportedBy, _ = report.Data["reported_by"].(string)
	d.Person, _ = history.Profile(a.journal.DayOf(a.journal.Now(journal.Timing{})).Date.String()).Identity()
	return append(list, d), nil
}
