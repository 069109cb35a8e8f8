package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// teller imports lines one after the other, and remembers what of it was decided.
type teller struct {
	*place
	decided int
}

// line imports one line, and returns its result.
func (p *teller) line(eventType, data string) map[string]any {
	p.t.Helper()
	line := fmt.Sprintf(`{"id":%q,"person":"zoe","channel":"web","told_at":"2026-03-01T15:00:00Z","effective":"2026-03-01","type":%q,"data":%s}`+"\n",
		uuid.NewString(), eventType, data)
	out, errs, code := p.try(strings.NewReader(line), "import", "-")
	require.Equal(p.t, 0, code, errs)
	return objects(p.t, out)[0]
}

// told imports one line that must be accepted, and returns its position.
func (p *teller) told(eventType, data string) int64 {
	p.t.Helper()
	result := p.line(eventType, data)
	require.Equal(p.t, "accepted", result["result"], "%s: %v", eventType, result)
	if !strings.HasPrefix(eventType, "consent-") && !strings.HasPrefix(eventType, "ministry-") {
		p.decided++
	}
	return int64(result["position"].(float64))
}

// refused imports one line that must be refused, and requires that nothing was written.
func (p *teller) refused(eventType, data, reason, pointer string) {
	p.t.Helper()
	before := p.told("language-changed", `{"language":"fr"}`)
	require.Equal(p.t, map[string]any{"line": 1.0, "result": "rejected", "reason": reason, "pointer": pointer}, p.line(eventType, data))
	require.Equal(p.t, before+2, p.told("language-changed", `{"language":"en"}`), "nothing was written in between")
}

// news reads what a stream holds after a number: kind, what it corrects, assurance, and the street or the date of death.
func (p *teller) news(stream string, after int) []string {
	p.t.Helper()
	args := []string{"stream", "read", stream}
	if after > 0 {
		args = append(args, "--after", fmt.Sprintf("1.0.%d", after))
	}
	var out []string
	for _, e := range objects(p.t, p.run(args...)) {
		data, _ := e["data"].(map[string]any)
		parts := []any{e["kind"], e["corrects"], e["assurance"], data["street"], data["death_date"]}
		var line []string
		for _, part := range parts {
			if part != nil {
				line = append(line, fmt.Sprint(part))
			}
		}
		if e["kind"] == "retracted" || e["kind"] == "recalled" {
			require.Empty(p.t, data, "without values")
		}
		out = append(out, strings.Join(line, " "))
	}
	return out
}

func home(street string) string { return addressOf("home", street) }

func addressOf(kind, street string) string {
	return fmt.Sprintf(`{"kind":%q,"street":%q,"city":"Kenora","province":"ON","postal_code":"P9N 3X9","country":"CA"}`, kind, street)
}

// TestWhatWasWrongIsPutRightThroughTheProgram: everyone who got a wrong value hears of it, with the right one if entitled to that; what was
// not given yet never is; a death that was taken back leaves no trace but its retraction.
func TestWhatWasWrongIsPutRightThroughTheProgram(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, place *place) {
		p := &teller{place: place}
		p.sandbox()
		const health, library = "moh.health-card", "library.membership"
		registered := p.told("person-registered", `{"given_names":"Zoe","family_name":"Invented","birth_date":"1980-05-17","language":"en"}`)
		p.told("ministry-linked", `{"ministry":"moh","client_reference":"r-1"}`)
		p.told("consent-granted", `{"agreement":"library-membership"}`)
		wrong := p.told("address-changed", home("1 Wrong St"))
		require.Equal(t, []string{"fact asserted 1 Wrong St"}, p.news(health, 0))
		require.Equal(t, []string{"fact asserted 1 Wrong St"}, p.news(library, 0))

		// A library hears of home addresses only; the health ministry of both.
		right := p.told("change-corrected", fmt.Sprintf(`{"corrects":%d,"type":"address-changed","data":%s}`, wrong, addressOf("mailing", "1 Right St")))
		require.Equal(t, []string{"correction 1.0.1 asserted 1 Right St"}, p.news(health, 1))
		require.Equal(t, []string{"retracted 1.0.1"}, p.news(library, 1))
		require.Equal(t, []string{"recalled", "correction 1.0.1 asserted 1 Right St"}, p.news(health, 0), "the wrong value is not given again")
		require.Equal(t, []string{"recalled", "retracted 1.0.1"}, p.news(library, 0))

		p.told("change-verified", fmt.Sprintf(`{"verifies":%d}`, right))
		require.Equal(t, []string{"correction 1.0.2 verified 1 Right St"}, p.news(health, 2))

		undone := p.told("address-changed", home("2 Undone St"))
		p.told("change-cancelled", fmt.Sprintf(`{"corrects":%d}`, undone))
		require.Empty(t, p.news(health, 3), "what was wrong and not yet given never is")
		require.Empty(t, p.news(library, 2))

		const death = `{"death_date":"2026-02-27","reported_by":"spouse"}`
		p.told("death-reported", death)
		require.Empty(t, p.news(health, 3), "a report is held")
		died := p.told("death-registered", death)
		require.Equal(t, []string{"fact verified 2026-02-27"}, p.news(health, 3))
		p.told("death-corrected", fmt.Sprintf(`{"corrects":%d}`, died))
		require.Equal(t, []string{"retracted 1.0.4"}, p.news(health, 4))
		p.told("address-changed", home("3 Third St"))
		require.Contains(t, p.news(library, 2), "fact asserted 3 Third St", "the consent holds again")

		for _, refused := range [][4]string{
			{"change-cancelled", fmt.Sprintf(`{"corrects":%d}`, wrong), "already-corrected", "/data/corrects"},
			{"change-cancelled", fmt.Sprintf(`{"corrects":%d}`, right), "already-corrected", "/data/corrects"},
			{"change-cancelled", `{"corrects":9007199254740991}`, "not-your-change", "/data/corrects"},
			{"change-cancelled", `{"corrects":0}`, "schema", "/data/corrects"},
			{"change-cancelled", fmt.Sprintf(`{"corrects":%d}`, registered), "no-capacity", "/data/corrects"},
			{"change-verified", fmt.Sprintf(`{"verifies":%d}`, right), "already-verified", "/data/verifies"},
			{"change-verified", fmt.Sprintf(`{"verifies":%d}`, right+1), "not-your-change", "/data/verifies"},
			{"death-corrected", fmt.Sprintf(`{"corrects":%d}`, died), "not-dead", "/person"},
			{"change-corrected", fmt.Sprintf(`{"corrects":%d,"type":"address-changed","data":{"kind":"home"}}`, wrong), "schema", "/data/data"},
			{"change-corrected", fmt.Sprintf(`{"corrects":%d,"type":"language-changed","data":{"language":"fr"}}`, registered), "schema", "/data/type"},
		} {
			p.refused(refused[0], refused[1], refused[2], refused[3])
		}

		types := map[float64]any{}
		for _, line := range objects(t, p.run("audit", "decisions")) {
			types[line["position"].(float64)] = line["type"]
		}
		require.Equal(t, "address-changed", types[float64(right)], "a correction is decided as what it puts right")
		p.requireProven(p.decided)
	})
}
