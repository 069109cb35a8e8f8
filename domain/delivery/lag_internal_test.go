package delivery

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAnsweredRanges folds random answers into ranges, and compares them with what a table by number says.
func TestAnsweredRanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var ranges []answeredRange
		byNumber := map[int64]answers{}
		for range rapid.IntRange(1, 20).Draw(t, "receipts") {
			from := rapid.Int64Range(1, 30).Draw(t, "from")
			to := from + rapid.Int64Range(0, 12).Draw(t, "more")
			also := rapid.SampledFrom([]answers{answeredReceived, answeredApplied, answeredRejected}).Draw(t, "answer")
			var around, rest []answeredRange
			for _, r := range ranges {
				if r.to >= from-1 && r.from <= to+1 {
					around = append(around, r)
				} else {
					rest = append(rest, r)
				}
			}
			after := answeredAlso(around, from, to, also)
			ranges = nil
			for _, r := range rest {
				if r.to < from {
					ranges = append(ranges, r)
				}
			}
			ranges = append(ranges, after...)
			for _, r := range rest {
				if r.from > to {
					ranges = append(ranges, r)
				}
			}
			for n := from; n <= to; n++ {
				byNumber[n] |= also
			}
			last := answeredRange{to: -1}
			seen := 0
			for _, r := range ranges {
				require.LessOrEqual(t, r.from, r.to)
				require.Greater(t, r.from, last.to, "in order")
				require.False(t, r.from == last.to+1 && r.answers == last.answers, "joined")
				for n := r.from; n <= r.to; n++ {
					require.Equal(t, byNumber[n], r.answers, "number %d", n)
					seen++
				}
				last = r
			}
			require.Len(t, byNumber, seen)
		}
	})
}

// Look takes one look at all lanes, as Run does from time to time.
func (w *LagWatch) Look(t *testing.T) {
	t.Helper()
	require.NoError(t, w.look(t.Context()))
}
