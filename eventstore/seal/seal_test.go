package seal_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
)

// bundle is a keyring with what it stands on.
type bundle struct {
	*seal.Keyring
	store   *sealtest.Memory
	wrapper *sealtest.Wrapper
	logID   uuid.UUID
}

func setup(t testing.TB) bundle { return setupWith(t, &sealtest.Memory{}, 0) }

func setupWith(t testing.TB, store *sealtest.Memory, cacheSize int) bundle {
	wrapper, err := sealtest.NewWrapper(1)
	require.NoError(t, err)
	b := bundle{store: store, wrapper: wrapper, logID: uuid.New()}
	b.Keyring = b.open(t, cacheSize)
	return b
}

// open is another process on the same keys.
func (b bundle) open(t testing.TB, cacheSize int) *seal.Keyring {
	config := seal.Config{Store: b.store, Wrapper: b.wrapper, LogID: b.logID, CacheSize: cacheSize}
	keyring, err := seal.NewKeyring(context.Background(), config)
	require.NoError(t, err)
	return keyring
}

func event(class eventstore.Class) *eventstore.Event {
	return &eventstore.Event{ID: uuid.New(), Type: "address-changed", Schema: 1, Subject: uuid.New(), Class: class}
}

func (b bundle) sealed(t testing.TB, class eventstore.Class, plain string) eventstore.Recorded {
	e := event(class)
	require.NoError(t, b.Seal(context.Background(), e, seal.Plaintext(plain)))
	return eventstore.Recorded{Event: *e, Position: 42, Version: 1}
}

func TestSealedPayloadsOpen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.open(t, 0)
	officers, err := seal.WithTwoOfficers(t.Context(), "one", "another")
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		e := &eventstore.Event{
			ID:      uuid.New(),
			Type:    rapid.StringMatching(`[a-z-]{1,30}`).Draw(rt, "type"),
			Schema:  rapid.Int16().Draw(rt, "schema"),
			Subject: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "subject")),
			Class:   eventstore.Class(rapid.Int16Range(0, 5).Draw(rt, "class")),
		}
		plain := rapid.SliceOf(rapid.Byte()).Draw(rt, "plain")
		require.NoError(rt, b.Seal(context.Background(), e, plain))
		if e.Class == eventstore.Public {
			require.Equal(rt, sha256.Sum256(plain), e.Commitment)
			require.Zero(rt, e.KeyRef)
		} else {
			require.Len(rt, e.Payload, len(plain)+12+32+16)
			require.Positive(rt, e.KeyRef)
		}
		for _, keyring := range []*seal.Keyring{b.Keyring, other} {
			opened, err := keyring.Open(officers, &eventstore.Recorded{Event: *e})
			require.NoError(rt, err)
			require.NotNil(rt, opened)
			require.Equal(rt, string(plain), string(opened))
		}
	})
}

// The format, taken apart with nothing of this package: a payload sealed today opens for ever.
func TestFormat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.sealed(t, eventstore.Evidence, canary)
	stored, err := b.store.Keys(t.Context(), seal.KeyID{Subject: r.Subject, Class: r.Class})
	require.NoError(t, err)
	frame := func(parts ...[]byte) (out []byte) {
		for _, part := range parts {
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(part))), part...)
		}
		return out
	}
	two, one := []byte{0, 0, 0, 0, 0, 0, 0, 2}, []byte{0, 0, 0, 0, 0, 0, 0, 1}
	key, err := b.wrapper.Unwrap(1, frame([]byte("tellonce data key"), r.Subject[:], two), stored[0].Wrapped)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	aad := frame(b.logID[:], r.ID[:], []byte("address-changed"), one, two)
	content, err := aead.Open(nil, r.Payload[:12], r.Payload[12:], aad)
	require.NoError(t, err)
	require.Equal(t, canary, string(content[32:]))
	require.Equal(t, sha256.Sum256(content), r.Commitment)
	require.Equal(t, stored[0].Ref, r.KeyRef)
}

func TestNothingRepeats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := event(eventstore.Facts)
	seen := map[string]bool{}
	for range 100 {
		require.NoError(t, b.Seal(t.Context(), e, seal.Plaintext("the same")))
		nonce, commitment := string(e.Payload[:12]), string(e.Commitment[:])
		require.False(t, seen[nonce], "a nonce is used once")
		require.False(t, seen[commitment], "a commitment can't be recognised")
		seen[nonce], seen[commitment] = true, true
	}
}

// Whatever is changed about a record, it does not open as something else.
func TestTampering(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, change := range map[string]func(r *eventstore.Recorded, other eventstore.Recorded){
		"a flipped bit of the payload": func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Payload[len(r.Payload)/2] ^= 1 },
		"a flipped bit of the nonce":   func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Payload[0] ^= 1 },
		"a flipped bit of the tag":     func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Payload[len(r.Payload)-1] ^= 1 },
		"cut off":                      func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Payload = r.Payload[:len(r.Payload)-1] },
		"cut to nothing":               func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Payload = nil },
		"shorter than any payload":     func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Payload = r.Payload[:59] },
		"longer":                       func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Payload = append(r.Payload, 0) },
		"another commitment":           func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Commitment[31] ^= 1 },
		"another event id":             func(r *eventstore.Recorded, _ eventstore.Recorded) { r.ID[0] ^= 1 },
		"another type":                 func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Type = "name-changed" },
		"another schema version":       func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Schema = 2 },
		"another class":                func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Class = eventstore.Evidence },
		"as if public":                 func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Class = eventstore.Public },
		"no class at all":              func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Class = 6 },
		"a class below all":            func(r *eventstore.Recorded, _ eventstore.Recorded) { r.Class = -1 },
		"another citizen's":            func(r *eventstore.Recorded, other eventstore.Recorded) { r.Subject = other.Subject },
		"another event's payload":      func(r *eventstore.Recorded, other eventstore.Recorded) { r.Payload = other.Payload },
		"another event's, commitment and all": func(r *eventstore.Recorded, other eventstore.Recorded) {
			r.Payload, r.Commitment = other.Payload, other.Commitment
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := uuid.New()
			var pair [2]eventstore.Recorded
			for i := range pair {
				pair[i] = b.sealed(t, eventstore.Facts, canary)
			}
			// Another event of the same citizen, too: the key is the same, only the associated data differs.
			same := event(eventstore.Facts)
			same.Subject = subject
			require.NoError(t, b.Ensure(t.Context(), seal.KeyID{Subject: pair[0].Subject, Class: eventstore.Evidence}))
			r := pair[0]
			change(&r, pair[1])
			_, err := b.Open(t.Context(), &r)
			require.ErrorIs(t, err, seal.ErrTampered)
			require.NotContains(t, err.Error(), "Canary")
			_, err = b.OpenAll(t.Context(), []eventstore.Recorded{r})
			require.ErrorIs(t, err, seal.ErrTampered)
		})
	}
}

func TestAnotherEventOfTheSameCitizenDoesNotStandIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	subject := uuid.New()
	var r [2]eventstore.Recorded
	for i := range r {
		e := event(eventstore.Facts)
		e.Subject = subject
		require.NoError(t, b.Seal(t.Context(), e, seal.Plaintext(fmt.Sprint("address ", i))))
		r[i].Event = *e
	}
	r[0].Payload, r[0].Commitment = r[1].Payload, r[1].Commitment
	_, err := b.Open(t.Context(), &r[0])
	require.ErrorIs(t, err, seal.ErrTampered)
}

func TestAnotherLogsPayloadDoesNotOpen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.sealed(t, eventstore.Facts, canary)
	// The same keys under another log id: only by hand, for NewKeyring refuses them (below).
	stranger := bundle{store: b.store.WithoutSecrets(), wrapper: b.wrapper, logID: uuid.New()}
	_, err := stranger.open(t, 0).Open(t.Context(), &r)
	require.ErrorIs(t, err, seal.ErrTampered)
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := event(6)
	require.Error(t, b.Seal(t.Context(), e, nil))
	e = event(eventstore.Facts)
	e.ID = uuid.Nil
	require.Error(t, b.Seal(t.Context(), e, nil))
	require.Error(t, b.Ensure(t.Context(), seal.KeyID{Subject: uuid.New(), Class: -1}))
}

func TestPublicPayloadIsACopy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e, plain := event(eventstore.Public), []byte("agreement")
	require.NoError(t, b.Seal(t.Context(), e, plain))
	plain[0] = 'X'
	opened, err := b.Open(t.Context(), &eventstore.Recorded{Event: *e})
	require.NoError(t, err)
	require.Equal(t, "agreement", string(opened))
}

func FuzzOpen(f *testing.F) {
	b := setup(f)
	r := b.sealed(f, eventstore.Facts, canary)
	f.Add(r.Payload)
	f.Add(r.Payload[:60])
	f.Fuzz(func(t *testing.T, payload []byte) {
		changed := r
		changed.Payload = payload
		opened, err := b.Open(context.Background(), &changed)
		if string(payload) == string(r.Payload) {
			require.NoError(t, err)
			require.Equal(t, canary, string(opened))
			return
		}
		require.ErrorIs(t, err, seal.ErrTampered)
	})
}
