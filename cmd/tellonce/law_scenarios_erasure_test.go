package main

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"
)

// leaving: erasure, legal holds, rotation of keys while all else goes on.
func leaving() []scenario {
	return []scenario{
		{"erased at once: what may go is gone, recipients are told, the rest is named", []string{
			agreementText("card", "statute", "linked", 1, cityOnly),
		}, erased},
		{"a legal hold keeps everything until it is lifted", nil, held},
		{"the export is everything that is held on a person", []string{agreementText("card", "consent", "all", 1, cityOnly)}, exported},
		{"keys rotate while the hub works, and everything opens", []string{agreementText("card", "statute", "linked", 1, cityOnly)}, rotated},
	}
}

func erased(s *scene) {
	s.register("ann")
	s.register("ben")
	s.link("ann")
	s.link("ben")
	told := s.told("ann", "address-changed", inOntario("Kenora"))
	s.tell("ben", "address-changed", inOntario("Atikokan"))
	s.tell("ann", "address-changed", inOntario("Dryden"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`, `2 fact address-changed b {"city":"Atikokan"} asserted card@1`,
		`3 fact address-changed a {"city":"Dryden"} asserted card@1`)
	undelivered := s.tell("ann", "address-changed", inOntario("Sioux Lookout"))
	s.onLog("ann")

	gone := s.call("ann", "POST", "/v1/me/erasure", "").ok().has(`"erased":[1`, `"law":"retention"`, `"sentence":{"en":"`, `"until":"`, `"keys":[{`)
	events := s.unseen("ann")
	require.Equal(s, "erased", events[0])
	for _, e := range events[1:] {
		require.Equal(s, "keys-destroyed", e)
	}
	require.Len(s, events[1:], len(gone.body["keys"].([]any)))
	s.delivered("card", `4 erased {"cursors":["1.0.1","1.0.3"]}`)
	s.recalled("card", 1, 3)

	s.call("ann", "POST", "/v1/me/erasure", "").refused("already-erased")
	s.told("ann", "address-changed", inOntario("Kenora")).refused("unknown-person")
	s.told("ann", "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, undelivered)).refused("already-erased", "/data/corrects")
	for _, path := range []string{"/v1/me", "/v1/me/export", "/v1/me/disclosures", "/v1/me/receipts/" + told.body["receipt"].(string)} {
		for _, city := range []string{"Kenora", "Dryden", "Sioux Lookout"} {
			require.NotContains(s, s.call("ann", "GET", path, "").text, city)
		}
	}
	s.nobody("ann")
	s.tell("ben", "address-changed", inOntario("Fort Frances"))
	s.delivered("card", `5 fact address-changed b {"city":"Fort Frances"} asserted card@1`)
}

func held(s *scene) {
	s.register("ann")
	told := s.told("ann", "address-changed", inOntario("Kenora")).ok()
	s.onLog("ann")
	authority := `,"authority":"Invented Court, order 12-3"`
	s.call("officer", "PUT", "/v1/holds", s.named("ann", authority+`,"classes":["everything"]`)).refused("schema", "/classes")
	s.nothing("ann")
	s.call("officer", "PUT", "/v1/holds", s.named("ann", authority+`,"classes":["facts"]`)).ok()
	s.onLog("ann", "legal-hold-set")
	s.call("ann", "POST", "/v1/me/erasure", "").refused("legal-hold")
	s.call("clerk", "POST", "/v1/erasures", s.named("ann", "")).refused("legal-hold")
	s.nothing("ann")
	export := s.call("ann", "GET", "/v1/me/export", "").ok().has(`"legal-hold-set"`)
	require.NotContains(s, export.text, "Invented Court", "that there is an order is said, but not whose")
	s.call("officer", "POST", "/v1/holds/lift", s.named("ann", `,"authority":"Another Court"`)).refused("no-such-hold", "/authority")
	s.call("officer", "POST", "/v1/holds/lift", s.named("ann", authority)).ok()
	s.onLog("ann", "legal-hold-lifted")
	s.call("officer", "PUT", "/v1/holds", s.named("ann", authority+`,"classes":["evidence"]`)).ok()
	s.onLog("ann", "legal-hold-set")
	s.call("clerk", "POST", "/v1/erasures", s.named("ann", "")).ok().has(`{"class":2,"law":"legal-hold"`, `"class":3,"until":"`)
	require.Equal(s, "erased", s.unseen("ann")[0])
	s.unseen("ann") // its destroyed keys
	s.call("officer", "POST", "/v1/holds/lift", s.named("ann", authority)).refused("unknown-person", "/person/reference")
	s.call("officer", "POST", "/v1/holds/lift", `{"receipt":"000000000000"`+authority+`}`).refused("unknown-person", "/receipt")
	s.call("officer", "POST", "/v1/holds/lift", fmt.Sprintf(`{"receipt":%q%s}`, told.body["receipt"], authority)).ok()
	s.onLog("ann", "legal-hold-lifted") // its reference leads nowhere any more, and its receipt number does
}

func exported(s *scene) {
	s.register("ann")
	s.call("ann", "PUT", "/v1/me/consents/NAME-card", "").ok()
	s.call("ann", "PUT", "/v1/me/links/NAME", `{"client_reference":"client-7"}`).ok()
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.call("ministry", "POST", "/v1/streams/NAME.card/receipts", `[{"from":"1.0.1","to":"1.0.1","status":"rejected","reason":"no such client"}]`).ok()
	s.call("clerk", "POST", "/v1/persons/details", s.named("ann", "")).ok()
	export := s.call("ann", "GET", "/v1/me/export", "").ok()
	export.has(`"type":"person-registered"`, `"given_names":"ann"`, `"type":"consent-granted"`, `"client-7"`, `"Kenora"`, `"type":"decided"`,
		`"kind":"fact"`, `"status":"rejected"`, `"reason":"a scenario"`, `"years":7`, `"fr":"`)
	require.Equal(s, 6, strings.Count(export.text, `"recorded_at"`))
}

func rotated(s *scene) {
	s.register("ann")
	s.link("ann")
	s.tell("ann", "address-changed", inOntario("Kenora"))
	s.place.run("keys", "rotate")
	s.delivered("card", `1 fact address-changed a {"city":"Kenora"} asserted card@1`)
	s.tell("ann", "address-changed", inOntario("Dryden"))
	s.place.run("keys", "rotate")
	s.call("ann", "GET", "/v1/me", "").ok().has("Dryden")
	s.delivered("card", `2 fact address-changed a {"city":"Dryden"} asserted card@1`)
	s.recalled("card")
}
