package main

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"
)

// scenarios are all that share one hub.
func scenarios() []scenario {
	return slices.Concat(sharing(), rightings(), peopleScenarios(), newborns(), protecting(), leaving(), refusals())
}

// sharing: who may know, versions, grants, links and snapshots.
func sharing() []scenario {
	return []scenario{
		{"reasons come in their order", []string{
			agreementText("statute", "statute", "linked", 1, cityOnly),
			agreementText("consent", "consent", "all", 1, cityOnly),
			agreementText("verified", "statute", "linked", 1, cityOnly, "min_assurance: verified"),
			agreementText("grown", "statute", "linked", 1, "{event: address-changed, fields: [city], when: {min_age: 65}}"),
			agreementText("young", "statute", "linked", 1, "{event: address-changed, fields: [city], when: {max_age: 20}}"),
			agreementText("mail", "statute", "linked", 1, "{event: address-changed, fields: [city], when: {address_kind: [mailing]}}"),
			agreementText("quebec", "statute", "linked", 1, "{event: address-changed, fields: [city], when: {province: [QC]}}"),
			agreementText("later", "statute", "linked", 1, cityOnly) + "\n",
			agreementText("unit", "statute", "linked", 1, "{event: address-changed, fields: [unit]}"),
		}, reasonsInOrder},
		{"a narrower version counts at once, a wider one asks anew", []string{
			agreementText("card", "consent", "all", 1, "{event: address-changed, fields: [city, street]}"),
		}, narrowerAndWider},
		{"a consent holds what was agreed, by whom, in which capacity", []string{agreementText("card", "consent", "all", 1, cityOnly)}, grantByProxy},
		{"a withdrawal bites at once and says what is outside", []string{agreementText("card", "consent", "all", 1, cityOnly)}, withdrawal},
		{"a consent brings what holds and is announced, once", []string{
			agreementText("card", "consent", "all", 1, cityOnly+", {event: name-changed, fields: [family_name]}"),
			agreementText("none", "consent", "all", 1, cityOnly, "snapshot: false"),
		}, snapshotOfAGrant},
		{"an agreement in force brings what holds, limited to what it shares", nil, snapshotOfAnAgreement},
		{"linked anew under another reference: the former link ends", []string{
			agreementText("card", "statute", "linked", 1, cityOnly, "client_reference: true"),
		}, relink},
		{"a ministry's list links exactly who is meant", []string{agreementText("card", "statute", "linked", 1, cityOnly)}, matchedList},
		{"what no longer meets a condition leaves scope", []string{
			agreementText("card", "statute", "linked", 1, "{event: address-changed, fields: [city], when: {province: [ON]}}", "on_leaving: notify"),
			agreementText("quiet", "statute", "linked", 1, "{event: address-changed, fields: [city], when: {province: [ON]}}"),
		}, leftScope},
		{"an agreement that ends tells who was given something", []string{agreementText("card", "statute", "linked", 1, cityOnly)}, agreementEnds},
	}
}

func reasonsInOrder(s *scene) {
	s.register("ann")
	told := s.told("ann", "address-changed", inOntario("Kenora"))
	require.Equal(s, map[string]string{
		"statute": "!not-linked", "consent": "!no-grant", "verified": "!not-linked", "grown": "!not-linked", "young": "!not-linked",
		"mail": "!not-linked", "quebec": "!not-linked", "later": "!not-linked", "unit": "!not-linked",
	}, s.decisions("ann", told))
	s.onLog("ann", "address-changed", "decided")
	s.link("ann")
	s.delivered("statute", `1 snapshot address-changed a {"city":"Kenora"} asserted statute@1`)
	told = s.told("ann", "address-changed", inOntario("Dryden"))
	require.Equal(s, map[string]string{
		"statute": "city", "consent": "!no-grant", "verified": "!not-verified", "grown": "!min-age", "young": "!max-age",
		"mail": "!address-kind", "quebec": "!province", "later": "city", "unit": "!no-fields",
	}, s.decisions("ann", told))
	s.delivered("statute", `2 fact address-changed a {"city":"Dryden"} asserted statute@1`)
	for _, stream := range []string{"consent", "verified", "grown", "young", "mail", "quebec", "unit"} {
		s.delivered(stream)
	}
	// The same is what an officer reads from the command line.
	lines := objects(s.T, s.place.run("audit", "decisions", "--stream", s.id+".grown", "--reason", "min-age"))
	require.Len(s, lines, 1)
	require.InDelta(s, told.at(), lines[0]["position"], 0)
	require.Equal(s, "withheld", lines[0]["result"])
}

func narrowerAndWider(s *scene) {
	s.register("ann")
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", "").ok()
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora","street":"1 First St"} asserted card@1`)

	s.load(s.T, s.text(agreementText("card", "consent", "all", 2, cityOnly)))
	s.tell("ann", "address-changed", inOntario("Dryden"))
	s.delivered("card", `2 fact address-changed a {"city":"Dryden"} asserted card@2`)

	s.load(s.T, s.text(agreementText("card", "consent", "all", 3, "{event: address-changed, fields: [city, postal_code]}")))
	s.tell("ann", "address-changed", inOntario("Fort Frances"))
	s.delivered("card", `3 fact address-changed a {"city":"Fort Frances"} asserted card@3`)
	line := only(s.T, s.call("ann", "GET", "/v1/me/consents", "").ok().body["consents"].([]any), s.id+"-card")
	require.Contains(s, fmt.Sprint(line), "postal_code")
	require.InDelta(s, 3, line["version"], 0)

	s.onLog("ann")
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", "").ok()
	s.waitLog("ann", "consent-granted", "snapshot-taken")
	s.delivered("card", `4 snapshot address-changed a {"city":"Fort Frances","postal_code":"P9N 3X9"} asserted card@3`)

	out, errs, code := s.place.try(nil, "agreement", "load", s.dir(s.text(agreementText("card", "consent", "all", 3, cityOnly))))
	require.Equal(s, 1, code, out)
	require.Contains(s, errs, "with other content")
}

func grantByProxy(s *scene) {
	s.register("ann")
	s.register("guardian")
	grant := func(who string, headers ...string) reply {
		return s.call(who, "PUT", "/v1/me/consents/NAME-card", `{"fields":["city"],"language":"fr"}`, headers...)
	}
	forAnn := []string{"X-On-Behalf-Of", s.people["ann"].id.String()}
	stranger := grant("guardian", forAnn...).refused("not-found")
	nobody := grant("guardian", "X-On-Behalf-Of", "5b05816f-ac0e-46d5-9613-2dfb84492cd4")
	require.Equal(s, nobody.text, stranger.text, "who is no proxy finds nobody")
	s.nothing("ann", "guardian")

	s.call("registrar", "POST", "/v1/proxies", s.named("ann", `,"proxy":{"source":"import","reference":"NAME-guardian"},"kind":"guardian"`)).ok()
	s.onLog("ann", "proxy-granted")
	grant("guardian", forAnn...).ok()
	s.onLog("ann", "consent-granted")
	record := only(s.T, s.call("ann", "GET", "/v1/me/export", "").ok().body["records"].([]any), `"consent-granted"`)["data"].(map[string]any)
	require.Equal(s, s.id+"-card", record["agreement"])
	require.InDelta(s, 1, record["version"], 0)
	require.Equal(s, []any{"city"}, record["fields"])
	require.Equal(s, "fr", record["language"])
	require.Len(s, record["notice_hash"], 64)
	require.Equal(s, s.people["guardian"].id.String(), record["grantor"])
	require.Equal(s, "guardian", record["capacity"])
	s.call("ann", "GET", "/v1/me/proxies", "").has(`"kind":"guardian"`, `"type":"consent-granted"`)
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
}

func withdrawal(s *scene) {
	s.register("ann")
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", "").ok()
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.tell("ann", "address-changed", inOntario("Dryden")) // permitted, and not yet asked for
	s.onLog("ann")

	gone := s.call("ann", "DELETE", "/v1/me/consents/NAME-card", "").ok().has(`"in_flight_until":"`, `"ministry":"NAME"`, `"stream":"NAME.card"`, `"events":1`)
	require.Positive(s, gone.at())
	s.onLog("ann", "consent-withdrawn")
	s.delivered("card", `2 ended a {} card@1`)
	s.recalled("card", 1)
	s.tell("ann", "address-changed", inOntario("Fort Frances"))
	s.delivered("card")
	s.call("ann", "DELETE", "/v1/me/consents/NAME-card", "").refused("no-such-grant")
	s.onLog("ann", "address-changed", "decided")
}

func snapshotOfAGrant(s *scene) {
	s.register("ann")
	s.tell("ann", "address-changed", inOntario("Rainy River"))
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.tell("ann", "address-changed", inOntario("Dryden"), daysAhead(30))
	s.tell("ann", "name-changed", `{"given_names":"Ann","family_name":"Invented","reason":"marriage"}`)
	s.onLog("ann")
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", `{"fields":["city"]}`).ok()
	s.waitLog("ann", "consent-granted", "snapshot-taken")
	s.delivered("card", `1 snapshot address-changed a {"city":"Kenora"} asserted card@1`, `2 snapshot address-changed a {"city":"Dryden"} asserted card@1`)
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", "").ok()
	s.waitLog("ann", "consent-granted", "snapshot-taken")
	s.delivered("card", `3 snapshot name-changed a {"family_name":"Invented"} asserted card@1`)
	s.call("ann", "PUT", "/v1/me/consents/NAME-none", "").ok()
	s.tell("ann", "address-changed", inOntario("Fort Frances"))
	s.delivered("none", `1 fact address-changed a {"city":"Fort Frances"} asserted none@1`)
	s.delivered("card", `4 fact address-changed a {"city":"Fort Frances"} asserted card@1`)
	s.onLog("ann", "consent-granted", "address-changed", "decided")
}

func snapshotOfAnAgreement(s *scene) {
	s.register("ann")
	s.register("teen", daysAhead(-15*365))
	for _, name := range []string{"ann", "teen"} { // nobody else of this log lives there
		s.tell(name, "address-changed", `{"kind":"home","street":"1 First St","city":"Iqaluit","province":"NU","postal_code":"X0A 0H0","country":"CA"}`)
		s.onLog(name, "address-changed", "decided")
	}
	s.load(s.T, s.text(agreementText("card", "statute", "all", 1, "{event: address-changed, fields: [city], when: {min_age: 18, province: [NU]}}")))
	s.waitLog("ann", "snapshot-taken")
	s.delivered("card", `1 snapshot address-changed a {"city":"Iqaluit"} asserted card@1`)
	s.load(s.T, s.text(agreementText("card", "statute", "all", 2, "{event: address-changed, fields: [city, street], when: {min_age: 18, province: [NU]}}")))
	s.waitLog("ann", "snapshot-taken")
	s.delivered("card", `2 snapshot address-changed a {"city":"Iqaluit","street":"1 First St"} asserted card@2`)
	require.NotContains(s, s.unseen("teen"), "snapshot-taken")
}

func relink(s *scene) {
	s.register("ann")
	s.link("ann", "first-1")
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora","client_reference":"first-1"} asserted card@1`)
	s.onLog("ann")
	s.call("ann", "PUT", "/v1/me/links/NAME", `{"client_reference":"second-2"}`).ok()
	s.waitLog("ann", "ministry-linked", "snapshot-taken")
	s.delivered("card", `2 ended a {} card@1`, `3 snapshot address-changed a {"city":"Kenora","client_reference":"second-2"} asserted card@1`)
	s.recalled("card", 1)
	s.call("clerk", "POST", "/v1/links/end", s.named("ann", `,"ministry":"NAME"`)).ok()
	s.onLog("ann", "ministry-unlinked")
	s.delivered("card", `4 ended a {} card@1`)
	s.call("ann", "DELETE", "/v1/me/links/NAME", "").refused("not-linked")
}

func matchedList(s *scene) {
	for _, name := range []string{"ann", "twin", "hidden"} {
		s.register(name)
	}
	s.call("registrar", "POST", "/v1/persons", `{"source":"import","reference":"NAME-twin-2","data":{"given_names":"twin","family_name":"Of NAME",`+
		`"birth_date":"1980-05-17","language":"en"}}`).ok()
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.call("protector", "POST", "/v1/protection/restrictions", s.named("hidden", `,"kind":"violence","reason":"invented"`)).ok()
	s.onLog("ann")
	s.onLog("hidden", "restriction-set")
	line := func(reference, given, born string) string {
		return fmt.Sprintf(`{"client_reference":%q,"given_names":%q,"family_name":"Of NAME","birth_date":%q}`, reference, given, born)
	}
	list := "[" + line("c-1", "ann", "1980-05-17") + "," + line("c-2", "twin", "1980-05-17") + "," + line("c-3", "hidden", "1980-05-17") + "," +
		line("c-4", "never", "1980-05-17") + "," + line("c-5", "ann", "1980-05-18") + "]"
	got := s.call("ministry", "POST", "/v1/streams/NAME.card/links", list).ok()
	var results []string
	for _, l := range got.body["lines"].([]any) {
		results = append(results, l.(map[string]any)["result"].(string))
	}
	require.Equal(s, []string{"linked", "ambiguous", "unknown", "unknown", "unknown"}, results)
	s.waitLog("ann", "ministry-linked", "snapshot-taken")
	s.nothing("twin", "hidden")
	s.delivered("card", `1 snapshot address-changed a {"city":"Kenora"} asserted card@1`)
	s.call("ministry", "POST", "/v1/streams/s00.statute/links", list).refused("not-your-stream")
}

func leftScope(s *scene) {
	s.register("ann")
	s.link("ann")
	quebec := `{"kind":"home","street":"1 Rue Une","city":"Gatineau","province":"QC","postal_code":"J8X 1A1","country":"CA"}`
	s.tell("ann", "address-changed", inOntario("Kenora"))
	told := s.told("ann", "address-changed", quebec)
	require.Equal(s, map[string]string{"card": "!province", "quiet": "!province"}, s.decisions("ann", told))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`, `2 left-scope a {} card@1`)
	s.delivered("quiet", `1 fact address-changed a {"city":"Kenora"} asserted quiet@1`)
	s.tell("ann", "address-changed", quebec)
	s.delivered("card")
	s.tell("ann", "address-changed", inOntario("Dryden"))
	s.delivered("card", `3 fact address-changed a {"city":"Dryden"} asserted card@1`)
	s.delivered("quiet", `2 fact address-changed a {"city":"Dryden"} asserted quiet@1`)
}

func agreementEnds(s *scene) {
	s.register("ann")
	s.register("ben")
	s.link("ann")
	s.link("ben")
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.tell("ben", "address-changed", inOntario("Dryden")) // not yet asked for
	s.place.run("agreement", "end", s.id+"-card", "--yes")
	s.delivered("card", `2 ended a {} card@1`)
	told := s.told("ann", "address-changed", inOntario("Fort Frances"))
	require.Empty(s, s.decisions("ann", told))
	s.delivered("card")
}
