package seal_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/eventstore/seal"
)

// Derived by hand from the stored secret, as DESIGN.md says.
func TestPairwiseFormat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	citizen := uuid.New()
	got, err := b.Pairwise(t.Context(), citizen, "moh", 7)
	require.NoError(t, err)
	require.Regexp(t, `^v1\.[0-9a-v]{32}$`, got)

	stored, err := b.store.Keys(t.Context(), seal.KeyID{Subject: citizen})
	require.NoError(t, err)
	frame := func(out, part []byte) []byte {
		return append(binary.BigEndian.AppendUint32(out, uint32(len(part))), part...)
	}
	aad := frame(frame(frame(nil, []byte("tellonce data key")), citizen[:]), make([]byte, 8))
	secret, err := b.wrapper.Unwrap(1, aad, stored[0].Wrapped)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte{0, 0, 0, 3, 'm', 'o', 'h', 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7})
	want := base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:20])
	require.Equal(t, "v1."+strings.ToLower(want), got)
}

func TestPairwiseIDs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.open(t, 0)
	citizens := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	seen := map[string]string{}
	for _, ministry := range []string{"moh", "mot", "mo", "moht", ""} {
		for _, epoch := range []int32{1, 2, 256, -1} {
			all, err := b.PairwiseAll(t.Context(), append(citizens, citizens[0]), ministry, epoch)
			require.NoError(t, err)
			require.Equal(t, all[0], all[3])
			for i, citizen := range citizens {
				one, err := other.Pairwise(t.Context(), citizen, ministry, epoch)
				require.NoError(t, err)
				require.Equal(t, all[i], one, "the same from every process, for ever")
				require.Empty(t, seen[one], "nothing joins two ministries, epochs or citizens")
				seen[one] = citizen.String()
				require.NotContains(t, one, citizen.String()[:8])
			}
		}
	}
}

func TestMACFramesItsParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.open(t, 0)
	part := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a'}), 0, 6)
	parts := rapid.SliceOfN(part, 0, 4)
	domain := rapid.SampledFrom([]string{"", "a", "aa", "lane", "\x00"})
	rapid.Check(t, func(rt *rapid.T) {
		d1, d2, p1, p2 := domain.Draw(rt, "d1"), domain.Draw(rt, "d2"), parts.Draw(rt, "p1"), parts.Draw(rt, "p2")
		same := d1 == d2 && len(p1) == len(p2)
		for i := range p1 {
			same = same && string(p1[i]) == string(p2[i])
		}
		require.Equal(rt, same, b.MAC(d1, p1...) == other.MAC(d2, p2...))
	})
	require.NotEqual(t, b.MAC("a"), setup(t).MAC("a"), "under the hub's own secret")
}

func TestReferences(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	found, err := b.References(ctx, "import", "R-1", "R-2")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{uuid.Nil, uuid.Nil}, found)

	made, err := b.Register(ctx, "import", []string{"R-1", "R-2", "R-1"})
	require.NoError(t, err)
	require.Equal(t, made[0], made[2], "a reference twice in one call is one citizen")
	require.NotEqual(t, made[0], made[1])
	require.Equal(t, uuid.Version(4), made[0].Version())

	again, err := b.open(t, 0).Register(ctx, "import", []string{"R-2", "R-3", "R-1"})
	require.NoError(t, err)
	require.Equal(t, made[1], again[0])
	require.Equal(t, made[0], again[2])
	found, err = b.References(ctx, "import", "R-3", "R-4", "R-1")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{again[1], uuid.Nil, made[0]}, found)

	// Sources have namespaces of their own, whatever their names run into.
	found, err = b.References(ctx, "importR", "-1", "R-1")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{uuid.Nil, uuid.Nil}, found)

	none, err := b.Register(ctx, "import", nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestRefer: a reference that leads nowhere leads to whom it is given; one that leads to somebody stays theirs.
func TestRefer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, one, other := t.Context(), uuid.New(), uuid.New()
	for _, citizen := range []uuid.UUID{one, other, one} {
		owner, err := b.Refer(ctx, "registry", "R-1", citizen)
		require.NoError(t, err)
		require.Equal(t, one, owner)
	}
	found, err := b.open(t, 0).References(ctx, "registry", "R-1", "R-2")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{one, uuid.Nil}, found)
	_, err = b.Refer(ctx, "registry", "R-2", uuid.Nil)
	require.ErrorContains(t, err, "no citizen")
}

func TestConcurrentRegistrationsAgree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const callers = 16
	type answer struct {
		ids []uuid.UUID
		err error
	}
	answers := make(chan answer)
	for range callers {
		go func() {
			ids, err := b.Register(context.Background(), "import", []string{"R-1", "R-2", "R-3"})
			answers <- answer{ids, err}
		}()
	}
	first := <-answers
	require.NoError(t, first.err)
	for range callers - 1 {
		next := <-answers
		require.NoError(t, next.err)
		require.Equal(t, first.ids, next.ids)
	}
}
