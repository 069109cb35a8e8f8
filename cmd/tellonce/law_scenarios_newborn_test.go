package main

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// newborns: a child that was registered with its birth is named by whoever is not the child.
func newborns() []scenario {
	return []scenario{{
		"a newborn gets a reference, and everything that is anybody's right is done by it", []string{agreementText("card", "statute", "linked", 1, cityOnly)}, newborn,
	}}
}

func newborn(s *scene) {
	s.register("ann")
	s.register("ben")
	birth := s.bear("ann", "Kim")
	twin := s.bear("ann", "Lou")
	s.onLog("ann", "birth-registered", "decided", "birth-registered", "decided")
	erasure := `{"person":{"source":"import","reference":"NAME-kim"}}`
	s.call("registrar", "POST", "/v1/erasures", erasure).refused("unknown-person", "/person/reference")
	s.refer("clerk", "ann", birth, "kim", "X-Access-Reason", " ").refused("access-reason")
	s.refer("registrar", "ben", birth, "kim").refused("unknown-person", "/child")
	s.refer("registrar", "ann", birth+1, "kim").refused("unknown-person", "/child")
	s.refer("registrar", "ann", birth, "ben").refused("reference-taken", "/reference")
	s.refer("officer", "ann", birth, "kim").refused("forbidden")
	s.call("registrar", "POST", "/v1/erasures", erasure).refused("unknown-person", "/person/reference")

	s.refer("registrar", "ann", birth, "kim").ok()
	s.refer("clerk", "ann", birth, "kim").ok()
	s.refer("registrar", "ann", twin, "kim").refused("reference-taken", "/reference")
	kim := s.find("kim", s.id+"-kim")
	s.call("kim", "GET", "/v1/me/disclosures", "").ok().has(`"kind":"reference"`, `"role":"registrar"`, `"role":"clerk"`, "a scenario")

	// By the reference it is linked, by import, too, told for, given a guardian, and protected.
	s.call("clerk", "POST", "/v1/links", s.named("kim", `,"ministry":"NAME","client_reference":"kim-1"`)).ok()
	s.tell("clerk for kim", "address-changed", inOntario("Kenora"))
	s.tell("ann for kim", "address-changed", inOntario("Dryden"))
	line := fmt.Sprintf(`{"id":%q,"person":%q,"channel":"post","told_at":"2026-01-05T12:00:00Z","type":"address-changed","effective":%q,"data":%s}`,
		uuid.NewString(), kim.reference, today(), inOntario("Red Lake"))
	out, errs, code := s.place.try(strings.NewReader(line+"\n"), "import", "-")
	require.Equal(s, 0, code, errs)
	require.Contains(s, out, "accepted")
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`, `2 fact address-changed a {"city":"Dryden"} asserted card@1`,
		`3 fact address-changed a {"city":"Red Lake"} asserted card@1`)
	guardian := `,"proxy":{"source":"import","reference":"NAME-ben"}`
	s.call("registrar", "POST", "/v1/proxies", s.named("kim", guardian+`,"kind":"guardian"`)).ok()
	s.tell("ben for kim", "address-changed", inOntario("Atikokan"))
	s.call("registrar", "POST", "/v1/proxies/end", s.named("kim", guardian)).ok()
	s.told("ben for kim", "address-changed", inOntario("Atikokan")).refused("not-found")
	s.delivered("card", `4 fact address-changed a {"city":"Atikokan"} asserted card@1`)

	s.unseen("kim")
	s.call("protector", "POST", "/v1/protection/restrictions", s.named("kim", `,"kind":"adoption","reason":"invented"`)).ok()
	s.onLog("kim", "restriction-set")
	s.nobody("kim")
	hidden := s.refer("registrar", "ann", birth, "other")
	require.Equal(s, s.refer("registrar", "ann", birth+1, "other").text, hidden.refused("unknown-person", "/child").text)
	s.call("protector", "POST", "/v1/protection/lifts", s.named("kim", `,"reason":"invented"`)).ok()
	s.onLog("kim", "restriction-lifted")

	s.call("registrar", "POST", "/v1/erasures", erasure).ok().has(`"erased":[1`, `"keys":[{`)
	require.Equal(s, "erased", s.unseen("kim")[0])
	s.delivered("card", `5 erased {"cursors":["1.0.1","1.0.2","1.0.3","1.0.4"]}`)
	s.nobody("kim")
	s.refer("registrar", "ann", birth, "kim").refused("unknown-person", "/child")
	s.refer("registrar", "ann", twin, "kim").ok() // what nobody has any more is free
}

// bear tells the birth of somebody's child, and returns its position.
func (s *scene) bear(parent, name string) int64 {
	s.Helper()
	return s.tell("registrar for "+parent, "birth-registered", fmt.Sprintf(`{"child_given_names":%q,"child_family_name":"Of %s","child_birth_date":%q}`,
		name, s.id, daysAhead(-3)))
}

// refer gives the child of a birth a reference.
func (s *scene) refer(who, parent string, birth int64, reference string, headers ...string) reply {
	s.Helper()
	return s.call(who, "POST", "/v1/persons/references", fmt.Sprintf(
		`{"child":{"parent":{"source":"import","reference":"NAME-%s"},"birth":%d},"source":"import","reference":"NAME-%s"}`, parent, birth, reference), headers...)
}
