package notice

import (
	"bytes"
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

// Due is the view of what may have to be told to whom. It holds ids, positions, times and numbers. A row of w leaves only when every notice
// of its cause is on the log, so that a crash, or a view built anew, loses none. Keys are a letter and:
//
//	w due, cause, citizen → how often it was tried in vain (due: seconds, 8 bytes)
//	g agreement, citizen  → 1: the citizen has agreed to it
//	j cause               → of a new version of an agreement: after which citizen to go on
type Due struct{ journal *journal.Journal }

// NewDue returns the view on a journal.
func NewDue(j *journal.Journal) Due { return Due{journal: j} }

// Name is the view's name in the store.
func (Due) Name() string { return "notice" }

// Wants says yes to what citizens are told about, and to who agreed to what.
func (Due) Wants(eventType string) bool {
	switch eventType {
	case journal.TypeConsentGranted, journal.TypeConsentWithdrawn, journal.TypeAgreementApproved:
		return true
	}
	return isCause(eventType)
}

// isCause says whether an event about one citizen may be one that they hear about.
func isCause(eventType string) bool {
	switch eventType {
	case citizen.AddressChanged, citizen.NameChanged, citizen.ContactChanged, citizen.NoticePreference,
		journal.TypeChangeCorrected, journal.TypeChangeCancelled, journal.TypeFrozen, journal.TypeUnfrozen, journal.TypeDisputeAnswered:
		return true
	}
	return false
}

// Apply files causes. What is older than a notice's link would live is past telling: a hub that begins to send notices does not tell people
// about last year.
func (d Due) Apply(_ context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	oldest := d.journal.Now(journal.Timing{}).Add(-journal.LinkLife)
	for i := range entries {
		e := &entries[i]
		id := citizen.ID(e.Subject)
		switch event := e.Event.(type) {
		case journal.ConsentGranted:
			tx.Put(grantKey(event.Agreement, id), []byte{1})
			continue
		case journal.ConsentWithdrawn:
			tx.Put(grantKey(event.Agreement, id), nil)
			continue
		}
		switch {
		case e.RecordedAt.Before(oldest):
		case e.Type == journal.TypeAgreementApproved:
			tx.Put(jobKey(e.Position), []byte{})
		case isCause(e.Type):
			tx.Put(dueRow{due: atOnce, cause: e.Position, citizen: id}.key(), []byte{0, 0})
		}
	}
	return nil
}

// atOnce is when a notice is due that was not tried yet: before all others, in the order of the log.
var atOnce = time.Unix(0, 0)

// dueRow is a row of w.
type dueRow struct {
	due      time.Time // whole seconds
	cause    int64
	citizen  citizen.ID
	attempts int
}

func (r dueRow) key() []byte {
	key := append([]byte{'w'}, uint64Bytes(r.due.Unix())...)
	return append(append(key, uint64Bytes(r.cause)...), r.citizen[:]...)
}

func (r dueRow) row(view string) eventstore.Row {
	attempts := binary.BigEndian.AppendUint16(nil, uint16(min(r.attempts, 1<<15))) // #nosec G115 -- it fits
	return eventstore.Row{View: view, Key: r.key(), Value: attempts}
}

// gone is the row's removal.
func (r dueRow) gone(view string) eventstore.Row { return eventstore.Row{View: view, Key: r.key()} }

func readDue(row eventstore.Row) (dueRow, error) {
	if len(row.Key) != 33 || len(row.Value) != 2 {
		return dueRow{}, errRow
	}
	return dueRow{
		due: time.Unix(int64(binary.BigEndian.Uint64(row.Key[1:])), 0), cause: int64(binary.BigEndian.Uint64(row.Key[9:])), // #nosec G115 -- as key wrote it
		citizen: citizen.ID(row.Key[17:]), attempts: int(binary.BigEndian.Uint16(row.Value)),
	}, nil
}

var errRow = errors.New("notice: a row of the view notice can't be read: rebuild it with `tellonce rebuild notice`")

func grantKey(agreement string, id citizen.ID) []byte {
	return slices.Concat([]byte{'g'}, []byte(agreement), []byte{0}, id[:])
}

func jobKey(cause int64) []byte { return append([]byte{'j'}, uint64Bytes(cause)...) }

func uint64Bytes(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) } // #nosec G115 -- positions and times are ≥ 0

// catchUp folds the view up to the head and returns the head.
func (d Due) catchUp(ctx context.Context) (int64, error) {
	head, err := d.journal.Head(ctx)
	if err != nil {
		return 0, err
	}
	_, err = d.journal.CatchUp(ctx, d, head.Position+1)
	return head.Position, err
}

// take returns up to limit rows that are due by a time, the longest due first, and when the next one is: zero if none waits.
func (d Due) take(ctx context.Context, now time.Time, limit int) (due []dueRow, next time.Time, err error) {
	rows, err := d.journal.Store().Scan(ctx, d.Name(), []byte{'w'}, []byte{'w' + 1}, limit, false)
	if err != nil {
		return nil, next, err
	}
	for _, row := range rows {
		r, err := readDue(row)
		if err != nil {
			return nil, next, err
		}
		if r.due.After(now) {
			return due, r.due, nil
		}
		due = append(due, r)
	}
	return due, next, nil
}

// put writes rows beside the fold. Another process may fold meanwhile: the rows are not those that it writes.
func (d Due) put(ctx context.Context, rows ...eventstore.Row) error {
	store := d.journal.Store()
	for {
		at, err := store.Checkpoint(ctx, d.Name())
		if err != nil {
			return err
		}
		if err := store.Commit(ctx, d.Name(), at, at, rows); !errors.Is(err, eventstore.ErrConflict) {
			return err
		}
	}
}

// jobPage is how many people a new version of an agreement is filed for at once.
const jobPage = 500

// jobs files everybody who agreed to an agreement of which a new version was approved. It goes on where a crash left it.
func (d Due) jobs(ctx context.Context) (more bool, err error) {
	store := d.journal.Store()
	jobs, err := store.Scan(ctx, d.Name(), []byte{'j'}, []byte{'j' + 1}, 1, false)
	if err != nil || len(jobs) == 0 {
		return false, err
	}
	if len(jobs[0].Key) != 9 {
		return false, errRow
	}
	cause := int64(binary.BigEndian.Uint64(jobs[0].Key[1:])) // #nosec G115 -- as jobKey wrote it
	entries, err := d.journal.Read(ctx, cause)
	if err != nil {
		return false, err
	}
	approved, _ := entries[0].Event.(journal.AgreementApproved)
	from, to := grantKey(approved.ID, citizen.ID{}), grantKey(approved.ID, citizen.ID(uuid.Max))
	if after := jobs[0].Value; len(after) > 0 {
		from = append(bytes.Clone(after), 0)
	}
	people, err := store.Scan(ctx, d.Name(), from, to, jobPage, false)
	if err != nil {
		return false, err
	}
	var rows []eventstore.Row
	for _, row := range people {
		id := citizen.ID(row.Key[len(row.Key)-16:])
		rows = append(rows, dueRow{due: atOnce, cause: cause, citizen: id}.row(d.Name()))
	}
	job := eventstore.Row{View: d.Name(), Key: jobs[0].Key} // done
	if len(people) == jobPage {
		job.Value = people[len(people)-1].Key
	}
	return true, d.put(ctx, append(rows, job)...)
}
