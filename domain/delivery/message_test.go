package delivery

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// goldenContents are facts whose bytes encoder 1 must give for ever.
func goldenContents() []content {
	genesis := journal.Genesis{BaseURL: "https://tellonce.example", Generation: 1}
	entry := journal.Entry{
		Recorded: eventstore.Recorded{
			Event: eventstore.Event{Type: "address-changed", Schema: 1}, Position: 41,
			RecordedAt: time.Date(2026, 3, 8, 2, 59, 59, 999_999_000, time.UTC),
		},
		Meta: journal.Meta{Effective: "2026-04-01"},
	}
	base := content{
		cursor: Cursor{1, 0, 42}, genesis: genesis, stream: "moh.health-card", entry: entry, pairwise: "v1.0123456789abcdefghijklmnopqrstuv",
		fields: []string{"kind", "unit", "street", "city", "province", "postal_code", "country"},
		data: map[string]any{
			"kind": "home", "street": "48A Promenade Orléans \"<&>\u2028", "city": "Windsor", "province": "ON", "postal_code": "N9A 1X8", "country": "CA",
		},
		item:      journal.DisclosedItem{Agreement: "moh-health-card", Version: 1, Epoch: 1, Fields: 0b1111101, Kind: KindFact, Position: 41, Schema: 1},
		reference: "6071-906-161-DK",
	}
	minimal := base
	minimal.item.Fields, minimal.reference, minimal.verified = 0b0001000, "", true
	return []content{base, minimal}
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
	want, err := os.ReadFile("testdata/encoder-1.ndjson")
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
	require.Equal(t, 1, Encoder, "a new encoder version needs golden bytes of its own")
}
