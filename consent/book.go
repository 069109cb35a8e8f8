package consent

import "slices"

// Book is the fold of the agreements aggregate: what was proposed, what is approved, what has ended. The zero Book is empty. Its methods
// that change it take the events in log order; what they are told without need (approving what nobody proposed) changes nothing.
type Book struct {
	proposed []Agreement
	approved []Agreement // every approved version of the agreements that have not ended, sorted by id, then version
}

// State is how far a version of an agreement has come.
type State string

// The states of a version that was proposed.
const (
	StateProposed State = "proposed" // waits for its approval
	StateApproved State = "approved" // is the rule, within its validity
	StateReplaced State = "replaced" // a newer version is the rule; or it still waited when a newer one was approved
	StateEnded    State = "ended"    // the agreement ended
)

// Propose files a version; the same version again replaces a proposal that is not approved yet.
func (b *Book) Propose(a Agreement) {
	b.proposed = append(without(b.proposed, a.ID, a.Version), a)
}

// Approve puts a proposed version into the approved ones.
func (b *Book) Approve(id string, version int) {
	a, ok := b.Proposed(id, version)
	if !ok {
		return
	}
	b.proposed = without(b.proposed, id, version)
	b.approved = append(without(b.approved, id, version), *a)
	slices.SortFunc(b.approved, compareAgreements)
}

// End ends an agreement from here on, all its versions, and drops what was proposed for it; only a new proposal can bring it back. The
// date is for people: what counts is the place in the log.
func (b *Book) End(id string, _ Date) {
	ofID := func(a Agreement) bool { return a.ID == id }
	b.proposed = slices.DeleteFunc(slices.Clone(b.proposed), ofID)
	b.approved = slices.DeleteFunc(slices.Clone(b.approved), ofID)
}

// Approved is the newest approved version of each agreement that has not ended, sorted by id.
func (b *Book) Approved() []Agreement {
	var newest []Agreement
	for i := range b.approved {
		if b.isNewest(i) {
			newest = append(newest, b.approved[i])
		}
	}
	return newest
}

// Versions is every approved version of the agreements that have not ended, by id and version: what Compile wants, for a grant of an
// older version covers only what that version shared.
func (b *Book) Versions() []Agreement { return slices.Clone(b.approved) }

// Find is the newest approved version of an agreement that has not ended.
func (b *Book) Find(id string) (*Agreement, bool) {
	for i := range b.approved {
		if b.approved[i].ID == id && b.isNewest(i) {
			found := b.approved[i]
			return &found, true
		}
	}
	return nil, false
}

// Proposed is a version that is proposed and not approved yet.
func (b *Book) Proposed(id string, version int) (*Agreement, bool) {
	for i := range b.proposed {
		if b.proposed[i].ID == id && b.proposed[i].Version == version {
			found := b.proposed[i]
			return &found, true
		}
	}
	return nil, false
}

// State is that of a version which was once proposed. Of one that nobody ever proposed the Book knows nothing: it says StateEnded.
func (b *Book) State(id string, version int) State {
	inForce, found := b.Find(id)
	_, waiting := b.Proposed(id, version)
	switch {
	case found && inForce.Version == version:
		return StateApproved
	case found && (version < inForce.Version && waiting || b.isApproved(id, version)):
		return StateReplaced
	case waiting:
		return StateProposed
	}
	return StateEnded
}

func (b *Book) isApproved(id string, version int) bool {
	return slices.ContainsFunc(b.approved, func(a Agreement) bool { return a.ID == id && a.Version == version })
}

// HasMinistry says whether a ministry stands in an approved agreement that has not ended.
func (b *Book) HasMinistry(ministry string) bool {
	for i := range b.approved {
		if b.approved[i].Ministry == ministry && b.isNewest(i) {
			return true
		}
	}
	return false
}

// isNewest: the approved ones are sorted, so a newer version would follow.
func (b *Book) isNewest(i int) bool {
	return i+1 == len(b.approved) || b.approved[i+1].ID != b.approved[i].ID
}

// without copies: what Versions handed out stays as it was.
func without(agreements []Agreement, id string, version int) []Agreement {
	return slices.DeleteFunc(slices.Clone(agreements), func(a Agreement) bool { return a.ID == id && a.Version == version })
}
