package command

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Retention deletes by schedule: a view of what must go when, and the sweep that erases it on its day. The view's keys are a letter and:
//
//	d date, citizen, class → nothing: due on that day or later
//	c citizen, class       → its date, so that it can be taken back
type Retention struct{ handler *Handler }

// Retention returns the follower that erases by schedule.
func (h *Handler) Retention() Retention { return Retention{handler: h} }

// Name is the view's name in the store.
func (Retention) Name() string { return "retention" }

// Wants what starts a period, or ends it.
func (Retention) Wants(eventType string) bool {
	return eventType == journal.TypeErased || eventType == citizen.DeathRegistered || eventType == journal.TypeDeathCorrected
}

// Apply files and unfiles what is due.
func (r Retention) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	for i := range entries {
		e := &entries[i]
		id := e.Aggregate.ID
		var err error
		switch e.Type {
		case citizen.DeathRegistered: // also where its content is gone: the schedule needs none of it
			err = r.file(ctx, tx, id, eventstore.Facts, citizen.KeptUntil(citizen.ClassFacts, r.handler.journal.DayOf(e.RecordedAt).From))
		case journal.TypeDeathCorrected:
			err = r.unfile(ctx, tx, id, eventstore.Facts)
		case journal.TypeErased:
			err = r.erased(ctx, tx, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r Retention) erased(ctx context.Context, tx *journal.ViewTx, e *journal.Entry) error {
	event, _ := e.Event.(journal.Erased)
	for _, class := range event.Classes {
		if err := r.unfile(ctx, tx, e.Aggregate.ID, class); err != nil {
			return err
		}
	}
	from := r.handler.journal.DayOf(e.RecordedAt).From
	for _, kept := range event.Kept {
		until := kept.Until
		if until == "" { // a legal hold: looked at again from the end of the usual period on
			until = citizen.KeptUntil(int16(kept.Class), from)
		}
		if err := r.file(ctx, tx, e.Aggregate.ID, kept.Class, until); err != nil {
			return err
		}
	}
	return nil
}

func (r Retention) file(ctx context.Context, tx *journal.ViewTx, id uuid.UUID, class eventstore.Class, until string) error {
	last, err := time.Parse(time.DateOnly, until)
	if err != nil {
		return nil // a class without a schedule
	}
	if err := r.unfile(ctx, tx, id, class); err != nil {
		return err
	}
	on := consent.DateOf(last.AddDate(0, 0, 1))
	tx.Put(retentionKey(on, id, class), []byte{1})
	tx.Put(retentionOf(id, class), binary.BigEndian.AppendUint32(nil, uint32(on)))
	return nil
}

func (r Retention) unfile(ctx context.Context, tx *journal.ViewTx, id uuid.UUID, class eventstore.Class) error {
	value, err := tx.Get(ctx, retentionOf(id, class))
	if err != nil || len(value) != 4 {
		return err
	}
	tx.Put(retentionKey(consent.Date(binary.BigEndian.Uint32(value)), id, class), nil)
	tx.Put(retentionOf(id, class), nil)
	return nil
}

func retentionKey(on consent.Date, id uuid.UUID, class eventstore.Class) []byte {
	out := binary.BigEndian.AppendUint32([]byte{'d'}, uint32(on))
	return binary.BigEndian.AppendUint16(append(out, id[:]...), uint16(class))
}

func retentionOf(id uuid.UUID, class eventstore.Class) []byte {
	return binary.BigEndian.AppendUint16(append([]byte{'c'}, id[:]...), uint16(class))
}

// sweepPage is how many due rows are looked at together.
const sweepPage = 500

// Sweep erases what is due by the log's now, and returns how many classes it erased. What a legal hold keeps stays due. It may be
// repeated, and run by several processes: each erasure is one command, known by the store.
func (r Retention) Sweep(ctx context.Context) (erased int, err error) {
	j := r.handler.journal
	head, err := j.Head(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := j.CatchUp(ctx, r, head.Position+1); err != nil {
		return 0, err
	}
	today := j.DayOf(j.Now(journal.Timing{})).Date
	from, until := []byte{'d'}, retentionKey(today+1, uuid.Nil, 0)
	for {
		rows, err := j.Store().Scan(ctx, r.Name(), from, until, sweepPage, false)
		if err != nil {
			return erased, err
		}
		for _, row := range rows {
			if len(row.Key) != 23 {
				return erased, errRetention
			}
			class := eventstore.Class(binary.BigEndian.Uint16(row.Key[21:]))
			done, err := r.erase(ctx, citizen.ID(row.Key[5:21]), class, row.Key)
			if err != nil {
				return erased, err
			}
			if done {
				erased++
			}
		}
		if len(rows) < sweepPage {
			return erased, nil
		}
		from = append(bytes.Clone(rows[len(rows)-1].Key), 0)
	}
}

var errRetention = errors.New("command: a row of the view retention can't be read: rebuild it with `tellonce rebuild retention`")

// erase erases one class of a citizen by schedule, unless a legal hold keeps it or the period has not begun after all.
func (r Retention) erase(ctx context.Context, id citizen.ID, class eventstore.Class, due []byte) (bool, error) {
	h := r.handler
	c := Command{Scope: eraserScope, ID: uuid.NewSHA1(hubNamespace, due).String(), Issuer: journal.IssuerHub, Actor: journal.Actor{Kind: journal.ActorHub}}
	out, erased, err := h.erase(ctx, c, id, func(state *journal.State, day journal.Day) (journal.Erased, *citizen.Rejection) {
		return judgeSchedule(state, class, day)
	})
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return false, nil // held, or no longer so: it is looked at again on the next sweep
	}
	if err != nil || out.Repeated {
		return false, err
	}
	_, err = h.destroy(ctx, erased)
	return err == nil, err
}

func judgeSchedule(state *journal.State, class eventstore.Class, day journal.Day) (journal.Erased, *citizen.Rejection) {
	if underHold(state, class, day.Date) {
		return journal.Erased{}, citizen.Reject(citizen.CodeLegalHold)
	}
	if class != eventstore.Facts {
		return journal.Erased{Classes: []eventstore.Class{class}}, nil
	}
	if state.Death == 0 || state.Gone != nil {
		return journal.Erased{}, citizen.Reject(citizen.CodeAlreadyErased)
	}
	return judgeErasure(state, day)
}

// Run sweeps whenever a new civil day begins, until ctx ends.
func (r Retention) Run(ctx context.Context) error {
	j := r.handler.journal
	for {
		day := j.DayOf(j.Now(journal.Timing{})) // before the sweep: a day that begins meanwhile is swept again
		if _, err := r.Sweep(ctx); err != nil {
			return err
		}
		if err := r.wait(ctx, day); err != nil {
			return err
		}
	}
}

// wait returns once the log's now is past a day, which is at its Until: by the wall clock, or on a log clock by what is appended.
func (r Retention) wait(ctx context.Context, day journal.Day) error {
	j := r.handler.journal
	for j.Now(journal.Timing{}).Before(day.Until) {
		head, err := j.Head(ctx)
		if err != nil {
			return err
		}
		until, cancel := context.WithTimeout(ctx, max(day.Until.Sub(j.Clock()), time.Second))
		err = j.Store().Wait(until, head.Position+1)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return nil
}

// Queue lists what is filed, by day: for officers.
func (r Retention) Queue(ctx context.Context, limit int) ([]Filed, error) {
	j := r.handler.journal
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := j.CatchUp(ctx, r, head.Position+1); err != nil {
		return nil, err
	}
	rows, err := j.Store().Scan(ctx, r.Name(), []byte{'d'}, []byte{'e'}, limit, false)
	if err != nil {
		return nil, err
	}
	out := make([]Filed, 0, len(rows))
	for _, row := range rows {
		if len(row.Key) != 23 {
			return nil, errRetention
		}
		out = append(out, Filed{
			On: consent.Date(binary.BigEndian.Uint32(row.Key[1:])), Citizen: citizen.ID(row.Key[5:21]), Class: eventstore.Class(binary.BigEndian.Uint16(row.Key[21:])),
		})
	}
	return slices.Clip(out), nil
}

// Filed is one class of a citizen that goes by schedule.
type Filed struct {
	On      consent.Date
	Citizen citizen.ID
	Class   eventstore.Class
}
