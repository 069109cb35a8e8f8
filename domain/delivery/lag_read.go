package delivery

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// MaxDue is how far what is due in a lane is counted: a ministry that is this far behind has no use for the exact number, and a look must not
// cost more the further behind it is.
const MaxDue = 10_000

// Lag is how far behind one lane is: what waits for a number, and what has one and waits for the ministry's answer. Each given number counts
// once, by its strongest answer: rejected, then applied, then received.
type Lag struct {
	Stream, Ministry            string
	Lane                        int
	Due                         int64     // events that may leave and have no number yet; MaxDue stands for that many or more
	DueSince                    time.Time // since when the oldest of them may leave; zero for none
	Last                        int64     // last number given; 0 for none
	Received, Applied, Rejected int64
	Settled                     int64     // every number up to it is applied or rejected
	SettledAt                   time.Time // when a number was last answered by applied or rejected; zero for never
	UnansweredSince             time.Time // when the lowest number that is neither applied nor rejected was given; zero for none
}

// Unanswered is how many given numbers are neither applied nor rejected.
func (l *Lag) Unanswered() int64 { return l.Last - l.Applied - l.Rejected }

// Lag lists how far behind each lane of a stream is, complete up to the head. A look costs some reads a lane, however long the log is.
// Errors: ErrUnknownStream.
func (d *Delivery) Lag(ctx context.Context, stream string) ([]Lag, error) {
	open, err := d.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	if err := d.catchUpLag(ctx); err != nil {
		return nil, err
	}
	out := make([]Lag, open.Lanes)
	for lane := range out {
		if out[lane], err = d.lagOf(ctx, open, lane); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Lags is Lag of all streams, by name and lane.
func (d *Delivery) Lags(ctx context.Context) ([]Lag, error) {
	law, err := d.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	var out []Lag
	for _, s := range sortedStreams(law) {
		some, err := d.Lag(ctx, s.Stream)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// LagTime is what ages are told by: the process's clock, or on a log clock the log's own time, which stands still with the log.
func (d *Delivery) LagTime() time.Time { return d.journal.Now(journal.Timing{}) }

func (d *Delivery) catchUpLag(ctx context.Context) error {
	head, err := d.journal.Head(ctx)
	if err == nil {
		_, err = d.journal.CatchUp(ctx, lag{}, head.Position+1)
	}
	return err
}

func (d *Delivery) lagOf(ctx context.Context, stream journal.StreamOpened, lane int) (Lag, error) {
	out := Lag{Stream: stream.Stream, Ministry: stream.Ministry, Lane: lane}
	row, err := d.state(ctx, stream.Stream, lane)
	if err != nil {
		return out, err
	}
	values, err := d.journal.Store().Get(ctx, lag{}.Name(), journal.LaneKey('l', stream.Stream, lane, 0))
	if err != nil {
		return out, err
	}
	sum, err := decodeLaneAnswers(values[0])
	if err != nil {
		return out, err
	}
	out.Last, out.Received, out.Applied, out.Rejected = row.next-1, sum.received, sum.applied, sum.rejected
	// What was answered after the state was read counts as given, too.
	out.Settled, out.Last = sum.settled, max(out.Last, sum.settled)
	if sum.at != 0 {
		out.SettledAt = time.UnixMicro(sum.at).UTC()
	}
	if out.Settled < out.Last {
		if out.UnansweredSince, err = d.givenAt(ctx, stream.Stream, lane, out.Settled+1); err != nil {
			return out, err
		}
	}
	out.Due, out.DueSince, err = d.behind(ctx, stream.Stream, lane)
	return out, err
}

// givenAt is when a number was given.
func (d *Delivery) givenAt(ctx context.Context, stream string, lane int, number int64) (time.Time, error) {
	rows, err := d.journal.Store().Scan(ctx, d.due.Name(), journal.LaneKey('n', stream, lane, 0), journal.LaneKey('n', stream, lane, number+1), 1, true)
	if err != nil {
		return time.Time{}, err
	}
	if len(rows) != 1 || len(rows[0].Value) != 12 {
		return time.Time{}, errRow
	}
	return d.recordedAt(ctx, int64(binary.BigEndian.Uint64(rows[0].Value)))
}

func (d *Delivery) recordedAt(ctx context.Context, position int64) (time.Time, error) {
	recs, err := d.journal.Store().Read(ctx, position)
	if err != nil {
		return time.Time{}, err
	}
	return recs[0].RecordedAt, nil
}

// behind counts what is due in a lane, with what waited for a day that has come and was not looked at since, and says since when the oldest
// of it is. Some of it may turn out not to leave: that is judged when it gets its number.
func (d *Delivery) behind(ctx context.Context, stream string, lane int) (n int64, since time.Time, err error) {
	today := d.journal.DayOf(d.LagTime()).Date
	old := int64(-1) // position of the first that waited for no day
	var day consent.Date
	count := func(rows []eventstore.Row, before int) error {
		for _, row := range rows {
			r, err := decodeDue(row, before)
			switch {
			case err != nil:
				return err
			case n == MaxDue || r.on > today:
				continue
			case r.on == 0 && old < 0:
				old = r.order
			case r.on != 0 && (day == 0 || r.on < day):
				day = r.on
			}
			n++
		}
		return nil
	}
	due, err := d.journal.Store().Scan(ctx, d.due.Name(), laneKey('d', stream, lane), after(laneKey('d', stream, lane)), MaxDue, false)
	if err == nil {
		err = count(due, len(laneKey('d', stream, lane)))
	}
	if err != nil {
		return 0, since, err
	}
	waited, err := d.journal.Store().Scan(ctx, d.due.Name(), laneKey('w', stream, lane), journal.LaneKey('w', stream, lane, int64(today)+1), MaxDue, false)
	if err == nil {
		err = count(waited, len(laneKey('w', stream, lane))+8)
	}
	if err != nil {
		return 0, since, err
	}
	if old >= 0 {
		if since, err = d.recordedAt(ctx, old); err != nil {
			return 0, since, err
		}
	}
	if day != 0 {
		if begun := d.dayBegins(day); since.IsZero() || begun.Before(since) {
			since = begun
		}
	}
	return n, since, nil
}

// dayBegins is when a civil day begins in the log's time zone.
func (d *Delivery) dayBegins(date consent.Date) time.Time {
	noon, err := time.Parse(time.DateOnly+" 15", date.String()+" 12") // in UTC: in most zones on that day
	if err != nil {
		return time.Time{}
	}
	switch day := d.journal.DayOf(noon); {
	case day.Date < date:
		return day.Until
	case day.Date > date:
		return d.journal.DayOf(day.From.Add(-time.Hour)).From
	default:
		return day.From
	}
}
