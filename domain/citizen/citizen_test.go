package citizen

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestIDReadsWhatItWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var id ID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		text := id.String()
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`, text)
		parsed, err := ParseID(text)
		require.NoError(t, err)
		require.Equal(t, id, parsed)
		require.Equal(t, id == ID{}, id.IsZero())
	})
}

func TestParseID(t *testing.T) {
	t.Parallel()
	id, err := ParseID("00112233-4455-6677-8899-AAbbCCddEEff")
	require.NoError(t, err)
	require.Equal(t, ID{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, id)
	require.Equal(t, "00112233-4455-6677-8899-aabbccddeeff", id.String())
	require.False(t, id.IsZero())
	require.True(t, ID{}.IsZero())
	for _, text := range []string{
		"", "00112233", "00112233445566778899aabbccddeeff", "{00112233-4455-6677-8899-aabbccddeeff}", "00112233-4455-6677-8899-aabbccddeef",
		"00112233-4455-6677-8899-aabbccddeefff", "0011223304455-6677-8899-aabbccddeeff", "00112233-445506677-8899-aabbccddeeff",
		"00112233-4455-667708899-aabbccddeeff", "00112233-4455-6677-88990aabbccddeeff", "g0112233-4455-6677-8899-aabbccddeeff",
		"0011223g-4455-6677-8899-aabbccddeeff", "00112233-4g55-6677-8899-aabbccddeeff", "00112233-4455-6g77-8899-aabbccddeeff",
		"00112233-4455-6677-8g99-aabbccddeeff", "00112233-4455-6677-8899-aabbccddeefg", "00112233-4455-6677-8899-aabbccddee-f",
	} {
		id, err := ParseID(text)
		require.Error(t, err, text)
		require.True(t, id.IsZero())
		if text != "" {
			require.NotContains(t, err.Error(), text)
		}
	}
}

func fact(position int64, eventType, key, street string) Fact {
	return Fact{
		Change:   Change{Type: eventType, Key: key, Effective: "2026-03-01", Data: map[string]any{"street": street}},
		Position: position, RecordedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Assurance: "asserted",
	}
}

func TestFoldKeepsTheLatestOfEachKey(t *testing.T) {
	t.Parallel()
	facts := []Fact{
		fact(3, PersonRegistered, "", ""), fact(5, "address-changed", "home", "1 Main St"), fact(7, "address-changed", "mailing", "PO Box 2"),
		fact(8, "address-changed", "home", "3 Main St"), fact(9, "name-changed", "", ""),
	}
	p := Fold(facts...)
	require.Equal(t, &Profile{Registered: true, Facts: map[Key]Fact{
		{PersonRegistered, ""}: facts[0], {"address-changed", "mailing"}: facts[2], {"address-changed", "home"}: facts[3], {"name-changed", ""}: facts[4],
	}}, p)
	home, found := p.Latest("address-changed", "home")
	require.True(t, found)
	require.Equal(t, facts[3], home)
	_, found = p.Latest("address-changed", "")
	require.False(t, found)
	_, found = (&Profile{}).Latest("address-changed", "home")
	require.False(t, found)
	require.Equal(t, &Profile{}, Fold())

	p.Apply(fact(12, DeathRegistered, "", ""))
	require.True(t, p.Registered)
	require.True(t, p.Deceased)
}

// TestFoldInStepsIsFoldAtOnce: whatever was folded before, the next fact is all that counts.
func TestFoldInStepsIsFoldAtOnce(t *testing.T) {
	t.Parallel()
	facts := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Fact {
		return fact(
			rapid.Int64().Draw(t, "position"), rapid.SampledFrom([]string{PersonRegistered, DeathRegistered, "address-changed"}).Draw(t, "type"),
			rapid.SampledFrom([]string{"", "home"}).Draw(t, "key"), rapid.String().Draw(t, "street"),
		)
	}))
	rapid.Check(t, func(t *rapid.T) {
		all := facts.Draw(t, "facts")
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		p := Fold(all[:cut]...)
		for _, f := range all[cut:] {
			p.Apply(f)
		}
		require.Equal(t, Fold(all...), p)
		for key, held := range p.Facts {
			last := Fact{}
			for _, f := range all {
				if f.Type == key.Type && f.Key == key.Key {
					last = f
				}
			}
			require.Equal(t, last, held)
		}
	})
}
