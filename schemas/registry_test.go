package schemas_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/schemas"
)

func golden(t testing.TB, eventType string) map[string]any {
	t.Helper()
	source, err := os.ReadFile(eventType + "/1.example.json")
	require.NoError(t, err)
	data, problem := schemas.ParseObject(source, schemas.MaxLine)
	require.Nil(t, problem)
	return data
}

// Decisions on the log hold these bits: a line of this list may be added, at the end of a type's fields, but never changed.
func TestFieldBits(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"person-registered":         "given_names family_name birth_date language",
		"address-changed":           "kind unit street city province postal_code country",
		"name-changed":              "given_names family_name",
		"contact-changed":           "email phone",
		"marital-status-changed":    "status",
		"language-changed":          "language",
		"notice-preference-changed": "channel",
		"birth-registered":          "child_given_names child_family_name child_birth_date",
		"death-registered":          "death_date reported_by",
		"consent-granted":           "",
		"consent-withdrawn":         "",
		"ministry-linked":           "",
		"ministry-unlinked":         "",
		"death-reported":            "", "death-corrected": "", "change-corrected": "", "change-cancelled": "", "change-verified": "",
	}
	got := map[string]string{}
	for _, row := range registry(t).Rows() {
		got[row.Type] = strings.Join(row.FieldNames(), " ")
	}
	require.Equal(t, want, got)
}

func TestRows(t *testing.T) {
	t.Parallel()
	r := registry(t)
	verified := map[string]bool{"person-registered": true, "birth-registered": true, "death-registered": true}
	about := map[string]bool{"change-corrected": true, "change-cancelled": true, "change-verified": true, "death-corrected": true}
	for _, row := range r.Rows() {
		found, ok := r.Row(row.Type)
		require.True(t, ok)
		require.Same(t, row, found)
		require.Contains(t, []int16{1, 2}, row.Class)
		require.True(t, !row.Fact || row.Class == 1)
		require.Equal(t, about[row.Type], row.About)
		require.Equal(t, verified[row.Type], row.Verified)
		require.Equal(t, row.Type == "address-changed", row.Key == "kind")
		require.EqualValues(t, 1, row.Version)
		require.NotEmpty(t, row.Label.EN)
		require.NotEmpty(t, row.Label.FR)
		for _, field := range row.Fields {
			require.NotEmpty(t, field.Label.EN)
			require.NotEmpty(t, field.Label.FR)
		}
	}
	_, ok := r.Row("horoscope-changed")
	require.False(t, ok)
}

// Validate returns every problem, of each missing member one.
func TestValidateAllProblems(t *testing.T) {
	t.Parallel()
	r := registry(t)
	_, _, problems := r.Validate("address-changed", map[string]any{
		"kind": "work", "unit": "", "postal_code": "12345", "country": "CA", "province": "XX", "sin": "046 454 286",
	})
	var got []string
	for _, problem := range problems {
		require.Equal(t, schemas.CodeSchema, problem.Code)
		require.NotContains(t, problem.Detail, "046")
		require.NotContains(t, problem.Detail, "12345")
		got = append(got, fmt.Sprintf("%s %s %s", *problem.Pointer, problem.Rule, problem.Member))
	}
	require.Equal(t, []string{
		" required city", " required street", " unknown-member ", "/kind enum ", "/postal_code pattern ", "/province enum ",
		"/unit tellonce-text ",
	}, got)

	_, _, problems = r.Validate("address-changed", map[string]any{"country": "CA"})
	var missing []string
	for _, problem := range problems {
		require.Equal(t, "required", problem.Rule)
		require.Contains(t, problem.Detail, problem.Member)
		missing = append(missing, problem.Member)
	}
	require.Equal(t, []string{"city", "kind", "postal_code", "province", "street"}, missing)

	_, _, problems = r.Validate("contact-changed", nil)
	require.Len(t, problems, 1)
	require.Equal(t, "minProperties", problems[0].Rule)
	_, _, problems = r.Validate("horoscope-changed", nil)
	require.Equal(t, schemas.CodeUnknownType, problems[0].Code)
	_, _, problems = r.Validate("ministry-unlinked", map[string]any{"ministry": "\xff"})
	require.NotEmpty(t, problems)
	_, _, problems = r.Validate("ministry-unlinked", map[string]any{"ministry": struct{}{}})
	require.NotEmpty(t, problems)
}

func TestValidateLeavesItsArgumentAlone(t *testing.T) {
	t.Parallel()
	data := map[string]any{"given_names": " Zoe\u0308", "family_name": "X", "reason": "court"}
	normalised, canonical, problems := registry(t).Validate("name-changed", data)
	require.Nil(t, problems)
	require.Equal(t, " Zoe\u0308", data["given_names"])
	require.Equal(t, "Zoë", normalised["given_names"])
	require.Equal(t, `{"family_name":"X","given_names":"Zoë","reason":"court"}`, string(canonical))
}

// No value of an input may stand in a problem: a canary in every member, in turn, must not come back.
func TestProblemsHoldNoValues(t *testing.T) {
	t.Parallel()
	const canary = "canary<7>"
	r := registry(t)
	for _, row := range r.Rows() {
		for member := range golden(t, row.Type) {
			data := golden(t, row.Type)
			data[member] = canary
			data[canary] = canary
			_, _, problems := r.Validate(row.Type, data)
			require.NotEmpty(t, problems)
			for _, problem := range problems {
				require.NotContains(t, fmt.Sprintf("%+v %s", problem, *problem.Pointer), "canary")
			}
			_, problem := r.ParseLine(envelope(t, row.Type, map[string]any{"data." + member: canary, canary: canary}))
			require.NotContains(t, fmt.Sprintf("%+v %s", problem, *problem.Pointer), "canary")
		}
	}
}

// What a ministry receives is valid by the schema that the event names, whichever part an agreement permits.
func TestDeliveredSchema(t *testing.T) {
	t.Parallel()
	r := registry(t)
	for _, row := range r.Rows() {
		told, ok := r.Schema(row.Type, 1)
		require.True(t, ok)
		require.Contains(t, string(told), `"$id": "`+schemas.Base+row.Type+`/1"`)
		source, ok := r.DeliveredSchema(row.Type, 1)
		require.Equal(t, row.Fact, ok)
		if !ok {
			continue
		}
		compiler := jsonschema.NewCompiler() // a stranger's validator, which refuses formats it doesn't know
		compiler.AssertFormat = true
		url := schemas.Base + row.Type + "/1"
		require.NoError(t, compiler.AddResource(url, strings.NewReader(string(source))))
		schema, err := compiler.Compile(url)
		require.NoError(t, err)
		require.Equal(t, url+"#", schema.Location)
		all := map[string]any{"client_reference": "2241-918-842-AK"}
		for _, name := range row.FieldNames() {
			value := golden(t, row.Type)[name]
			all[name] = value
			require.NoError(t, schema.Validate(map[string]any{name: value}))
		}
		require.NoError(t, schema.Validate(all))
		all["reason"] = "court"
		require.Error(t, schema.Validate(all))
		require.NotContains(t, string(source), `"tellonce-`)
		require.True(t, json.Valid(source))
	}
	_, ok := r.Schema("name-changed", 2)
	require.False(t, ok)
	_, ok = r.Schema("horoscope-changed", 1)
	require.False(t, ok)
	_, ok = r.DeliveredSchema("horoscope-changed", 1)
	require.False(t, ok)
}

func TestUpcast(t *testing.T) {
	t.Parallel()
	r := registry(t)
	data := golden(t, "name-changed")
	newest, err := r.Upcast("name-changed", 1, data)
	require.NoError(t, err)
	require.Equal(t, data, newest)
	for _, version := range []int{0, 2} {
		_, err = r.Upcast("name-changed", version, data)
		require.Error(t, err)
	}
	_, err = r.Upcast("horoscope-changed", 1, data)
	require.Error(t, err)
}
