package main

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
)

// peopleScenarios: births, proxies, merges.
func peopleScenarios() []scenario {
	return []scenario{
		{"a child gets an id, and its parent acts for it", []string{agreementText("card", "consent", "all", 1, cityOnly)}, birth},
		{"a proxy acts within scope and period, and the person sees it", []string{agreementText("card", "statute", "linked", 1, cityOnly)}, attorney},
		{"two ids of one person become one", []string{agreementText("card", "statute", "linked", 1, cityOnly)}, merged},
		{"who looks is seen by the citizen, later where a law says so", nil, looks},
	}
}

func birth(s *scene) {
	s.register("ann")
	s.told("registrar for ann", "birth-registered", fmt.Sprintf(`{"child_given_names":"Kim","child_family_name":"Of %s","child_birth_date":%q}`,
		s.id, daysAhead(-3))).ok()
	s.onLog("ann", "birth-registered", "decided")
	wards := s.call("ann", "GET", "/v1/me/acting-for", "").ok().body["people"].([]any)
	require.Len(s, wards, 1)
	ward := wards[0].(map[string]any)
	require.Equal(s, "parent", ward["kind"])
	require.Equal(s, "Kim Of "+s.id, ward["name"])
	require.NotEmpty(s, ward["until"], "until the day before it comes of age")
	id, err := citizen.ParseID(ward["id"].(string))
	require.NoError(s, err)
	s.known("kim", "", id)

	acting := []string{"X-On-Behalf-Of", id.String()}
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", "", acting...).ok()
	s.tell("ann for kim", "address-changed", inOntario("Kenora"))
	s.onLog("kim", "consent-granted", "address-changed", "decided")
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.call("ann", "DELETE", "/v1/me/consents/NAME-card", "", acting...).ok()
	s.delivered("card", `2 ended a {} card@1`)
}

func attorney(s *scene) {
	for _, name := range []string{"ann", "ben", "cy"} {
		s.register(name)
	}
	s.link("ann")
	empower := func(who, proxy, more string) reply {
		return s.call(who, "PUT", "/v1/me/proxies", fmt.Sprintf(`{"proxy":%q%s}`, s.people[proxy].id, more))
	}
	grant := empower("ann", "ben", `,"scope":["address-changed"],"until":"`+daysAhead(30)+`"`).at()
	s.onLog("ann", "proxy-granted")
	s.tell("ben for ann", "address-changed", inOntario("Kenora"))
	s.onLog("ann", "address-changed", "decided")
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.told("ben for ann", "language-changed", `{"language":"fr"}`).refused("no-capacity")
	s.call("ben", "DELETE", "/v1/me/links/NAME", "", "X-On-Behalf-Of", s.people["ann"].id.String()).refused("no-capacity")
	empower("ben", "cy", "").ok()
	empower("cy", "ann", "").refused("circular-proxy", "/proxy")
	empower("ann", "ann", "").refused("same-person", "/proxy")
	s.onLog("ben", "proxy-granted")
	s.nothing("ann", "cy")
	s.call("ann", "GET", "/v1/me/proxies", "").has(`"kind":"attorney"`, `"until":"`+daysAhead(30)+`"`, `"scope":["address-changed"]`, `"type":"address-changed"`)
	s.call("ann", "DELETE", fmt.Sprintf("/v1/me/proxies/%d", grant), "").ok()
	s.onLog("ann", "proxy-ended")
	s.told("ben for ann", "address-changed", inOntario("Dryden")).refused("not-found")
	s.nothing("ann")
}

func merged(s *scene) {
	s.register("going")
	s.register("kept")
	for _, name := range []string{"going", "kept"} {
		s.link(name)
	}
	s.tell("going", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.tell("kept", "address-changed", inOntario("Dryden"))
	s.delivered("card", `2 fact address-changed b {"city":"Dryden"} asserted card@1`)
	s.onLog("going")
	s.onLog("kept")
	body := func(going, kept string) string {
		return fmt.Sprintf(`{"going":{"source":"import","reference":"NAME-%s"},"kept":{"source":"import","reference":"NAME-%s"},"reason":"invented"}`, going, kept)
	}
	s.call("officer", "POST", "/v1/merges", body("kept", "kept")).refused("same-person", "/kept")
	s.nothing("going", "kept")
	s.call("officer", "POST", "/v1/merges", body("going", "kept")).ok()
	s.onLog("going", "citizens-merged")
	s.delivered("card", `3 rekeyed a {"subject":"b"} card@1`)
	s.told("clerk for going", "address-changed", inOntario("Fort Frances")).ok() // its references are the kept one's now
	s.onLog("kept", "address-changed", "decided")
	s.delivered("card", `4 fact address-changed b {"city":"Fort Frances"} asserted card@1`)
	s.nothing("going")
	s.call("kept", "GET", "/v1/me/proxies", "").has(`"merges":[{`)
}

func looks(s *scene) {
	s.register("ann")
	s.tell("ann", "address-changed", inOntario("Kenora"))
	person := `"person":{"source":"import","reference":"NAME-ann"}`
	s.call("officer", "POST", "/v1/audit/searches", `{`+person+`}`).refused("schema", "")
	s.call("clerk", "POST", "/v1/persons/details", `{`+person+`}`, "X-Access-Reason", "").refused("access-reason")
	seen := s.call("ann", "GET", "/v1/me/disclosures", "").ok()
	require.NotContains(s, seen.text, `"look"`, "nothing was shown, and nothing recorded")

	found := s.call("officer", "POST", "/v1/audit/searches", `{`+person+`,"reason":"an invented complaint","case":"2026-118"}`).ok()
	require.NotContains(s, found.text, "Kenora", "an officer sees why, not what")
	s.call("clerk", "POST", "/v1/persons/details", `{`+person+`}`, "X-Access-Reason", "at%20the%20counter").ok().has("Kenora")
	s.call("officer", "POST", "/v1/audit/searches", `{`+person+`,"reason":"an invented inquiry","case":"2026-119","hidden_until":"`+daysAhead(20)+
		`","hidden_why":"Invented Inquiries Act, section 2"}`).ok()
	for _, path := range []string{"/v1/me/disclosures", "/v1/me/export"} {
		seen := s.call("ann", "GET", path, "").ok().has("an invented complaint", "2026-118", "at the counter", `"role":"officer"`, `"role":"clerk"`)
		require.NotContains(s, seen.text, "an invented inquiry", "not yet")
		require.Equal(s, 2, strings.Count(seen.text, `"role":"officer"`)+strings.Count(seen.text, `"role":"clerk"`))
	}
}
