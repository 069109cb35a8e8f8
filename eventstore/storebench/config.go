package storebench

import "time"

// Config says what a store's benchmark measures. Zero values are good.
type Config struct {
	Writers []int         // default 1, 8, 32, 128
	Rounds  int           // of each contender, interleaved; medians count. Default 3
	Round   time.Duration // default 3 s
	Stale   float64       // share of stale appends in the last contender; default 0.05
	Import  int           // records to import; default 100,000
	PerCall int           // records in a call of the import; default 4,000
	Pages   []int         // default 1,000 and 5,000
	Parts   []Part        // default all
}

// Part is a part of a run. Replay reads what Import left.
type Part string

// The parts.
const (
	PartImport Part = "import"
	PartReplay Part = "replay"
	PartAppend Part = "append"
)

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	if len(c.Writers) == 0 {
		c.Writers = []int{1, 8, 32, 128}
	}
	if c.Rounds <= 0 {
		c.Rounds = 3
	}
	if c.Round <= 0 {
		c.Round = 3 * time.Second
	}
	if c.Stale <= 0 {
		c.Stale = 0.05
	}
	if c.Import <= 0 {
		c.Import = 100_000
	}
	if c.PerCall <= 0 {
		c.PerCall = 4_000
	}
	if len(c.Pages) == 0 {
		c.Pages = []int{1_000, 5_000}
	}
	return c
}

// Line is one figure beside the raw limit measured in the same run.
type Line struct {
	Name    string // what was measured
	Against string // the raw limit
	Writers int    // 0 where it is not about writers
	Ours    Measure
	Raw     Measure
}

// Ratio is ours ÷ raw, in records/s.
func (l Line) Ratio() float64 {
	if l.Raw.PerSecond() == 0 {
		return 0
	}
	return l.Ours.PerSecond() / l.Raw.PerSecond()
}
