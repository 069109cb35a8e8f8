package citizen

import (
	"testing"

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
