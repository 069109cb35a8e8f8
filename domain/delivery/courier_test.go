package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

var refused = delivery.Outcome{Code: "http-500", Excerpt: "no"}

// shortly is a schedule of four attempts in 100 seconds and a bit of jitter.
var shortly = []time.Duration{0, 10 * time.Second, 30 * time.Second, time.Minute}

// courierTest runs a test in a bubble of its own time.
func courierTest(t *testing.T, people, lanes int, test func(t *testing.T, r *rounds)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, j := newBrittle(t, nil)
		r := newRounds(t, j, people, lanes)
		r.schedule = shortly
		test(t, r)
	})
}

func TestACourierPushesInOrder(t *testing.T) {
	courierTest(t, 3, 1, func(t *testing.T, r *rounds) {
		r.tell(0, 1, 0)
		r.courier("one")
		time.Sleep(time.Minute)
		require.Empty(t, r.came(), "there is no endpoint")
		r.endpoint(2)
		time.Sleep(time.Second)
		require.Equal(t, []string{"1,2", "3"}, r.requests())
		r.tell(2)
		time.Sleep(time.Second)
		require.Equal(t, []string{"A:1", "B:2", "A:3", "C:4"}, r.arrived(0))
	})
}

func TestACourierFindsThePoisonAndParksIt(t *testing.T) {
	courierTest(t, 4, 1, func(t *testing.T, r *rounds) {
		r.tell(0, 1, 2, 3, 1, 3)
		r.answers(r.about(refused, 1))
		r.endpoint(100)
		began := time.Now()
		r.courier("one")
		time.Sleep(time.Second)
		require.Equal(t, []string{"1,2,3,4,5,6 http-500", "1,2,3 http-500", "1", "2,3 http-500", "2 http-500", "3", "4,6"}, r.requests())
		require.Equal(t, []string{"A:1", "C:3", "D:4", "D:6"}, r.arrived(0), "2 waits, 5 waits behind it")
		r.tell(0, 1)
		time.Sleep(time.Second)
		require.Equal(t, []string{"A:1", "C:3", "D:4", "D:6", "A:7"}, r.arrived(0))
		held, err := r.delivery.Held(r.ctx, r.stream)
		require.NoError(t, err)
		require.Len(t, held, 3)
		require.WithinRange(t, held[0].Next, began.Add(10*time.Second), began.Add(13*time.Second))
		held[0].Next = time.Time{}
		require.Equal(t, []delivery.HeldEvent{{Number: 2, Attempts: 1, Code: "http-500", Excerpt: "no"}, {Number: 5}, {Number: 8}}, held)

		r.until(func() bool { return len(r.parked()) == 1 })
		require.Equal(t, []delivery.ParkedRange{{From: 2, To: 2, Attempts: 4, Code: "http-500", Excerpt: "no"}}, r.parked())
		require.Greater(t, time.Since(began), 100*time.Second)
		r.until(func() bool { return len(r.parked()) == 3 })
		require.Equal(t, []string{"A:1", "C:3", "D:4", "D:6", "A:7"}, r.arrived(0))

		r.answers(nil)
		require.NoError(t, r.delivery.Redrive(r.ctx, operator, journal.CommandID{Issuer: "test", ID: "1"}, r.stream, 0, 1, 5))
		require.NoError(t, r.delivery.Redrive(r.ctx, operator, journal.CommandID{Issuer: "test", ID: "1"}, r.stream, 0, 1, 5), "repeated")
		require.ErrorIs(t, r.delivery.Redrive(r.ctx, operator, journal.CommandID{}, r.stream, 0, 1, 5), delivery.ErrNotParked)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"A:1", "C:3", "D:4", "D:6", "A:7", "B:2", "B:5"}, r.arrived(0))
		require.Equal(t, []delivery.ParkedRange{{From: 8, To: 8, Attempts: 4, Code: "http-500", Excerpt: "no"}}, r.parked())
		require.Equal(t, []string{"", "", "no"}, r.excerpts(2, 5, 8), "what is delivered is not quoted any more")
		r.covered()
	})
}

func TestAnEndpointThatIsDownUsesUpTheFirstAlone(t *testing.T) {
	courierTest(t, 3, 1, func(t *testing.T, r *rounds) {
		r.schedule = nil
		for _, wait := range delivery.RetrySchedule() {
			r.schedule = append(r.schedule, wait/60) // hours become minutes
		}
		r.tell(0, 1, 2, 0)
		r.answers(func([]delivery.Message) delivery.Outcome { return delivery.Outcome{Code: "timeout", Down: true} })
		r.endpoint(100)
		r.courier("one")
		time.Sleep(75 * time.Minute)
		require.Empty(t, r.parked())
		r.until(func() bool { return len(r.parked()) > 0 })
		require.Equal(t, []delivery.ParkedRange{{From: 1, To: 1, Attempts: 10, Code: "timeout"}}, r.parked())
		r.answers(nil)
		time.Sleep(maxProbe)
		require.ElementsMatch(t, []string{"B:2", "C:3", "A:4"}, r.arrived(0))
		r.covered()
	})
}

func TestTheScheduleIsTheContracts(t *testing.T) {
	t.Parallel()
	var waits []string
	for _, wait := range delivery.RetrySchedule() {
		waits = append(waits, wait.String())
	}
	require.Equal(t, []string{"0s", "5s", "5m0s", "30m0s", "2h0m0s", "5h0m0s", "10h0m0s", "14h0m0s", "20h0m0s", "24h0m0s"}, waits)
}

// maxProbe is after how much time at the latest a courier notices that an endpoint serves again, jitter included.
const maxProbe = 6*time.Minute + time.Second

func TestAnEventThatBringsAnEndpointDownHoldsBackItsPersonAlone(t *testing.T) {
	courierTest(t, 4, 1, func(t *testing.T, r *rounds) {
		r.tell(0, 1, 2, 3, 0, 1, 2, 3)
		r.answers(r.about(delivery.Outcome{Code: "http-503", Down: true}, 0, 1))
		r.endpoint(100)
		r.courier("one")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"C:3", "D:4", "C:7", "D:8"}, r.arrived(0))
		r.until(func() bool { return len(r.parked()) == 4 })
	})
}

// What refuses everything does not serve: few events use up attempts, and what comes is not even tried.
func TestAnEndpointThatRefusesEverythingIsLeftAlone(t *testing.T) {
	for _, batch := range []int{1, 50} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			courierTest(t, 20, 1, func(t *testing.T, r *rounds) {
				for range 5 {
					for person := range 20 {
						r.tell(person)
					}
				}
				r.answers(func([]delivery.Message) delivery.Outcome { return refused })
				r.endpoint(batch)
				r.courier("one")
				time.Sleep(3 * time.Second)
				require.Less(t, len(r.came()), 20)
				tried := map[int64]bool{}
				for _, p := range r.came() {
					if len(p.messages) == 1 {
						tried[p.messages[0].Cursor.Number] = true
					}
				}
				require.Less(t, len(tried), 14)
				r.answers(nil)
				time.Sleep(3 * time.Minute)
				require.Len(t, r.arrived(0), 100)
				require.Empty(t, r.parked())
				r.covered()
			})
		})
	}
}

func TestACourierHonoursRetryAfter(t *testing.T) {
	for _, o := range []delivery.Outcome{{Code: "http-429", Down: true}, {Code: "http-500"}} {
		t.Run(o.Code, func(t *testing.T) {
			courierTest(t, 2, 1, func(t *testing.T, r *rounds) {
				r.tell(0)
				o.RetryAfter = 17 * time.Minute
				r.answers(func([]delivery.Message) delivery.Outcome { return o })
				r.endpoint(1)
				r.courier("one")
				time.Sleep(17*time.Minute - time.Second)
				require.Len(t, r.came(), 1)
				r.answers(nil)
				time.Sleep(2 * time.Second)
				require.Equal(t, []string{"A:1"}, r.arrived(0))

				o.RetryAfter = 1000 * time.Hour // hardly what anybody means
				r.answers(func([]delivery.Message) delivery.Outcome { return o })
				r.tell(1)
				time.Sleep(time.Second)
				r.answers(nil)
				time.Sleep(time.Hour)
				require.Equal(t, []string{"A:1", "B:2"}, r.arrived(0))
			})
		})
	}
}

func TestAnEndpointThatIsGonePausesItsStream(t *testing.T) {
	courierTest(t, 2, 1, func(t *testing.T, r *rounds) {
		r.tell(0, 1)
		r.answers(func([]delivery.Message) delivery.Outcome { return delivery.Outcome{Code: "gone", Gone: true} })
		r.endpoint(10)
		r.courier("one")
		time.Sleep(time.Hour)
		require.Equal(t, []string{"1,2 gone"}, r.requests())
		settings, err := r.delivery.Settings(r.ctx, r.stream)
		require.NoError(t, err)
		require.True(t, settings.Paused)
		require.Equal(t, journal.PausedGone, settings.Why)
		_, err = r.delivery.Next(r.ctx, r.stream, 0, 0, 1, time.Minute)
		require.ErrorIs(t, err, delivery.ErrPaused)
		r.answers(nil)
		require.NoError(t, r.delivery.Resume(r.ctx, operator, journal.CommandID{}, r.stream))
		time.Sleep(time.Second)
		require.Equal(t, []string{"A:1", "B:2"}, r.arrived(0))
		r.covered()
	})
}

func TestAPausedStreamWaits(t *testing.T) {
	courierTest(t, 2, 1, func(t *testing.T, r *rounds) {
		r.endpoint(10)
		r.courier("one")
		r.tell(0)
		time.Sleep(time.Second)
		require.NoError(t, r.delivery.Pause(r.ctx, operator, journal.CommandID{}, r.stream))
		r.tell(0, 1)
		time.Sleep(time.Hour)
		require.Equal(t, []string{"A:1"}, r.arrived(0))
		require.NoError(t, r.delivery.Resume(r.ctx, operator, journal.CommandID{}, r.stream))
		time.Sleep(time.Second)
		require.Equal(t, []string{"A:1", "A:2", "B:3"}, r.arrived(0))
	})
}

// Who comes after a courier knows what it had noted, and who is behind whom.
func TestACourierGoesOnAfterARestart(t *testing.T) {
	courierTest(t, 3, 1, func(t *testing.T, r *rounds) {
		r.tell(0, 1, 2, 1)
		r.answers(r.about(refused, 1))
		r.endpoint(1)
		stop := r.courier("one")
		time.Sleep(time.Second)
		require.ElementsMatch(t, []string{"A:1", "C:3"}, r.arrived(0))
		stop()
		r.answers(nil)
		r.tell(0, 1)
		r.courier("two")
		time.Sleep(3 * time.Second)
		require.ElementsMatch(t, []string{"A:1", "C:3", "A:5"}, r.arrived(0), "6 waits behind 2 and 4")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"A:5", "B:2", "B:4", "B:6"}, r.arrived(0)[2:])
		r.covered()
	})
}

// An endpoint that is slow gets as much as it can take: nothing is cut off, nothing comes twice.
func TestASlowEndpointIsNotDown(t *testing.T) {
	for _, batch := range []int{1, 10} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			courierTest(t, 20, 1, func(t *testing.T, r *rounds) {
				for range 10 {
					for person := range 20 {
						r.tell(person)
					}
				}
				r.takes(2 * time.Second)
				r.endpoint(batch)
				r.courier("one")
				time.Sleep(2 * time.Minute)
				require.Len(t, r.arrived(0), 200)
				for _, p := range r.came() {
					require.Empty(t, p.code)
				}
				r.covered()
			})
		})
	}
}

func TestACourierDiesWhileItSends(t *testing.T) {
	courierTest(t, 3, 1, func(t *testing.T, r *rounds) {
		r.tell(0, 1, 2)
		r.takes(5 * time.Second)
		r.endpoint(2)
		stop := r.courier("one")
		time.Sleep(7 * time.Second)
		stop()
		require.Equal(t, []string{"1,2", "3 timeout"}, r.requests())
		r.takes(0)
		r.courier("two")
		time.Sleep(time.Second)
		require.Equal(t, []string{"1,2", "3 timeout", "3"}, r.requests())
		r.covered()
	})
}

// If a courier dies right after it has seen what is asked for again, the next one knows.
func TestWhatIsRedrivenIsNotForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		brittle, j := newBrittle(t, nil)
		r := newRounds(t, j, 2, 1)
		r.schedule = shortly[:1]
		r.tell(0)
		r.answers(func([]delivery.Message) delivery.Outcome { return refused })
		r.endpoint(2)
		r.courier("one")
		r.until(func() bool { return len(r.parked()) == 1 })
		r.answers(nil)
		var failed atomic.Bool
		brittle.refuses(func(_ string, rows []eventstore.Row) bool {
			return slices.ContainsFunc(rows, func(row eventstore.Row) bool { return row.Key[0] == 'h' && row.Value != nil }) && !failed.Swap(true)
		})
		require.NoError(t, r.delivery.Redrive(r.ctx, operator, journal.CommandID{}, r.stream, 0, 1, 1))
		time.Sleep(time.Minute)
		require.True(t, failed.Load())
		require.Equal(t, []string{"A:1"}, r.arrived(0))
	})
}

// A lane that has more waiting than there is room for leaves the rest on the log.
func TestWhatWaitsIsBounded(t *testing.T) {
	courierTest(t, 2, 1, func(t *testing.T, r *rounds) {
		r.held = 40
		r.tell(slices.Repeat([]int{0}, r.held+50)...)
		r.tell(1)
		r.answers(r.about(refused, 0))
		r.endpoint(100)
		stop := r.courier("one")
		time.Sleep(8 * time.Second)
		lanes, err := r.delivery.Status(r.ctx)
		require.NoError(t, err)
		for _, lane := range lanes {
			if lane.Stream == r.stream {
				require.Equal(t, int64(r.held), lane.Last)
			}
		}
		stop() // and who takes over reads them all again
		r.answers(nil)
		r.courier("two")
		time.Sleep(2 * time.Minute)
		require.Len(t, r.arrived(0), r.held+51)
		r.covered()
	})
}

func TestACourierStopsAtOnce(t *testing.T) {
	courierTest(t, 2, 2, func(t *testing.T, r *rounds) {
		r.tell(0, 1)
		r.endpoint(1)
		stop := r.courier("one")
		time.Sleep(time.Minute)
		began := time.Now()
		stop()
		require.Zero(t, time.Since(began))
	})
}

func TestAWithdrawalIsHonouredByARetry(t *testing.T) {
	courierTest(t, 1, 1, func(t *testing.T, r *rounds) {
		r.tell(0)
		r.answers(func([]delivery.Message) delivery.Outcome { return refused })
		r.endpoint(10)
		r.courier("one")
		time.Sleep(time.Second)
		r.withdraw(0)
		r.answers(nil)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"A:1", "A:2"}, r.arrived(0))
		came := r.came()
		last := came[len(came)-2:]
		require.True(t, last[0].messages[0].Recalled())
		require.Equal(t, "ended", attribute(&last[1].messages[0], "kind"))
		r.covered()
	})
}

// until waits until something holds; a test that waits for ever is stopped by its bubble.
func (r *rounds) until(holds func() bool) {
	r.Helper()
	for range 100_000 {
		if holds() {
			return
		}
		time.Sleep(time.Second)
	}
	require.Fail(r, "it never came")
}

func (r *rounds) excerpts(numbers ...int64) []string {
	r.Helper()
	excerpts, err := r.delivery.Excerpts(r.ctx, r.stream, 0, numbers)
	require.NoError(r, err)
	return excerpts
}

func (r *rounds) parked() []delivery.ParkedRange {
	r.Helper()
	parked, err := r.delivery.Parked(context.WithoutCancel(r.ctx), r.stream)
	require.NoError(r, err)
	return parked
}
