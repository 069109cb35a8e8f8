package command

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// SnapshotJob is a snapshot of everybody whom an approved agreement may concern: a walk along the log.
type SnapshotJob struct {
	Trigger   int64        `json:"trigger"` // position of the approval
	Agreement string       `json:"agreement"`
	Version   int          `json:"version"`
	On        consent.Date `json:"-"` // the day on which it begins; 0 at once
	State     string       `json:"state"`
	Done      int64        `json:"done"`   // records of the log walked
	Total     int64        `json:"total"`  // records of the log to walk; 0 before it begins
	People    int64        `json:"people"` // citizens looked at
	Taken     int64        `json:"taken"`  // snapshots appended by whoever counted
}

// The states of a job.
const (
	JobWaiting = "waiting" // for its day
	JobRunning = "running"
	JobDone    = "done"
)

// jobRow is a job in the snapshot view. Its key is a letter (w waiting or running, f finished), the day and the trigger's position.
type jobRow struct {
	Agreement string `json:"agreement"`
	Version   int    `json:"version"`
}

// jobCount is what a job's own view counts.
type jobCount struct {
	People int64 `json:"people"`
	Taken  int64 `json:"taken"`
	Until  int64 `json:"until"` // first position that it need not look at
}

const (
	jobPoll  = time.Second            // how often the worker looks for jobs that nobody told it of
	jobWait  = 100 * time.Millisecond // how often a command looks at a job that another process works on
	jobLease = 3 * time.Second        // after a crash another process takes over then
)

var errJob = errors.New("command: a row of the view snapshot can't be read")

func jobKey(letter byte, on consent.Date, trigger int64) []byte {
	key := binary.BigEndian.AppendUint32([]byte{letter}, uint32(on)) // #nosec G115 -- never negative, nor is the next
	return binary.BigEndian.AppendUint64(key, uint64(trigger))
}

// file notes the job of an approval, unless everything that the version shares was shared by the one before, all the time.
func (s *Snapshots) file(ctx context.Context, tx *journal.ViewTx, e *journal.Entry, approved journal.AgreementApproved) error {
	law, err := s.journal.FreshLaw(ctx)
	if err != nil {
		return err
	}
	a, ok := law.Agreement(approved.ID, approved.Version)
	if !ok || !a.Snapshot { // it has ended since
		return nil
	}
	day := s.journal.DayOf(e.RecordedAt).Date
	var former *consent.Agreement
	for _, v := range law.Book.Versions() {
		if v.ID == a.ID && v.Version < a.Version {
			former = &v
		}
	}
	later := a.ValidFrom > day
	if former != nil && !later && !consent.Compare(*former, *a).Wider() {
		return nil
	}
	on := consent.Date(0)
	if later {
		on = a.ValidFrom
	}
	value, err := json.Marshal(jobRow{Agreement: a.ID, Version: a.Version})
	if err != nil {
		return err
	}
	tx.Put(jobKey('w', on, e.Position), value)
	s.filed.Store(true)
	return nil
}

// Jobs lists the jobs that wait or run, by their day, and then those that are done.
func (s *Snapshots) Jobs(ctx context.Context) ([]SnapshotJob, error) {
	waiting, err := s.jobs(ctx, 'w', nil)
	if err != nil {
		return nil, err
	}
	done, err := s.jobs(ctx, 'f', nil)
	return append(waiting, done...), err
}

// due are the jobs whose day has come.
func (s *Snapshots) due(ctx context.Context) ([]SnapshotJob, error) {
	today := s.journal.DayOf(s.journal.Now(journal.Timing{})).Date
	return s.jobs(ctx, 'w', jobKey('w', today+1, 0))
}

func (s *Snapshots) jobs(ctx context.Context, letter byte, to []byte) ([]SnapshotJob, error) {
	if to == nil {
		to = []byte{letter + 1}
	}
	rows, err := s.journal.Store().Scan(ctx, snapshotView, []byte{letter}, to, 0, false)
	if err != nil {
		return nil, err
	}
	out := make([]SnapshotJob, len(rows))
	for i, row := range rows {
		var on jobRow
		if err := json.Unmarshal(row.Value, &on); err != nil || len(row.Key) != 13 {
			return nil, errJob
		}
		out[i] = SnapshotJob{
			Agreement: on.Agreement, Version: on.Version, State: JobWaiting,
			On: consent.Date(binary.BigEndian.Uint32(row.Key[1:])), Trigger: int64(binary.BigEndian.Uint64(row.Key[5:])),
		}
		if err := s.measure(ctx, &out[i]); err != nil {
			return nil, err
		}
		if letter == 'f' {
			out[i].State, out[i].Done = JobDone, out[i].Total
		}
	}
	return out, nil
}

// measure fills in how far a job is.
func (s *Snapshots) measure(ctx context.Context, job *SnapshotJob) error {
	view := walk{job: *job}.Name()
	at, err := s.journal.Store().Checkpoint(ctx, view)
	if err != nil {
		return err
	}
	count, err := s.count(ctx, view)
	if err != nil || count.Until == 0 {
		return err
	}
	job.State, job.Done, job.Total, job.People, job.Taken = JobRunning, min(at, count.Until), count.Until, count.People, count.Taken
	return nil
}

var countKey = []byte{'c'}

func (s *Snapshots) count(ctx context.Context, view string) (count jobCount, err error) {
	values, err := s.journal.Store().Get(ctx, view, countKey)
	if err != nil || values[0] == nil {
		return count, err
	}
	if err := json.Unmarshal(values[0], &count); err != nil {
		return count, errJob
	}
	return count, nil
}

// runJobs works off the jobs whose day has come, until ctx ends.
func (s *Snapshots) runJobs(ctx context.Context) error {
	for {
		if _, err := s.journal.Head(ctx); err != nil {
			return err
		}
		jobs, err := s.due(ctx)
		if err != nil {
			return err
		}
		for _, job := range jobs {
			if _, err := s.advance(ctx, job, nil); err != nil {
				return err
			}
		}
		if err := pause(ctx, jobPoll, s.work); err != nil {
			return err
		}
	}
}

// complete works on a job, or waits for the process that does, until it is done.
func (s *Snapshots) complete(ctx context.Context, job SnapshotJob, progress func(SnapshotJob)) error {
	for {
		done, err := s.advance(ctx, job, progress)
		if err != nil || done {
			return err
		}
		if err := pause(ctx, jobWait, nil); err != nil {
			return err
		}
	}
}

// pause waits for a time, or until it is woken.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// advance works on a job to its end, or says that another process does. A crash in it costs a page: the next one goes on from the job's
// checkpoint, and what had been taken of the page is known.
func (s *Snapshots) advance(ctx context.Context, job SnapshotJob, progress func(SnapshotJob)) (done bool, err error) {
	store, view := s.journal.Store(), walk{s: s, job: job, lease: &lease{}}
	mine, err := view.hold(ctx)
	if err != nil {
		return false, err
	}
	if !mine {
		return s.watch(ctx, job, progress)
	}
	defer func() { err = errors.Join(err, store.Release(context.WithoutCancel(ctx), view.Name(), s.owner)) }()
	if err := s.begin(ctx, &view); err != nil {
		return false, err
	}
	for {
		at, err := store.Checkpoint(ctx, view.Name())
		if err != nil {
			return false, err
		}
		over, err := view.over(ctx, at)
		if err != nil {
			return false, err
		}
		if over {
			return true, s.finish(ctx, view.job, at, progress)
		}
		if _, err = s.journal.CatchUp(ctx, view, at+1); err != nil {
			return false, err
		}
		if err := s.report(ctx, view.job, progress); err != nil {
			return false, err
		}
	}
}

// begin fixes up to where a job walks: who is registered later is decided upon by the agreement itself. A job that waited for its day
// must see everybody who was registered before that day.
func (s *Snapshots) begin(ctx context.Context, view *walk) error {
	count, err := s.count(ctx, view.Name())
	if err != nil {
		return err
	}
	if count.Until == 0 {
		count.Until = view.job.Trigger
		if view.job.On != 0 {
			head, err := s.journal.Head(ctx)
			if err != nil {
				return err
			}
			count.Until = head.Position + 1
		}
		value, err := json.Marshal(count)
		if err != nil {
			return err
		}
		err = s.journal.Store().Commit(ctx, view.Name(), 0, 0, []eventstore.Row{{View: view.Name(), Key: countKey, Value: value}})
		if err != nil && !errors.Is(err, eventstore.ErrConflict) { // another process has begun
			return err
		}
		if errors.Is(err, eventstore.ErrConflict) {
			return s.begin(ctx, view)
		}
	}
	view.until = count.Until
	return nil
}

// finish moves a job to the finished ones.
func (s *Snapshots) finish(ctx context.Context, job SnapshotJob, at int64, progress func(SnapshotJob)) error {
	value, err := json.Marshal(jobRow{Agreement: job.Agreement, Version: job.Version})
	if err != nil {
		return err
	}
	err = s.journal.Store().Commit(ctx, walk{job: job}.Name(), at, at, []eventstore.Row{
		{View: snapshotView, Key: jobKey('w', job.On, job.Trigger)}, {View: snapshotView, Key: jobKey('f', job.On, job.Trigger), Value: value},
	})
	if err != nil {
		return err
	}
	return s.report(ctx, job, progress)
}

// watch says how far another process is with a job.
func (s *Snapshots) watch(ctx context.Context, job SnapshotJob, progress func(SnapshotJob)) (done bool, err error) {
	values, err := s.journal.Store().Get(ctx, snapshotView, jobKey('f', job.On, job.Trigger))
	if err != nil {
		return false, err
	}
	return values[0] != nil, s.report(ctx, job, progress)
}

func (s *Snapshots) report(ctx context.Context, job SnapshotJob, progress func(SnapshotJob)) error {
	if progress == nil {
		return nil
	}
	err := s.measure(ctx, &job)
	if err == nil {
		progress(job)
	}
	return err
}

// walk is the view of one job: its checkpoint is how far the log has been walked.
type walk struct {
	s     *Snapshots
	job   SnapshotJob
	until int64
	lease *lease
}

// lease is when a job's lease was last taken.
type lease struct{ at time.Time }

// hold takes or keeps the job's lease, so that one process walks at a time. Should two walk all the same they only work twice.
func (w walk) hold(ctx context.Context) (bool, error) {
	now := w.s.journal.Clock()
	if now.Sub(w.lease.at) < jobLease/3 {
		return true, nil
	}
	mine, err := w.s.journal.Store().Acquire(ctx, w.Name(), w.s.owner, jobLease)
	if mine {
		w.lease.at = now
	}
	return mine, err
}

// Name is the view's name in the store.
func (w walk) Name() string { return fmt.Sprintf("%s/%d", snapshotView, w.job.Trigger) }

// Wants picks the records that lead to the people.
func (w walk) Wants(eventType string) bool { return eventType == citizen.PersonRegistered }

// over says whether nobody whom the job concerns comes after a position.
func (w walk) over(ctx context.Context, at int64) (bool, error) {
	if at >= w.until || at == 0 {
		return at >= w.until, nil
	}
	recs, err := w.s.journal.Store().Read(ctx, at-1)
	return err == nil && w.later(&recs[0]), err
}

// later says whether a record is of a day on which the agreement's validity had begun: whoever is registered then has decisions of their
// own of everything they ever told.
func (w walk) later(rec *eventstore.Recorded) bool {
	return w.job.On != 0 && w.s.journal.DayOf(rec.RecordedAt).Date >= w.job.On
}

// Apply takes the snapshots of the people of one page.
func (w walk) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	var people asked
	for i := range entries {
		if id, ok := journal.SubjectOf(&entries[i].Recorded); ok && entries[i].Position < w.until && !w.later(&entries[i].Recorded) {
			people.add(id, trigger{position: w.job.Trigger, approval: w.job.Agreement})
		}
	}
	taken, err := w.s.takeAll(ctx, people.list, false, func() error {
		_, err := w.hold(ctx)
		return err
	})
	if err != nil {
		return err
	}
	count, err := w.s.count(ctx, w.Name())
	if err != nil {
		return err
	}
	count.People, count.Taken = count.People+int64(len(people.list)), count.Taken+int64(taken)
	value, err := json.Marshal(count)
	if err != nil {
		return err
	}
	tx.Put(countKey, value)
	return nil
}
