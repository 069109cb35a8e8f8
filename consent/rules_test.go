package consent

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	wide := func(n int) func(string) []string {
		return func(string) []string { return strings.Split(strings.Repeat("f,", n-1)+"f", ",") }
	}
	share := func(event string, fields ...string) Share { return Share{Event: event, Fields: fields} }
	tests := map[string]struct {
		agreements []Agreement
		fieldsOf   func(string) []string
		want       string
	}{
		"unknown type":  {[]Agreement{{ID: "a", Version: 1, Shares: []Share{share("x", "y")}}}, rowsOf, `agreement "a": unknown event type "x"`},
		"unknown field": {[]Agreement{{ID: "a", Shares: []Share{share("name-changed", "family_name", "reason")}}}, rowsOf, `agreement "a": event type "name-changed": unknown field "reason"`},
		"type twice": {
			[]Agreement{{ID: "a", Shares: []Share{share("name-changed", "family_name"), share("name-changed", "given_names")}}},
			rowsOf, `agreement "a": event type "name-changed" is named twice`,
		},
		"version twice":      {[]Agreement{{ID: "a", Version: 2}, {ID: "b", Version: 2}, {ID: "a", Version: 2}}, rowsOf, `agreement "a": version 2 is given twice`},
		"too many fields":    {[]Agreement{{ID: "a", Shares: []Share{share("x", "f")}}}, wide(65), `agreement "a": event type "x" has more than 64 fields`},
		"version too high":   {[]Agreement{{ID: "a", Version: math.MaxInt32 + 1}}, rowsOf, `agreement "a": no such version: 2147483648`},
		"version below zero": {[]Agreement{{ID: "a", Version: -1}}, rowsOf, `agreement "a": no such version: -1`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules, err := Compile(test.agreements, test.fieldsOf)
			require.EqualError(t, err, test.want)
			require.Nil(t, rules)
		})
	}
	_, err := Compile([]Agreement{{ID: "a", Shares: []Share{share("x", "f")}}}, wide(64))
	require.NoError(t, err)
	_, err = Compile([]Agreement{{ID: "a", Version: math.MaxInt32, Shares: []Share{share("x", "f")}}}, wide(1))
	require.NoError(t, err)
}

func TestCompileBoundsTheNumberOfAgreements(t *testing.T) {
	t.Parallel()
	agreements := make([]Agreement, math.MaxInt16+2)
	for i := range agreements {
		agreements[i].ID = fmt.Sprintf("%05d", i)
	}
	_, err := Compile(agreements, rowsOf)
	require.EqualError(t, err, `agreement "32768": more than 32768 agreements`)
	rules, err := Compile(agreements[:math.MaxInt16+1], rowsOf)
	require.NoError(t, err)
	i, found := rules.Lookup("32767")
	require.True(t, found)
	require.EqualValues(t, math.MaxInt16, i)
}

func TestRulesAreInIDOrder(t *testing.T) {
	t.Parallel()
	agreements := []Agreement{
		{ID: "tax", Version: 1, Shares: []Share{{Event: "address-changed", Fields: []string{"country", "street", "city"}}}},
		{ID: "arts", Version: 1, Shares: []Share{{Event: "contact-changed", Fields: []string{"phone"}}}},
		{ID: "tax", Version: 3, Shares: []Share{{Event: "address-changed", Fields: []string{"postal_code", "city"}}}},
		{ID: "tax", Version: 2},
		{ID: "health", Version: 1, Shares: []Share{{Event: "address-changed", Fields: []string{"unit"}}}},
	}
	rules, err := Compile(agreements, rowsOf)
	require.NoError(t, err)
	require.Equal(t, 1, agreements[0].Version, "the argument stays in its order")
	for i, id := range []string{"arts", "health", "tax"} {
		require.Equal(t, id, rules.Agreement(int16(i)).ID)
		found, ok := rules.Lookup(id)
		require.True(t, ok)
		require.EqualValues(t, i, found)
	}
	require.Equal(t, 3, rules.Agreement(2).Version)
	require.Nil(t, rules.Agreement(-1))
	require.Nil(t, rules.Agreement(3))
	_, ok := rules.Lookup("library")
	require.False(t, ok)

	require.Equal(t, bits("address-changed", "city", "postal_code"), rules.Fields(2, "address-changed"))
	require.Equal(t, bits("address-changed", "unit"), rules.Fields(1, "address-changed"))
	require.Zero(t, rules.Fields(0, "address-changed"))
	require.Zero(t, rules.Fields(0, "nobody-names-it"))
	require.Zero(t, rules.Fields(9, "address-changed"))
	require.Equal(t, []string{"city", "postal_code"}, rules.Names("address-changed", rules.Fields(2, "address-changed")))
	require.Equal(t, []string{"city", "country", "kind", "postal_code", "province", "street", "unit"}, rules.Names("address-changed", math.MaxUint64))
	require.Equal(t, []string{}, rules.Names("address-changed", 0))
	require.Nil(t, rules.Names("nobody-names-it", 1))
}

func TestReasonsAndTheirCodes(t *testing.T) {
	t.Parallel()
	codes := []string{"restricted", "not-in-force", "not-linked", "no-grant", "not-verified", "min-age", "max-age", "address-kind", "province", "no-fields"}
	require.Len(t, Reasons(), len(codes))
	for i, reason := range Reasons() {
		require.Equal(t, codes[i], reason.String())
		parsed, err := ParseReason(codes[i])
		require.NoError(t, err)
		require.Equal(t, reason, parsed)
	}
	none, err := ParseReason("")
	require.NoError(t, err)
	require.Equal(t, None, none)
	require.Empty(t, None.String())
	require.Equal(t, "reason-11", Reason(11).String())
	_, err = ParseReason("shared")
	require.EqualError(t, err, `unknown reason "shared"`)
}

func TestConditionSetNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, "min-age,max-age,address-kind,province", ConditionSet(15).String())
	require.Equal(t, "max-age,province", (ConditionMaxAge | ConditionProvince).String())
	require.Empty(t, ConditionSet(0).String())
	require.Equal(t, []ConditionSet{1, 2, 4, 8}, []ConditionSet{ConditionMinAge, ConditionMaxAge, ConditionAddressKind, ConditionProvince}, "the bits are on the log")
	require.Equal(t, None, ConditionSet(0).reason())
}
