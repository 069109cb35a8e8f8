package command_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

var (
	clerk     = journal.Actor{Kind: journal.ActorClerk, Role: journal.RoleClerk, ID: "clerk-1"}
	registrar = journal.Actor{Kind: journal.ActorRegistrar, Role: journal.RoleRegistrar, ID: "registrar-1"}
	protector = journal.Actor{Kind: journal.ActorProtector, Role: journal.RoleProtector, ID: "protector-1"}
)

// self is a citizen who is calling.
func self(id citizen.ID) journal.Actor {
	return journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: uuid.UUID(id)}
}

// bornOn registers someone new who was born on a date.
func (b *bundle) bornOn(t testing.TB, date string) citizen.ID {
	t.Helper()
	ids, err := b.journal.Register(context.Background(), "test", uuid.NewString())
	require.NoError(t, err)
	data := map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": date, "language": "en"}
	_, err = b.command.Tell(context.Background(), by(source), ids[0], fact(t, b.journal, "person-registered", data))
	require.NoError(t, err)
	return ids[0]
}

// daysFrom is a civil date so many years (and days) away from the log's today.
func (b *bundle) daysFrom(years, days int) string {
	day := b.journal.DayOf(b.journal.Now(journal.Timing{Told: true}))
	return day.From.AddDate(years, 0, days).Format("2006-01-02")
}

func (b *bundle) proxied(t testing.TB, actor journal.Actor, id citizen.ID, p command.Proxying) {
	t.Helper()
	_, err := b.command.GrantProxy(context.Background(), by(actor), id, p)
	require.NoError(t, err)
}

func (b *bundle) state(t testing.TB, id citizen.ID) *journal.State {
	t.Helper()
	states, err := b.journal.FreshStates(context.Background(), id)
	require.NoError(t, err)
	return states[0]
}

// append puts events on the log as they are, without a command.
func (b *bundle) append(t testing.TB, id citizen.ID, events ...any) {
	t.Helper()
	step := journal.Step{}
	for _, event := range events {
		step.Events = append(step.Events, journal.New{Event: event, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: -1})
	}
	_, err := b.journal.Append(context.Background(), step)
	require.NoError(t, err)
}

// TestWhoMayNameAProxy holds the table of actors and kinds.
func TestWhoMayNameAProxy(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	adult, proxy, other, child := b.resident(t), b.resident(t), b.resident(t), b.bornOn(t, b.daysFrom(-5, 0))
	forbidden, noCapacity := "forbidden", "no-capacity"
	cases := map[string]struct {
		actor                       journal.Actor
		attorney, guardian, parents string // of the adult, the adult, the child; empty: accepted
	}{
		"self":         {self(adult), "", noCapacity, forbidden},
		"someone else": {self(other), forbidden, forbidden, forbidden},
		"the proxy":    {self(proxy), forbidden, forbidden, forbidden},
		"nobody":       {journal.Actor{Kind: journal.ActorResident}, forbidden, forbidden, forbidden},
		"clerk":        {clerk, "", noCapacity, noCapacity},
		"registrar":    {registrar, "", "", ""},
		"protector":    {protector, "", "", ""},
		"source":       {source, forbidden, forbidden, forbidden},
		"officer":      {journal.Actor{Kind: journal.ActorOfficer}, forbidden, forbidden, forbidden},
		"operator":     {operator, forbidden, forbidden, forbidden},
		"hub":          {journal.Actor{}, forbidden, forbidden, forbidden},
	}
	outcome := func(err error) string {
		var rejection *citizen.Rejection
		switch {
		case err == nil:
			return ""
		case errors.As(err, &rejection):
			return rejection.Code
		}
		require.ErrorIs(t, err, command.ErrForbidden)
		return forbidden
	}
	for who, c := range cases {
		for _, ask := range []struct {
			id   citizen.ID
			kind string
			want string
		}{{adult, journal.ProxyAttorney, c.attorney}, {adult, journal.ProxyGuardian, c.guardian}, {child, journal.ProxyParent, c.parents}} {
			_, err := b.command.GrantProxy(ctx, by(c.actor), ask.id, command.Proxying{Proxy: proxy, Kind: ask.kind})
			require.Equal(t, ask.want, outcome(err), "%s names a %s", who, ask.kind)
			if err == nil {
				held := b.state(t, ask.id).Proxies
				require.Len(t, held, 1)
				require.Equal(t, ask.kind, held[0].Kind)
				b.append(t, ask.id, journal.ProxyEnded{Proxy: proxy.String()})
			}
		}
	}
}

// TestWhoMayEndAProxy: an attorney by the citizen, a clerk, the registrar; a parent by the registrar; each by themself.
func TestWhoMayEndAProxy(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	id, proxy, second, other := b.resident(t), b.resident(t), b.resident(t), b.resident(t)
	none := journal.Actor{Kind: journal.ActorOfficer}
	for _, c := range []struct {
		actor journal.Actor
		kind  string
		want  string
	}{
		{self(id), journal.ProxyAttorney, ""}, {clerk, journal.ProxyAttorney, ""}, {registrar, journal.ProxyAttorney, ""},
		{self(proxy), journal.ProxyAttorney, ""}, {self(proxy), journal.ProxyGuardian, ""}, {registrar, journal.ProxyGuardian, ""},
		{self(id), journal.ProxyGuardian, "no-capacity"}, {clerk, journal.ProxyGuardian, "no-capacity"},
		{self(second), journal.ProxyAttorney, "no-capacity"}, {self(other), journal.ProxyAttorney, "forbidden"}, {none, journal.ProxyAttorney, "forbidden"},
		{source, journal.ProxyAttorney, "forbidden"},
	} {
		b.proxied(t, registrar, id, command.Proxying{Proxy: proxy, Kind: c.kind})
		b.proxied(t, registrar, id, command.Proxying{Proxy: second, Kind: journal.ProxyAttorney})
		end := func() error { _, err := b.command.EndProxy(ctx, by(c.actor), id, proxy); return err }
		switch c.want {
		case "":
			require.NoError(t, end(), "%v %s", c.actor, c.kind)
			require.Len(t, b.state(t, id).Proxies, 1)
			require.Equal(t, second, b.state(t, id).Proxies[0].ID)
		case "forbidden":
			require.ErrorIs(t, end(), command.ErrForbidden)
		default:
			b.refused(t, c.want, "/person", end)
		}
	}
	b.refused(t, "no-such-proxy", "/data/proxy", func() error { _, err := b.command.EndProxy(ctx, by(registrar), id, other); return err })
	b.refused(t, "unknown-person", "/person", func() error { _, err := b.command.EndProxy(ctx, by(registrar), citizen.ID{7}, proxy); return err })
}

// TestTermsOfAProxy: whom, in what and until when.
func TestTermsOfAProxy(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	id, proxy := b.resident(t), b.resident(t)
	child, teen, dead := b.bornOn(t, b.daysFrom(-5, 0)), b.bornOn(t, b.daysFrom(-18, 1)), b.resident(t)
	_, err := b.command.Tell(ctx, by(source), dead, death(t, b.journal))
	require.NoError(t, err)
	attorney, parent, guardian := journal.ProxyAttorney, journal.ProxyParent, journal.ProxyGuardian
	for name, c := range map[string]struct {
		id            citizen.ID
		p             command.Proxying
		code, pointer string
	}{
		"oneself":                    {id, command.Proxying{Proxy: id, Kind: attorney}, "same-person", "/data/proxy"},
		"for nobody":                 {citizen.ID{7}, command.Proxying{Proxy: proxy, Kind: attorney}, "unknown-person", "/person"},
		"nobody":                     {id, command.Proxying{Proxy: citizen.ID{7}, Kind: attorney}, "unknown-person", "/data/proxy"},
		"the dead":                   {id, command.Proxying{Proxy: dead, Kind: attorney}, "unknown-person", "/data/proxy"},
		"for the dead":               {dead, command.Proxying{Proxy: proxy, Kind: attorney}, "person-deceased", "-"},
		"no such kind":               {id, command.Proxying{Proxy: proxy, Kind: "friend"}, "schema", "/data/kind"},
		"a minor as attorney":        {id, command.Proxying{Proxy: teen, Kind: attorney}, "no-capacity", "/data/proxy"},
		"a minor as guardian":        {id, command.Proxying{Proxy: teen, Kind: guardian}, "no-capacity", "/data/proxy"},
		"a minor's attorney":         {teen, command.Proxying{Proxy: proxy, Kind: attorney}, "no-capacity", "/data/kind"},
		"an adult's parent":          {id, command.Proxying{Proxy: proxy, Kind: parent}, "no-capacity", "/data/kind"},
		"an empty scope":             {id, command.Proxying{Proxy: proxy, Kind: attorney, Scope: []string{}}, "schema", "/data/scope"},
		"no such type":               {id, command.Proxying{Proxy: proxy, Kind: attorney, Scope: []string{"address-changed", "soul-sold"}}, "unknown-type", "/data/scope/1"},
		"what no resident may tell":  {id, command.Proxying{Proxy: proxy, Kind: attorney, Scope: []string{"death-registered"}}, "unknown-type", "/data/scope/0"},
		"to pass the proxy on":       {id, command.Proxying{Proxy: proxy, Kind: attorney, Scope: []string{"proxy-granted"}}, "unknown-type", "/data/scope/0"},
		"no date":                    {id, command.Proxying{Proxy: proxy, Kind: attorney, Until: "2026-02-30"}, "schema", "/data/until"},
		"yesterday":                  {id, command.Proxying{Proxy: proxy, Kind: attorney, Until: b.daysFrom(0, -1)}, "schema", "/data/until"},
		"today":                      {id, command.Proxying{Proxy: proxy, Kind: attorney, Until: b.daysFrom(0, 0)}, "", b.daysFrom(0, 0)},
		"open":                       {id, command.Proxying{Proxy: proxy, Kind: attorney}, "", ""},
		"an adult's guardian":        {id, command.Proxying{Proxy: proxy, Kind: guardian}, "", ""},
		"a parent":                   {child, command.Proxying{Proxy: proxy, Kind: parent}, "", b.daysFrom(13, -1)},
		"a parent's last day":        {teen, command.Proxying{Proxy: proxy, Kind: parent}, "", b.daysFrom(0, 0)},
		"a parent for a year":        {child, command.Proxying{Proxy: proxy, Kind: parent, Until: b.daysFrom(1, 0)}, "", b.daysFrom(1, 0)},
		"a parent for too long":      {child, command.Proxying{Proxy: proxy, Kind: parent, Until: b.daysFrom(40, 0)}, "", b.daysFrom(13, -1)},
		"a child's guardian":         {child, command.Proxying{Proxy: proxy, Kind: guardian}, "", b.daysFrom(13, -1)},
		"a minor parent":             {child, command.Proxying{Proxy: teen, Kind: parent}, "", b.daysFrom(13, -1)},
		"some types":                 {id, command.Proxying{Proxy: proxy, Kind: attorney, Scope: []string{"address-changed", "consent-granted"}}, "", ""},
		"granted again, for another": {id, command.Proxying{Proxy: proxy, Kind: attorney, Scope: []string{"name-changed"}}, "", ""},
	} {
		ask := func() error { _, err := b.command.GrantProxy(ctx, by(registrar), c.id, c.p); return err }
		if c.code != "" {
			b.refused(t, c.code, c.pointer, ask)
			continue
		}
		require.NoError(t, ask(), name)
		held := b.state(t, c.id).Proxies
		last := held[len(held)-1]
		require.Equal(t, c.pointer, last.Until.String(), name)
		require.Equal(t, c.p.Scope, last.Scope, name)
		require.Equal(t, c.p.Proxy, last.ID, name)
	}
}

// TestAProxyActs in every command, and what it did says so.
func TestAProxyActs(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		id, attorney := b.resident(t), b.resident(t)
		b.proxied(t, self(id), id, command.Proxying{Proxy: attorney, Kind: journal.ProxyAttorney})
		asks := everyday(b, t, id)
		for _, name := range []string{"link", "grant", "tell", "withdraw", "unlink"} {
			require.NoError(t, asks[name](ctx, by(self(attorney))), name)
		}
		preview, err := b.command.Preview(ctx, self(attorney), id, address(t, b.journal, "2 Second St"))
		require.NoError(t, err)
		require.NotEmpty(t, preview.Digest)
		acts := 0
		for _, e := range b.history(t, id) {
			if grant, ok := e.Event.(journal.ConsentGranted); ok {
				require.Equal(t, attorney.String(), grant.Grantor)
				require.Equal(t, journal.ProxyAttorney, grant.Capacity)
			}
			if e.Meta.Actor == attorney.String() {
				acts++
			}
		}
		require.Equal(t, 5, acts)
		for _, e := range b.history(t, attorney) {
			require.Equal(t, citizen.PersonRegistered, firstOf(e.Type, "decided", citizen.PersonRegistered), "nothing stands under the attorney's own name")
		}
		require.NoError(t, asks["grant"](ctx, by(self(id))))
		grant, _ := b.history(t, id)[len(b.history(t, id))-1].Event.(journal.ConsentGranted)
		require.Equal(t, id.String(), grant.Grantor)
		require.Equal(t, journal.CapacitySelf, grant.Capacity)
	})
}

// firstOf is other for a type that may be left out of account.
func firstOf(eventType, ignored, other string) string {
	if eventType == ignored {
		return other
	}
	return eventType
}

// everyday are the commands that a proxy may ask, by name; in this order each is accepted: link, grant, tell, withdraw, unlink.
func everyday(b *bundle, t testing.TB, id citizen.ID) map[string]func(context.Context, command.Command) error {
	return map[string]func(context.Context, command.Command) error{
		"link": func(ctx context.Context, c command.Command) error {
			_, err := b.command.Link(ctx, c, id, command.Linking{Ministry: "moh", ClientReference: "r"})
			return err
		},
		"grant": func(ctx context.Context, c command.Command) error {
			_, err := b.command.Grant(ctx, c, id, command.Choice{Agreement: "outdoors-card"})
			return err
		},
		"tell": func(ctx context.Context, c command.Command) error {
			_, err := b.command.Tell(ctx, c, id, address(t, b.journal, "1 First St"))
			return err
		},
		"withdraw": func(ctx context.Context, c command.Command) error {
			_, err := b.command.Withdraw(ctx, c, id, "outdoors-card")
			return err
		},
		"unlink": func(ctx context.Context, c command.Command) error {
			_, err := b.command.Unlink(ctx, c, id, "moh")
			return err
		},
		"preview": func(ctx context.Context, c command.Command) error {
			_, err := b.command.Preview(ctx, c.Actor, id, address(t, b.journal, "1 First St"))
			return err
		},
		"tell with consents": func(ctx context.Context, c command.Command) error {
			change := address(t, b.journal, "1 First St")
			change.Consents = []command.Choice{{Agreement: "outdoors-card"}}
			_, err := b.command.Tell(ctx, c, id, change)
			return err
		},
	}
}

// TestOutOfScopeOrPeriod: a proxy, but not for this, or not any more.
func TestOutOfScopeOrPeriod(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id, attorney := b.resident(t), b.resident(t)
	asks := everyday(b, t, id)
	scoped := func(types ...string) {
		b.proxied(t, self(id), id, command.Proxying{Proxy: attorney, Kind: journal.ProxyAttorney, Scope: types})
	}
	for name, needs := range map[string][]string{
		"link": {"ministry-linked"}, "grant": {"consent-granted"}, "tell": {"address-changed"}, "preview": {"address-changed"},
		"tell with consents": {"address-changed", "consent-granted"},
	} {
		scoped("name-changed")
		b.refused(t, "no-capacity", "/person", func() error { return asks[name](ctx, by(self(attorney))) })
		if len(needs) > 1 {
			scoped(needs[0])
			b.refused(t, "no-capacity", "/person", func() error { return asks[name](ctx, by(self(attorney))) })
		}
		scoped(needs...)
		require.NoError(t, asks[name](ctx, by(self(attorney))), name)
	}
	scoped("name-changed")
	for _, name := range []string{"withdraw", "unlink"} {
		b.refused(t, "no-capacity", "/person", func() error { return asks[name](ctx, by(self(attorney))) })
	}
	b.append(t, id, journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: attorney.String(), Until: b.daysFrom(0, -1)})
	for name, ask := range asks {
		b.refused(t, "no-capacity", "/person", func() error { return ask(ctx, by(self(attorney))) })
		b.append(t, id, journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: attorney.String(), Until: b.daysFrom(0, 0)})
		err := ask(ctx, by(self(attorney)))
		var rejection *citizen.Rejection
		require.False(t, errors.As(err, &rejection) && rejection.Code == "no-capacity", "%s on the last day: %v", name, err)
		b.append(t, id, journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: attorney.String(), Until: b.daysFrom(0, -1)})
	}
}

// TestAStrangerLearnsNothing: no proxy, one that ended, one whom protection suspends, and a person who does not exist are one answer.
func TestAStrangerLearnsNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		id, attorney, kept, dead := b.resident(t), b.resident(t), b.resident(t), b.resident(t)
		requireStranger := func(id citizen.ID, actor journal.Actor) {
			t.Helper()
			before := b.head(t)
			for name, ask := range everyday(b, t, id) {
				require.Equal(t, command.ErrForbidden, ask(ctx, by(actor)), name)
			}
			_, err := b.command.GrantProxy(ctx, by(actor), id, command.Proxying{Proxy: kept, Kind: journal.ProxyAttorney})
			require.Equal(t, command.ErrForbidden, err)
			_, err = b.command.EndProxy(ctx, by(actor), id, kept)
			require.Equal(t, command.ErrForbidden, err)
			require.Equal(t, before, b.head(t))
		}
		requireStranger(citizen.ID(uuid.New()), self(attorney))
		requireStranger(id, self(attorney))
		b.proxied(t, self(id), id, command.Proxying{Proxy: attorney, Kind: journal.ProxyAttorney})
		b.proxied(t, self(id), id, command.Proxying{Proxy: kept, Kind: journal.ProxyAttorney})
		b.proxied(t, self(id), id, command.Proxying{Proxy: dead, Kind: journal.ProxyAttorney})
		_, err := b.command.Tell(ctx, by(registrar), dead, death(t, b.journal))
		require.NoError(t, err)
		requireStranger(id, self(dead))
		require.NoError(t, everyday(b, t, id)["tell"](ctx, by(self(attorney))))

		b.append(t, id, journal.RestrictionSet{Kind: journal.RestrictionViolence, Keeps: []string{kept.String()}})
		requireStranger(id, self(attorney))
		require.NoError(t, everyday(b, t, id)["tell"](ctx, by(self(kept))))
		for _, actor := range []journal.Actor{registrar, clerk} {
			b.refused(t, "unknown-person", "/person", func() error {
				_, err := b.command.GrantProxy(ctx, by(actor), id, command.Proxying{Proxy: attorney, Kind: journal.ProxyAttorney})
				return err
			})
			b.refused(t, "unknown-person", "/person", func() error { _, err := b.command.EndProxy(ctx, by(actor), id, kept); return err })
			b.refused(t, "unknown-person", "/data/proxy", func() error {
				_, err := b.command.GrantProxy(ctx, by(actor), attorney, command.Proxying{Proxy: id, Kind: journal.ProxyAttorney})
				return err
			})
		}
		b.append(t, id, journal.RestrictionLifted{})
		require.NoError(t, everyday(b, t, id)["tell"](ctx, by(self(attorney))))
		_, err = b.command.EndProxy(ctx, by(self(id)), id, attorney)
		require.NoError(t, err)
		requireStranger(id, self(attorney))
	})
}
