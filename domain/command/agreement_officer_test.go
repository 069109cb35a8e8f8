package command_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// production is a log of today, by the wall clock.
var production = journaltest.Options{Mode: journal.ModeProduction, Wall: true}

// onBothStores runs a scenario on the embedded store, and on PostgreSQL where there is one.
func onBothStores(t *testing.T, o journaltest.Options, scenario func(*testing.T, *bundle)) {
	t.Helper()
	journaltest.OnBothStores(t, o, func(t *testing.T, j *journal.Journal) {
		scenario(t, &bundle{journal: j, command: command.New(j), delivery: delivery.New(j)})
	})
}

// asOfficer is a command of a privacy officer, under an id of its own.
func asOfficer(name string) command.Command {
	c := by(journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: name})
	c.Channel = journal.ChannelNone
	return c
}

func (b *bundle) propose(t testing.TB, c command.Command, list ...consent.Agreement) {
	t.Helper()
	loaded, err := b.command.ProposeAgreements(context.Background(), c, list...)
	require.NoError(t, err)
	for _, one := range loaded {
		require.Equal(t, "proposed", one.State)
	}
}

func (b *bundle) approve(t testing.TB, c command.Command, id string, version int) *command.AgreementVersion {
	t.Helper()
	v, err := b.command.ApproveAgreement(context.Background(), c, command.Approval{ID: id, Version: version})
	require.NoError(t, err)
	return &v
}

func (b *bundle) refusesApproval(t testing.TB, code, pointer string, c command.Command, a command.Approval) {
	t.Helper()
	b.refused(t, code, pointer, func() error {
		_, err := b.command.ApproveAgreement(context.Background(), c, a)
		return err
	})
}

func (b *bundle) states(t testing.TB) []string {
	t.Helper()
	versions, err := b.command.AgreementVersions(context.Background())
	require.NoError(t, err)
	var out []string
	for i := range versions {
		a := &versions[i].Agreement
		out = append(out, a.ID+" "+string(rune('0'+a.Version))+" "+string(versions[i].State))
	}
	return out
}

// sharedNow tells a new address and returns with which agreements it is shared.
func (b *bundle) sharedNow(t testing.TB, id citizen.ID) []string {
	t.Helper()
	result, err := b.command.Tell(context.Background(), by(source), id, b.today(address(t, b.journal, "1 Main St")))
	require.NoError(t, err)
	return shared(result.Decisions)
}

// today makes a change one of the log's own day.
func (b *bundle) today(c command.Change) command.Change {
	c.Effective = b.journal.DayOf(b.journal.Now(journal.Timing{Told: true})).Date.String()
	return c
}

// TestTheLifeOfAnAgreement: proposed, approved by another officer, replaced by the next version, ended; and never under a former number again.
func TestTheLifeOfAnAgreement(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		ann := b.resident(t)
		one := parseAgreement(t, b.journal, "moh-health-card", "population: linked", "population: all", "from: 2026-01-01", "from: 2020-01-01")
		b.propose(t, asOfficer("Dominique"), one)
		require.Equal(t, []string{"moh-health-card 1 proposed"}, b.states(t))
		require.Empty(t, b.sharedNow(t, ann), "what is proposed shares nothing")

		approved := b.approve(t, asOfficer("robin"), one.ID, 1)
		require.Equal(t, consent.StateApproved, approved.State)
		require.Nil(t, approved.Former)
		require.Empty(t, approved.Difference().Changes)
		require.False(t, approved.ApprovedAt.Before(approved.ProposedAt))
		require.Equal(t, []string{one.ID}, b.sharedNow(t, ann))
		opened, err := b.journal.ReadAggregate(ctx, journal.StreamAggregate(one.Stream), 1, 0)
		require.NoError(t, err)
		require.Len(t, opened, 1)
		require.Equal(t, journal.StreamOpened{Lanes: one.Lanes, Ministry: one.Ministry, Stream: one.Stream}, opened[0].Event)

		// The next version gives less, and that at once.
		two := one
		two.Version, two.Shares = 2, []consent.Share{{Event: "address-changed", Fields: []string{"city"}}}
		b.propose(t, asOfficer("robin"), two)
		require.Equal(t, []string{"moh-health-card 1 approved", "moh-health-card 2 proposed"}, b.states(t))
		waiting, err := b.command.AgreementVersion(ctx, one.ID, 2)
		require.NoError(t, err)
		require.Equal(t, 1, waiting.Former.Version, "what it would replace")
		replaced := b.approve(t, asOfficer("Dominique"), one.ID, 2)
		require.Equal(t, 1, replaced.Former.Version)
		require.True(t, replaced.Difference().Narrower())
		require.Equal(t, []string{"moh-health-card 1 replaced", "moh-health-card 2 approved"}, b.states(t))
		result, err := b.command.Tell(ctx, by(source), ann, b.today(address(t, b.journal, "2 Main St")))
		require.NoError(t, err)
		require.Equal(t, []string{"city"}, b.journal.FieldNames("address-changed", result.Decisions[0].Fields))
		opened, err = b.journal.ReadAggregate(ctx, journal.StreamAggregate(one.Stream), 1, 0)
		require.NoError(t, err)
		require.Len(t, opened, 1, "a stream is opened once")

		three := two
		three.Version = 3
		b.propose(t, asOfficer("Dominique"), three)
		ended, err := b.command.EndAgreement(ctx, asOfficer("Dominique"), one.ID, "")
		require.NoError(t, err)
		today := b.journal.DayOf(b.journal.Clock()).Date
		for i := range ended {
			require.Equal(t, consent.StateEnded, ended[i].State)
			require.InDelta(t, int(today), int(ended[i].EndedOn), 1)
		}
		require.Len(t, ended, 3, "an end drops what was proposed, too")
		require.Empty(t, b.sharedNow(t, ann))

		// An ended agreement comes back under a new number, which the old consents don't know.
		for _, again := range []consent.Agreement{two, three} {
			b.refused(t, citizen.CodeAgreementEnded, "/version", func() error {
				_, err := b.command.ProposeAgreements(ctx, asOfficer("Dominique"), again)
				return err
			})
		}
		four := two
		four.Version = 4
		b.propose(t, asOfficer("Dominique"), four)
		require.Nil(t, b.approve(t, asOfficer("robin"), one.ID, 4).Former, "what has ended is not replaced")
		require.Equal(t, []string{one.ID}, b.sharedNow(t, ann))
		versions, err := b.command.AgreementVersions(ctx)
		require.NoError(t, err)
		require.Equal(t, consent.StateEnded, versions[0].State)
		require.Equal(t, 1, versions[1].Former.Version, "history stays as it was")
	})
}

// TestFourEyes: nobody approves what they proposed, whatever the case of their name; and outside a sandbox nobody without a name.
func TestFourEyes(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		a := parseAgreement(t, b.journal, "outdoors-card")
		approval := command.Approval{ID: a.ID, Version: 1}
		b.propose(t, asOfficer("Dominique Officer"), a)
		for _, name := range []string{"Dominique Officer", "dominique officer", " DOMINIQUE OFFICER\t", "", "  "} {
			b.refusesApproval(t, citizen.CodeSamePerson, "-", asOfficer(name), approval)
		}
		for _, role := range journal.Roles() {
			if kind, _ := role.Kind(); kind != journal.ActorOfficer {
				_, err := b.command.ApproveAgreement(context.Background(), by(journal.Actor{Kind: kind, Role: role, ID: "robin"}), approval)
				require.ErrorIs(t, err, command.ErrForbidden, role)
			}
		}
		_, err := b.command.ApproveAgreement(context.Background(), by(journal.Actor{ID: "robin"}), approval)
		require.ErrorIs(t, err, command.ErrForbidden)
		b.approve(t, asOfficer("Robin"), a.ID, 1)

		// The log alone tells the two apart, and names neither.
		entries := b.agreements(t)
		require.Len(t, entries, 2)
		proposed, approved := entries[0].Event.(journal.AgreementProposed), entries[1].Event.(journal.AgreementApproved)
		require.Regexp(t, `^[0-9a-f]{64}$`, proposed.By)
		require.Regexp(t, `^[0-9a-f]{64}$`, approved.By)
		require.NotEqual(t, proposed.By, approved.By)
		require.Equal(t, entries[0].Position, entries[1].Cause)
		for _, e := range entries {
			require.NotContains(t, strings.ToLower(string(e.Payload)), "dominique")
			require.NotContains(t, strings.ToLower(string(e.Payload)), "robin")
			require.Equal(t, int16(journal.ActorOfficer), e.ActorKind)
		}
		two := a
		two.Version = 2
		b.propose(t, asOfficer("robin"), two)
		third := b.agreements(t)[2].Event.(journal.AgreementProposed)
		require.NotEqual(t, approved.By, third.By, "one officer's hashes can't be followed from version to version")
		b.refusesApproval(t, citizen.CodeSamePerson, "-", asOfficer("robin"), command.Approval{ID: a.ID, Version: 2})
	})
}

// TestWhatNobodyProposedIsProposedAgain: a load without a name can't be approved by anybody, until somebody with a name proposes it.
func TestWhatNobodyProposedIsProposedAgain(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		a := parseAgreement(t, b.journal, "outdoors-card")
		nobody := command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}
		loaded, err := b.command.LoadAgreements(context.Background(), nobody, []consent.Agreement{a})
		require.NoError(t, err)
		require.Equal(t, "proposed", loaded[0].State)
		b.refusesApproval(t, citizen.CodeSamePerson, "-", asOfficer("robin"), command.Approval{ID: a.ID, Version: 1})
		b.propose(t, asOfficer("Dominique"), a)
		b.refusesApproval(t, citizen.CodeSamePerson, "-", asOfficer("Dominique"), command.Approval{ID: a.ID, Version: 1})
		b.approve(t, asOfficer("robin"), a.ID, 1)
	})
}

func TestASandboxNeedsNoNames(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		a := parseAgreement(t, b.journal, "outdoors-card")
		b.propose(t, asOfficer(""), a)
		b.approve(t, asOfficer(""), a.ID, 1)
		require.Equal(t, []string{"outdoors-card 1 approved"}, b.states(t))
		a.Version = 2
		b.propose(t, asOfficer("Dominique"), a)
		b.refusesApproval(t, citizen.CodeSamePerson, "-", asOfficer("dominique"), command.Approval{ID: a.ID, Version: 2})
		b.approve(t, asOfficer(""), a.ID, 2)
	})
}

func TestApprovalsAreJudged(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		robin := func() command.Command { return asOfficer("robin") }
		a := parseAgreement(t, b.journal, "outdoors-card")
		b.refusesApproval(t, citizen.CodeUnknownVersion, "/id", robin(), command.Approval{ID: "outdoors-card", Version: 1})
		version := func(n int, edit func(*consent.Agreement)) consent.Agreement {
			v := a
			v.Version = n
			if edit != nil {
				edit(&v)
			}
			return v
		}
		b.propose(t, asOfficer("Dominique"), version(1, nil), version(2, nil), version(3, nil))
		b.refusesApproval(t, citizen.CodeUnknownVersion, "/version", robin(), command.Approval{ID: "outdoors-card", Version: 4})
		b.refusesApproval(t, citizen.CodeUnknownVersion, "/id", robin(), command.Approval{ID: "outdoors", Version: 1})
		b.approve(t, robin(), a.ID, 2)
		b.refusesApproval(t, citizen.CodeAlreadyApproved, "/version", robin(), command.Approval{ID: a.ID, Version: 2})
		b.refusesApproval(t, citizen.CodeOlderVersion, "/version", robin(), command.Approval{ID: a.ID, Version: 1})

		// What was compared with is not in force any more.
		none, one, two := 0, 1, 2
		for _, seen := range []*int{&none, &one} {
			b.refusesApproval(t, citizen.CodeStalePreview, "-", robin(), command.Approval{ID: a.ID, Version: 3, Replaces: seen})
		}
		_, err := b.command.ApproveAgreement(ctx, robin(), command.Approval{ID: a.ID, Version: 3, Replaces: &two})
		require.NoError(t, err)
		b.refusesApproval(t, citizen.CodeOlderVersion, "/version", robin(), command.Approval{ID: a.ID, Version: 2})

		// A proposal is judged, too: its number, its content, its stream.
		refuses := func(code, pointer string, list ...consent.Agreement) {
			t.Helper()
			b.refused(t, code, pointer, func() error {
				_, err := b.command.ProposeAgreements(ctx, asOfficer("Dominique"), list...)
				return err
			})
		}
		b.propose(t, asOfficer("Dominique"), version(7, nil))
		b.approve(t, robin(), a.ID, 7)
		refuses(citizen.CodeOlderVersion, "/version", version(5, nil))
		refuses(citizen.CodeStreamKept, "/ministry", version(8, func(v *consent.Agreement) { v.Ministry = "moh" }))
		refuses(citizen.CodeStreamKept, "/lanes", version(8, nil), version(9, func(v *consent.Agreement) { v.Lanes = 5 }))
		before := b.head(t)
		_, err = b.command.ProposeAgreements(ctx, asOfficer("Dominique"), version(8, nil), version(7, func(v *consent.Agreement) { v.Title.EN = "x" }))
		require.ErrorIs(t, err, command.ErrOtherContent)
		loaded, err := b.command.ProposeAgreements(ctx, asOfficer("Dominique"), version(7, nil), version(1, nil))
		require.NoError(t, err)
		require.Equal(t, []string{"unchanged", "unchanged"}, []string{loaded[0].State, loaded[1].State})
		require.Equal(t, before, b.head(t), "all or none, and nothing that is there already")
		for _, kind := range []journal.ActorKind{journal.ActorClerk, journal.ActorMinistry, journal.ActorResident, journal.ActorSource, journal.ActorHub} {
			_, err = b.command.ProposeAgreements(ctx, by(journal.Actor{Kind: kind, ID: "robin"}), version(8, nil))
			require.ErrorIs(t, err, command.ErrForbidden)
			_, err = b.command.EndAgreement(ctx, by(journal.Actor{Kind: kind, ID: "robin"}), a.ID, "")
			require.ErrorIs(t, err, command.ErrForbidden)
		}
	})
}

// TestAStreamOpensBetweenProposalAndApproval: two agreements were proposed for one new stream; the first approval decides what it is.
func TestAStreamOpensBetweenProposalAndApproval(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		first, second := parseAgreement(t, b.journal, "outdoors-card"), parseAgreement(t, b.journal, "outdoors-card", "id: outdoors-card", "id: fishing-card")
		second.Lanes = 4
		b.propose(t, asOfficer("Dominique"), first, second)
		b.approve(t, asOfficer("robin"), second.ID, 1)
		b.refusesApproval(t, citizen.CodeStreamKept, "/lanes", asOfficer("robin"), command.Approval{ID: first.ID, Version: 1})
		law, err := b.journal.FreshLaw(context.Background())
		require.NoError(t, err)
		require.Equal(t, 4, law.Streams[first.Stream].Lanes)
	})
}

func TestEndsAreJudged(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 17, 0, 0, 0, time.UTC)
	clock := &now
	var mu sync.Mutex
	o := journaltest.Options{Mode: journal.ModeProduction, Wall: true, Clock: func() time.Time { mu.Lock(); defer mu.Unlock(); return *clock }}
	j := journaltest.New(t, o)
	b := &bundle{journal: j, command: command.New(j)}
	a := parseAgreement(t, j, "outdoors-card")
	refuses := func(code, pointer, id, on string) {
		t.Helper()
		b.refused(t, code, pointer, func() error {
			_, err := b.command.EndAgreement(context.Background(), asOfficer("robin"), id, on)
			return err
		})
	}
	refuses(citizen.CodeUnknownVersion, "/id", a.ID, "")
	b.propose(t, asOfficer("Dominique"), a)
	refuses(citizen.CodeEndDate, "/date", a.ID, "2026-11-23")
	mu.Lock()
	now = now.AddDate(0, 0, 10)
	mu.Unlock()
	b.approve(t, asOfficer("robin"), a.ID, 1) // on 4 December
	mu.Lock()
	now = now.AddDate(0, 0, 10)
	mu.Unlock()
	refuses(citizen.CodeSchema, "/date", a.ID, "2026-13-01")
	refuses(citizen.CodeEndDate, "/date", a.ID, "2026-12-15")
	refuses(citizen.CodeEndDate, "/date", a.ID, "2026-12-03")
	versions, err := b.command.EndAgreement(context.Background(), asOfficer("robin"), a.ID, "2026-12-04")
	require.NoError(t, err)
	require.Equal(t, "2026-12-04", versions[0].EndedOn.String())
	refuses(citizen.CodeAgreementEnded, "/id", a.ID, "")
	b.refusesApproval(t, citizen.CodeAgreementEnded, "/version", asOfficer("robin"), command.Approval{ID: a.ID, Version: 1})
	entries := b.agreements(t)
	ended := entries[len(entries)-1].Event.(journal.AgreementEnded)
	require.Equal(t, "2026-12-04", ended.Date)
	require.Regexp(t, `^[0-9a-f]{64}$`, ended.By)
}

// TestAgreementCommandsAreRepeatable: the same command again is answered the same and appends nothing; its id for something else is refused.
func TestAgreementCommandsAreRepeatable(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		a := parseAgreement(t, b.journal, "outdoors-card")
		propose, approve, end := asOfficer("Dominique"), asOfficer("robin"), asOfficer("robin")
		b.propose(t, propose, a)
		first := b.approve(t, approve, a.ID, 1)
		two := a
		two.Version = 2
		b.propose(t, asOfficer("Dominique"), two)
		b.approve(t, asOfficer("robin"), a.ID, 2)
		head := b.head(t)
		again := b.approve(t, approve, a.ID, 1)
		require.Equal(t, consent.StateReplaced, again.State)
		require.Equal(t, first.ApprovedAt, again.ApprovedAt)
		loaded, err := b.command.ProposeAgreements(ctx, propose, a)
		require.NoError(t, err)
		require.Equal(t, "unchanged", loaded[0].State)
		require.Equal(t, head, b.head(t))
		_, err = b.command.EndAgreement(ctx, end, a.ID, "")
		require.NoError(t, err)
		head = b.head(t)
		_, err = b.command.EndAgreement(ctx, end, a.ID, "")
		require.NoError(t, err)
		require.Equal(t, head, b.head(t))
		approve.Content = []byte("something else")
		b.refusesApproval(t, citizen.CodeCommandReused, "/id", approve, command.Approval{ID: a.ID, Version: 1})
		three := a
		three.Version = 3
		b.refused(t, citizen.CodeCommandReused, "/id", func() error {
			c := asOfficer("Dominique")
			c.ID, c.Content = approve.ID, []byte("a proposal")
			_, err := b.command.ProposeAgreements(ctx, c, three)
			return err
		})
	})
}

// TestApproversAtOnce: of many officers who approve at the same time, on several replicas, one does.
func TestApproversAtOnce(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, production, 3)
	b := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	a := parseAgreement(t, replicas[0], "outdoors-card")
	b.propose(t, asOfficer("Dominique"), a)
	var group sync.WaitGroup
	errs := make([]error, 9)
	for i := range errs {
		group.Go(func() {
			_, errs[i] = command.New(replicas[i%3]).ApproveAgreement(context.Background(), asOfficer("robin"), command.Approval{ID: a.ID, Version: 1})
		})
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
			continue
		}
		var rejection *citizen.Rejection
		require.ErrorAs(t, err, &rejection)
		require.Equal(t, citizen.CodeAlreadyApproved, rejection.Code)
	}
	require.Equal(t, 1, done)
	require.Len(t, b.agreements(t), 2)
}

// TestAnApprovedVersionIsTheRuleAtOnce: also where its validity begins later; until then nothing is shared, by the former version neither.
func TestAnApprovedVersionIsTheRuleAtOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		ann := b.resident(t)
		one := parseAgreement(t, b.journal, "moh-health-card", "population: linked", "population: all", "from: 2026-01-01", "from: 2020-01-01")
		b.propose(t, asOfficer("Dominique"), one)
		b.approve(t, asOfficer("robin"), one.ID, 1)
		require.Equal(t, []string{one.ID}, b.sharedNow(t, ann))
		two := one
		two.Version, two.ValidFrom = 2, consent.DateOf(b.journal.Clock().AddDate(1, 0, 0))
		b.propose(t, asOfficer("Dominique"), two)
		b.approve(t, asOfficer("robin"), one.ID, 2)
		result, err := b.command.Tell(context.Background(), by(source), ann, b.today(address(t, b.journal, "2 Main St")))
		require.NoError(t, err)
		require.Equal(t, consent.NotInForce, result.Decisions[0].Reason)
		require.Equal(t, 2, result.Decisions[0].Version)
	})
}

// TestAWiderVersionAsksAnew: under consent, what a wider version adds is shared only after a new grant; what it no longer shares, at once.
func TestAWiderVersionAsksAnew(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		ann := b.resident(t)
		one := parseAgreement(t, b.journal, "outdoors-card", "from: 2026-01-01", "from: 2020-01-01")
		one.Shares = []consent.Share{{Event: "address-changed", Fields: []string{"city", "province"}}}
		b.propose(t, asOfficer("Dominique"), one)
		b.approve(t, asOfficer("robin"), one.ID, 1)
		_, err := b.command.Grant(ctx, by(source), ann, command.Choice{Agreement: one.ID, Language: "en"})
		require.NoError(t, err)
		fields := func() []string {
			result, err := b.command.Tell(ctx, by(source), ann, b.today(address(t, b.journal, "3 Main St")))
			require.NoError(t, err)
			return b.journal.FieldNames("address-changed", result.Decisions[0].Fields)
		}
		require.Equal(t, []string{"city", "province"}, fields())
		two := one
		two.Version, two.Shares = 2, []consent.Share{{Event: "address-changed", Fields: []string{"street", "city"}}}
		b.propose(t, asOfficer("Dominique"), two)
		v := b.approve(t, asOfficer("robin"), one.ID, 2)
		require.True(t, v.AsksAnew())
		require.Equal(t, []string{"city"}, fields(), "no longer the province, not yet the street")
		_, err = b.command.Grant(ctx, by(source), ann, command.Choice{Agreement: one.ID, Language: "en"})
		require.NoError(t, err)
		require.Equal(t, []string{"street", "city"}, fields())

		three := two
		three.Version, three.Shares = 3, []consent.Share{{Event: "address-changed", Fields: []string{"city"}}}
		b.propose(t, asOfficer("Dominique"), three)
		require.False(t, b.approve(t, asOfficer("robin"), one.ID, 3).AsksAnew(), "a narrower one asks nobody")
		require.Equal(t, []string{"city"}, fields())
		four := three
		four.Version, four.Basis, four.Shares = 4, consent.Basis{Kind: consent.BasisStatute, Reference: "Act"}, two.Shares
		b.propose(t, asOfficer("Dominique"), four)
		require.False(t, b.approve(t, asOfficer("robin"), one.ID, 4).AsksAnew(), "a law asks nobody")
	})
}
