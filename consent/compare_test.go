package consent

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// compared is an agreement in which everything that Compare looks at is set.
func compared() Agreement {
	return Agreement{
		ID: "arts", Version: 1, Ministry: "arts", Stream: "arts.grants", Title: Text{"Arts", "Arts visuels"}, Purpose: Text{"Grants", "Bourses"},
		Basis: Basis{Kind: BasisStatute, Reference: "Arts Act"}, Population: PopulationLinked, Lanes: 2, Deliver: DeliverTold,
		ValidFrom: date("2026-01-01"), ValidUntil: date("2026-12-31"),
		Shares: []Share{
			{Event: "address-changed", Fields: []string{"street", "city"}, When: Conditions{
				MinAge: years(16), MaxAge: years(40), AddressKind: []string{AddressHome}, Province: []string{"ON", "QC"},
			}},
			{Event: "contact-changed", Fields: []string{"email"}},
		},
	}
}

// calls are labels in capitals, so that a sentence shows which words are labels.
func calls(event string, fields []string) (string, []string) {
	out := make([]string, len(fields))
	for i := range fields {
		out[i] = strings.ToUpper(fields[i])
	}
	return strings.ToUpper(event), out
}

// TestCompareEachChange: what each change is called, what it does to what is shared, and its sentence.
func TestCompareEachChange(t *testing.T) {
	t.Parallel()
	address := func(edit func(*Share)) func(*Agreement) {
		return func(a *Agreement) {
			a.Shares = append([]Share(nil), a.Shares...)
			edit(&a.Shares[0])
		}
	}
	for name, c := range map[string]struct {
		edit            func(*Agreement)
		what            string
		wider, narrower bool
		en, fr          string
	}{
		"a field more": {address(func(s *Share) { s.Fields = []string{"city", "postal_code", "street"} }), WhatFields, true, false,
			"More is shared of “ADDRESS-CHANGED”: POSTAL_CODE.", "Communiqué en plus, de «\u00a0ADDRESS-CHANGED\u00a0»\u00a0: POSTAL_CODE."},
		"a field less": {address(func(s *Share) { s.Fields = []string{"city"} }), WhatFields, false, true,
			"No longer shared of “ADDRESS-CHANGED”: STREET.", "N’est plus communiqué, de «\u00a0ADDRESS-CHANGED\u00a0»\u00a0: STREET."},
		"a type more": {func(a *Agreement) {
			a.Shares = append(a.Shares[:2:2], Share{Event: "name-changed", Fields: []string{"given_names"}})
		}, WhatFields, true, false, "More is shared of “NAME-CHANGED”: GIVEN_NAMES.", "Communiqué en plus, de «\u00a0NAME-CHANGED\u00a0»\u00a0: GIVEN_NAMES."},
		"a type less": {func(a *Agreement) { a.Shares = a.Shares[:1] }, WhatFields, false, true,
			"No longer shared of “CONTACT-CHANGED”: EMAIL.", "N’est plus communiqué, de «\u00a0CONTACT-CHANGED\u00a0»\u00a0: EMAIL."},
		"younger people": {address(func(s *Share) { s.When.MinAge = years(12) }), WhatMinAge, true, false,
			"Minimum age (ADDRESS-CHANGED): 12 (until now: 16).", "Âge minimal (ADDRESS-CHANGED)\u00a0: 12 (jusqu’ici\u00a0: 16)."},
		"any age from below": {address(func(s *Share) { s.When.MinAge = nil }), WhatMinAge, true, false,
			"Minimum age (ADDRESS-CHANGED): none (until now: 16).", "Âge minimal (ADDRESS-CHANGED)\u00a0: aucun (jusqu’ici\u00a0: 16)."},
		"older people": {address(func(s *Share) { s.When.MaxAge = nil }), WhatMaxAge, true, false,
			"Maximum age (ADDRESS-CHANGED): none (until now: 40).", "Âge maximal (ADDRESS-CHANGED)\u00a0: aucun (jusqu’ici\u00a0: 40)."},
		"fewer old people": {address(func(s *Share) { s.When.MaxAge = years(39) }), WhatMaxAge, false, true,
			"Maximum age (ADDRESS-CHANGED): 39 (until now: 40).", "Âge maximal (ADDRESS-CHANGED)\u00a0: 39 (jusqu’ici\u00a0: 40)."},
		"another kind": {address(func(s *Share) { s.When.AddressKind = []string{AddressMailing} }), WhatAddressKind, true, true,
			"Kinds of address (ADDRESS-CHANGED): mailing (until now: home).",
			"Genres d’adresse (ADDRESS-CHANGED)\u00a0: adresse postale (jusqu’ici\u00a0: domicile)."},
		"any kind": {address(func(s *Share) { s.When.AddressKind = nil }), WhatAddressKind, true, false,
			"Kinds of address (ADDRESS-CHANGED): any (until now: home).", "Genres d’adresse (ADDRESS-CHANGED)\u00a0: tous (jusqu’ici\u00a0: domicile)."},
		"a province less": {address(func(s *Share) { s.When.Province = []string{"QC"} }), WhatProvince, false, true,
			"Provinces of the address (ADDRESS-CHANGED): QC (until now: ON, QC).",
			"Provinces de l’adresse (ADDRESS-CHANGED)\u00a0: QC (jusqu’ici\u00a0: ON, QC)."},
		"any province": {address(func(s *Share) { s.When.Province = nil }), WhatProvince, true, false,
			"Provinces of the address (ADDRESS-CHANGED): any (until now: ON, QC).",
			"Provinces de l’adresse (ADDRESS-CHANGED)\u00a0: toutes (jusqu’ici\u00a0: ON, QC)."},
		"consent": {func(a *Agreement) { a.Basis.Kind = BasisConsent }, WhatBasis, false, true,
			"Legal basis: by consent (until now: by law).", "Fondement juridique\u00a0: par consentement (jusqu’ici\u00a0: en vertu de la loi)."},
		"another law": {func(a *Agreement) { a.Basis.Reference = "Another Act" }, WhatReference, false, false,
			"The law that is cited changes.", "La loi citée change."},
		"everybody": {func(a *Agreement) { a.Population = PopulationAll }, WhatPopulation, true, false,
			"Whom it concerns: everybody (until now: clients of the ministry).",
			"Personnes visées\u00a0: tout le monde (jusqu’ici\u00a0: la clientèle du ministère)."},
		"verified facts": {func(a *Agreement) { a.MinAssurance = AssuranceVerified }, WhatMinAssurance, false, true,
			"What is taken: only what a registrar has verified (until now: also what nobody has verified).",
			"Renseignements admis\u00a0: seulement ce qu’un registraire a vérifié (jusqu’ici\u00a0: aussi ce que personne n’a vérifié)."},
		"protected people": {func(a *Agreement) { a.ReceivesProtected = true }, WhatReceivesProtected, true, false,
			"Protected people’s information: yes (until now: no).", "Renseignements des personnes protégées\u00a0: oui (jusqu’ici\u00a0: non)."},
		"the reference": {func(a *Agreement) { a.ClientReference = true }, WhatClientReference, true, false,
			"The ministry’s own reference travels along: yes (until now: no).", "La référence du ministère est jointe\u00a0: oui (jusqu’ici\u00a0: non)."},
		"another ministry": {func(a *Agreement) { a.Ministry = "mof" }, WhatMinistry, true, true,
			"Ministry: mof (until now: arts).", "Ministère\u00a0: mof (jusqu’ici\u00a0: arts)."},
		"another stream": {func(a *Agreement) { a.Stream = "arts.new" }, WhatStream, false, false,
			"Stream: arts.new (until now: arts.grants).", "Flux\u00a0: arts.new (jusqu’ici\u00a0: arts.grants)."},
		"fewer lanes": {func(a *Agreement) { a.Lanes = 0 }, WhatLanes, false, false,
			"Lanes of the stream: 1 (until now: 2).", "Voies du flux\u00a0: 1 (jusqu’ici\u00a0: 2)."},
		"a later beginning": {func(a *Agreement) { a.ValidFrom = date("2026-06-01") }, WhatValidFrom, false, true,
			"In force from: 2026-06-01 (until now: 2026-01-01).", "En vigueur à compter du\u00a0: 2026-06-01 (jusqu’ici\u00a0: 2026-01-01)."},
		"no beginning": {func(a *Agreement) { a.ValidFrom = 0 }, WhatValidFrom, true, false,
			"In force from: no date (until now: 2026-01-01).", "En vigueur à compter du\u00a0: aucune date (jusqu’ici\u00a0: 2026-01-01)."},
		"no end": {func(a *Agreement) { a.ValidUntil = 0 }, WhatValidUntil, true, false,
			"In force through: no date (until now: 2026-12-31).", "En vigueur jusqu’au\u00a0: aucune date (jusqu’ici\u00a0: 2026-12-31)."},
		"an earlier end": {func(a *Agreement) { a.ValidUntil = date("2026-11-30") }, WhatValidUntil, false, true,
			"In force through: 2026-11-30 (until now: 2026-12-31).", "En vigueur jusqu’au\u00a0: 2026-11-30 (jusqu’ici\u00a0: 2026-12-31)."},
		"on the day": {func(a *Agreement) { a.Deliver = DeliverEffective }, WhatDeliver, false, false,
			"Delivered: on the effective date (until now: at once).", "Transmission\u00a0: à la date d’effet (jusqu’ici\u00a0: aussitôt)."},
		"a snapshot": {func(a *Agreement) { a.Snapshot = true }, WhatSnapshot, true, false,
			"Values that already hold are delivered, too: yes (until now: no).",
			"Les valeurs déjà en vigueur sont aussi transmises\u00a0: oui (jusqu’ici\u00a0: non)."},
		"told of leaving": {func(a *Agreement) { a.OnLeaving = LeavingNotify }, WhatOnLeaving, true, false,
			"Told when a condition is no longer met: yes (until now: no).", "Avis quand une condition n’est plus remplie\u00a0: oui (jusqu’ici\u00a0: non)."},
		"another title": {func(a *Agreement) { a.Title = Text{"Art", "Art visuel"} }, WhatTitle, false, false,
			"Title: “Art” (until now: “Arts”).", "Titre\u00a0: «\u00a0Art visuel\u00a0» (jusqu’ici\u00a0: «\u00a0Arts visuels\u00a0»)."},
		"another purpose": {func(a *Agreement) { a.Purpose.FR = "Prix" }, WhatPurpose, false, false,
			"Purpose: “Grants” (until now: “Grants”).", "But\u00a0: «\u00a0Prix\u00a0» (jusqu’ici\u00a0: «\u00a0Bourses\u00a0»)."},
	} {
		from, to := compared(), compared()
		c.edit(&to)
		d := Compare(from, to)
		require.Len(t, d.Changes, 1, name)
		require.Equal(t, c.what, d.Changes[0].What, name)
		require.Equal(t, []bool{c.wider, c.narrower}, []bool{d.Wider(), d.Narrower()}, name)
		require.Equal(t, []string{c.en}, d.Sentences("en", calls), name)
		require.Equal(t, []string{c.fr}, d.Sentences("fr", calls), name)
		back := Compare(to, from)
		require.Len(t, back.Changes, 1, name)
		require.Equal(t, []bool{c.narrower, c.wider}, []bool{back.Wider(), back.Narrower()}, "%s, backwards", name)
	}
}

func TestCompareGainsAndLosses(t *testing.T) {
	t.Parallel()
	from, to := compared(), compared()
	to.Shares = []Share{{Event: "name-changed", Fields: []string{"given_names"}}, {Event: "address-changed", Fields: []string{"city", "postal_code"}, When: from.Shares[0].When}}
	d := Compare(from, to)
	require.Equal(t, []Change{
		{What: WhatFields, Event: "address-changed", Gained: []string{"postal_code"}, Lost: []string{"street"}, Wider: true, Narrower: true},
		{What: WhatFields, Event: "contact-changed", Lost: []string{"email"}, Narrower: true},
		{What: WhatFields, Event: "name-changed", Gained: []string{"given_names"}, Wider: true},
	}, d.Changes)
	require.Len(t, d.Sentences("en", calls), 4, "a gain and a loss are two sentences")

	// An order is no difference, nor is a zero value that means its default.
	to = compared()
	to.Shares = []Share{to.Shares[1], to.Shares[0]}
	to.Shares[1].Fields, to.Shares[1].When.Province = []string{"city", "street"}, []string{"QC", "ON"}
	to.Version, to.Deliver, to.OnLeaving = 9, "", LeavingNothing
	require.Empty(t, Compare(from, to).Changes)
	require.Empty(t, Compare(from, to).Sentences("fr", calls))
}

// TestCompareLooksAtEverything: no member of an agreement can change without being told, nor can a new member be forgotten.
func TestCompareLooksAtEverything(t *testing.T) {
	t.Parallel()
	var change func(v reflect.Value, path string, done func(path string))
	change = func(v reflect.Value, path string, done func(string)) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				change(v.Field(i), path+"."+v.Type().Field(i).Name, done)
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.String {
				former := v.Interface()
				v.Set(reflect.ValueOf([]string{"other"}))
				done(path)
				v.Set(reflect.ValueOf(former))
				return
			}
			change(v.Index(0), path, done)
		case reflect.Pointer:
			former := *v.Interface().(*int)
			v.Elem().SetInt(99)
			done(path)
			v.Elem().SetInt(int64(former))
		default:
			former := reflect.New(v.Type()).Elem()
			former.Set(v)
			switch v.Kind() {
			case reflect.String:
				v.SetString(map[string]string{
					".Basis.Kind": BasisConsent, ".Population": PopulationAll, ".Deliver": DeliverEffective, ".OnLeaving": LeavingNotify,
					".MinAssurance": AssuranceVerified,
				}[path])
			case reflect.Int, reflect.Int32:
				v.SetInt(99)
			case reflect.Bool:
				v.SetBool(!v.Bool())
			default:
				require.Fail(t, "a kind of member that this test doesn't know", path)
			}
			done(path)
			v.Set(former)
		}
	}
	a := compared()
	seen := 0
	change(reflect.ValueOf(&a).Elem(), "", func(path string) {
		if path == ".ID" || path == ".Version" {
			return
		}
		seen++
		require.NotEmpty(t, Compare(compared(), a).Changes, path)
	})
	require.Equal(t, compared(), a, "each was changed alone")
	require.Greater(t, seen, 20)
}

// TestCompareAgainstDecide: what is not wider shares nothing that the older version did not share, with anybody, of any fact; and the
// other way round.
func TestCompareAgainstDecide(t *testing.T) {
	t.Parallel()
	differed := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawAgreement(t, "arts", 1), drawAgreement(t, "arts", 2)
		if maybe(t, 2) { // two that are alike but for a little
			to = from
			to.Version = 2
			other := drawAgreement(t, "arts", 2)
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				to.Basis = other.Basis
			case 1:
				to.Population = other.Population
			case 2:
				to.ValidFrom, to.ValidUntil = other.ValidFrom, other.ValidUntil
			case 3:
				to.ReceivesProtected, to.MinAssurance = other.ReceivesProtected, other.MinAssurance
			case 4:
				to.Ministry = other.Ministry
			default:
				to.Shares = append([]Share(nil), to.Shares...)
				for i := range to.Shares {
					if s := other.Share(to.Shares[i].Event); s != nil {
						to.Shares[i] = *s
					}
				}
			}
		}
		d := Compare(from, to)
		for range 20 {
			q := drawQuestion(t, 1)
			before, after := sharedAlone(t, from, q), sharedAlone(t, to, q)
			if from.Ministry != to.Ministry {
				require.True(t, d.Wider() && d.Narrower(), "another ministry is another recipient")
				continue
			}
			differed[before != after]++
			require.True(t, d.Wider() || after&^before == 0, "%v shares more than %v", to, from)
			require.True(t, d.Narrower() || before&^after == 0, "%v shares less than %v", to, from)
		}
	})
	require.Greater(t, differed[true], 50)
	require.Greater(t, differed[false], 50)
}

// sharedAlone is what a version by itself shares of a fact, with somebody who may or may not be linked, and has agreed to it or not.
func sharedAlone(t *rapid.T, a Agreement, q question) FieldSet {
	rules, err := Compile([]Agreement{a}, rowsOf)
	require.NoError(t, err)
	s := Standing{Born: date("2009-03-01")}
	if q.at == 0 && q.now > "2026-02-28" { // as the draw would have it
		s.Linked(1, a.Ministry, "r")
	}
	if q.recorded > "2026-01-01" {
		s.Granted(2, a.ID, a.Version, nil)
	}
	if q.restricted {
		s.Protected(Restriction{})
	}
	fact := Fact{
		Type: q.event, Carried: ^FieldSet(0), Effective: date(q.effective), Recorded: date(q.recorded), AddressKind: q.addressKind, Province: q.province,
		Verified: q.verified,
	}
	return fields(rules, &s, &fact) & (1<<len(rowsOf(q.event)) - 1)
}

func TestAloud(t *testing.T) {
	t.Parallel()
	a := compared()
	require.Equal(t, []string{
		"“ADDRESS-CHANGED” is shared: STREET, CITY; only of people who are 16 or older on the effective date; only of people who are 40 or younger on the " +
			"effective date; only addresses of this kind: home; only addresses in: ON or QC.",
		"“CONTACT-CHANGED” is shared: EMAIL.",
		"It is shared by law: no consent is asked.",
		"It concerns only people who are clients of the ministry.",
		"Each change is delivered at once.",
		"Only what is told afterwards is delivered.",
	}, a.Aloud("en", calls))
	a.Basis.Kind, a.Population, a.Deliver, a.OnLeaving, a.MinAssurance = BasisConsent, PopulationAll, DeliverEffective, LeavingNotify, AssuranceVerified
	a.ReceivesProtected, a.ClientReference, a.Snapshot = true, true, true
	a.Shares = a.Shares[1:]
	require.Equal(t, []string{
		"«\u00a0CONTACT-CHANGED\u00a0» est communiqué\u00a0: EMAIL.",
		"Rien n’est communiqué sans le consentement de la personne.",
		"L’entente vise tout le monde.",
		"Seul ce qu’un registraire a vérifié est communiqué.",
		"Les renseignements des personnes protégées sont aussi communiqués.",
		"La référence que le ministère a donnée à la personne est jointe.",
		"Chaque changement est transmis à sa date d’effet.",
		"Quand un consentement, un lien ou cette version prend effet, les valeurs alors en vigueur sont aussi transmises.",
		"Quand une personne ne remplit plus une condition, le ministère en est informé, sans les valeurs.",
	}, a.Aloud("fr", calls))
}

// TestAgreementsAreWellSet: whatever the agreements, every sentence about them keeps the typographic rules.
func TestAgreementsAreWellSet(t *testing.T) {
	t.Parallel()
	badFrench := regexp.MustCompile(`[^\x{00A0}][:»%$]|«[^\x{00A0}]|[\s\x{00A0}][;!?]|'|"|\d [a-z]`)
	badEnglish := regexp.MustCompile(`\x{00A0}|'|"|\s:`)
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawAgreement(t, "arts", 1), drawAgreement(t, "arts", 2)
		from.Title, to.Title = Text{"A", "B"}, Text{"C", "D"}
		for lang, bad := range map[string]*regexp.Regexp{"en": badEnglish, "fr": badFrench} {
			for _, sentence := range append(Compare(from, to).Sentences(lang, calls), to.Aloud(lang, calls)...) {
				require.Regexp(t, `^[“«\p{Lu}].*\.$`, sentence)
				require.NotRegexp(t, bad, sentence)
			}
		}
	})
}

// TestWhatIsAskedAnewIsWhatAGrantHoldsBack: a grant of the older version covers no more than that version shared, but for what Unasked says.
func TestWhatIsAskedAnewIsWhatAGrantHoldsBack(t *testing.T) {
	t.Parallel()
	held := 0
	rapid.Check(t, func(t *rapid.T) {
		from := drawAgreement(t, "arts", 1)
		from.Basis.Kind, from.ClientReference = BasisConsent, maybe(t, 2)
		to := drawAgreement(t, "arts", 2)
		to.Basis.Kind = BasisConsent
		if !maybe(t, 4) { // mostly what a next version keeps
			to.Ministry, to.ValidFrom, to.ValidUntil, to.ClientReference = from.Ministry, from.ValidFrom, from.ValidUntil, from.ClientReference
		}
		both, err := Compile([]Agreement{from, to}, rowsOf)
		require.NoError(t, err)
		alone, err := Compile([]Agreement{from}, rowsOf)
		require.NoError(t, err)
		after, err := Compile([]Agreement{to}, rowsOf)
		require.NoError(t, err)
		d := Compare(from, to)
		require.Equal(t, d.Wider(), len(d.Asks().Changes)+len(d.Unasked().Changes) > 0)
		for range 20 {
			q := drawQuestion(t, 1)
			s := Standing{Born: date("2009-03-01")}
			s.Granted(2, "arts", 1, nil)
			if maybe(t, 2) {
				s.Linked(1, to.Ministry, "r")
			}
			if q.restricted {
				s.Protected(Restriction{})
			}
			fact := Fact{
				Type: q.event, Carried: 1<<len(rowsOf(q.event)) - 1, Effective: date(q.effective), Recorded: date(q.recorded), AddressKind: q.addressKind,
				Province: q.province, Verified: q.verified,
			}
			agreedTo, now := fields(alone, &s, &fact), fields(both, &s, &fact)
			s.Granted(3, "arts", 2, nil)
			wanted := fields(after, &s, &fact)
			require.Zero(t, now&^wanted, "narrower applies at once")
			if len(d.Unasked().Changes) == 0 {
				require.Zero(t, now&^agreedTo, "%v shares unasked what %v did not", to, from)
				if wanted&^agreedTo != 0 {
					held++
					require.NotEmpty(t, d.Asks().Changes)
				}
			}
		}
	})
	require.Greater(t, held, 20)
}

// fields is what rules of one agreement share of a fact.
func fields(rules *Rules, s *Standing, fact *Fact) FieldSet {
	var out FieldSet
	for _, decision := range Decide(nil, rules, s, fact) {
		out |= decision.Fields
	}
	return out
}
