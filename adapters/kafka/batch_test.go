package kafka

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"testing"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is encoded, kafka-go decodes again, checksum included, and the stamp stands where the broker looks for it.
func TestEncodedBatchDecodes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		blob := rapid.Custom(func(t *rapid.T) []byte {
			if rapid.Bool().Draw(t, "null") {
				return nil
			}
			return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")...)
		})
		messages := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *Message {
			m := &Message{Key: blob.Draw(t, "key"), Value: blob.Draw(t, "value")}
			for range rapid.IntRange(0, 5).Draw(t, "headers") {
				m.Headers = append(m.Headers, Header{rapid.String().Draw(t, "name"), rapid.String().Draw(t, "text")})
			}
			return m
		}), 1, 20).Draw(t, "messages")
		s := stamp{
			State{rapid.Int64Min(0).Draw(t, "id"), rapid.Int16Min(0).Draw(t, "epoch")},
			rapid.Int32Min(0).Draw(t, "sequence"),
		}
		encoded, err := encode(make([]byte, rapid.IntRange(0, 500).Draw(t, "dirty")), messages, s)
		require.NoError(t, err)

		var set protocol.RecordSet
		_, err = set.ReadFrom(bytes.NewReader(encoded))
		require.NoError(t, err)
		batch, ok := set.Records.(*protocol.RecordStream).Records[0].(*protocol.RecordBatch)
		require.True(t, ok)
		require.Equal(t, s, stamp{State{batch.ProducerID, batch.ProducerEpoch}, batch.BaseSequence})
		for _, want := range messages {
			got, err := batch.ReadRecord()
			require.NoError(t, err)
			key, err := protocol.ReadAll(got.Key)
			require.NoError(t, err)
			value, err := protocol.ReadAll(got.Value)
			require.NoError(t, err)
			require.Equal(t, want.Key, key)
			require.Equal(t, want.Value, value)
			require.Len(t, got.Headers, len(want.Headers))
			for i, h := range want.Headers {
				require.Equal(t, h, Header{got.Headers[i].Key, string(got.Headers[i].Value)})
			}
		}
		_, err = batch.ReadRecord()
		require.ErrorIs(t, err, io.EOF)
	})
}

// kafka-go's decoder compares the checksum by itself, but let the test not depend on that.
func TestEncodedChecksum(t *testing.T) {
	t.Parallel()
	m := event(1)
	encoded, err := encode(nil, []*Message{&m}, stamp{State{7, 8}, 9})
	require.NoError(t, err)
	require.Equal(t, crc32.Checksum(encoded[4+21:], crc32.MakeTable(crc32.Castagnoli)), binary.BigEndian.Uint32(encoded[4+17:]))
	require.Equal(t, len(encoded), 4+int(binary.BigEndian.Uint32(encoded)), "four bytes of length come first")
}

func TestStampAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from int32
		n    int
		want int32
	}{{0, 1, 1}, {5, 6000, 6005}, {math.MaxInt32 - 1, 1, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 2, 10, 7}} {
		require.Equal(t, stamp{sequence: c.want}, stamp{sequence: c.from}.after(c.n))
	}
}

// size must not fall short: a batch that is larger than the broker's limit is refused, and the lane stops.
func TestSizeIsAtLeastWhatIsEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := event(rapid.Int64Min(1).Draw(t, "number"))
		m.Value = make([]byte, rapid.IntRange(0, 100_000).Draw(t, "value"))
		n := rapid.IntRange(1, 30).Draw(t, "messages")
		batch := make([]*Message, n)
		for i := range batch {
			batch[i] = &m
		}
		encoded, err := encode(nil, batch, stamp{})
		require.NoError(t, err)
		require.LessOrEqual(t, len(encoded)-batchHeader, n*m.size())
	})
}
