package journal

import (
	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
)

// Judge asks a law about one change recorded on a day: the content of its decided. after is the citizen's state with everything that
// the change's own append brings. It is a pure function of its arguments, and the only judge: telling, previewing, re-deriving and dry
// runs all ask it.
func (j *Journal) Judge(law *Law, after *State, change citizen.Change, day Day) Decided {
	fact := j.Fact(change, day.Date)
	var room [16]consent.Decision
	decisions := consent.Decide(room[:0], law.Rules, &after.Standing, &fact)
	out := Decided{Agreements: law.Version, Engine: consent.EngineVersion, Decisions: make([]Decision, len(decisions))}
	for i, d := range decisions {
		agreement := law.Rules.Agreement(d.Agreement)
		out.Decisions[i] = Decision{
			Agreement: agreement.ID, Version: agreement.Version, Fields: d.Fields, Reason: d.Reason, Conditions: uint8(d.Failed),
		}
	}
	return out
}
