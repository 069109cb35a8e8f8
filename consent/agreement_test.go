package consent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// whole is an agreement with everything in it.
func whole() Agreement {
	return Agreement{
		ID: "osap-contact", Version: 1, Ministry: "mcu", Stream: "mcu.osap",
		Title:   Text{EN: "Student aid (OSAP)", FR: "Aide étudiante (RAFEO)"},
		Purpose: Text{EN: "Reach you about your student aid", FR: "Vous joindre au sujet de votre aide étudiante"},
		Basis:   Basis{Kind: BasisConsent}, Population: PopulationAll, ValidFrom: 20260101, ValidUntil: 20260101,
		Shares: []Share{
			{Event: "contact-changed", Fields: []string{"email", "phone"}, When: Conditions{MinAge: years(16), MaxAge: years(16)}},
			{Event: "address-changed", Fields: []string{"street", "city"}, When: Conditions{
				MinAge: years(0), AddressKind: []string{AddressHome, AddressMailing}, Province: []string{"ON", "QC"},
			}},
		},
		Lanes: 1, Deliver: DeliverTold, OnLeaving: LeavingNothing,
	}
}

func TestValidateTakesAWholeAgreement(t *testing.T) {
	t.Parallel()
	a := whole()
	require.NoError(t, a.Validate())
	a.Lanes, a.Deliver, a.OnLeaving, a.ValidFrom, a.ValidUntil = 0, "", "", 0, 0
	require.NoError(t, a.Validate(), "defaults")
	a.Deliver, a.OnLeaving, a.Basis.Kind, a.Population = DeliverEffective, LeavingNotify, BasisStatute, PopulationLinked
	require.NoError(t, a.Validate())
	a.ValidFrom = 20270101
	require.NoError(t, a.Validate(), "open end")
	a.ValidFrom, a.ValidUntil = 0, 20200101
	require.NoError(t, a.Validate(), "open beginning")
	a.Shares[0].When = Conditions{MinAge: years(200)}
	require.NoError(t, a.Validate())
	a.Shares[0].When = Conditions{MaxAge: years(0)}
	require.NoError(t, a.Validate())
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(a *Agreement)
		want   string
	}{
		"id":               {func(a *Agreement) { a.ID = "" }, `id: must not be empty`},
		"version":          {func(a *Agreement) { a.Version = 0 }, `version: must be 1 or more`},
		"ministry":         {func(a *Agreement) { a.Ministry = "" }, `ministry: must not be empty`},
		"stream":           {func(a *Agreement) { a.Stream = "" }, `stream: must not be empty`},
		"title":            {func(a *Agreement) { a.Title = Text{EN: "x"} }, `title.fr: must not be empty`},
		"title, English":   {func(a *Agreement) { a.Title = Text{FR: "x"} }, `title.en: must not be empty`},
		"purpose":          {func(a *Agreement) { a.Purpose = Text{EN: "x"} }, `purpose.fr: must not be empty`},
		"purpose, English": {func(a *Agreement) { a.Purpose = Text{FR: "x"} }, `purpose.en: must not be empty`},
		"basis":            {func(a *Agreement) { a.Basis.Kind = "law" }, `basis.kind: "law" is none of ["consent" "statute"]`},
		"no basis":         {func(a *Agreement) { a.Basis.Kind = "" }, `basis.kind: "" is none of`},
		"population":       {func(a *Agreement) { a.Population = "some" }, `population: "some" is none of ["all" "linked"]`},
		"deliver":          {func(a *Agreement) { a.Deliver = "later" }, `deliver: "later" is none of`},
		"on leaving":       {func(a *Agreement) { a.OnLeaving = "wave" }, `on_leaving: "wave" is none of`},
		"lanes":            {func(a *Agreement) { a.Lanes = -1 }, `lanes: must be 1 or more`},
		"validity":         {func(a *Agreement) { a.ValidUntil = 20251231 }, `valid: ends before it begins`},
		"no shares":        {func(a *Agreement) { a.Shares = nil }, `shares: must not be empty`},
		"type twice":       {func(a *Agreement) { a.Shares[1].Event = "contact-changed" }, `shares[1]: event type "contact-changed" is named twice`},
		"no type":          {func(a *Agreement) { a.Shares[0].Event = "" }, `shares[0]: event: must not be empty`},
		"no fields":        {func(a *Agreement) { a.Shares[1].Fields = nil }, `shares[1]: fields: must not be empty`},
		"field twice":      {func(a *Agreement) { a.Shares[1].Fields[1] = "street" }, `shares[1]: fields[1]: "street" stands twice`},
		"empty field":      {func(a *Agreement) { a.Shares[1].Fields[1] = "" }, `shares[1]: fields[1]: must not be empty`},
		"negative age":     {func(a *Agreement) { a.Shares[0].When.MinAge = years(-1) }, `when.min_age: must be 0 to 200`},
		"great age":        {func(a *Agreement) { a.Shares[0].When.MaxAge = years(201) }, `when.max_age: must be 0 to 200`},
		"ages crossed":     {func(a *Agreement) { a.Shares[0].When.MaxAge = years(15) }, `when: max_age is below min_age`},
		"address kind":     {func(a *Agreement) { a.Shares[1].When.AddressKind[0] = "office" }, `when.address_kind: "office" is none of ["home" "mailing"]`},
		"kind twice":       {func(a *Agreement) { a.Shares[1].When.AddressKind[0] = "mailing" }, `when.address_kind[1]: "mailing" stands twice`},
		"province":         {func(a *Agreement) { a.Shares[1].When.Province[1] = "" }, `when.province[1]: must not be empty`},
		"province twice":   {func(a *Agreement) { a.Shares[1].When.Province[1] = "ON" }, `when.province[1]: "ON" stands twice`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := whole()
			test.change(&a)
			err := a.Validate()
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, "agreement ")
		})
	}
}

func TestValidateReportsEverything(t *testing.T) {
	t.Parallel()
	a := whole()
	a.Stream, a.Shares[0].Fields = "", nil
	err := a.Validate()
	require.ErrorContains(t, err, "stream: must not be empty")
	require.ErrorContains(t, err, "shares[0]: fields: must not be empty")
}

func TestShareAndSharesField(t *testing.T) {
	t.Parallel()
	a := whole()
	require.Same(t, &a.Shares[1], a.Share("address-changed"))
	require.Nil(t, a.Share("name-changed"))
	for field, shared := range map[string]bool{"email": true, "city": true, "province": false, "": false} {
		require.Equal(t, shared, a.SharesField(field), field)
	}
}

func TestTextIn(t *testing.T) {
	t.Parallel()
	text := Text{EN: "Health card", FR: "Carte Santé"}
	require.Equal(t, "Health card", text.In("en"))
	require.Equal(t, "Carte Santé", text.In("fr"))
	require.Equal(t, "Health card", text.In(""))
}
