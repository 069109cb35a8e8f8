package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// refusals: bad input, each a code with its pointer, and nothing written.
func refusals() []scenario {
	return []scenario{
		{"bad input is refused with code and pointer, and nothing is written", []string{
			agreementText("card", "consent", "all", 1, cityOnly), agreementText("law", "statute", "all", 1, "{event: contact-changed, fields: [email]}"),
		}, badInput},
	}
}

func badInput(s *scene) {
	for _, name := range []string{"ann", "ben", "gone", "friend"} {
		s.register(name)
	}
	s.register("kid", daysAhead(-6*365))
	first := s.tell("ann", "address-changed", inOntario("Kenora"))
	wrong := s.tell("ann", "address-changed", inOntario("Dryden"))
	right := s.tell("ann", "change-corrected", correction(wrong, inOntario("Fort Frances")))
	bens := s.tell("ben", "address-changed", inOntario("Kenora"))
	erasedOne := s.tell("gone", "address-changed", inOntario("Kenora"))
	s.call("gone", "POST", "/v1/me/erasure", "").ok()
	s.call("ann", "PUT", "/v1/me/proxies", fmt.Sprintf(`{"proxy":%q,"scope":["language-changed"],"until":%q}`, s.people["friend"].id, daysAhead(9))).ok()
	names := []string{"ann", "ben", "gone", "friend", "kid"}
	for _, name := range names {
		s.onLog(name)
	}
	forAnn := []string{"X-On-Behalf-Of", s.people["ann"].id.String()}
	cancel := func(who string, position int64) reply {
		return s.told(who, "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, position))
	}
	proxy := func(who, person, proxy, more string) reply {
		return s.call(who, "POST", "/v1/proxies", s.named(person, fmt.Sprintf(`,"proxy":{"source":"import","reference":"NAME-%s"}%s`, proxy, more)))
	}
	for _, c := range []struct {
		name    string
		got     func() reply
		code    string
		pointer []string
	}{
		{"a date too far ahead", func() reply { return s.told("ann", "address-changed", inOntario("Kenora"), daysAhead(367)) }, "effective-too-far", []string{"/effective"}},
		{"no date", func() reply { return s.told("ann", "address-changed", inOntario("Kenora"), "2026-02-30") }, "schema", []string{"/effective"}},
		{"an unknown type", func() reply { return s.told("ann", "shoe-size-changed", `{}`) }, "unknown-type", []string{"/type"}},
		{"a postal code elsewhere", func() reply {
			return s.told("ann", "address-changed", strings.Replace(inOntario("Kenora"), "P9N", "H9N", 1))
		}, "postal-code-province", []string{"/data/postal_code"}},
		{"a correction with bad data", func() reply {
			return s.told("ann", "change-corrected", correction(first, strings.Replace(inOntario("Kenora"), "P9N", "H9N", 1)))
		}, "postal-code-province", []string{"/data/data/postal_code"}},
		{"a correction of another type", func() reply {
			return s.told("ann", "change-corrected", fmt.Sprintf(`{"corrects":%d,"type":"language-changed","data":{"language":"fr"}}`, first))
		}, "schema", []string{"/data/type"}},
		{"a correction of what was corrected", func() reply { return s.told("ann", "change-corrected", correction(wrong, inOntario("Kenora"))) }, "already-corrected", []string{"/data/corrects"}},
		{"a correction of a correction", func() reply { return cancel("ann", right) }, "already-corrected", []string{"/data/corrects"}},
		{"another person's change", func() reply { return cancel("ann", bens) }, "not-your-change", []string{"/data/corrects"}},
		{"no change at all", func() reply { return cancel("ann", 1<<40) }, "not-your-change", []string{"/data/corrects"}},
		{"an erased person's change", func() reply { return cancel("ann", erasedOne) }, "not-your-change", []string{"/data/corrects"}},
		{"a change of who was erased", func() reply { return cancel("gone", erasedOne) }, "already-erased", []string{"/data/corrects"}},
		{"a second erasure", func() reply { return s.call("gone", "POST", "/v1/me/erasure", "") }, "already-erased", nil},
		{"a death taken back that was not", func() reply {
			return s.told("registrar for ann", "death-corrected", fmt.Sprintf(`{"corrects":%d}`, first))
		}, "not-dead", []string{"/person"}},
		{"consent to no agreement", func() reply { return s.call("ann", "PUT", "/v1/me/consents/NAME-never", "") }, "unknown-agreement", nil},
		{"consent to a statute", func() reply { return s.call("ann", "PUT", "/v1/me/consents/NAME-law", "") }, "not-by-consent", nil},
		{"consent to what is not shared", func() reply { return s.call("ann", "PUT", "/v1/me/consents/NAME-card", `{"fields":["city","street"]}`) }, "unknown-field", []string{"/fields/1"}},
		{"a withdrawal of nothing", func() reply { return s.call("ann", "DELETE", "/v1/me/consents/NAME-card", "") }, "no-such-grant", nil},
		{"a proxy out of scope", func() reply { return s.call("friend", "PUT", "/v1/me/consents/NAME-card", "", forAnn...) }, "no-capacity", nil},
		{"a link to no ministry", func() reply { return s.call("ann", "PUT", "/v1/me/links/NAME-never", `{"client_reference":"1"}`) }, "unknown-ministry", nil},
		{"an end of no link", func() reply { return s.call("ann", "DELETE", "/v1/me/links/NAME", "") }, "not-linked", nil},
		{"one's own proxy", func() reply { return proxy("clerk", "ann", "ann", `,"kind":"attorney"`) }, "same-person", []string{"/proxy"}},
		{"a circle of proxies", func() reply { return proxy("clerk", "friend", "ann", `,"kind":"attorney"`) }, "circular-proxy", []string{"/proxy"}},
		{"a parent by a clerk", func() reply { return proxy("clerk", "kid", "ann", `,"kind":"parent"`) }, "no-capacity", []string{"/kind"}},
		{"a backdated proxy", func() reply { return proxy("clerk", "ben", "ann", `,"kind":"attorney","until":"2020-01-01"`) }, "schema", []string{"/until"}},
		{"a child as attorney", func() reply { return proxy("clerk", "ben", "kid", `,"kind":"attorney"`) }, "no-capacity", []string{"/proxy"}},
		{"an end of no proxy", func() reply { return s.call("ben", "DELETE", "/v1/me/proxies/1", "") }, "no-such-proxy", nil},
		{"a hold lifted by another authority", func() reply {
			return s.call("officer", "POST", "/v1/holds/lift", s.named("ann", `,"authority":"none"`))
		}, "no-such-hold", []string{"/authority"}},
		{"a backdated hold", func() reply {
			return s.call("officer", "PUT", "/v1/holds", s.named("ann", `,"authority":"Court","classes":["facts"],"until":"2020-01-01"`))
		}, "schema", []string{"/until"}},
		{"an approval of no version", func() reply {
			return s.call("officer", "POST", "/v1/agreements/approvals", `{"id":"NAME-card","version":9}`)
		}, "unknown-version", []string{"/version"}},
		{"an approval of what is approved", func() reply {
			return s.call("officer", "POST", "/v1/agreements/approvals", `{"id":"NAME-card","version":1}`)
		}, "already-approved", []string{"/version"}},
		{"an end of no agreement", func() reply { return s.call("officer", "POST", "/v1/agreements/endings", `{"id":"NAME-never"}`) }, "unknown-version", []string{"/id"}},
		{"a future end", func() reply {
			return s.call("officer", "POST", "/v1/agreements/endings", `{"id":"NAME-card","date":"`+daysAhead(9)+`"}`)
		}, "end-date", []string{"/date"}},
		{"a cursor never given", func() reply { return s.call("ministry", "GET", "/v1/streams/NAME.card/events?after=1.0.99", "") }, "unknown-cursor", nil},
	} {
		got := c.got()
		require.Equal(s, c.code, got.body["code"], "%s: %s", c.name, got.text)
		var pointers []string
		faults, _ := got.body["errors"].([]any)
		for _, f := range faults {
			pointers = append(pointers, f.(map[string]any)["pointer"].(string))
		}
		require.Equal(s, c.pointer, pointers, "%s: %s", c.name, got.text)
		s.nothing(names...)
	}
	s.reused()
	s.badLines()
}

// reused: a command's id stands for one command.
func (s *scene) reused() {
	id := uuid.NewString()
	body := func(city string) string {
		return fmt.Sprintf(`{"type":"address-changed","effective":%q,"data":%s}`, today(), inOntario(city))
	}
	first := s.call("ben", "POST", "/v1/changes", body("Kenora"), "Idempotency-Key", id).ok()
	again := s.call("ben", "POST", "/v1/changes", body("Kenora"), "Idempotency-Key", strings.ToUpper(id)).ok()
	require.Equal(s, first.text, again.text)
	s.onLog("ben", "address-changed", "decided")
	s.call("ben", "POST", "/v1/changes", body("Dryden"), "Idempotency-Key", id).refused("command-reused")
	s.nothing("ben")
}

// badLines are refusals of what an import can say and a form can't.
func (s *scene) badLines() {
	line := func(person, eventType, data string) string {
		return fmt.Sprintf(`{"id":%q,"person":%q,"channel":"web","told_at":"2026-01-05T12:00:00Z","type":%q,"effective":"2026-01-05","data":%s}`,
			uuid.NewString(), person, eventType, data) + "\n"
	}
	ann := s.people["ann"].reference
	input := line(s.id+"-never", "language-changed", `{"language":"en"}`) +
		line(ann, "person-registered", `{"given_names":"A","family_name":"B","birth_date":"1980-01-01","language":"en"}`) +
		line(ann, "consent-withdrawn", `{"agreement":"`+s.id+`-card"}`) + "not json\n" +
		line(ann, "ministry-unlinked", `{"ministry":"`+s.id+`"}`) + line(ann, "change-cancelled", `{"corrects":1}`)
	out, errs, code := s.place.try(strings.NewReader(input), "import", "-")
	require.Equal(s, 0, code, errs)
	var got []string
	for _, o := range objects(s.T, out) {
		require.Equal(s, "rejected", o["result"])
		pointer, there := o["pointer"].(string)
		got = append(got, fmt.Sprint(o["reason"], " ", pointer, " ", strconv.FormatBool(there)))
	}
	require.Equal(s, []string{
		"unknown-person /person true", "person-exists /person true", "no-such-grant /data/agreement true", "malformed-json  false",
		"not-linked /data/ministry true", "not-your-change /data/corrects true",
	}, got)
	s.nothing("ann")
}
