package schemas_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/schemas"
)

// without is a value that removes a member.
type without struct{}

// envelope is a valid line with some members replaced or removed; those under "data." are data's.
func envelope(t testing.TB, eventType string, changes map[string]any) []byte {
	t.Helper()
	data := golden(t, eventType)
	line := map[string]any{
		"id": "6caf76a5-7035-48ae-8280-ad3729a6f2e7", "person": "person-000000", "channel": "web", "told_at": "2026-01-05T15:30:14.25Z",
		"type": eventType, "effective": "2026-01-05", "data": data,
	}
	for name, value := range changes {
		object := line
		if member, ok := strings.CutPrefix(name, "data."); ok {
			object, name = data, member
		}
		if value == (without{}) {
			delete(object, name)
		} else {
			object[name] = value
		}
	}
	source, err := json.Marshal(line)
	require.NoError(t, err)
	return source
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	r := registry(t)
	source := envelope(t, "address-changed", map[string]any{
		"data.street": "  264\u00bd Zoe\u0308 St ", "data.postal_code": " p6a7n9 ", "data.unit": without{},
	})
	line, problem := r.ParseLine(source)
	require.Nil(t, problem)
	require.Equal(t, "6caf76a5-7035-48ae-8280-ad3729a6f2e7", line.ID)
	require.Equal(t, "person-000000", line.Person)
	require.Equal(t, "web", line.Channel)
	require.Equal(t, "address-changed", line.Type)
	require.Equal(t, "2026-01-05", line.Effective)
	require.True(t, line.ToldAt.Equal(time.Date(2026, 1, 5, 15, 30, 14, 250_000_000, time.UTC)))
	require.Equal(t, map[string]any{
		"kind": "home", "street": "264½ Zoë St", "city": "Sault Ste. Marie", "province": "ON", "postal_code": "P6A 7N9", "country": "CA",
	}, line.Data)
	canonical, err := schemas.Canonical(line.Data)
	require.NoError(t, err)
	require.Equal(t, string(canonical), string(line.Canonical))
	content, err := jcs.Transform(source) // as sent: before trimming and NFC
	require.NoError(t, err)
	require.Equal(t, string(content), string(line.Content))
}

// Canonical bytes of data that needed no normalising are a piece of the whole line's: they must be the same as when encoded alone.
func TestParseLineCanonical(t *testing.T) {
	t.Parallel()
	r := registry(t)
	for _, row := range r.Rows() {
		source := envelope(t, row.Type, nil)
		line, problem := r.ParseLine(source)
		require.Nil(t, problem, row.Type)
		want, err := schemas.Canonical(golden(t, row.Type))
		require.NoError(t, err)
		require.Equal(t, string(want), string(line.Canonical))
		content, err := jcs.Transform(source)
		require.NoError(t, err)
		require.Equal(t, string(content), string(line.Content))
		_ = append(line.Canonical, "xxx"...) // a caller's append must not reach into Content
		require.Equal(t, string(content), string(line.Content))
	}
}

// The same values in another spelling are the same command; other values are not, even where they normalise to the same data.
func TestContent(t *testing.T) {
	t.Parallel()
	r := registry(t)
	content := func(source string) string {
		line, problem := r.ParseLine([]byte(source))
		require.Nil(t, problem)
		return string(line.Content)
	}
	first := `{"id":"6caf76a5-7035-48ae-8280-ad3729a6f2e7","person":"p","channel":"web","told_at":"2026-01-05T15:30:14Z",` +
		`"type":"name-changed","effective":"2026-01-05","data":{"given_names":"Zoë","family_name":"A/B","reason":"court"}}`
	respelled := ` {"data": {"reason":"court", "family_name":"A\/B","given_names":"Zo\u00EB"}, "effective":"2026-01-05","type":"name-changed",` +
		`"told_at":"2026-01-05T15:30:14Z","channel":"web","person":"p","id":"6caf76a5-7035-48ae-8280-ad3729a6f2e7" }` + "\r"
	require.Equal(t, content(first), content(respelled))
	for _, change := range [][2]string{{"Zoë", "Zoë "}, {"Zoë", "Zoe\u0308"}, {"14Z", "14.0Z"}, {`"p"`, `"q"`}} {
		require.NotEqual(t, content(first), content(strings.Replace(first, change[0], change[1], 1)))
	}
}

func TestParseLineRefuses(t *testing.T) {
	t.Parallel()
	r := registry(t)
	for name, test := range map[string]struct {
		eventType string // default name-changed
		changes   map[string]any
		code      string // default schema
		pointer   string
	}{
		"unknown type":                       {changes: map[string]any{"type": "horoscope-changed"}, code: "unknown-type", pointer: "/type"},
		"empty type":                         {changes: map[string]any{"type": ""}, code: "unknown-type", pointer: "/type"},
		"unknown type before all else":       {changes: map[string]any{"type": "x", "id": 1, "person": without{}, "y": 1}, code: "unknown-type", pointer: "/type"},
		"a hub's own event is no line":       {changes: map[string]any{"type": "decided"}, code: "unknown-type", pointer: "/type"},
		"type missing":                       {changes: map[string]any{"type": without{}}},
		"type no string":                     {changes: map[string]any{"type": 1}, pointer: "/type"},
		"type null":                          {changes: map[string]any{"type": nil}, pointer: "/type"},
		"id missing":                         {changes: map[string]any{"id": without{}}},
		"id no uuid":                         {changes: map[string]any{"id": "1"}, pointer: "/id"},
		"id no string":                       {changes: map[string]any{"id": 1e300}, pointer: "/id"},
		"person empty":                       {changes: map[string]any{"person": ""}, pointer: "/person"},
		"person not ASCII":                   {changes: map[string]any{"person": "é"}, pointer: "/person"},
		"person too long":                    {changes: map[string]any{"person": strings.Repeat("p", 65)}, pointer: "/person"},
		"channel unknown":                    {changes: map[string]any{"channel": "fax"}, pointer: "/channel"},
		"channel of another case":            {changes: map[string]any{"channel": "Web"}, pointer: "/channel"},
		"told_at not UTC":                    {changes: map[string]any{"told_at": "2026-01-05T15:30:14+01:00"}, pointer: "/told_at"},
		"told_at no string":                  {changes: map[string]any{"told_at": 5}, pointer: "/told_at"},
		"effective not real":                 {changes: map[string]any{"effective": "2026-02-30"}, pointer: "/effective"},
		"effective null":                     {changes: map[string]any{"effective": nil}, pointer: "/effective"},
		"data missing":                       {changes: map[string]any{"data": without{}}},
		"data no object":                     {changes: map[string]any{"data": []any{}}, pointer: "/data"},
		"data null":                          {changes: map[string]any{"data": nil}, pointer: "/data"},
		"unknown member":                     {changes: map[string]any{"note": "x"}},
		"member missing in data":             {changes: map[string]any{"data.reason": without{}}, pointer: "/data"},
		"unknown member in data":             {changes: map[string]any{"data.sin": "046 454 286"}, pointer: "/data"},
		"wrong type in data":                 {changes: map[string]any{"data.given_names": 7}, pointer: "/data/given_names"},
		"null in data":                       {changes: map[string]any{"data.given_names": nil}, pointer: "/data/given_names"},
		"object in data":                     {changes: map[string]any{"data.given_names": map[string]any{}}, pointer: "/data/given_names"},
		"only spaces":                        {changes: map[string]any{"data.given_names": "  "}, pointer: "/data/given_names"},
		"201 after trimming":                 {changes: map[string]any{"data.family_name": strings.Repeat("x", 201)}, pointer: "/data/family_name"},
		"reason unknown":                     {changes: map[string]any{"data.reason": "whim"}, pointer: "/data/reason"},
		"kind unknown":                       {"address-changed", map[string]any{"data.kind": "work"}, "", "/data/kind"},
		"unit empty":                         {"address-changed", map[string]any{"data.unit": ""}, "", "/data/unit"},
		"country in small letters":           {"address-changed", map[string]any{"data.country": "ca"}, "", "/data/country"},
		"country of three":                   {"address-changed", map[string]any{"data.country": "CAN"}, "", "/data/country"},
		"country missing":                    {"address-changed", map[string]any{"data.country": without{}}, "", "/data"},
		"province missing":                   {"address-changed", map[string]any{"data.province": without{}}, "", "/data"},
		"province in small letters":          {"address-changed", map[string]any{"data.province": "on"}, "", "/data/province"},
		"province written out":               {"address-changed", map[string]any{"data.province": "Ontario"}, "", "/data/province"},
		"province no text abroad":            {"address-changed", map[string]any{"data.province": "\u200b", "data.country": "FR"}, "", "/data/province"},
		"postal code missing in Canada":      {"address-changed", map[string]any{"data.postal_code": without{}}, "", "/data"},
		"postal code with a hyphen":          {"address-changed", map[string]any{"data.postal_code": "P6A-7N9"}, "", "/data/postal_code"},
		"postal code with two spaces":        {"address-changed", map[string]any{"data.postal_code": "P6A  7N9"}, "", "/data/postal_code"},
		"postal code with a misplaced space": {"address-changed", map[string]any{"data.postal_code": "P6 A7N9"}, "", "/data/postal_code"},
		"postal code with a tab":             {"address-changed", map[string]any{"data.postal_code": "P6A 7N9\t"}, "", "/data/postal_code"},
		"postal code with a no-break space":  {"address-changed", map[string]any{"data.postal_code": "P6A\u00a07N9"}, "", "/data/postal_code"},
		"postal code of wide digits":         {"address-changed", map[string]any{"data.postal_code": "P６A 7N9"}, "", "/data/postal_code"},
		"postal code first W":                {"address-changed", map[string]any{"data.postal_code": "W6A 7N9"}, "", "/data/postal_code"},
		"postal code first Z":                {"address-changed", map[string]any{"data.postal_code": "Z6A 7N9"}, "", "/data/postal_code"},
		"postal code first D":                {"address-changed", map[string]any{"data.postal_code": "D6A 7N9"}, "", "/data/postal_code"},
		"postal code third O":                {"address-changed", map[string]any{"data.postal_code": "P6O 7N9"}, "", "/data/postal_code"},
		"postal code fifth U":                {"address-changed", map[string]any{"data.postal_code": "P6A 7U9"}, "", "/data/postal_code"},
		"postal code null":                   {"address-changed", map[string]any{"data.postal_code": nil}, "", "/data/postal_code"},
		"postal code of 21 abroad":           {"address-changed", map[string]any{"data.postal_code": strings.Repeat("1", 21), "data.country": "FR"}, "", "/data/postal_code"},
		"postal code with a control abroad":  {"address-changed", map[string]any{"data.postal_code": "1\x002", "data.country": "FR"}, "", "/data/postal_code"},
		"no contact":                         {"contact-changed", map[string]any{"data.email": without{}, "data.phone": without{}}, "", "/data"},
		"contact of another kind":            {"contact-changed", map[string]any{"data.email": without{}, "data.phone": without{}, "data.fax": "+14165550100"}, "", "/data"},
		"not an e-mail address":              {"contact-changed", map[string]any{"data.email": "not-an-address"}, "", "/data/email"},
		"not E.164":                          {"contact-changed", map[string]any{"data.phone": "416-555-0100"}, "", "/data/phone"},
		"status unknown":                     {"marital-status-changed", map[string]any{"data.status": "Single"}, "", "/data/status"},
		"language unknown":                   {"language-changed", map[string]any{"data.language": "de"}, "", "/data/language"},
		"birth date not real":                {"person-registered", map[string]any{"data.birth_date": "1999-02-29"}, "", "/data/birth_date"},
		"child's birth date not real":        {"birth-registered", map[string]any{"data.child_birth_date": "1999-2-9"}, "", "/data/child_birth_date"},
		"reported by nobody known":           {"death-registered", map[string]any{"data.reported_by": "neighbour"}, "", "/data/reported_by"},
		"fields empty":                       {"consent-granted", map[string]any{"data.fields": []any{}}, "", "/data/fields"},
		"fields twice":                       {"consent-granted", map[string]any{"data.fields": []any{"city", "city"}}, "", "/data/fields"},
		"fields no list":                     {"consent-granted", map[string]any{"data.fields": "city"}, "", "/data/fields"},
		"a field no string":                  {"consent-granted", map[string]any{"data.fields": []any{"city", 1}}, "", "/data/fields/1"},
		"agreement missing":                  {"consent-withdrawn", map[string]any{"data.agreement": without{}}, "", "/data"},
		"withdrawn fields":                   {"consent-withdrawn", map[string]any{"data.fields": []any{"city"}}, "", "/data"},
		"client reference empty":             {"ministry-linked", map[string]any{"data.client_reference": ""}, "", "/data/client_reference"},
		"client reference of two lines":      {"ministry-linked", map[string]any{"data.client_reference": "a\n"}, "", "/data/client_reference"},
		"client reference too long":          {"ministry-linked", map[string]any{"data.client_reference": strings.Repeat("1", 65)}, "", "/data/client_reference"},
		"unlinked by reference":              {"ministry-unlinked", map[string]any{"data.client_reference": "1"}, "", "/data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eventType, code := test.eventType, test.code
			if eventType == "" {
				eventType = "name-changed"
			}
			if code == "" {
				code = schemas.CodeSchema
			}
			source := envelope(t, eventType, test.changes)
			line, problem := r.ParseLine(source)
			require.NotNil(t, problem)
			require.Equal(t, code, problem.Code)
			require.NotNil(t, problem.Pointer)
			require.Equal(t, test.pointer, *problem.Pointer)
			require.NotEmpty(t, problem.Detail)
			require.Nil(t, line.Data)
			require.Nil(t, line.Canonical)
			content, err := jcs.Transform(source)
			require.NoError(t, err)
			require.Equal(t, string(content), string(line.Content))
		})
	}
}

func TestParseLineAccepts(t *testing.T) {
	t.Parallel()
	r := registry(t)
	for name, test := range map[string]struct {
		eventType string
		changes   map[string]any
		want      map[string]any // members of the normalised data
	}{
		"postal code in small letters": {"address-changed", map[string]any{"data.postal_code": "p6a 7n9"}, map[string]any{"postal_code": "P6A 7N9"}},
		"postal code without space":    {"address-changed", map[string]any{"data.postal_code": "P6a7N9"}, map[string]any{"postal_code": "P6A 7N9"}},
		"postal code with V in third":  {"address-changed", map[string]any{"data.postal_code": "V6W7Z9"}, map[string]any{"postal_code": "V6W 7Z9"}},
		"postal code abroad": {"address-changed", map[string]any{"data.postal_code": " sw1a-1aa ", "data.country": "GB", "data.province": "Greater London"},
			map[string]any{"postal_code": "sw1a-1aa", "province": "Greater London"}},
		"postal code of six abroad": {"address-changed", map[string]any{"data.postal_code": "p6a7n9", "data.country": "NL"},
			map[string]any{"postal_code": "p6a7n9"}},
		"no postal code abroad": {"address-changed", map[string]any{"data.postal_code": without{}, "data.country": "HK", "data.province": "九龍"}, nil},
		"any text of 20 abroad": {"address-changed", map[string]any{"data.postal_code": strings.Repeat("é", 20), "data.country": "FR"}, nil},
		"e-mail alone":          {"contact-changed", map[string]any{"data.phone": without{}}, nil},
		"phone alone":           {"contact-changed", map[string]any{"data.email": without{}}, nil},
		"grant without fields":  {"consent-granted", map[string]any{"data.fields": without{}}, nil},
		"any agreement's name":  {"consent-granted", map[string]any{"data.agreement": "no such – one"}, nil},
		"a name with a bidi script": {"name-changed", map[string]any{"data.given_names": "محمد", "data.family_name": " می\u200cخواهم"},
			map[string]any{"family_name": "می\u200cخواهم"}},
		"200 in another form": {"name-changed", map[string]any{"data.given_names": strings.Repeat("e\u0301", 200)},
			map[string]any{"given_names": strings.Repeat("é", 200)}},
		"uuid in capitals": {"language-changed", map[string]any{"id": "6CAF76A5-7035-48AE-8280-AD3729A6F2E7"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, problem := r.ParseLine(envelope(t, test.eventType, test.changes))
			require.Nil(t, problem)
			got := maps.Clone(line.Data)
			maps.DeleteFunc(got, func(name string, _ any) bool { _, ok := test.want[name]; return !ok })
			if test.want != nil {
				require.Equal(t, test.want, got)
			}
		})
	}
}

// malformed-json comes before everything else that is wrong with a line.
func TestMalformedComesFirst(t *testing.T) {
	t.Parallel()
	r := registry(t)
	for _, source := range []string{
		"", `{"type":"horoscope-changed","type":"x"}`, `{"type":"horoscope-changed","x":"\ud800"}`, "{\"type\":\"horoscope-changed\",\"x\":\"\xff\"}",
		`{"type":"horoscope-changed","x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`,
		`{"type":"horoscope-changed","x":"` + strings.Repeat("x", schemas.MaxLine) + `"}`, `{"type":"horoscope-changed"} {}`,
	} {
		line, problem := r.ParseLine([]byte(source))
		require.NotNil(t, problem)
		require.Equal(t, schemas.CodeMalformed, problem.Code)
		require.Nil(t, problem.Pointer)
		require.Nil(t, line)
	}
	fits := []byte(`{"type":"horoscope-changed","x":"`)
	fits = append(append(fits, strings.Repeat("x", schemas.MaxLine-len(fits)-2)...), `"}`...)
	require.Len(t, fits, schemas.MaxLine)
	_, problem := r.ParseLine(fits)
	require.Equal(t, schemas.CodeUnknownType, problem.Code)
	// A number that no double holds is valid JSON; it only has no canonical form.
	line, problem := r.ParseLine([]byte(`{"type":"horoscope-changed","x":1e999}`))
	require.Equal(t, schemas.CodeUnknownType, problem.Code)
	require.Nil(t, line.Content)
}
