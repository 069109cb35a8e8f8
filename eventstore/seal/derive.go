package seal

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// Names in the key store's table of secrets.
const (
	hubSecret = "hub" // the key of MAC, wrapped
	boundLog  = "log" // the log id that the keys belong to: no secret, but kept with them
)

const (
	pairwisePrefix = "v1."
	pairwiseBytes  = 20 // of the HMAC
)

// pairwiseEncoding is base32hex of RFC 4648 in lower case without padding: 20 bytes are 32 characters, safe in topics, URLs and file
// names, and in the order of the bytes.
var pairwiseEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// Pairwise returns the id by which one ministry knows a citizen, in one epoch: `v1.` and 32 characters of base32hex in lower case over
// the first 20 bytes of HMAC-SHA256(the citizen's secret, ministry ‖ epoch), both framed. Nothing joins the ids of two ministries. The
// secret is made if the citizen has none. ErrDestroyed after an erasure.
func (k *Keyring) Pairwise(ctx context.Context, citizen uuid.UUID, ministry string, epoch int32) (string, error) {
	found, err := k.key(ctx, true, KeyID{Subject: citizen})
	if err != nil {
		return "", err
	}
	return found.pairwise.id(pairwiseMessage(ministry, epoch)), nil
}

// PairwiseAll is Pairwise for many citizens, in their order, with missing secrets fetched at once. If some can't be derived the error
// is a *PartialError, their ids are empty, and all others are there.
func (k *Keyring) PairwiseAll(ctx context.Context, citizens []uuid.UUID, ministry string, epoch int32) ([]string, error) {
	ids := make([]KeyID, len(citizens))
	for i, citizen := range citizens {
		ids[i].Subject = citizen
	}
	keys, err := k.keys(ctx, true, ids)
	var failed *PartialError
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	message := pairwiseMessage(ministry, epoch)
	out := make([]string, len(citizens))
	for i, found := range keys {
		if found != nil {
			out[i] = found.pairwise.id(message)
		}
	}
	return out, err
}

func pairwiseMessage(ministry string, epoch int32) []byte {
	return appendInt(appendFrame(make([]byte, 0, 64), ministry), int64(epoch))
}

func (p *pairwise) id(message []byte) string {
	var text [len(pairwisePrefix) + pairwiseBytes*8/5]byte
	copy(text[:], pairwisePrefix)
	p.mu.Lock()
	p.mac.Reset()
	p.mac.Write(message)
	p.mac.Sum(p.sum[:0])
	pairwiseEncoding.Encode(text[len(pairwisePrefix):], p.sum[:pairwiseBytes])
	p.mu.Unlock()
	return string(text[:])
}

// MAC is HMAC-SHA256 under the hub's own secret, over domain and parts, each framed: two different calls never hash the same bytes. For
// what must be recognised again and must not be guessed: commands, lanes, references. The domain is a constant of the caller.
func (k *Keyring) MAC(domain string, parts ...[]byte) [32]byte {
	m := k.macs.get()
	m.begin(domain)
	for _, part := range parts {
		m.add(part)
	}
	return k.macs.finish(m)
}

// macPool holds prepared HMACs under one key.
type macPool struct{ pool *sync.Pool }

type mac struct {
	hash hash.Hash
	size [4]byte
	text []byte
	sum  [32]byte
}

func newMACPool(secret []byte) macPool {
	secret = slices.Clone(secret)
	return macPool{&sync.Pool{New: func() any { return &mac{hash: hmac.New(sha256.New, secret)} }}}
}

func (p macPool) get() *mac { return p.pool.Get().(*mac) }

func (p macPool) finish(m *mac) (sum [32]byte) {
	m.hash.Sum(m.sum[:0])
	sum = m.sum
	p.pool.Put(m)
	return sum
}

func (m *mac) begin(domain string) {
	m.hash.Reset()
	m.text = append(m.text[:0], domain...)
	m.add(m.text)
}

func (m *mac) add(part []byte) {
	binary.BigEndian.PutUint32(m.size[:], uint32(len(part))) // #nosec G115 -- parts are far below 4 GiB
	m.hash.Write(m.size[:])
	m.hash.Write(part)
}

// References returns the citizen behind each of a source's references, uuid.Nil where unknown. Only keyed hashes of them are stored.
func (k *Keyring) References(ctx context.Context, source string, refs ...string) ([]uuid.UUID, error) {
	citizens, err := k.store.References(ctx, k.referenceHashes(source, refs)...)
	if err != nil {
		return nil, fmt.Errorf("seal: look up references: %w", err)
	}
	if len(citizens) != len(refs) {
		return nil, fmt.Errorf("seal: the key store answered %d of %d references", len(citizens), len(refs))
	}
	return citizens, nil
}

// Register returns the citizen behind each of a source's references, with a new random id for those unknown, stored durably; of two
// processes that register one reference, the first writer's id stands for both. A crash after it leaves an id about which the log knows
// nothing: the same reference finds it again.
func (k *Keyring) Register(ctx context.Context, source string, refs []string) ([]uuid.UUID, error) {
	hashes := k.referenceHashes(source, refs)
	out, err := k.store.References(ctx, hashes...)
	if err != nil {
		return nil, fmt.Errorf("seal: look up references: %w", err)
	}
	if len(out) != len(refs) {
		return nil, fmt.Errorf("seal: the key store answered %d of %d references", len(out), len(refs))
	}
	var at []int // where in refs each of the new ones stands
	var fresh [][32]byte
	var ids []uuid.UUID
	for i, citizen := range out {
		if citizen != uuid.Nil {
			continue
		}
		id, err := uuid.NewRandom()
		if err != nil {
			return nil, fmt.Errorf("seal: random numbers: %w", err)
		}
		at, fresh, ids = append(at, i), append(fresh, hashes[i]), append(ids, id)
	}
	if len(fresh) == 0 {
		return out, nil
	}
	stands, err := k.store.PutReferences(ctx, fresh, ids)
	if err != nil {
		return nil, fmt.Errorf("seal: store references: %w", err)
	}
	if len(stands) != len(fresh) {
		return nil, fmt.Errorf("seal: the key store answered %d of %d references", len(stands), len(fresh))
	}
	for i, citizen := range stands {
		out[at[i]] = citizen
	}
	return out, nil
}

// Refer makes a source's reference lead to a citizen, durably, unless it leads to somebody already, and returns to whom it leads.
func (k *Keyring) Refer(ctx context.Context, source, ref string, citizen uuid.UUID) (uuid.UUID, error) {
	if citizen == uuid.Nil {
		return uuid.Nil, errors.New("seal: no citizen to refer to")
	}
	stands, err := k.store.PutReferences(ctx, k.referenceHashes(source, []string{ref}), []uuid.UUID{citizen})
	if err != nil {
		return uuid.Nil, fmt.Errorf("seal: store references: %w", err)
	}
	if len(stands) != 1 {
		return uuid.Nil, fmt.Errorf("seal: the key store answered %d of 1 references", len(stands))
	}
	return stands[0], nil
}

func (k *Keyring) referenceHashes(source string, refs []string) [][32]byte {
	hashes := make([][32]byte, len(refs))
	for i, ref := range refs {
		hashes[i] = k.MAC("reference", []byte(source), []byte(ref))
	}
	return hashes
}

// secret returns one of the hub's own secrets, made on first use. It is stored as the epoch (4 bytes, big-endian) and the wrapped key.
func (k *Keyring) secret(ctx context.Context, name string) ([]byte, error) {
	stored, err := k.store.Secret(ctx, name, func() ([]byte, error) {
		raw := make([]byte, keySize)
		defer clear(raw)
		if _, err := rand.Read(raw); err != nil {
			return nil, fmt.Errorf("seal: random numbers: %w", err)
		}
		return k.wrapSecret(name, raw)
	})
	if err != nil {
		return nil, fmt.Errorf("seal: read the hub's secret: %w", err)
	}
	return k.unwrapSecret(name, stored)
}

func (k *Keyring) wrapSecret(name string, raw []byte) ([]byte, error) {
	epoch, wrapped, err := k.wrapper.Wrap(secretAAD(name), raw)
	if err != nil {
		return nil, fmt.Errorf("seal: wrap a secret: %w", err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(epoch)), wrapped...), nil // #nosec G115 -- epochs are > 0
}

func (k *Keyring) unwrapSecret(name string, stored []byte) ([]byte, error) {
	epoch, err := secretEpoch(stored)
	if err != nil {
		return nil, err
	}
	secret, err := k.wrapper.Unwrap(epoch, secretAAD(name), stored[4:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrongWrapper, err)
	}
	return secret, nil
}

// secretEpoch is the epoch under which a stored secret is wrapped.
func secretEpoch(stored []byte) (int32, error) {
	if len(stored) < 4 {
		return 0, fmt.Errorf("seal: the hub's secret: %w", ErrWrongWrapper)
	}
	return int32(binary.BigEndian.Uint32(stored)), nil // #nosec G115 -- as wrapSecret wrote it
}

func secretAAD(name string) []byte { return appendFrame(appendFrame(nil, "tellonce secret"), name) }
