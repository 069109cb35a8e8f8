package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// KindDisputes is the kind of a look at the open disputes.
const KindDisputes = "disputes"

// Disputes is the view of disputes that wait for an answer. A key is the dispute's position, its value who opened it; a row says nothing
// else.
type Disputes struct{ journal *journal.Journal }

// NewDisputes returns the view on a journal.
func NewDisputes(j *journal.Journal) Disputes { return Disputes{journal: j} }

// Name is the view's name in the store.
func (Disputes) Name() string { return "disputes" }

// Wants disputes and their answers.
func (Disputes) Wants(eventType string) bool {
	return eventType == journal.TypeDisputeOpened || eventType == journal.TypeDisputeAnswered
}

// Apply files disputes, and drops those that are answered. An answer whose content was erased is known by its cause.
func (d Disputes) Apply(_ context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	for i := range entries {
		e := &entries[i]
		switch e.Type {
		case journal.TypeDisputeOpened:
			tx.Put(disputeKey(e.Position), bytes.Clone(e.Aggregate.ID[:]))
		case journal.TypeDisputeAnswered:
			tx.Put(disputeKey(e.Cause), nil)
		}
	}
	return nil
}

func disputeKey(position int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(position)) // #nosec G115 -- positions are ≥ 0
}

// OpenDispute is a dispute that waits for an answer. What it is about is named by its receipt number, without values.
type OpenDispute struct {
	Position     int64
	OpenedAt     time.Time
	Citizen      citizen.ID
	About        int64  // position of the change or of the fact that was disclosed
	AboutType    string // its type, of the fact
	AboutReceipt string // receipt number of the change
	Stream       string // of a disclosure
	Cursor       string
	Text         string
	ByLink       bool // by the link in a notice: further changes were frozen with it
	Frozen       bool // changes in the person's name are stopped now
}

// OpenDisputes lists the oldest open disputes. The look is on the log before it is answered, once for each person shown, who can read it.
// People of whom the actor may know nothing are left out.
func (a *Audit) OpenDisputes(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look) ([]OpenDispute, error) {
	look.Kind, look.Subject = KindDisputes, citizen.ID{}
	waiting, err := a.openWaiting(ctx, actor, issuer, look, "an open dispute", NewDisputes(a.journal).waiting)
	if err != nil {
		return nil, err
	}
	out := make([]OpenDispute, 0, len(waiting))
	for _, w := range waiting {
		if out, err = a.disputed(ctx, out, w); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// waiting lists the disputes that wait, complete up to the head, by position.
func (d Disputes) waiting(ctx context.Context) ([]waitingReport, error) {
	head, err := d.journal.Head(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := d.journal.CatchUp(ctx, d, head.Position+1); err != nil {
		return nil, err
	}
	rows, err := d.journal.Store().Scan(ctx, d.Name(), nil, bytes.Repeat([]byte{0xff}, 9), 0, false)
	if err != nil {
		return nil, err
	}
	out := make([]waitingReport, len(rows))
	for i, row := range rows {
		if len(row.Key) != 8 || len(row.Value) != 16 {
			return nil, errDisputes
		}
		out[i] = waitingReport{about: citizen.ID(row.Value), position: int64(binary.BigEndian.Uint64(row.Key))} // #nosec G115 -- as disputeKey wrote it
	}
	return out, nil
}

var errDisputes = errors.New("audit: a row of the view disputes can't be read: rebuild it with `tellonce rebuild disputes`")

// disputed adds a dispute to a list, unless it was erased meanwhile.
func (a *Audit) disputed(ctx context.Context, list []OpenDispute, w waitingReport) ([]OpenDispute, error) {
	entries, err := a.journal.Read(ctx, w.position)
	if err != nil {
		return nil, err
	}
	event, ok := entries[0].Event.(journal.DisputeOpened)
	if !ok {
		return list, nil
	}
	states, err := a.journal.FreshStates(ctx, w.about)
	if err != nil {
		return nil, err
	}
	if gone := states[0].Gone; gone != nil && gone.Why != journal.TypeCitizensMerged {
		return list, nil
	}
	d := OpenDispute{
		Position: w.position, OpenedAt: entries[0].RecordedAt, Citizen: w.about, About: event.About, Stream: event.Stream, Cursor: event.Cursor,
		Text: event.Text, ByLink: journal.ActorKind(entries[0].ActorKind) == journal.ActorHub, Frozen: states[0].Frozen != 0,
	}
	about, err := a.journal.Read(ctx, event.About)
	if errors.Is(err, eventstore.ErrNotFound) {
		return append(list, d), nil
	}
	if err != nil {
		return nil, err
	}
	told, err := a.journal.Told(ctx, about)
	if err != nil {
		return nil, err
	}
	d.AboutType, d.AboutReceipt = about[0].Type, journal.Receipt(about[0].ID)
	if told[0].Type != "" {
		d.AboutType = told[0].Type
	}
	return append(list, d), nil
}

// LookAtDispute puts a look at a dispute on the log, before it is answered. ErrNotFound where there is none of whom the actor may know: to
// have asked is a look, after the same work.
func (a *Audit) LookAtDispute(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look, position int64) error {
	look.Kind, look.Shown = KindDisputes, "an open dispute"
	look, err := a.judge(actor, look)
	if err != nil {
		return err
	}
	entries, err := a.journal.Read(ctx, position)
	if err != nil && !errors.Is(err, eventstore.ErrNotFound) {
		return err
	}
	var who citizen.ID
	if len(entries) == 1 && entries[0].Type == journal.TypeDisputeOpened {
		who = citizen.ID(entries[0].Aggregate.ID)
	}
	hidden, err := a.protection.Hidden(ctx, actor, who)
	if err != nil {
		return err
	}
	if who.IsZero() || hidden[0] {
		_, err = a.missing(ctx, actor, issuer, look, who)
		return err
	}
	look.Subject = who
	_, err = a.append(ctx, actor, issuer, look, citizen.ID{})
	return err
}
