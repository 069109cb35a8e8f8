package consent

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The oracle is a second evaluator, written from the prose of the law: dates are texts, fields are names, and what a citizen granted or
// linked is looked up backwards in the history itself, without Standing, Rules or bits.

// story is what the log says of one citizen: the event at index i has position i.
type story []told

type told struct {
	what               string // registered, died, granted, withdrawn, linked, unlinked
	agreement          string
	version            int
	fields             []string
	ministry, birthday string
}

// question is one change, told at a position of the story and sent when the whole story is known.
type question struct {
	event, effective, recorded, now string
	carried                         []string
	addressKind, province           string
	restricted, verified            bool
	protectedUntil                  string // with restricted: the last day; empty is open
	at                              int64
}

// until is the story through a position.
func (s story) until(position int64) story { return s[:position+1] }

func (s story) birthday() string {
	for _, t := range slices.Backward(s) {
		if t.what == "registered" {
			return t.birthday
		}
	}
	return ""
}

func (s story) dead() bool {
	return slices.ContainsFunc(s, func(t told) bool { return t.what == "died" })
}

// grant is the grant that holds at the story's end, and where its unbroken chain began; -1 if there is none.
func (s story) grant(agreement string) (holds told, since int64) {
	since = -1
	if s.dead() {
		return holds, since
	}
	for position, t := range slices.Backward(s) {
		if t.agreement != agreement {
			continue
		}
		if t.what == "withdrawn" {
			break
		}
		if since == -1 {
			holds = t
		}
		since = int64(position)
	}
	return holds, since
}

// link is where the link that holds at the story's end began; -1 if there is none.
func (s story) link(ministry string) int64 {
	for position, t := range slices.Backward(s) {
		if t.ministry != ministry {
			continue
		}
		if t.what == "linked" {
			return int64(position)
		}
		break
	}
	return -1
}

// oracleAge counts birthdays; time.Date makes 29 February a 1 March where there is none.
func oracleAge(born, on string) int {
	first, _ := time.Parse(time.DateOnly, born)
	day, _ := time.Parse(time.DateOnly, on)
	birthday := func(n int) time.Time {
		return time.Date(first.Year()+n, first.Month(), first.Day(), 0, 0, 0, 0, time.UTC)
	}
	age := 0
	for !birthday(age + 1).After(day) {
		age++
	}
	for birthday(age).After(day) {
		age--
	}
	return age
}

// oracleFailed is which of a share's conditions do not hold, in the order of judgement, and which it has.
func oracleFailed(when Conditions, born string, q question) (failed, has []string) {
	judge := func(applies bool, name string, holds bool) {
		if applies {
			has = append(has, name)
			if !holds {
				failed = append(failed, name)
			}
		}
	}
	known := born != ""
	judge(when.MinAge != nil, "min-age", known && when.MinAge != nil && oracleAge(born, q.effective) >= *when.MinAge)
	judge(when.MaxAge != nil, "max-age", known && when.MaxAge != nil && oracleAge(born, q.effective) <= *when.MaxAge)
	judge(len(when.AddressKind) > 0, "address-kind", slices.Contains(when.AddressKind, q.addressKind))
	judge(len(when.Province) > 0, "province", slices.Contains(when.Province, q.province))
	return failed, has
}

// oracleVerdict is one agreement's answer as a text. versions are all of its approved ones, the newest last; grants and links must have
// begun at position notAfter or before.
func oracleVerdict(versions []Agreement, s story, q question, today string, notAfter int64) string {
	a := versions[len(versions)-1]
	var share Share
	for _, s := range a.Shares {
		if s.Event == q.event {
			share = s
		}
	}
	grant, grantSince := s.grant(a.ID)
	linkSince := s.link(a.Ministry)
	from, until := a.ValidFrom.String(), a.ValidUntil.String()
	switch {
	case q.restricted && (q.protectedUntil == "" || today <= q.protectedUntil) && !a.ReceivesProtected:
		return "restricted"
	case from != "" && today < from, until != "" && today > until:
		return "not-in-force"
	case a.Population == "linked" && (linkSince == -1 || linkSince > notAfter):
		return "not-linked"
	case a.Basis.Kind == "consent" && (grantSince == -1 || grantSince > notAfter):
		return "no-grant"
	case a.MinAssurance == "verified" && !q.verified:
		return "not-verified"
	}
	failed, has := oracleFailed(share.When, s.birthday(), q)
	judged := " (" + strings.Join(has, ",") + ")"
	if len(failed) > 0 {
		return failed[0] + judged + " (" + strings.Join(failed, ",") + ")"
	}
	var fields []string
	for _, name := range share.Fields {
		if slices.Contains(q.carried, name) && (a.Basis.Kind == "statute" || oracleGranted(versions, grant, s, q, today, name)) {
			fields = append(fields, name)
		}
	}
	if len(fields) == 0 {
		return "no-fields" + judged
	}
	sort.Strings(fields)
	return "shared" + judged + " " + strings.Join(fields, " ")
}

// oracleGranted: the grant names the field (or all), and the version that it is for shared it of this event type, of such a person and in
// such a case. That a link began later than the newest version allows was judged before.
func oracleGranted(versions []Agreement, grant told, s story, q question, today, name string) bool {
	if grant.fields != nil && !slices.Contains(grant.fields, name) {
		return false
	}
	for _, a := range versions {
		if a.Version == grant.version {
			for _, share := range a.Shares {
				if share.Event == q.event {
					failed, _ := oracleFailed(share.When, s.birthday(), q)
					hidden := q.restricted && (q.protectedUntil == "" || today <= q.protectedUntil) && !a.ReceivesProtected
					stranger := a.Population == "linked" && s.link(a.Ministry) == -1
					unsure := a.MinAssurance == "verified" && !q.verified
					return slices.Contains(share.Fields, name) && len(failed) == 0 && !hidden && !stranger && !unsure
				}
			}
		}
	}
	return false
}

// engineVerdict is the engine's answer in the oracle's words.
func engineVerdict(rules *Rules, event string, d Decision) string {
	judged := " (" + d.Evaluated.String() + ")"
	switch {
	case d.Shared():
		return "shared" + judged + " " + strings.Join(rules.Names(event, d.Fields), " ")
	case d.Failed != 0:
		return d.Reason.String() + judged + " (" + d.Failed.String() + ")"
	case d.Reason == NoFields:
		return "no-fields" + judged
	}
	return d.Reason.String()
}

// standingOf folds a story.
func standingOf(s story) *Standing {
	standing := &Standing{}
	for position, t := range s {
		switch t.what {
		case "registered":
			born, _ := ParseDate(t.birthday)
			standing.Registered(born)
		case "died":
			standing.Died()
		case "granted":
			standing.Granted(int64(position), t.agreement, t.version, t.fields)
		case "withdrawn":
			standing.Withdrawn(t.agreement)
		case "linked":
			standing.Linked(int64(position), t.ministry, "reference")
		case "unlinked":
			standing.Unlinked(t.ministry)
		}
	}
	return standing
}

// until is a last day; "" is open.
func until(text string) Date {
	if text == "" {
		return 0
	}
	return date(text)
}

func date(text string) Date {
	d, err := ParseDate(text)
	if err != nil {
		panic(err)
	}
	return d
}

// tally counts how often each answer came, so that an agreement of the two over nothing can't pass.
type tally struct {
	sync.Mutex
	answers map[string]int
}

func (t *tally) count(prefix, verdict string) {
	t.Lock()
	defer t.Unlock()
	t.answers[prefix+strings.Fields(verdict)[0]]++
	t.answers[prefix+"all"]++
}

func TestDecideAgreesWithTheOracle(t *testing.T) {
	t.Parallel()
	seen := &tally{answers: map[string]int{}}
	rapid.Check(t, func(t *rapid.T) {
		agreements := drawAgreements(t)
		rules, err := Compile(agreements, rowsOf)
		require.NoError(t, err)
		for range 50 {
			s := rapid.SliceOfN(rapid.Custom(drawTold), 1, 8).Draw(t, "story")
			q := drawQuestion(t, int64(len(s)))
			compareAt(t, seen, agreements, rules, s, q)
			compareNow(t, seen, agreements, rules, s, q)
		}
	})
	t.Logf("%v", seen.answers)
	if seen.answers["at all"] < 100_000 {
		t.Skip("fewer cases than 100,000: -rapid.checks was lowered")
	}
	for _, answer := range append(Reasons(), None) {
		code := answer.String()
		if answer == None {
			code = "shared"
		}
		require.Greater(t, seen.answers["at "+code], 200, "too few cases of %q: %v", code, seen.answers)
		require.Greater(t, seen.answers["now "+code], 200, "too few cases of %q: %v", code, seen.answers)
	}
}

// compareAt decides at the question's own position.
func compareAt(t *rapid.T, seen *tally, agreements []Agreement, rules *Rules, s story, q question) {
	standing := standingOf(s.until(q.at))
	if q.restricted {
		standing.Protected(Restriction{Until: until(q.protectedUntil)})
	}
	fact := factOf(q, q.recorded)
	decisions := Decide(nil, rules, standing, &fact)
	for _, versions := range byID(agreements) {
		newest := versions[len(versions)-1]
		if !slices.ContainsFunc(newest.Shares, func(s Share) bool { return s.Event == q.event }) {
			continue
		}
		require.NotEmpty(t, decisions)
		d := decisions[0]
		decisions = decisions[1:]
		require.Equal(t, newest.ID, rules.Agreement(d.Agreement).ID)
		require.EqualValues(t, newest.Version, d.Version)
		want := oracleVerdict(versions, s.until(q.at), q, q.recorded, q.at)
		require.Equal(t, want, engineVerdict(rules, q.event, d), "agreement %+v\nstory %+v\nquestion %+v", versions, s, q)
		seen.count("at ", want)
	}
	require.Empty(t, decisions)
}

// compareNow asks what is still permitted when the whole story is known.
func compareNow(t *rapid.T, seen *tally, agreements []Agreement, rules *Rules, s story, q question) {
	standing := standingOf(s)
	if q.restricted {
		standing.Protected(Restriction{Until: until(q.protectedUntil)})
	}
	fact := factOf(q, q.now)
	for _, versions := range byID(agreements) {
		newest := versions[len(versions)-1]
		fields, reason := Permitted(rules, standing, &fact, newest.ID, q.at)
		want := "no-fields"
		if slices.ContainsFunc(newest.Shares, func(s Share) bool { return s.Event == q.event }) {
			want = oracleVerdict(versions, s, q, q.now, q.at)
		}
		got := reason.String()
		if reason == None {
			got = "shared " + strings.Join(rules.Names(q.event, fields), " ")
		}
		require.Equal(t, withoutConditions(want), got, "agreement %+v\nstory %+v\nquestion %+v", versions, s, q)
		seen.count("now ", want)
	}
}

// withoutConditions leaves out what stands in brackets, which Permitted does not tell.
func withoutConditions(verdict string) string {
	for {
		open, end := strings.Index(verdict, " ("), strings.Index(verdict, ")")
		if open < 0 {
			return verdict
		}
		verdict = verdict[:open] + verdict[end+1:]
	}
}

func factOf(q question, recorded string) Fact {
	return Fact{
		Type: q.event, Carried: bits(q.event, q.carried...), Effective: date(q.effective), Recorded: date(recorded),
		AddressKind: q.addressKind, Province: q.province, Verified: q.verified,
	}
}

// byID groups the versions of each agreement, ids and versions in order.
func byID(agreements []Agreement) [][]Agreement {
	groups := map[string][]Agreement{}
	for _, a := range agreements {
		groups[a.ID] = append(groups[a.ID], a)
	}
	var out [][]Agreement
	for _, group := range groups {
		sort.Slice(group, func(i, j int) bool { return group[i].Version < group[j].Version })
		out = append(out, group)
	}
	sort.Slice(out, func(i, j int) bool { return out[i][0].ID < out[j][0].ID })
	return out
}

// Small pools, with days around the edges of ages and validity, so that the cases meet.
var (
	poolIDs        = []string{"arts", "health", "library", "tax"}
	poolMinistries = []string{"moh", "mof", "mto"}
	poolEvents     = []string{"address-changed", "name-changed", "contact-changed", "death-registered"}
	poolBirthdays  = []string{"", "2008-02-29", "2010-02-28", "2010-03-01", "1986-03-01", "1985-12-31", "2026-02-28", "2027-01-01"}
	poolDays       = []string{"2026-01-01", "2026-02-28", "2026-03-01", "2026-03-02", "2026-12-31", "2028-02-28", "2028-02-29", "2025-12-31"}
	poolAges       = []int{0, 15, 16, 17, 18, 40}
	poolProvinces  = []string{"ON", "QC", "NU", ""}
	poolKinds      = []string{AddressHome, AddressMailing, ""}
)

func pick[T any](t *rapid.T, name string, pool []T) T { return rapid.SampledFrom(pool).Draw(t, name) }

func maybe(t *rapid.T, oneIn int) bool { return rapid.IntRange(1, oneIn).Draw(t, "maybe") == 1 }

// some draws a subset in pool order, at least min of them.
func some(t *rapid.T, pool []string, atLeast int) []string {
	n := rapid.IntRange(atLeast, len(pool)).Draw(t, "how many")
	return rapid.Permutation(pool).Draw(t, "which")[:n]
}

func drawAgreements(t *rapid.T) []Agreement {
	var agreements []Agreement
	for _, id := range some(t, poolIDs, 1) {
		for _, version := range [][]int{{1}, {2}, {1, 2}, {1, 2, 3}}[rapid.IntRange(0, 3).Draw(t, "versions")] {
			agreements = append(agreements, drawAgreement(t, id, version))
		}
	}
	return rapid.Permutation(agreements).Draw(t, "agreements")
}

func drawAgreement(t *rapid.T, id string, version int) Agreement {
	a := Agreement{
		ID: id, Version: version, Ministry: pick(t, "ministry", poolMinistries), ReceivesProtected: maybe(t, 3),
		Basis:      Basis{Kind: pick(t, "basis", []string{BasisConsent, BasisStatute})},
		Population: pick(t, "population", []string{PopulationAll, PopulationLinked}),
	}
	if maybe(t, 2) {
		a.ValidFrom = date(pick(t, "from", poolDays))
	}
	if maybe(t, 3) {
		a.ValidUntil = date(pick(t, "until", poolDays))
	}
	for _, event := range some(t, poolEvents, 1) {
		share := Share{Event: event, Fields: some(t, rowsOf(event), 1)}
		if maybe(t, 3) {
			share.When.MinAge = years(pick(t, "min", poolAges))
		}
		if maybe(t, 3) {
			share.When.MaxAge = years(pick(t, "max", poolAges))
		}
		if maybe(t, 3) {
			share.When.AddressKind = some(t, []string{AddressHome, AddressMailing}, 1)
		}
		if maybe(t, 3) {
			share.When.Province = some(t, []string{"ON", "QC"}, 1)
		}
		a.Shares = append(a.Shares, share)
	}
	if maybe(t, 5) {
		a.MinAssurance = AssuranceVerified
	}
	return a
}

func drawTold(t *rapid.T) told {
	what := pick(t, "what", []string{
		"registered", "registered", "granted", "granted", "granted", "granted", "withdrawn", "linked", "linked", "linked", "unlinked", "died",
	})
	switch what {
	case "registered":
		return told{what: what, birthday: pick(t, "birthday", poolBirthdays)}
	case "granted":
		grant := told{what: what, agreement: pick(t, "agreement", poolIDs), version: rapid.IntRange(1, 3).Draw(t, "version")}
		if maybe(t, 2) {
			grant.fields = some(t, []string{"street", "city", "email", "given_names", "death_date", "unknown"}, 1)
		}
		return grant
	case "withdrawn":
		return told{what: what, agreement: pick(t, "agreement", poolIDs)}
	case "linked", "unlinked":
		return told{what: what, ministry: pick(t, "ministry", poolMinistries)}
	}
	return told{what: what}
}

func drawQuestion(t *rapid.T, length int64) question {
	event := pick(t, "event", append(poolEvents, "language-changed"))
	return question{
		event: event, carried: some(t, rowsOf(event), 0), restricted: maybe(t, 6),
		verified: maybe(t, 2), protectedUntil: pick(t, "protected", append(poolDays, "")),
		effective: pick(t, "effective", poolDays), recorded: pick(t, "recorded", poolDays), now: pick(t, "now", poolDays),
		addressKind: pick(t, "kind", poolKinds), province: pick(t, "province", poolProvinces),
		at: rapid.Int64Range(0, length-1).Draw(t, "at"),
	}
}
