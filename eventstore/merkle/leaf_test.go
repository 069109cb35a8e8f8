package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func id(b byte) (out [16]byte) {
	for i := range out {
		out[i] = b
	}
	return out
}

func golden() Record {
	return Record{
		LogID: id(0x11), Generation: 1, Position: 258, Category: 1, AggregateID: id(0x22), Version: 3, EventID: id(0x33),
		Type: "address-changed", Schema: 1, RecordedAt: 1_790_000_000_123_456, Cause: 257, Issuer: 4, ActorKind: 2, Channel: 3,
		Subject: id(0x22), Class: 1, Commitment: sha256.Sum256([]byte("salt and payload")),
	}
}

// The bytes stand here in full: whoever changes the layout breaks every checkpoint ever signed.
func TestLeafGolden(t *testing.T) {
	t.Parallel()
	const entry = "000000080000000000000001" + // format
		"0000001011111111111111111111111111111111" + "000000080000000000000001" + // log id, generation
		"000000080000000000000102" + // position
		"000000080000000000000001" + "0000001022222222222222222222222222222222" + "000000080000000000000003" + // aggregate, version
		"0000001033333333333333333333333333333333" + // event id
		"0000000f616464726573732d6368616e676564" + "000000080000000000000001" + // type, schema
		"0000000800065bfeda27c240" + // recorded at
		"000000080000000000000101" + // cause
		"000000080000000000000004" + "000000080000000000000002" + "000000080000000000000003" + // issuer, actor kind, channel
		"0000001022222222222222222222222222222222" + // subject
		"000000080000000000000001" // class
	commitment := sha256.Sum256([]byte("salt and payload"))
	record := golden()
	got := AppendEntry(nil, &record)
	require.Equal(t, entry+"00000020"+hex.EncodeToString(commitment[:]), hex.EncodeToString(got))

	hash, _ := LeafHash(nil, &record)
	require.Equal(t, sha256.Sum256(append([]byte{0}, got...)), hash)
	require.Equal(t, hash, EntryHash(got))
	require.Equal(t, "8a79860ddd27d4dd625d359fa7af8c39c45f1f608063d8eee06e63719471192d", hex.EncodeToString(hash[:]))
}

func TestLeafNone(t *testing.T) {
	t.Parallel()
	record := golden()
	full := len(AppendEntry(nil, &record))
	record.Cause = NoCause
	require.Len(t, AppendEntry(nil, &record), full-8)
	record.Subject = [16]byte{}
	require.Len(t, AppendEntry(nil, &record), full-8-16)
	record.Cause = 0 // the genesis event is a cause, too
	require.Len(t, AppendEntry(nil, &record), full-16)
}

// Each field is bound: changing any one of them changes the leaf, and two records never share an entry.
func TestLeafBindsEveryField(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*Record){
		"log id": func(r *Record) { r.LogID[15]++ }, "generation": func(r *Record) { r.Generation++ },
		"position": func(r *Record) { r.Position++ }, "category": func(r *Record) { r.Category++ },
		"aggregate": func(r *Record) { r.AggregateID[0]++ }, "version": func(r *Record) { r.Version++ },
		"event id": func(r *Record) { r.EventID[3]++ }, "type": func(r *Record) { r.Type += "x" }, "schema": func(r *Record) { r.Schema++ },
		"recorded at": func(r *Record) { r.RecordedAt++ }, "cause": func(r *Record) { r.Cause++ }, "issuer": func(r *Record) { r.Issuer++ },
		"actor kind": func(r *Record) { r.ActorKind++ }, "channel": func(r *Record) { r.Channel++ },
		"subject": func(r *Record) { r.Subject[1]++ }, "class": func(r *Record) { r.Class++ },
		"commitment": func(r *Record) { r.Commitment[31]++ },
	}
	plain := golden()
	seen := map[[32]byte]string{EntryHash(AppendEntry(nil, &plain)): "nothing"}
	for name, change := range changes {
		record := golden()
		change(&record)
		hash, _ := LeafHash(nil, &record)
		require.NotContains(t, seen, hash, name)
		seen[hash] = name
	}
}

// An entry can be taken apart again without knowing what is in it: length, bytes, length, bytes, 17 + format fields.
func TestEntryIsSelfDelimiting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		record := golden()
		record.Type = rapid.String().Draw(t, "type")
		record.Cause = rapid.Int64Min(-1).Draw(t, "cause")
		rest := AppendEntry(nil, &record)
		fields := 0
		for ; len(rest) > 0; fields++ {
			require.GreaterOrEqual(t, len(rest), 4)
			n := int(binary.BigEndian.Uint32(rest))
			require.GreaterOrEqual(t, len(rest), 4+n)
			rest = rest[4+n:]
		}
		require.Equal(t, 18, fields)
	})
}

func TestLeafHashAllocatesNothing(t *testing.T) {
	record := golden()
	buf := make([]byte, 0, 512)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, buf = LeafHash(buf, &record) }))
}

func BenchmarkLeafHash(b *testing.B) {
	record := golden()
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		_, buf = LeafHash(buf, &record)
	}
}
