package delivery

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// goldenContents are facts whose bytes encoder 1 must give for ever.
func goldenContents() []content {
	genesis := journal.Genesis{BaseURL: "https://tellonce.example", Generation: 1}
	base := content{
		cursor: Cursor{1, 0, 42}, genesis: genesis, stream: "moh.health-card", at: time.Date(2026, 3, 8, 2, 59, 59, 999_999_000, time.UTC), pairwise: "v1.0123456789abcdefghijklmnopqrstuv",
		fields: []string{"kind", "unit", "street", "city", "province", "postal_code", "country"},
		told: citizen.Change{Type: "address-changed", Effective: "2026-04-01", Data: map[string]any{
			"kind": "home", "street": "48A Promenade Orléans \"<&>\u2028", "city": "Windsor", "province": "ON", "postal_code": "N9A 1X8", "country": "CA",
		}},
		item:      journal.DisclosedItem{Agreement: "moh-health-card", Version: 1, Epoch: 1, Fields: 0b1111101, Kind: KindFact, Position: 41, Schema: 1},
		reference: "6071-906-161-DK",
	}
	minimal := base
	minimal.item.Fields, minimal.reference, minimal.told.Verified = 0b0001000, "", true
	return []content{base, minimal}
}

// goldenKinds are one item of each other kind.
func goldenKinds() []content {
	base := goldenContents()[1]
	of := func(item journal.DisclosedItem) content {
		c := base
		item.Agreement, item.Version, item.Epoch = "moh-health-card", 2, 1
		c.item = item
		return c
	}
	notice := func(item journal.DisclosedItem) content {
		c := of(item)
		c.told, c.fields, c.at = citizen.Change{}, nil, time.Date(2026, 5, 1, 4, 0, 0, 0, time.UTC)
		return c
	}
	rekeyed := notice(journal.DisclosedItem{Kind: KindRekeyed, Position: 90})
	rekeyed.kept = "v1.vutsrqponmlkjihgfedcba9876543210"
	erased := notice(journal.DisclosedItem{Kind: KindErased, Position: 95, Numbers: []int64{7, 41, 1000000000000}})
	erased.item.Agreement, erased.item.Version, erased.item.Epoch, erased.pairwise = "", 0, 0, ""
	return []content{
		of(journal.DisclosedItem{Kind: KindSnapshot, Position: 41, Cause: 50, Fields: 0b0001000, Schema: 1}),
		of(journal.DisclosedItem{Kind: KindCorrection, Position: 60, Corrects: 41, Fields: 0b0001001, Schema: 1}),
		notice(journal.DisclosedItem{Kind: KindRetracted, Position: 61, Corrects: 41}),
		notice(journal.DisclosedItem{Kind: KindEnded, Position: 41, Cause: 70}),
		notice(journal.DisclosedItem{Kind: KindLeftScope, Position: 80}),
		erased,
		rekeyed,
	}
}

// goldenSynthetic are a synthetic event of its own type, and one of each type of fact that a stream can carry, with all its fields: their
// values are the types' golden examples, so these bytes hold the examples, too. A new type adds a line.
func goldenSynthetic(t *testing.T) []content {
	t.Helper()
	d, base := New(journaltest.New(t, journaltest.Options{})), goldenContents()[0]
	synthetic := func(factType string, item journal.DisclosedItem) content {
		item.Kind, item.Position = KindSynthetic, 96
		c := content{cursor: base.cursor, genesis: base.genesis, stream: base.stream, item: item, pairwise: syntheticSubject(base.stream, item.Index)}
		c.at = time.Date(2026, 5, 1, 3, 59, 59, 0, time.UTC) // still April in Toronto
		asked := journal.Entry{Event: journal.SyntheticAsked{Stream: base.stream, Type: factType}}
		require.NoError(t, d.invented(&view{entries: map[int64]*journal.Entry{96: &asked}}, &c))
		return c
	}
	out := []content{synthetic("", journal.DisclosedItem{Index: 7})}
	for _, row := range d.journal.Registry().Rows() {
		if len(row.FieldNames()) > 0 {
			out = append(out, synthetic(row.Type, journal.DisclosedItem{
				Agreement: "moh-health-card", Version: 2, Fields: 1<<len(row.FieldNames()) - 1, Index: 999, Link: 96, Schema: row.Version,
			}))
		}
	}
	return out
}

// TestGoldenBytes holds the bytes of encoder 1. If it fails, the encoder has changed: that needs a new encoder version beside this one,
// never a new golden file.
func TestGoldenBytes(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	for _, c := range goldenContents() {
		m, err := build(c)
		require.NoError(t, err)
		got.Write(append(m.Structured(), '\n'))
	}
	recalled := placeholder(Cursor{1, 3, 7}, journal.Genesis{BaseURL: "https://tellonce.example"}, "moh.health-card", "v1.x")
	got.Write(append(recalled.Structured(), '\n'))
	for _, c := range append(goldenKinds(), goldenSynthetic(t)...) {
		m, err := build(c)
		require.NoError(t, err)
		require.False(t, m.Recalled(), "empty data is no placeholder")
		got.Write(append(m.Structured(), '\n'))
	}
	want, err := os.ReadFile("testdata/encoder-1.ndjson")
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
	require.Equal(t, 1, Encoder, "a new encoder version needs golden bytes of its own")
}
