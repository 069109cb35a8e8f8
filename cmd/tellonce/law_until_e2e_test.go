package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestARestrictionEndsWithItsLastDay, in years that no wall clock shows: to the last second of its last day a protected person, and the
// child covered with them, are nobody; on the day after both are there, their proxies act, and what they tell leaves. Nobody lifts
// anything, and the hub is killed before and after.
func TestARestrictionEndsWithItsLastDay(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		var agreements []string
		for _, text := range []string{
			agreementText("open", "statute", "linked", 1, cityOnly),
			agreementText("safe", "statute", "linked", 1, cityOnly, "receives_protected: true"),
		} {
			agreements = append(agreements, strings.ReplaceAll(text, "NAME", "s00"))
		}
		w := startWorld(p, agreements)
		s := w.scene(t, 0)
		s.enter("2126-01-05T12:00:00Z", "clock", "ann", "friend", "ben")
		s.at("2126-01-05T12:00:00Z", "kid", "person-registered", "2126-01-05",
			`{"given_names":"kid","family_name":"Of NAME","birth_date":"2120-03-01","language":"en"}`)
		s.find("kid", s.id+"-kid")
		s.untilItsLastDay()
		s.theDayAfter()
		w.settled(t)
	})
}

const lastSecond, dayAfter = "2126-02-01T04:59:59Z", "2126-02-01T05:00:00Z" // in Toronto 31 January ends

// untilItsLastDay: hidden from the restriction to its last second, also for a hub that starts anew.
func (s *scene) untilItsLastDay() {
	proxy := func(person, proxy, kind string) {
		s.call("registrar", "POST", "/v1/proxies", s.named(person, fmt.Sprintf(`,"proxy":{"source":"import","reference":"NAME-%s"},"kind":%q`, proxy, kind))).ok()
	}
	proxy("kid", "ann", "parent")
	proxy("ann", "friend", "attorney")
	for _, name := range []string{"ann", "kid", "ben"} {
		s.onLog(name)
		s.link(name)
	}
	s.at("2126-01-05T13:00:00Z", "ann", "address-changed", "2126-01-05", inOntario("Kenora"))
	s.at("2126-01-05T13:00:00Z", "kid", "address-changed", "2126-01-05", inOntario("Atikokan"))
	for _, stream := range []string{"open", "safe"} {
		s.delivered(stream, `1 fact address-changed a {"city":"Kenora"} asserted `+stream+`@1`, `2 fact address-changed b {"city":"Atikokan"} asserted `+stream+`@1`)
	}
	for _, name := range []string{"ann", "kid"} {
		s.onLog(name, "address-changed", "decided")
	}
	s.restrict("ann", `,"until":"2126-01-04"`).refused("schema", "/until") // by the log's clock it is over
	s.restrict("ann", `,"until":"2126-01-31"`).ok()
	s.onLog("ann", "restriction-set")
	s.onLog("kid", "restriction-set")
	s.hidden()
	s.at("2126-01-06T12:00:00Z", "ann", "address-changed", "2126-01-06", inOntario("Dryden"))
	s.onLog("ann", "address-changed", "decided")
	s.delivered("safe", `3 fact address-changed a {"city":"Dryden"} asserted safe@1`)
	s.delivered("open")

	s.hub.kill()
	s.hub = s.place.serve()
	s.until(lastSecond)
	s.hidden()
	s.at(lastSecond, "ann", "address-changed", "2126-01-31", inOntario("Fort Frances"))
	s.at(lastSecond, "kid", "address-changed", "2126-01-31", inOntario("Rainy River"))
	s.delivered("safe", `4 fact address-changed a {"city":"Fort Frances"} asserted safe@1`, `5 fact address-changed b {"city":"Rainy River"} asserted safe@1`)
	s.delivered("open")
	s.recalled("open", 1, 2) // a ministry that asks again meanwhile
	s.onLog("ann", "address-changed", "decided")
	s.onLog("kid", "address-changed", "decided")
}

// hidden demands that both are nobody to offices, and that the proxy finds nobody.
func (s *scene) hidden() {
	s.Helper()
	s.nobody("ann")
	s.nobody("kid")
	stranger := s.forAnn()
	never := s.call("ben", "POST", "/v1/changes/preview", s.preview(), "X-On-Behalf-Of", "5b05816f-ac0e-46d5-9613-2dfb84492cd4").refused("not-found")
	require.Equal(s, never.text, stranger.text)
	require.NotContains(s, s.call("friend", "GET", "/v1/me/acting-for", "").ok().text, s.people["ann"].id.String())
	for _, name := range []string{"ann", "kid"} { // but to themselves
		s.call(name, "GET", "/v1/me", "").ok().has("Of NAME")
	}
	s.nothing("ann", "kid")
}

func (s *scene) preview() string {
	return fmt.Sprintf(`{"type":"address-changed","effective":"2126-02-01","data":%s}`, inOntario("Dryden"))
}

// forAnn is what the attorney gets who asks what a change of hers would do.
func (s *scene) forAnn() reply {
	s.Helper()
	return s.call("friend", "POST", "/v1/changes/preview", s.preview(), "X-On-Behalf-Of", s.people["ann"].id.String())
}

// theDayAfter: they are there again, for a hub that ran through midnight, for one that starts anew, and by views that are made anew.
func (s *scene) theDayAfter() {
	s.until(dayAfter)
	s.there()
	s.nothing("ann", "kid") // nobody lifted it
	s.delivered("open")     // and what was told meanwhile stays where it is
	s.delivered("safe")
	s.at(dayAfter, "ann", "address-changed", "2126-02-01", inOntario("Sioux Lookout"))
	s.at(dayAfter, "kid", "address-changed", "2126-02-01", inOntario("Red Lake"))
	s.delivered("open", `3 fact address-changed a {"city":"Sioux Lookout"} asserted open@1`, `4 fact address-changed b {"city":"Red Lake"} asserted open@1`)
	s.delivered("safe", `6 fact address-changed a {"city":"Sioux Lookout"} asserted safe@1`, `7 fact address-changed b {"city":"Red Lake"} asserted safe@1`)

	s.hub.kill()
	s.place.run("rebuild", "protection")
	s.hub = s.place.serve()
	s.there()
	s.recalled("open", 1, 2)
	s.recalled("safe")
	s.at("2126-02-02T12:00:00Z", "ann", "address-changed", "2126-02-02", inOntario("Kenora"))
	s.delivered("open", `5 fact address-changed a {"city":"Kenora"} asserted open@1`)
	s.delivered("safe", `8 fact address-changed a {"city":"Kenora"} asserted safe@1`)
	s.onLog("ann", "address-changed", "decided", "address-changed", "decided")
	s.onLog("kid", "address-changed", "decided")
	s.restrict("ann", `,"until":"2126-02-02"`).ok() // today is a last day, too
	s.onLog("ann", "restriction-set")
	s.onLog("kid", "restriction-set")
	s.hidden()
	s.until("2126-02-03T05:00:00Z")
	s.there()
}

// there demands that offices find both, and that the proxy acts again.
func (s *scene) there() {
	s.Helper()
	for _, name := range []string{"ann", "kid"} {
		s.call("clerk", "POST", "/v1/persons/details", s.named(name, "")).ok().has("Of NAME")
		s.call("officer", "POST", "/v1/audit/searches", s.named(name, `,"reason":"invented"`)).ok()
	}
	s.forAnn().ok()
	s.call("friend", "GET", "/v1/me/acting-for", "").ok().has(s.people["ann"].id.String())
}
