package command_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

func (b *bundle) birth(t testing.TB, bornOn string) command.Change {
	t.Helper()
	return fact(t, b.journal, "birth-registered", map[string]any{
		"child_given_names": "Zoë", "child_family_name": "Invented", "child_birth_date": bornOn,
	})
}

// childrenOf are those for whom somebody acts as a parent.
func (b *bundle) childrenOf(t testing.TB, parent citizen.ID) []citizen.ID {
	t.Helper()
	ids, err := journal.NewRelatives(b.journal).ActsFor(context.Background(), parent)
	require.NoError(t, err)
	return ids
}

func types(entries []journal.Entry) []string {
	out := make([]string, len(entries))
	for i := range entries {
		out[i] = entries[i].Type
	}
	return out
}

// TestABirthRegistersTheChild in one step: its proxy, itself, and what is decided about it.
func TestABirthRegistersTheChild(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		newcomers := parseAgreement(t, b.journal, "moh-health-card", "id: moh-health-card", "id: newcomers", "population: linked", "population: all",
			"client_reference: true", "client_reference: false", "{event: death-registered, fields: [death_date]}", "{event: person-registered, fields: [birth_date, language]}")
		_, err := b.command.LoadAgreements(ctx, command.Command{Actor: operator}, []consent.Agreement{newcomers})
		require.NoError(t, err)
		parent := b.resident(t)
		_, err = b.command.Tell(ctx, by(self(parent)), parent, fact(t, b.journal, "language-changed", map[string]any{"language": "fr"}))
		require.NoError(t, err)
		bornOn := b.daysFrom(0, -3)
		ask := by(registrar)
		result, err := b.command.Tell(ctx, ask, parent, b.birth(t, bornOn))
		require.NoError(t, err)
		told := b.history(t, parent)
		require.Equal(t, []string{"birth-registered", "decided"}, types(told)[len(told)-2:])
		require.Equal(t, result.Position, told[len(told)-2].Position)

		children := b.childrenOf(t, parent)
		require.Len(t, children, 1)
		child := b.history(t, children[0])
		require.Equal(t, []string{"proxy-granted", "person-registered", "decided"}, types(child))
		for i, e := range child {
			require.Equal(t, result.Position+2+int64(i), e.Position, "one append, the child's right behind the parent's")
			require.Equal(t, int32(i+1), e.Version)
		}
		require.Equal(t, journal.ProxyGranted{Kind: "parent", Proxy: parent.String(), Until: b.daysFrom(18, -4)}, child[0].Event)
		require.Equal(t, citizen.Change{
			Type: "person-registered", Effective: "2026-01-05", Verified: true,
			Data: map[string]any{"given_names": "Zoë", "family_name": "Invented", "birth_date": bornOn, "language": "fr"},
		}, child[1].Event)
		require.Equal(t, []int64{result.Position, result.Position, child[1].Position}, []int64{child[0].Cause, child[1].Cause, child[2].Cause})
		require.Equal(t, []string{"newcomers"}, shared(child[2].Event.(journal.Decided).Decisions), "the child is registered like anyone")

		repeated, err := b.command.Tell(ctx, ask, parent, b.birth(t, bornOn))
		require.NoError(t, err)
		require.True(t, repeated.Repeated)
		require.Equal(t, result.Position, repeated.Position)
		require.Equal(t, children, b.childrenOf(t, parent), "a repeat bears nobody")

		_, err = b.command.Tell(ctx, by(self(parent)), children[0], address(t, b.journal, "1 First St"))
		require.NoError(t, err, "the parent acts for the child")
	})
}

// TestBirthsOfAllKinds: asserted where the parent tells it, in English where no language is known, without a proxy where it is told so late
// that the child has come of age; and nobody is born to whom it may not be told.
func TestBirthsOfAllKinds(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	parent := b.resident(t)
	_, err := b.command.Tell(ctx, by(self(parent)), parent, b.birth(t, b.daysFrom(-18, 1)))
	require.NoError(t, err)
	children := b.childrenOf(t, parent)
	require.Len(t, children, 1, "a minor for one day more")
	registered, _ := b.history(t, children[0])[1].Event.(citizen.Change)
	require.False(t, registered.Verified)
	require.Equal(t, "en", registered.Data["language"])
	before := b.head(t)
	_, err = b.command.Tell(ctx, by(self(parent)), parent, b.birth(t, b.daysFrom(-18, 0)))
	require.NoError(t, err)
	require.Equal(t, children, b.childrenOf(t, parent), "nobody acts for somebody of age")
	require.Equal(t, before+4, b.head(t), "but they are registered")
	_, err = b.command.Preview(ctx, self(parent), parent, b.birth(t, b.daysFrom(0, 0)))
	require.NoError(t, err)
	require.Equal(t, before+4, b.head(t))
	b.refused(t, "unknown-person", "/person", func() error {
		_, err := b.command.Tell(ctx, by(registrar), citizen.ID(uuid.New()), b.birth(t, b.daysFrom(0, 0)))
		return err
	})
	form := b.birth(t, b.daysFrom(0, 0))
	form.Consents = []command.Choice{{Agreement: "outdoors-card"}}
	b.load(t)
	result, err := b.command.Tell(ctx, by(self(parent)), parent, form)
	require.NoError(t, err)
	require.Len(t, b.childrenOf(t, parent), 2)
	for _, id := range b.childrenOf(t, parent) {
		if id != children[0] {
			require.Equal(t, result.Position, b.history(t, id)[0].Cause, "the birth is the cause, not the consent before it")
		}
	}
}

// TestAChildOfAProtectedParent is protected before anything is decided about it, and the parent alone acts for it.
func TestAChildOfAProtectedParent(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	newcomers := parseAgreement(t, b.journal, "moh-health-card", "population: linked", "population: all", "client_reference: true", "client_reference: false",
		"{event: death-registered, fields: [death_date]}", "{event: person-registered, fields: [birth_date, language]}")
	_, err := b.command.LoadAgreements(ctx, command.Command{Actor: operator}, []consent.Agreement{newcomers})
	require.NoError(t, err)
	parent, other := b.resident(t), b.resident(t)
	b.append(t, parent, journal.RestrictionSet{Kind: journal.RestrictionViolence, Until: b.daysFrom(1, 0)},
		journal.RestrictionSet{Kind: journal.RestrictionWitness, Through: other.String(), Until: b.daysFrom(0, -1)})
	_, err = b.command.Tell(ctx, by(self(parent)), parent, b.birth(t, b.daysFrom(0, -3)))
	require.NoError(t, err)
	children := b.childrenOf(t, parent)
	require.Len(t, children, 1)
	child := b.history(t, children[0])
	require.Equal(t, []string{"proxy-granted", "restriction-set", "person-registered", "decided"}, types(child))
	require.Equal(t, journal.RestrictionSet{
		Kind: journal.RestrictionViolence, Through: parent.String(), Until: b.daysFrom(1, 0), Keeps: []string{parent.String()},
	}, child[1].Event)
	for _, d := range child[3].Event.(journal.Decided).Decisions {
		require.Equal(t, consent.Restricted, d.Reason)
	}
	require.NotEmpty(t, child[3].Event.(journal.Decided).Decisions)
	_, err = b.command.Tell(ctx, by(self(parent)), children[0], address(t, b.journal, "1 First St"))
	require.NoError(t, err)

	// A child that gets a protected guardian is covered, too, and whoever acted for it under another protection goes on.
	ward := b.bornOn(t, b.daysFrom(-4, 0))
	b.proxied(t, registrar, ward, command.Proxying{Proxy: other, Kind: journal.ProxyParent})
	b.append(t, ward, journal.RestrictionSet{Kind: journal.RestrictionAdoption, Keeps: []string{other.String()}})
	b.proxied(t, protector, ward, command.Proxying{Proxy: parent, Kind: journal.ProxyGuardian})
	require.Len(t, b.state(t, ward).Standing.Restrictions, 2)
	for _, p := range b.state(t, ward).Proxies {
		require.True(t, p.Kept, p.Kind)
	}
}

// TestImportedBirths: an import bears children as telling does, once, whatever else stands in its batch.
func TestImportedBirths(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	line := func(person, eventType string, data map[string]any) string {
		text, err := json.Marshal(map[string]any{
			"id": uuid.NewString(), "person": person, "channel": "web", "told_at": "2026-02-01T10:00:00Z", "type": eventType, "effective": "2026-02-01", "data": data,
		})
		require.NoError(t, err)
		return string(text)
	}
	var lines []string
	for i := range 40 {
		person := fmt.Sprintf("p%d", i)
		lines = append(lines,
			line(person, "person-registered", map[string]any{"given_names": "A", "family_name": "B", "birth_date": "1990-01-01", "language": "fr"}),
			line(person, "birth-registered", map[string]any{"child_given_names": "C", "child_family_name": "D", "child_birth_date": "2026-01-20"}),
			line(person, "name-changed", map[string]any{"given_names": "E", "family_name": "F", "reason": "court"}))
	}
	lines = append(lines, lines[1])
	input := strings.Join(lines, "\n") + "\n"
	run := func() []command.LineResult {
		var results []command.LineResult
		err := b.command.Import(ctx, strings.NewReader(input), command.ImportOptions{Source: "test", ClockTold: true},
			func(r command.LineResult) error { results = append(results, r); return nil }, func() error { return nil })
		require.NoError(t, err)
		return results
	}
	results := run()
	head := b.head(t)
	for i := range 40 {
		ids, err := b.journal.Reference(ctx, "test", fmt.Sprintf("p%d", i))
		require.NoError(t, err)
		require.Equal(t, []string{"person-registered", "decided", "birth-registered", "decided", "name-changed", "decided"}, types(b.history(t, ids[0])))
		remembered, err := b.journal.States(ctx, ids[0])
		require.NoError(t, err)
		require.Equal(t, b.state(t, ids[0]).Version, remembered[0].Version, "what the import remembers is what the log says")
		children := b.childrenOf(t, ids[0])
		require.Len(t, children, 1)
		child := b.history(t, children[0])
		require.Equal(t, []string{"proxy-granted", "person-registered", "decided"}, types(child))
		registered, _ := child[1].Event.(citizen.Change)
		require.Equal(t, "fr", registered.Data["language"])
		require.Equal(t, *results[3*i+1].Position, child[0].Cause)
	}
	require.Equal(t, command.Duplicate, results[120].Result)
	require.Equal(t, *results[1].Position, *results[120].Position)
	for _, r := range run() {
		require.Equal(t, command.Duplicate, r.Result)
	}
	require.Equal(t, head, b.head(t))
}
