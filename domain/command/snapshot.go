package command

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Snapshots is the follower that gives a stream the current and announced values that it has no decision of its own for: after a grant, a
// link, a death taken back, or an agreement that comes into force or widens. Of each trigger one snapshot-taken per agreement and citizen
// is appended, exactly once: its command id is made of the three, so a crash, or another replica, only repeats it.
//
// What concerns one citizen is done at once. What concerns everybody is a job (snapshot_job.go).
type Snapshots struct {
	journal *journal.Journal
	owner   string // of leases
	law     atomic.Pointer[snapshotLaw]
	taken   atomic.Int64  // snapshots appended here
	filed   atomic.Bool   // a job was filed since the last look
	work    chan struct{} // wakes the worker
}

// Snapshots returns the follower that takes snapshots.
func (h *Handler) Snapshots() *Snapshots {
	return &Snapshots{journal: h.journal, owner: uuid.NewString(), work: make(chan struct{}, 1)}
}

// Run takes snapshots until ctx ends: those of one citizen within milliseconds of their trigger, jobs beside them.
func (s *Snapshots) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.follow(ctx) })
	group.Go(func() error { return s.runJobs(ctx) })
	return group.Wait()
}

func (s *Snapshots) follow(ctx context.Context) error {
	for {
		at, err := s.catchUp(ctx, nil)
		if err != nil {
			return err
		}
		if s.filed.Swap(false) {
			select {
			case s.work <- struct{}{}:
			default: // it will look anyway
			}
		}
		if err := s.journal.Store().Wait(ctx, at); err != nil {
			return err
		}
	}
}

// Settle takes every snapshot that is due by the log's head, jobs included, and returns how many it took itself: for commands that end.
// progress, if not nil, is told how far it is. Another process that works on a job is waited for.
func (s *Snapshots) Settle(ctx context.Context, progress func(SnapshotJob)) (taken int64, err error) {
	before := s.taken.Load()
	if _, err := s.catchUp(ctx, progress); err != nil {
		return s.taken.Load() - before, err
	}
	jobs, err := s.due(ctx)
	for i := 0; i < len(jobs) && err == nil; i++ {
		err = s.complete(ctx, jobs[i], progress)
	}
	return s.taken.Load() - before, err
}

// catchUp reads the triggers up to the head, a page at a time.
func (s *Snapshots) catchUp(ctx context.Context, progress func(SnapshotJob)) (int64, error) {
	head, err := s.journal.Head(ctx)
	if err != nil {
		return 0, err
	}
	at, err := s.journal.Store().Checkpoint(ctx, snapshotView)
	for err == nil && at <= head.Position {
		if at, err = s.journal.CatchUp(ctx, triggers{s}, at+1); err == nil && progress != nil {
			progress(SnapshotJob{State: JobRunning, Done: at, Total: max(at, head.Position+1)})
		}
	}
	return at, err
}

// trigger is what may make a stream know values that it would not get by themselves. Exactly one of grant, link, lives and approval says
// what it was.
type trigger struct {
	position int64
	grant    string // the agreement consented to
	link     string // the ministry linked to
	lives    bool   // a death was taken back
	approval string // the agreement approved
}

// covers says whether an agreement's snapshot is due by this trigger: only while what it began still holds, unbroken.
func (t trigger) covers(a *consent.Agreement, standing *consent.Standing) bool {
	grant, granted := standing.Grant(a.ID)
	switch {
	case !a.Snapshot:
		return false
	case t.grant != "":
		return a.ID == t.grant && granted && grant.Since <= t.position
	case t.link != "":
		link, linked := standing.Link(a.Ministry)
		return a.Ministry == t.link && a.Population == consent.PopulationLinked && linked && link.Since == t.position
	case t.lives:
		return granted && grant.Since == t.position
	}
	return a.ID == t.approval
}

// triggers is the view of how far the triggers were read. It appends before its checkpoint moves: if the process dies in between, a page
// is read again, and what was taken then is known by its command id and by the citizen's own history.
type triggers struct{ s *Snapshots }

const snapshotView = "snapshot"

// Name is the view's name in the store.
func (triggers) Name() string { return snapshotView }

// Wants says which events are triggers.
func (triggers) Wants(eventType string) bool {
	switch eventType {
	case journal.TypeConsentGranted, journal.TypeMinistryLinked, journal.TypeDeathCorrected, journal.TypeAgreementApproved:
		return true
	}
	return false
}

// Apply takes the snapshots of single citizens and files jobs.
func (v triggers) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	var people asked
	for i := range entries {
		e := &entries[i]
		id, _ := journal.SubjectOf(&e.Recorded)
		t := trigger{position: e.Position}
		switch event := e.Event.(type) { // nil where the key was erased
		case journal.ConsentGranted:
			t.grant = event.Agreement
		case journal.MinistryLinked:
			t.link = event.Ministry
		case journal.DeathCorrected:
			t.lives = true
		case journal.AgreementApproved:
			if err := v.s.file(ctx, tx, e, event); err != nil {
				return err
			}
			continue
		default:
			continue
		}
		people.add(id, t)
	}
	_, err := v.s.takeAll(ctx, people.list, true, nil)
	return err
}

// asked are citizens with their triggers, in the order in which they came.
type asked struct {
	list  []person
	index map[citizen.ID]int
}

// person is a citizen of whom snapshots are asked.
type person struct {
	id       citizen.ID
	triggers []trigger
}

func (a *asked) add(id citizen.ID, t trigger) {
	if a.index == nil {
		a.index = map[citizen.ID]int{}
	}
	at, ok := a.index[id]
	if !ok {
		at = len(a.list)
		a.index[id] = at
		a.list = append(a.list, person{id: id})
	}
	a.list[at].triggers = append(a.list[at].triggers, t)
}

// together is how many citizens' snapshots are judged and appended at once.
const together = 64

// takeAll takes people's snapshots and returns how many were appended. remember keeps the states: of people who have just been active.
// each, if not nil, is called after every step.
func (s *Snapshots) takeAll(ctx context.Context, people []person, remember bool, each func() error) (taken int, err error) {
	for from := 0; from < len(people); from += together {
		n, err := s.take(ctx, people[from:min(from+together, len(people))], remember)
		taken += n
		if err == nil && each != nil {
			err = each()
		}
		if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// take appends the snapshots of a few people in one step. If somebody moved meanwhile they are judged again, in halves, so that one busy
// citizen does not hold up the others.
func (s *Snapshots) take(ctx context.Context, people []person, remember bool) (int, error) {
	for range maxAttempts {
		n, err := s.try(ctx, people, remember)
		if !errors.Is(err, eventstore.ErrConflict) {
			return n, err
		}
		if half := len(people) / 2; half > 0 {
			first, err := s.take(ctx, people[:half], remember)
			if err != nil {
				return first, err
			}
			rest, err := s.take(ctx, people[half:], remember)
			return first + rest, err
		}
	}
	return 0, ErrBusy
}

// try judges people by the log as it is, and appends what each lacks: by the state, the law and the day that the append expects.
func (s *Snapshots) try(ctx context.Context, people []person, remember bool) (int, error) {
	law, err := s.freshLaw(ctx)
	if err != nil {
		return 0, err
	}
	ids := make([]citizen.ID, len(people))
	for i := range people {
		ids[i] = people[i].id
	}
	ledgers, err := s.ledgers(ctx, ids)
	if err != nil {
		return 0, err
	}
	if _, err := s.journal.Head(ctx); err != nil { // now is never before what was read
		return 0, err
	}
	day := s.journal.DayOf(s.journal.Now(journal.Timing{}))
	var steps []journal.Step
	for i, p := range people {
		steps = append(steps, law.steps(s.journal, ledgers[i], p, day)...)
	}
	if len(steps) == 0 {
		return 0, nil
	}
	results, err := s.journal.Append(ctx, steps...)
	if err != nil {
		return 0, err
	}
	taken := 0
	defer func() { s.taken.Add(int64(taken)) }()
	for _, r := range results {
		if !r.Repeated { // else another replica was faster
			taken++
		}
	}
	if remember && taken == len(results) {
		for _, l := range ledgers {
			s.journal.Remember(l.state)
		}
	}
	return taken, nil
}
