package projection_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// self is a command of a citizen's own.
func (b *bundle) self(id citizen.ID) command.Command {
	c := b.as(journal.ActorResident)
	c.Actor = journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: uuid.UUID(id)}
	return c
}

func (b *bundle) attorney(of, proxy citizen.ID, scope ...string) {
	b.t.Helper()
	_, err := b.command.GrantProxy(b.ctx, b.self(of), of, command.Proxying{Proxy: proxy, Kind: journal.ProxyAttorney, Scope: scope})
	require.NoError(b.t, err)
}

// append puts an event on the log without a command.
func (b *bundle) append(id citizen.ID, event any) {
	b.t.Helper()
	_, err := b.journal.Append(b.ctx, journal.Step{Events: []journal.New{{
		Event: event, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: -1,
	}}})
	require.NoError(b.t, err)
}

func (b *bundle) acts(id citizen.ID) (out [][2]string) {
	b.t.Helper()
	acts, err := b.projection.Acts(b.ctx, id)
	require.NoError(b.t, err)
	for _, act := range acts {
		out = append(out, [2]string{act.Kind, act.Type})
	}
	return out
}

// TestProxiesAreSeenFromBothSides: the citizen sees who may act and what they did, by kind; the proxy for whom they may act.
func TestProxiesAreSeenFromBothSides(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wards := func() []projection.Ward {
		out, err := b.projection.ActingFor(b.ctx, b.other)
		require.NoError(t, err)
		return out
	}
	proxies := func() []projection.Proxy {
		out, err := b.projection.Proxies(b.ctx, b.citizen)
		require.NoError(t, err)
		return out
	}
	require.Empty(t, proxies())
	require.Empty(t, wards())
	b.attorney(b.citizen, b.other, "consent-granted", "consent-withdrawn")
	require.Equal(t, []projection.Ward{{
		ID: b.citizen, Kind: "attorney", Scope: []string{"consent-granted", "consent-withdrawn"}, Name: "Invented Person",
	}}, wards())
	require.Len(t, proxies(), 1)
	require.True(t, proxies()[0].Holds)
	require.Equal(t, "attorney", proxies()[0].Kind)
	require.False(t, proxies()[0].Since.IsZero())
	_, err := b.command.Grant(b.ctx, b.self(b.other), b.citizen, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	_, err = b.command.Withdraw(b.ctx, b.self(b.citizen), b.citizen, "outdoors-card")
	require.NoError(t, err)
	require.Equal(t, [][2]string{{"attorney", "consent-granted"}}, b.acts(b.citizen), "what the citizen did is not in it")
	require.Empty(t, b.acts(b.other))
	b.tell(journal.ActorSource, b.citizen, "name-changed", map[string]any{"given_names": "New", "family_name": "Name", "reason": "court"})
	require.Equal(t, "New Name", wards()[0].Name)

	b.append(b.citizen, journal.RestrictionSet{Kind: journal.RestrictionViolence})
	require.Empty(t, wards(), "protection hides the citizen from a proxy whom it suspends")
	require.False(t, proxies()[0].Holds)
	b.append(b.citizen, journal.RestrictionSet{Kind: journal.RestrictionViolence, Keeps: []string{b.other.String()}})
	require.Len(t, wards(), 1)
	b.append(b.citizen, journal.RestrictionLifted{})
	b.append(b.citizen, journal.ProxyGranted{Kind: journal.ProxyGuardian, Proxy: b.other.String(), Until: "2000-01-01"})
	require.Empty(t, wards())
	require.False(t, proxies()[0].Holds)
	b.append(b.citizen, journal.ProxyGranted{Kind: journal.ProxyGuardian, Proxy: b.other.String()})
	require.Len(t, wards(), 1)
	_, err = b.command.Grant(b.ctx, b.self(b.other), b.citizen, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	require.Equal(t, [][2]string{{"guardian", "consent-granted"}, {"attorney", "consent-granted"}}, b.acts(b.citizen), "as what they acted then")
	_, err = b.command.EndProxy(b.ctx, b.self(b.other), b.citizen, b.other)
	require.NoError(t, err)
	require.Empty(t, wards())
	require.Empty(t, proxies())
	require.Len(t, b.acts(b.citizen), 3, "and that they ended it")
}

// TestAMergedPersonSeesAll: what was told and given under both ids is one history, and the consents that ended are named.
func TestAMergedPersonSeesAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	going, kept := b.citizen, b.other
	first := b.move(going, "home", "1 First St")
	b.read()
	_, err := b.command.Grant(b.ctx, b.as(journal.ActorSource), going, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	b.move(kept, "mailing", "2 Second St")
	for _, id := range []citizen.ID{kept, going, kept} {
		look := journal.New{Event: journal.Accessed{Kind: "why", Reason: "test"}, Aggregate: journal.AccessesAggregate, Subject: id, Cause: -1}
		_, err := b.journal.Append(b.ctx, journal.Step{Events: []journal.New{look}})
		require.NoError(t, err)
	}
	merges, err := b.projection.Merges(b.ctx, kept)
	require.NoError(t, err)
	require.Empty(t, merges)
	_, err = b.command.Merge(b.ctx, b.as(journal.ActorOfficer), going, kept, "test")
	require.NoError(t, err)

	profile, err := b.projection.Profile(b.ctx, kept)
	require.NoError(t, err)
	for key, street := range map[string]string{"home": "1 First St", "mailing": "2 Second St"} {
		f, ok := profile.Latest("address-changed", key)
		require.True(t, ok, key)
		require.Equal(t, street, f.Data["street"])
	}
	told, err := b.projection.Receipt(b.ctx, kept, first.Receipt)
	require.NoError(t, err)
	require.Equal(t, first.Position, told.Position)
	given := 0
	for _, outcome := range told.Outcomes {
		if outcome.Given != nil {
			given++
		}
	}
	require.Equal(t, 1, given)
	seen, err := b.projection.WhoSaw(b.ctx, kept)
	require.NoError(t, err)
	require.Len(t, seen, 4, "what was given, and who looked, under either id")
	export, err := b.projection.Export(b.ctx, kept)
	require.NoError(t, err)
	require.Len(t, export.Given, 1)
	require.Len(t, export.Looks, 3)
	for i, record := range export.Records[1:] {
		require.Greater(t, record.Position, export.Records[i].Position)
	}
	merges, err = b.projection.Merges(b.ctx, kept)
	require.NoError(t, err)
	require.Len(t, merges, 1)
	require.Equal(t, []string{"outdoors-card"}, merges[0].Ended)
	require.False(t, merges[0].At.IsZero())

	_, err = b.projection.Profile(b.ctx, going)
	require.ErrorIs(t, err, projection.ErrNotFound)
	_, err = b.projection.Changes(b.ctx, going)
	require.ErrorIs(t, err, projection.ErrNotFound)
	_, err = b.projection.Consents(b.ctx, going)
	require.ErrorIs(t, err, projection.ErrNotFound)
}
