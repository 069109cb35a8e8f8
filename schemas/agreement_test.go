package schemas_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/schemas"
)

func TestSampleAgreements(t *testing.T) {
	t.Parallel()
	r := registry(t)
	paths, err := filepath.Glob("testdata/agreements/*.yaml")
	require.NoError(t, err)
	require.Len(t, paths, 9)
	var all []consent.Agreement
	for _, path := range paths {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		agreement, err := schemas.ParseAgreement(path, source, r)
		require.NoError(t, err)
		document := schemas.MarshalDocument(agreement)
		again, err := schemas.UnmarshalDocument(document)
		require.NoError(t, err)
		require.Equal(t, agreement, again)
		require.Equal(t, document, schemas.MarshalDocument(again))
		all = append(all, agreement)
	}
	_, err = consent.Compile(all, func(eventType string) []string {
		row, ok := r.Row(eventType)
		if !ok {
			return nil
		}
		return row.FieldNames()
	})
	require.NoError(t, err)
}

// base is a valid agreement; the tests change a line of it.
const base = `id: moh-card
version: 3
ministry: moh
stream: moh.card
title: {en: Card, fr: Carte}
purpose: {en: Keep it, fr: La garder}
basis: {kind: statute, reference: Law}
population: linked
shares:
  - {event: address-changed, fields: [street, city], when: {min_age: 16, max_age: 40, address_kind: [home], province: ["ON", QC]}}
  - event: name-changed
    fields:
      - family_name
valid: {from: 2026-01-01, until: "2026-12-31"}
`

func TestParseAgreement(t *testing.T) {
	t.Parallel()
	low, high := 16, 40
	want := consent.Agreement{
		ID: "moh-card", Version: 3, Ministry: "moh", Stream: "moh.card",
		Title: consent.Text{EN: "Card", FR: "Carte"}, Purpose: consent.Text{EN: "Keep it", FR: "La garder"},
		Basis: consent.Basis{Kind: "statute", Reference: "Law"}, Population: "linked",
		Shares: []consent.Share{
			{Event: "address-changed", Fields: []string{"street", "city"}, When: consent.Conditions{
				MinAge: &low, MaxAge: &high, AddressKind: []string{"home"}, Province: []string{"ON", "QC"},
			}},
			{Event: "name-changed", Fields: []string{"family_name"}},
		},
		ValidFrom: 20260101, ValidUntil: 20261231,
		Lanes: 1, Deliver: "told", Snapshot: true, OnLeaving: "nothing",
	}
	r := registry(t)
	got, err := schemas.ParseAgreement("a.yaml", []byte(base), r)
	require.NoError(t, err)
	require.Equal(t, want, got)

	got, err = schemas.ParseAgreement("a.yaml", []byte("---\n# a comment\n"+base+`client_reference: true
lanes: 4
deliver: effective
snapshot: false
receives_protected: true
on_leaving: notify
min_assurance: verified
`), r)
	require.NoError(t, err)
	want.ClientReference, want.Lanes, want.Deliver, want.Snapshot = true, 4, "effective", false
	want.ReceivesProtected, want.OnLeaving = true, "notify"
	want.MinAssurance = "verified"
	require.Equal(t, want, got)
}

func TestParseAgreementRefuses(t *testing.T) {
	t.Parallel()
	r := registry(t)
	for name, test := range map[string]struct{ from, to, message string }{
		"unknown member":            {"population: linked", "population: linked\ncolour: red", `a.yaml:9:1: an agreement has no member "colour"`},
		"member twice":              {"version: 3", "version: 3\nid: b", "a.yaml:3:1: "},
		"member missing":            {"ministry: moh\n", "", `a.yaml:1:1: an agreement needs a member "ministry"`},
		"id a number":               {"id: moh-card", "id: 7", "a.yaml:1:5: id must be a text"},
		"id with a space":           {"id: moh-card", "id: moh card", "a.yaml:1:5: id must begin"},
		"id with an at":             {"id: moh-card", "id: moh@3", "a.yaml:1:5: id must begin"},
		"stream with a slash":       {"stream: moh.card", "stream: moh/card", "a.yaml:4:9: stream must begin"},
		"version 0":                 {"version: 3", "version: 0", "a.yaml:2:10: version must be between"},
		"version negative":          {"version: 3", "version: -3", "a.yaml:2:10: version must be between"},
		"version quoted":            {"version: 3", `version: "3"`, "a.yaml:2:10: version must be a whole number"},
		"version with a fraction":   {"version: 3", "version: 3.0", "a.yaml:2:10: version must be a whole number"},
		"version too large":         {"version: 3", "version: 18446744073709551615", "a.yaml:2:10: version must be between"},
		"version null":              {"version: 3", "version:", "version must be a whole number"},
		"no French title":           {", fr: Carte", "", `a.yaml:5:9: title needs a member "fr"`},
		"empty English purpose":     {"en: Keep it", "en: ' '", "a.yaml:6:15: purpose.en must not be empty"},
		"purpose in a third tongue": {"fr: La garder", "fr: La garder, de: Behalten", `a.yaml:6:39: purpose has no member "de"`},
		"title no mapping":          {"{en: Card, fr: Carte}", "Card", "a.yaml:5:8: title must be a mapping"},
		"control in a title":        {"en: Card", `en: "Ca\0rd"`, "a.yaml:5:13: title.en holds a control"},
		"basis unknown":             {"kind: statute", "kind: habit", `a.yaml:7:15: basis.kind is "habit", must be consent or statute`},
		"basis missing":             {"basis: {kind: statute, reference: Law}\n", "", `needs a member "basis"`},
		"basis without kind":        {"kind: statute, ", "", `a.yaml:7:9: basis needs a member "kind"`},
		"population unknown":        {"population: linked", "population: everyone", "a.yaml:8:13: population is"},
		"no shares":                 {base[strings.Index(base, "shares:"):strings.Index(base, "valid:")], "shares: []\n", "a.yaml:9:9: shares must not be empty"},
		"event unknown":             {"event: name-changed", "event: horoscope-changed", "a.yaml:11:12: there is no event type"},
		"event not to be shared":    {"event: name-changed", "event: consent-granted", "a.yaml:11:12: there is no event type"},
		"event twice":               {"event: name-changed", "event: address-changed", "a.yaml:11:12: the event type"},
		"field unknown":             {"[street, city]", "[street, town]", `a.yaml:10:47: address-changed has no field "town"`},
		"field never shared":        {"- family_name", "- reason", `a.yaml:13:9: name-changed has no field "reason"`},
		"field twice":               {"[street, city]", "[city, city]", "a.yaml:10:45: fields names"},
		"fields empty":              {"[street, city]", "[]", "a.yaml:10:38: fields must not be empty"},
		"fields no list":            {"[street, city]", "street", "a.yaml:10:38: fields must be a list"},
		"fields missing":            {", fields: [street, city]", "", `a share needs a member "fields"`},
		"condition unknown":         {"min_age: 16", "min_income: 16", `a.yaml:10:61: when has no member "min_income"`},
		"age quoted":                {"min_age: 16", "min_age: '16'", "a.yaml:10:70: min_age must be a whole number"},
		"age negative":              {"min_age: 16", "min_age: -1", "min_age must be between 0 and 200"},
		"age too high":              {"max_age: 40", "max_age: 201", "max_age must be between 0 and 200"},
		"ages crossed":              {"max_age: 40", "max_age: 15", "a.yaml:10:83: max_age is below min_age"},
		"address kind unknown":      {"[home]", "[work]", `address_kind is "work"`},
		"address kind no list":      {"[home]", "home", "address_kind must be a list"},
		"province a boolean":        {`["ON", QC]`, "[true]", "an item of province must be a text"},
		"province empty":            {`["ON", QC]`, `[""]`, "must not be empty"},
		"provinces none":            {`["ON", QC]`, `[]`, "province must not be empty"},
		"date not real":             {"from: 2026-01-01", "from: 2026-02-30", "a.yaml:14:15: valid.from must be a real date"},
		"date with a time":          {"from: 2026-01-01", "from: 2026-01-01T00:00:00Z", "valid.from must be a real date"},
		"dates crossed":             {"from: 2026-01-01", "from: 2027-01-01", "a.yaml:14:34: valid.until lies before valid.from"},
		"deliver unknown":           {"version: 3", "version: 3\ndeliver: never", "a.yaml:3:10: deliver is"},
		"lanes none":                {"version: 3", "version: 3\nlanes: 0", "a.yaml:3:8: lanes must be between 1 and 1024"},
		"flag a word":               {"version: 3", "version: 3\nsnapshot: yes", "a.yaml:3:11: snapshot must be true or false"},
		"leaving unknown":           {"version: 3", "version: 3\non_leaving: tell", "a.yaml:3:13: on_leaving is"},
		"anchor":                    {"id: moh-card", "id: &a moh-card", "a.yaml:1:5: id must be a text"},
		"alias":                     {"id: moh-card", "id: *a", "id must be a text"},
		"tag":                       {"id: moh-card", "id: !!str moh-card", "a.yaml:1:5: id must be a text"},
		"merge key":                 {"id: moh-card", "<<: {id: moh-card}", "a.yaml:1:1: an agreement has a key that is no plain name"},
		"two documents":             {"id: moh-card", "a: b\n---\nid: moh-card", "exactly one YAML document"},
		"not UTF-8":                 {"en: Card", "en: C\xffrd", "not UTF-8"},
		"no YAML":                   {"shares:", "shares: [", "a.yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, base, test.from)
			got, err := schemas.ParseAgreement("a.yaml", []byte(strings.Replace(base, test.from, test.to, 1)), r)
			require.ErrorContains(t, err, test.message)
			require.Equal(t, consent.Agreement{}, got)
		})
	}
	for name, source := range map[string]string{
		"empty": "", "a list": "- a\n", "a word": "a", "too long": base + strings.Repeat("#", 64<<10),
	} {
		_, err := schemas.ParseAgreement("a.yaml", []byte(source), r)
		require.ErrorContains(t, err, "a.yaml:", name)
	}
	// Unread, because the YAML reader would take up to half a minute over each.
	for _, unit := range []string{"[", "{a: ", "- ", "? ", "-\t"} {
		_, err := schemas.ParseAgreement("a.yaml", []byte(strings.Repeat(unit, 60_000/len(unit))), r)
		require.ErrorContains(t, err, "nested too deep")
	}
}

// Every fault is told, not only the first.
func TestParseAgreementAllFaults(t *testing.T) {
	t.Parallel()
	source := strings.NewReplacer("version: 3", "version: 0", "city]", "town]", "2026-01-01", "soon").Replace(base)
	_, err := schemas.ParseAgreement("a.yaml", []byte(source), registry(t))
	for _, place := range []string{"a.yaml:2:10: ", "a.yaml:10:47: ", "a.yaml:14:15: "} {
		require.ErrorContains(t, err, place)
	}
}

func FuzzParseAgreement(f *testing.F) {
	r, err := schemas.New()
	require.NoError(f, err)
	f.Add(base)
	f.Add("a: &x [1]\nb: *x\n<<: {c: !!str 1}\n--- |\n x\n")
	f.Fuzz(func(t *testing.T, source string) {
		agreement, err := schemas.ParseAgreement("a.yaml", []byte(source), r)
		if err != nil {
			return
		}
		again, err := schemas.UnmarshalDocument(schemas.MarshalDocument(agreement))
		require.NoError(t, err)
		require.Equal(t, agreement, again)
	})
}

func TestDocument(t *testing.T) {
	t.Parallel()
	agreement, err := schemas.ParseAgreement("a.yaml", []byte(base), registry(t))
	require.NoError(t, err)
	// Golden: these bytes are on the log, and their digest is what officers approve.
	require.Equal(t, `{"basis":{"kind":"statute","reference":"Law"},"client_reference":false,"deliver":"told","id":"moh-card","lanes":1,`+
		`"ministry":"moh","on_leaving":"nothing","population":"linked","purpose":{"en":"Keep it","fr":"La garder"},"receives_protected":false,`+
		`"shares":[{"event":"address-changed","fields":["street","city"],"when":{"address_kind":["home"],"max_age":40,"min_age":16,`+
		`"province":["ON","QC"]}},{"event":"name-changed","fields":["family_name"]}],"snapshot":true,"stream":"moh.card",`+
		`"title":{"en":"Card","fr":"Carte"},"valid":{"from":"2026-01-01","until":"2026-12-31"},"version":3}`,
		string(schemas.MarshalDocument(agreement)))
	for _, source := range []string{
		"", "7", `{"id":"a","min_income":7}`, `{"shares":[{"event":"x","when":{"min_income":7}}]}`, `{"valid":{"from":"soon"}}`, `{} {}`,
	} {
		_, err := schemas.UnmarshalDocument([]byte(source))
		require.Error(t, err, source)
	}
}
