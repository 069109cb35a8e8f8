package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// at imports one line that was told at a moment: a sandbox's clock stands there then.
func (s *scene) at(moment, who, eventType, effective, data string) {
	s.Helper()
	line := fmt.Sprintf(`{"id":%q,"person":%q,"channel":"web","told_at":%q,"type":%q,"effective":%q,"data":%s}`,
		uuid.NewString(), s.id+"-"+who, moment, eventType, effective, s.text(data))
	out, errs, code := s.place.try(strings.NewReader(line+"\n"), "import", "--clock", "told", "-")
	require.Equal(s, 0, code, errs)
	require.Contains(s, out, `"accepted"`)
}

// until moves the clock: somebody says something of no matter at a moment.
func (s *scene) until(moment string) {
	s.Helper()
	s.at(moment, "clock", "language-changed", moment[:10], `{"language":"en"}`)
}

// enter registers people through the import, so that no wall clock comes into the log.
func (s *scene) enter(moment string, names ...string) {
	s.Helper()
	for _, name := range names {
		s.at(moment, name, "person-registered", moment[:10], fmt.Sprintf(`{"given_names":%q,"family_name":"Of NAME","birth_date":"1980-05-17","language":"en"}`, name))
		s.find(name, s.id+"-"+name)
	}
}

// TestTheLawFollowsTheLogsClock, in years that no wall clock shows: what waits for its day leaves on it, through kill -9 and a clock that jumps; what is kept for years goes by
// schedule on its day, unless a hold keeps it. A log's clock goes with what is told, so it has a hub of its own.
func TestTheLawFollowsTheLogsClock(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		w := startWorld(p, []string{
			strings.ReplaceAll(agreementText("card", "statute", "linked", 1, cityOnly, "deliver: effective"), "NAME", "s00"),
		})
		s := w.scene(t, 0)
		s.enter("2126-01-05T12:00:00Z", "clock", "ann", "ben", "cy")
		s.effectiveDays()
		s.retention()
		w.settled(t)
	})
}

func (s *scene) effectiveDays() {
	for _, name := range []string{"ann", "ben"} {
		s.link(name)
	}
	s.at("2126-01-05T12:00:00Z", "ann", "address-changed", "2126-02-01", inOntario("Kenora"))
	s.at("2126-01-05T12:00:00Z", "ben", "address-changed", "2126-01-05", inOntario("Atikokan"))
	s.delivered("card", `1 fact address-changed a {"city":"Atikokan"} asserted card@1`)
	s.hub.kill()
	s.hub = s.place.serve()
	s.until("2126-02-01T04:59:59Z") // 31 January in Toronto
	s.delivered("card")
	s.until("2126-02-01T05:00:00Z")
	s.delivered("card", `2 fact address-changed b {"city":"Kenora"} asserted card@1`)

	s.at("2126-02-02T12:00:00Z", "ann", "address-changed", "2126-03-01", inOntario("Dryden"))
	s.at("2126-02-02T12:00:00Z", "ann", "address-changed", "2126-06-01", inOntario("Fort Frances"))
	s.until("2126-12-01T12:00:00Z") // far past both
	s.delivered("card", `3 fact address-changed b {"city":"Dryden"} asserted card@1`, `4 fact address-changed b {"city":"Fort Frances"} asserted card@1`)
	s.at("2126-12-01T12:00:00Z", "ben", "address-changed", "2127-01-15", inOntario("Sioux Lookout"))
	s.call("ben", "DELETE", "/v1/me/links/NAME", "").ok() // before its day
	s.delivered("card", `5 ended a {} card@1`)
	s.until("2127-01-15T12:00:00Z")
	s.delivered("card")
}

func (s *scene) retention() {
	s.unseen("ann")
	s.unseen("ben")
	s.unseen("cy")
	s.call("ann", "POST", "/v1/me/erasure", "").ok().has(`"until":"2134-01-15"`, `"until":"2129-01-15"`)
	require.Equal(s, "erased", s.unseen("ann")[0])
	s.delivered("card", `6 erased {"cursors":["1.0.2","1.0.3","1.0.4"]}`)
	s.at("2127-01-20T12:00:00Z", "ben", "death-registered", "2127-01-19", `{"death_date":"2127-01-19","reported_by":"spouse"}`)
	s.at("2127-01-20T12:00:00Z", "cy", "death-registered", "2127-01-19", `{"death_date":"2127-01-19","reported_by":"spouse"}`)
	s.unseen("ben")
	s.unseen("cy")
	s.call("officer", "PUT", "/v1/holds", s.named("cy", `,"authority":"Invented Court","classes":["facts"]`)).ok()
	s.onLog("cy", "legal-hold-set")
	s.call("officer", "GET", "/v1/retention", "").ok().has(`{"on":"2129-01-16","class":3,"count":1}`, `{"on":"2134-01-16","class":2,"count":1}`,
		`{"on":"2137-01-21","class":1,"count":2}`)

	s.until("2129-01-16T04:59:59Z") // the last day, to its last second
	s.until("2129-01-16T05:00:00Z")
	s.waitErased("ann", 2) // accesses and contact
	s.until("2134-01-16T12:00:00Z")
	s.waitErased("ann", 1)
	s.until("2137-01-20T12:00:00Z")
	s.nothing("ben", "cy")
	s.until("2137-01-21T12:00:00Z")
	s.waitErased("ben", 1)
	s.delivered("card", `7 erased {"cursors":["1.0.1","1.0.5"]}`)
	s.nothing("cy")
	s.call("officer", "POST", "/v1/holds/lift", s.named("cy", `,"authority":"Invented Court"`)).ok()
	s.onLog("cy", "legal-hold-lifted")
	s.until("2137-01-22T12:00:00Z")
	s.waitErased("cy", 1)
}

// waitErased waits until the schedule has erased so many classes of somebody, and their keys are gone.
func (s *scene) waitErased(name string, classes int) {
	s.Helper()
	seen := map[string]int{}
	require.Eventually(s, func() bool {
		for _, eventType := range s.unseen(name) {
			seen[eventType]++
		}
		return seen["erased"] == classes
	}, waitTime, pollTime, "%s: %v", name, seen)
}
