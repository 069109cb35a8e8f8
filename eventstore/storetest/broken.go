package storetest

// Fault is one deviation from the contract, planted in the store in memory.
type Fault int

// The faults that the suite must find, each by the check named in Broken.
const (
	NoFault                Fault = iota
	FaultLosesLast               // the last record is gone after a reopen
	FaultForgetsCommands         // commands are known only until the next reopen
	FaultGap                     // now and then a position is skipped
	FaultReorders                // a page comes in another order
	FaultStaleVersion            // what an append writes isn't held to its expectation
	FaultAheadAccepted           // a version that nobody has reached is accepted
	FaultReadOnlyIgnored         // what an append only reads isn't held to its expectation
	FaultVersionGap              // a version is skipped
	FaultIgnoresGuard            // guards are not looked at
	FaultGuardsFirstOnly         // only a guard's first subject is looked at
	FaultEveryoneForgotten       // what restricts everyone restricts nobody
	FaultIgnoresWithin           // bounds are not looked at
	FaultUntilIncluded           // the upper bound is taken as included
	FaultRepeats                 // a repeated command is appended again
	FaultAcceptsReused           // a command with another body is appended
	FaultHalfKept                // what stands before the refused append of a call is kept
	FaultLaterFirst              // a reader sees p+1 before p
	FaultSeenLate                // an append is answered before it can be read
	FaultForgetsRows             // the rows of an append are not written
	FaultRowsOutlive             // the rows of a refused call are kept
	FaultWrongLeaf               // leaves carry another generation
	FaultTimesFallBack           // recorded at goes backwards
	FaultFineTimes               // recorded at is finer than a microsecond
	FaultCauseUnresolved         // a relative cause stays relative
	FaultRestrictingKept         // Restricting is handed out again
	FaultStaleHarms              // after a refused append the next one is refused, too
	FaultChecksEarly             // expectations, guards and commands are checked before the lock is taken
	FaultBytesReused             // payloads share one buffer
	FaultAnswersSwapped          // answers for several aggregates change places
	FaultPageOverlaps            // a page starts one record too early
	FaultNeverWakes              // Wait notices nothing
	FaultCheckpointBlind         // a view's checkpoint moves from wherever it is
	FaultRowsBeforeCheck         // a refused view commit leaves its rows
	FaultDeletesForgotten        // a nil value deletes nothing
	FaultScanIncludesTo          // a scan's upper bound is taken as included
	FaultNeverReverse            // a scan in reverse runs forward
	FaultDropHalf                // a dropped view keeps its checkpoint
	FaultLeaseForAll             // everyone gets the lease
	FaultLeaseForever            // a lease never ends
	FaultReleaseByAnyone         // a lease can be given back by who doesn't hold it
)

// broken names a fault and the check that must find it (others may, too).
type broken struct {
	fault Fault
	name  string
	check string
}

// brokenStores is the list of planted faults.
func brokenStores() []broken {
	return []broken{
		{FaultLosesLast, "loses the last record", "reopened"},
		{FaultForgetsCommands, "forgets commands", "reopened"},
		{FaultGap, "leaves a gap", "concurrent positions"},
		{FaultReorders, "reorders", "read pages"},
		{FaultStaleVersion, "accepts a stale version", "expectations"},
		{FaultStaleVersion, "accepts a stale version (history)", "linearizable"},
		{FaultStaleVersion, "accepts a stale version (race)", "concurrent expectations"},
		{FaultAheadAccepted, "accepts a version ahead", "expectations"},
		{FaultReadOnlyIgnored, "ignores what is only read", "expectations"},
		{FaultVersionGap, "skips a version", "next version"},
		{FaultIgnoresGuard, "ignores the guard", "guards"},
		{FaultIgnoresGuard, "ignores the guard (race)", "concurrent guards"},
		{FaultGuardsFirstOnly, "guards only the first subject", "guards"},
		{FaultEveryoneForgotten, "forgets what restricts everyone", "guards"},
		{FaultIgnoresWithin, "ignores the bounds", "within"},
		{FaultUntilIncluded, "includes the upper bound", "within"},
		{FaultRepeats, "appends a repeated command again", "repeated commands"},
		{FaultRepeats, "appends a repeated command again (race)", "concurrent commands"},
		{FaultAcceptsReused, "accepts a reused command", "reused commands"},
		{FaultHalfKept, "keeps half of a call", "all or none"},
		{FaultLaterFirst, "shows p+1 before p", "readers"},
		{FaultSeenLate, "answers before it can be read", "linearizable"},
		{FaultForgetsRows, "forgets rows", "rows with an append"},
		{FaultRowsOutlive, "keeps the rows of a refused call", "all or none"},
		{FaultWrongLeaf, "computes another leaf", "leaves"},
		{FaultTimesFallBack, "lets time fall back", "times"},
		{FaultFineTimes, "records nanoseconds", "times"},
		{FaultCauseUnresolved, "leaves a cause relative", "causes"},
		{FaultRestrictingKept, "hands Restricting out", "records"},
		{FaultStaleHarms, "lets a stale member harm others", "stale members"},
		{FaultChecksEarly, "checks expectations before the lock", "concurrent expectations"},
		{FaultChecksEarly, "checks commands before the lock", "concurrent commands"},
		{FaultChecksEarly, "checks guards before the lock", "concurrent guards"},
		{FaultChecksEarly, "checks before the lock (history)", "linearizable"},
		{FaultBytesReused, "reuses a buffer", "bytes are the caller's"},
		{FaultAnswersSwapped, "swaps answers", "read aggregates"},
		{FaultPageOverlaps, "overlaps pages", "read pages"},
		{FaultNeverWakes, "never wakes", "wait"},
		{FaultCheckpointBlind, "moves a checkpoint blindly", "view checkpoint"},
		{FaultRowsBeforeCheck, "keeps rows of a refused view commit", "view checkpoint"},
		{FaultDeletesForgotten, "forgets deletes", "view rows"},
		{FaultScanIncludesTo, "includes a scan's end", "view scan"},
		{FaultNeverReverse, "never scans in reverse", "view scan"},
		{FaultDropHalf, "keeps a dropped view's checkpoint", "view drop"},
		{FaultLeaseForAll, "gives a lease to all", "leases"},
		{FaultLeaseForever, "never ends a lease", "leases"},
		{FaultReleaseByAnyone, "lets anyone release", "leases"},
	}
}
