package main

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
)

// protecting: restrictions, their children and proxies, lifting, an identity replaced.
func protecting() []scenario {
	both := func() []string {
		return []string{
			agreementText("open", "statute", "linked", 1, cityOnly),
			agreementText("safe", "statute", "linked", 1, cityOnly, "receives_protected: true"),
		}
	}
	return []scenario{
		{"a protected person is nobody to everyone else, until it is lifted", both(), restricted},
		{"a protected person's children are covered, and proxies suspended", both(), coveredChildren},
		{"a bad restriction is none", nil, badRestrictions},
		{"an identity is replaced by two, and only two read the tie", nil, replaced},
	}
}

func (s *scene) restrict(who, more string) reply {
	s.Helper()
	return s.call("protector", "POST", "/v1/protection/restrictions", s.named(who, `,"kind":"violence","reason":"invented"`+more))
}

// nobody demands that clerk, registrar and officer get the very bytes for somebody that they get for a person who was never registered.
func (s *scene) nobody(who string) {
	s.Helper()
	never := resident{reference: s.id + "-never"}
	for _, ask := range []func(p resident) reply{
		func(p resident) reply {
			return s.call("clerk", "POST", "/v1/persons/details", fmt.Sprintf(`{"person":{"source":"import","reference":%q}}`, p.reference))
		},
		func(p resident) reply {
			return s.call("officer", "POST", "/v1/audit/searches", fmt.Sprintf(`{"reason":"curious","person":{"source":"import","reference":%q}}`, p.reference))
		},
		func(p resident) reply {
			return s.call("clerk", "POST", "/v1/changes", fmt.Sprintf(`{"type":"address-changed","effective":%q,"data":%s,"person":{"source":"import","reference":%q}}`,
				today(), inOntario("Kenora"), p.reference))
		},
		func(p resident) reply {
			return s.call("registrar", "POST", "/v1/erasures", fmt.Sprintf(`{"person":{"source":"import","reference":%q}}`, p.reference))
		},
		func(p resident) reply {
			return s.call("officer", "PUT", "/v1/holds", fmt.Sprintf(`{"person":{"source":"import","reference":%q},"authority":"Court","classes":["facts"]}`, p.reference))
		},
		func(p resident) reply {
			return s.call("clerk", "POST", "/v1/links", fmt.Sprintf(`{"person":{"source":"import","reference":%q},"ministry":"NAME","client_reference":"x"}`, p.reference))
		},
	} {
		hidden, unknown := ask(s.people[who]), ask(never)
		require.GreaterOrEqual(s, unknown.status, 400, unknown.text)
		require.Equal(s, unknown.status, hidden.status, hidden.what)
		require.Equal(s, unknown.text, hidden.text, hidden.what)
	}
	s.nothing(who)
}

func restricted(s *scene) {
	s.register("ann")
	s.link("ann")
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("open", `1 fact address-changed a {"city":"Kenora"} asserted open@1`)
	s.delivered("safe", `1 fact address-changed a {"city":"Kenora"} asserted safe@1`)
	s.onLog("ann")
	s.restrict("ann", "").ok()
	s.onLog("ann", "restriction-set")
	told := s.told("ann", "address-changed", inOntario("Dryden"))
	require.Equal(s, map[string]string{"open": "!restricted", "safe": "city"}, s.decisions("ann", told))
	s.delivered("safe", `2 fact address-changed a {"city":"Dryden"} asserted safe@1`)
	s.delivered("open") // no value, no `ended`, no `retracted`: nothing at all
	s.tell("ann", "change-corrected", correction(told.at(), inOntario("Fort Frances")))
	s.delivered("safe", `3 correction address-changed a {"city":"Fort Frances"} asserted corrects 2 safe@1`)
	s.call("ann", "DELETE", "/v1/me/links/NAME", "").ok()
	s.call("ann", "PUT", "/v1/me/links/NAME", `{"client_reference":"again"}`).ok()
	s.delivered("open")
	s.recalled("open", 1)
	s.delivered("safe", `4 ended a {} safe@1`, `5 snapshot address-changed a {"city":"Fort Frances"} asserted safe@1`)
	s.waitSnapshot("ann")
	s.nobody("ann")
	s.call("protector", "POST", "/v1/persons/details", s.named("ann", "")).ok().has("Fort Frances")
	s.call("ann", "GET", "/v1/me", "").ok().has("Fort Frances")

	s.call("protector", "POST", "/v1/protection/lifts", s.named("ann", `,"reason":"invented"`)).ok()
	s.onLog("ann", "restriction-lifted")
	s.call("clerk", "POST", "/v1/persons/details", s.named("ann", "")).ok().has("Fort Frances")
	s.tell("ann", "address-changed", inOntario("Sioux Lookout"))
	s.delivered("open", `2 fact address-changed a {"city":"Sioux Lookout"} asserted open@1`)
	s.delivered("safe", `6 fact address-changed a {"city":"Sioux Lookout"} asserted safe@1`)
	s.call("protector", "POST", "/v1/protection/lifts", s.named("ann", `,"reason":"invented"`)).refused("no-such-restriction", "/person/reference")
}

// waitSnapshot waits until the hub has taken a snapshot of somebody, and forgets what is on their log.
func (s *scene) waitSnapshot(name string) {
	s.Helper()
	require.Contains(s, s.unseen(name), "snapshot-taken", "it was delivered, so it is on the log")
}

func coveredChildren(s *scene) {
	for _, name := range []string{"ann", "ex", "friend"} {
		s.register(name)
	}
	s.register("kid", daysAhead(-6*365))
	proxy := func(person, proxy, kind string) {
		s.call("registrar", "POST", "/v1/proxies", s.named(person, fmt.Sprintf(`,"proxy":{"source":"import","reference":"NAME-%s"},"kind":%q`, proxy, kind))).ok()
	}
	proxy("kid", "ann", "parent")
	proxy("kid", "ex", "parent")
	proxy("ann", "friend", "attorney")
	s.onLog("kid", "proxy-granted", "proxy-granted")
	s.link("kid")
	s.tell("ann for kid", "address-changed", inOntario("Kenora"))
	s.delivered("open", `1 fact address-changed a {"city":"Kenora"} asserted open@1`)
	s.delivered("safe", `1 fact address-changed a {"city":"Kenora"} asserted safe@1`)
	s.onLog("ann")
	s.onLog("kid")

	s.restrict("ann", "").ok()
	s.onLog("ann", "restriction-set")
	s.onLog("kid", "restriction-set")
	s.nobody("ann")
	s.nobody("kid")
	// The other parent and the attorney are strangers now; the protected parent goes on.
	for _, pair := range [][2]string{{"ex", "kid"}, {"friend", "ann"}} {
		stranger := s.told(pair[0]+" for "+pair[1], "address-changed", inOntario("Dryden"))
		never := s.call(pair[0], "POST", "/v1/changes", fmt.Sprintf(`{"type":"address-changed","effective":%q,"data":%s}`, today(), inOntario("Dryden")),
			"X-On-Behalf-Of", uuid.NewString())
		require.Equal(s, never.text, stranger.text)
		require.Equal(s, 404, stranger.status)
		wards := s.call(pair[0], "GET", "/v1/me/acting-for", "").ok()
		require.NotContains(s, wards.text, s.people[pair[1]].id.String())
	}
	s.nothing("ann", "kid")
	s.tell("ann for kid", "address-changed", inOntario("Fort Frances"))
	s.delivered("open")
	s.delivered("safe", `2 fact address-changed a {"city":"Fort Frances"} asserted safe@1`)

	// A child born later is covered, too.
	s.told("ann", "birth-registered", fmt.Sprintf(`{"child_given_names":"Kim","child_family_name":"Of %s","child_birth_date":%q}`, s.id, daysAhead(-2))).ok()
	for _, one := range s.call("ann", "GET", "/v1/me/acting-for", "").ok().body["people"].([]any) {
		if ward := one.(map[string]any); strings.HasPrefix(ward["name"].(string), "Kim") {
			id, err := citizen.ParseID(ward["id"].(string))
			require.NoError(s, err)
			s.people["kim"] = resident{id: id}
		}
	}
	require.Contains(s, s.unseen("kim"), "restriction-set")
	s.call("protector", "POST", "/v1/protection/lifts", s.named("ann", `,"reason":"invented"`)).ok()
	s.onLog("kim", "restriction-lifted")
	s.told("ex for kid", "address-changed", inOntario("Dryden")).ok()
	s.delivered("open", `2 fact address-changed a {"city":"Dryden"} asserted open@1`)
	s.delivered("safe", `3 fact address-changed a {"city":"Dryden"} asserted safe@1`)
}

func badRestrictions(s *scene) {
	s.register("ann")
	for _, role := range []string{"clerk", "registrar", "officer", "ann"} {
		require.Equal(s, 403, s.call(role, "POST", "/v1/protection/restrictions", s.named("ann", `,"kind":"violence","reason":"invented"`)).status)
	}
	s.call("protector", "POST", "/v1/protection/restrictions", s.named("ann", `,"kind":"shyness","reason":"invented"`)).refused("schema", "/kind")
	s.restrict("ann", `,"until":"`+daysAhead(-1)+`"`).refused("schema", "/until")
	s.restrict("ann", `,"keeps":[{"source":"import","reference":"NAME-never"}]`).refused("unknown-person", "/keeps/0/reference")
	s.nothing("ann")
}

func replaced(s *scene) {
	s.register("ann")
	told := s.told("ann", "address-changed", inOntario("Kenora")).ok()
	s.restrict("ann", "").ok()
	s.onLog("ann")
	data := `"data":{"given_names":"Other","family_name":"Neighbour","birth_date":"1981-06-18","language":"en"},"references":[{"source":"import","reference":"NAME-ann"}]`
	asked := s.call("protector", "POST", "/v1/protection/replacements", s.named("ann", `,"reason":"invented",`+data)).ok()
	path := fmt.Sprintf("/v1/protection/replacements/%v", asked.body["request"])
	s.onLog("ann")
	s.call("protector", "POST", path, "{"+data+"}").refused("same-person")
	s.call("protector-2", "POST", path, "{"+strings.Replace(data, "Other", "Another", 1)+"}").refused("no-such-request")
	s.nothing("ann")
	s.call("protector-2", "POST", path, "{"+data+"}").ok()
	s.onLog("ann", "identity-replaced")
	old := s.people["ann"]
	s.find("new", s.id+"-ann")
	require.NotEqual(s, old.id, s.people["new"].id)
	me := s.call("new", "GET", "/v1/me", "").ok().has("Neighbour")
	require.NotContains(s, me.text, "Kenora", "nothing of the old identity")
	require.NotContains(s, s.call("new", "GET", "/v1/me/export", "").ok().text, old.id.String())

	tie := fmt.Sprintf(`{"receipt":%q,"reason":"invented"}`, told.body["receipt"])
	require.Equal(s, 403, s.call("officer", "POST", "/v1/protection/ties", tie).status)
	asked = s.call("protector", "POST", "/v1/protection/ties", tie).ok()
	path = fmt.Sprintf("/v1/protection/ties/%v", asked.body["request"])
	s.call("protector", "POST", path, `{"reason":"invented"}`).refused("same-person")
	s.call("protector-2", "POST", path, `{"reason":"invented"}`).ok().has(old.id.String(), s.people["new"].id.String())
}
