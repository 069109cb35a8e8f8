package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// rawAnswer is what a call came to, but for the time of day.
type rawAnswer struct {
	status int
	header http.Header
	body   string
}

// ask makes one request and says how long it took.
func (h *hubProcess) ask(t *testing.T, token, path, body string) (rawAnswer, time.Duration) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Authorization": "Bearer " + token, "X-Access-Reason": "curious", "Idempotency-Key": uuid.NewString(),
	} {
		request.Header.Set(name, value)
	}
	started := time.Now()
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text := make([]byte, 0, 1024)
	for chunk := make([]byte, 1024); ; {
		n, err := response.Body.Read(chunk)
		text = append(text, chunk[:n]...)
		if err != nil {
			break
		}
	}
	took := time.Since(started)
	response.Header.Del("Date")
	return rawAnswer{response.StatusCode, response.Header, string(text)}, took
}

// accepted is ask for what must succeed; the answer's members.
func (h *hubProcess) accepted(t *testing.T, token, path string, body any) map[string]any {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	got, _ := h.ask(t, token, path, string(encoded))
	require.Less(t, got.status, 300, "%s: %s", path, got.body)
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.body), &out))
	return out
}

type members = map[string]any

func imported(reference string) members { return members{"source": "import", "reference": reference} }

// TestAProtectedPersonIsNobodyThroughTheProgram: a clerk and an officer get the same bytes for a protected person and for nobody, in the
// same time as far as it can be measured (the medians are printed), also after the views were rebuilt; nothing more leaves for a stream
// that does not receive protected people; and then their identity is replaced by two.
func TestAProtectedPersonIsNobodyThroughTheProgram(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		hub := p.serve()
		tokens := map[string]string{}
		for _, role := range []string{"clerk", "registrar", "officer", "auditor"} {
			tokens[role] = p.token(role, "--person", role+"-1")
		}
		first, second := p.token("protector", "--person", "p-1"), p.token("protector", "--person", "p-2")
		resident := p.token("citizen", "--person", "person-000000")
		told := hub.accepted(t, resident, "/v1/changes", json.RawMessage(move))
		streams := p.streams(t)
		hub.accepted(t, first, "/v1/protection/restrictions", members{"person": imported("person-000000"), "kind": "violence", "reason": "test"})

		hub.accepted(t, resident, "/v1/changes", json.RawMessage(strings.Replace(move, "1 Canary", "2 Canary", 1)))
		line := `{"id":"` + uuid.NewString() + `","person":"person-000000","channel":"web","told_at":"2026-11-25T00:00:00Z","type":"language-changed",` +
			`"effective":"2026-11-25","data":{"language":"fr"}}`
		out, errs, code := p.try(strings.NewReader(line+"\n"), "import", "-")
		require.Equal(t, 0, code, errs)
		require.Contains(t, out, `"accepted"`, "a source carries the person's own words")
		for stream, before := range streams {
			for _, e := range p.streams(t)[stream][len(before):] {
				require.NotContains(t, fmt.Sprint(e["data"]), "Canary", "%s", stream)
			}
		}

		receipt, _ := told["receipt"].(string)
		hub.requireNobody(t, tokens, receipt)
		p.run("rebuild", "protection")
		hub.requireNobody(t, tokens, receipt)

		p.requireReplaced(t, hub, first, second, receipt)
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
		require.NotContains(t, hub.stderr.String(), "Canary")
	})
}

// streams are the events of every stream, read as their ministries would.
func (p *place) streams(t *testing.T) map[string][]map[string]any {
	t.Helper()
	out := map[string][]map[string]any{}
	for _, stream := range []string{"moh.health-card", "mto.licensing"} {
		out[stream] = objects(t, p.run("stream", "read", stream))
	}
	return out
}

// requireNobody asks about the protected person and about nobody, in turn.
func (h *hubProcess) requireNobody(t *testing.T, tokens map[string]string, receipt string) {
	t.Helper()
	const rounds = 60
	told := strings.Replace(move, `{"type"`, `{"person":{"source":"import","reference":"WHO"},"type"`, 1)
	for _, a := range []struct{ role, path, body, hidden, nobody string }{
		{"clerk", "/v1/persons/details", `{"person":{"source":"import","reference":"WHO"}}`, "person-000000", "person-999999"},
		{"registrar", "/v1/persons/details", `{"person":{"source":"import","reference":"WHO"}}`, "person-000000", "person-999999"},
		{"clerk", "/v1/changes", told, "person-000000", "person-999999"},
		{"clerk", "/v1/changes/preview", told, "person-000000", "person-999999"},
		{"officer", "/v1/audit/searches", `{"reason":"curious","person":{"source":"import","reference":"WHO"}}`, "person-000000", "person-999999"},
		{"auditor", "/v1/audit/searches", `{"reason":"curious","receipt":"WHO"}`, receipt, "000000000000"},
	} {
		times := map[string][]time.Duration{}
		for range rounds {
			hidden, took := h.ask(t, tokens[a.role], a.path, strings.Replace(a.body, "WHO", a.hidden, 1))
			times["hidden"] = append(times["hidden"], took)
			nobody, took := h.ask(t, tokens[a.role], a.path, strings.Replace(a.body, "WHO", a.nobody, 1))
			times["nobody"] = append(times["nobody"], took)
			require.GreaterOrEqual(t, nobody.status, 400)
			require.Equal(t, nobody, hidden, "%s %s", a.role, a.path)
		}
		for _, list := range times {
			slices.Sort(list)
		}
		t.Logf("%-9s %-21s hidden %8v nobody %8v (medians of %d)", a.role, a.path, times["hidden"][rounds/2].Round(time.Microsecond),
			times["nobody"][rounds/2].Round(time.Microsecond), rounds)
	}
}

// requireReplaced gives the person another identity, and reads what ties the two.
func (p *place) requireReplaced(t *testing.T, hub *hubProcess, first, second, receipt string) {
	t.Helper()
	before := p.streams(t)
	what := members{
		"data":       members{"given_names": "Other", "family_name": "Canary", "birth_date": "1981-06-18", "language": "fr"},
		"references": []any{imported("person-000000")},
	}
	asking := members{"person": imported("person-000000"), "reason": "danger", "data": what["data"], "references": what["references"]}
	request := hub.accepted(t, first, "/v1/protection/replacements", asking)["request"]
	encoded, err := json.Marshal(what)
	require.NoError(t, err)
	alone, _ := hub.ask(t, first, fmt.Sprintf("/v1/protection/replacements/%v", request), string(encoded))
	require.Equal(t, 422, alone.status, alone.body)
	hub.accepted(t, second, fmt.Sprintf("/v1/protection/replacements/%v", request), what)

	fresh := p.token("citizen", "--person", "person-000000")
	code, me := hub.call(t, fresh, "GET", "/v1/me", "")
	require.Equal(t, 200, code)
	require.Contains(t, me, "1981-06-18")
	require.NotContains(t, me, "Zzyzx", "what was told under the old identity")
	hub.accepted(t, fresh, "/v1/changes", json.RawMessage(strings.Replace(move, "1 Canary Zzyzx", "7 New", 1)))

	asked := hub.accepted(t, first, "/v1/protection/ties", members{"receipt": receipt, "reason": "a court asks"})["request"]
	tie := hub.accepted(t, second, fmt.Sprintf("/v1/protection/ties/%v", asked), members{"reason": "a court asks"})
	known := map[any]bool{}
	for stream, events := range p.streams(t) {
		for i, e := range events {
			text := fmt.Sprint(e)
			require.NotContains(t, text, tie["old"], stream)
			require.NotContains(t, text, tie["new"], stream)
			if i < len(before[stream]) {
				known[e["subject"]] = true
				continue
			}
			if strings.Contains(text, "7 New") {
				require.False(t, known[e["subject"]], "the new identity has ids of its own: %s", stream)
			}
		}
	}
}
