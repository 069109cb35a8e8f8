package main

import (
	"fmt"

	"github.com/stretchr/testify/require"
)

// rightings: corrections, cancellations, verification, death.
func rightings() []scenario {
	ontario := "{event: address-changed, fields: [city], when: {province: [ON]}}"
	return []scenario{
		{"who got a wrong value gets the right one, or word that it was wrong", []string{
			agreementText("card", "statute", "linked", 1, cityOnly), agreementText("north", "statute", "linked", 1, ontario),
		}, corrected},
		{"a wrong value that had not left never leaves", []string{agreementText("card", "statute", "linked", 1, cityOnly)}, correctedBefore},
		{"a change that is cancelled is retracted", []string{agreementText("card", "statute", "linked", 1, cityOnly)}, cancelled},
		{"a verification changes the assurance alone, and brings what asks for it", []string{
			agreementText("card", "statute", "linked", 1, cityOnly),
			agreementText("strict", "statute", "linked", 1, cityOnly, "min_assurance: verified"),
		}, verified},
		{"what is told late takes its place by its effective date", []string{agreementText("card", "consent", "all", 1, cityOnly)}, twoAxes},
		{"a death is held, registered, taken back", []string{
			agreementText("card", "consent", "all", 1, cityOnly),
			agreementText("law", "statute", "linked", 1, cityOnly+", {event: death-registered, fields: [death_date]}"),
		}, death},
	}
}

// correction is the data of a change that puts another one right.
func correction(of int64, data string) string {
	return fmt.Sprintf(`{"corrects":%d,"type":"address-changed","data":%s}`, of, data)
}

const inQuebec = `{"kind":"home","street":"1 Rue Une","city":"Gatineau","province":"QC","postal_code":"J8X 1A1","country":"CA"}`

func corrected(s *scene) {
	s.register("ann")
	s.link("ann")
	first := s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.delivered("north", `1 fact address-changed a {"city":"Kenora"} asserted north@1`)
	s.onLog("ann")
	s.tell("ann", "change-corrected", correction(first, inQuebec))
	s.onLog("ann", "change-corrected", "decided")
	s.delivered("card", `2 correction address-changed a {"city":"Gatineau"} asserted corrects 1 card@1`)
	s.delivered("north", `2 retracted a {} corrects 1 north@1`)
	s.recalled("card", 1)
	s.recalled("north", 1)
}

func correctedBefore(s *scene) {
	s.register("ann")
	s.link("ann")
	wrong := s.tell("ann", "address-changed", inOntario("Kenora"))
	s.tell("ann", "change-corrected", correction(wrong, inOntario("Dryden")))
	s.delivered("card", `1 fact address-changed a {"city":"Dryden"} asserted card@1`)
}

func cancelled(s *scene) {
	s.register("ann")
	s.link("ann")
	wrong := s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.onLog("ann")
	told := s.told("ann", "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, wrong))
	require.Empty(s, s.decisions("ann", told))
	s.onLog("ann", "change-cancelled", "decided")
	s.delivered("card", `2 retracted a {} corrects 1 card@1`)
	s.recalled("card", 1)
	second := s.tell("ann", "address-changed", inOntario("Dryden")) // and cancelled before anybody asked
	s.tell("ann", "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, second))
	s.delivered("card")
}

func verified(s *scene) {
	s.register("ann")
	s.link("ann")
	claim := s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.delivered("strict")
	s.onLog("ann")
	data := fmt.Sprintf(`{"verifies":%d}`, claim)
	require.Equal(s, 403, s.told("clerk for ann", "change-verified", data).status)
	s.nothing("ann")
	s.told("registrar for ann", "change-verified", data).ok()
	s.onLog("ann", "change-verified", "decided")
	s.delivered("card", `2 correction address-changed a {"city":"Kenora"} verified corrects 1 card@1`)
	s.delivered("strict", `1 fact address-changed a {"city":"Kenora"} verified strict@1`)
	s.told("registrar for ann", "change-verified", data).refused("already-verified", "/data/verifies")
	s.nothing("ann")
}

func twoAxes(s *scene) {
	s.register("ann")
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", "").ok()
	newest := s.tell("ann", "address-changed", inOntario("Kenora"), daysAhead(-1))
	s.tell("ann", "address-changed", inOntario("Dryden"), daysAhead(-30)) // told later, held before
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`, `2 fact address-changed a {"city":"Dryden"} asserted card@1`)
	me := s.call("ann", "GET", "/v1/me", "").ok()
	require.InDelta(s, newest, only(s.T, me.body["facts"].([]any), `"address-changed"`)["position"], 0)
	s.tell("ann", "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, newest))
	s.call("ann", "GET", "/v1/me", "").ok().has(`"city":"Dryden"`)
	s.delivered("card", `3 retracted a {} corrects 1 card@1`)
}

func death(s *scene) {
	for _, name := range []string{"ann", "son"} {
		s.register(name)
	}
	s.link("ann")
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", "").ok()
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.delivered("law", `1 fact address-changed a {"city":"Kenora"} asserted law@1`)
	s.onLog("ann")
	report := func(given string) reply {
		return s.call("son", "POST", "/v1/deaths", fmt.Sprintf(`{"given_names":%q,"family_name":"Of NAME","birth_date":"1980-05-17",`+
			`"death_date":%q,"reported_by":"child"}`, given, daysAhead(-1))).ok()
	}
	require.Equal(s, report("nobody").text, report("ann").text, "whoever reports learns nothing")
	s.onLog("ann", "death-reported", "decided")
	s.delivered("card")
	s.delivered("law")
	s.tell("ann", "address-changed", inOntario("Dryden")) // a report alone changes nothing
	s.delivered("card", `2 fact address-changed a {"city":"Dryden"} asserted card@1`)
	s.delivered("law", `2 fact address-changed a {"city":"Dryden"} asserted law@1`)
	s.onLog("ann")

	waiting := only(s.T, s.call("registrar", "GET", "/v1/deaths", "").ok().body["deaths"].([]any), `"Of `+s.id+`"`)
	registered := s.call("registrar", "POST", "/v1/deaths/"+waiting["receipt"].(string)+"/confirmation", "").at()
	s.onLog("ann", "death-registered", "decided")
	s.delivered("card", `3 ended a {} card@1`)
	s.delivered("law", fmt.Sprintf(`3 fact death-registered a {"death_date":%q} verified law@1`, daysAhead(-1)))
	s.told("ann", "address-changed", inOntario("Fort Frances")).refused("person-deceased")
	s.nothing("ann")

	s.told("registrar for ann", "death-corrected", fmt.Sprintf(`{"corrects":%d}`, registered)).ok()
	s.waitLog("ann", "death-corrected", "decided", "snapshot-taken")
	s.delivered("card", `4 snapshot address-changed a {"city":"Dryden"} asserted card@1`)
	s.delivered("law", `4 retracted a {} corrects 3 law@1`)
}
