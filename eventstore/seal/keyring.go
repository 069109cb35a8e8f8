package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

// DefaultCacheSize is how many keys a Keyring keeps ready: about 1 KB each, so some 32 MiB.
const DefaultCacheSize = 1 << 15

// Config is what a Keyring needs.
type Config struct {
	Store   KeyStore
	Wrapper KeyWrapper
	// LogID is the log whose payloads are sealed; it is bound into each, and the key store serves no other (BoundLog).
	LogID uuid.UUID
	// CacheSize is the number of keys kept ready; 0 means DefaultCacheSize.
	CacheSize int
}

// Keyring seals and opens payloads, derives pairwise ids and keyed hashes. It makes keys where there are none and keeps those used
// last ready. Safe for concurrent use.
type Keyring struct {
	store   KeyStore
	wrapper KeyWrapper
	logID   uuid.UUID
	cache   *cache
	fetcher fetcher
	macs    macPool
}

// NewKeyring binds the key store to the log, on first use, and loads the hub's own secret. ErrOtherLog if the keys belong to another
// log; ErrWrongWrapper if they were wrapped under another wrapping key.
func NewKeyring(ctx context.Context, config Config) (*Keyring, error) {
	if config.Store == nil || config.Wrapper == nil || config.LogID == uuid.Nil {
		return nil, errors.New("seal: a keyring needs a key store, a wrapping key and a log id")
	}
	size := config.CacheSize
	if size <= 0 {
		size = DefaultCacheSize
	}
	k := &Keyring{store: config.Store, wrapper: config.Wrapper, logID: config.LogID, cache: newCache(size)}
	k.fetcher.load = k.load
	if err := bindLog(ctx, config.Store, config.LogID); err != nil {
		return nil, err
	}
	secret, err := k.secret(ctx, hubSecret)
	if err != nil {
		return nil, err
	}
	k.macs = newMACPool(secret)
	clear(secret)
	return k, nil
}

// Format prints [keyring], whatever the verb: no key is ever printed.
func (*Keyring) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[keyring]")) }

// LogValue is [keyring].
func (*Keyring) LogValue() slog.Value { return slog.StringValue("[keyring]") }

// Ensure fetches the keys of ids, makes those that are missing, durably, and keeps them ready, in a few round trips for thousands: call
// it before sealing a batch. A class of Public asks for the citizen's pairwise secret. ErrDestroyed if one of them was destroyed; the
// others are ready then, too.
func (k *Keyring) Ensure(ctx context.Context, ids ...KeyID) error {
	_, err := k.keys(ctx, true, ids)
	return err
}

// Seal closes pt for e and sets e's Commitment, Payload and KeyRef; pt stays the caller's. All that identifies the event (ID, Type,
// Schema, Class, Subject) is set before. Without I/O if Ensure was called for the key and the cache is not overrun; else it fetches or
// makes the key. A Subject of uuid.Nil names the hub's own key of that class. ErrDestroyed if the key was erased.
func (k *Keyring) Seal(ctx context.Context, e *eventstore.Event, pt Plaintext) error {
	if e.ID == uuid.Nil {
		return errors.New("seal: the event has no id")
	}
	if e.Class == eventstore.Public {
		e.Commitment, e.Payload, e.KeyRef = sha256.Sum256(pt), append([]byte{}, pt...), 0
		return nil
	}
	key, err := k.key(ctx, true, KeyID{Subject: e.Subject, Class: e.Class})
	if err != nil {
		return err
	}
	e.KeyRef = key.ref
	return sealWith(key.aead, k.logID, e, pt)
}

// Open opens a record's payload. The result of a Public record shares r's bytes. ErrDestroyed if the key was erased, ErrTampered if the
// payload is not what was sealed there, ErrNoKey if the key store knows nothing of the key, ErrLocked for an IdentityTie without the
// permission of WithTwoOfficers.
func (k *Keyring) Open(ctx context.Context, r *eventstore.Recorded) (Plaintext, error) {
	if r.Class == eventstore.Public {
		return k.open(nil, r)
	}
	if err := mayOpen(ctx, r.Class); err != nil {
		return nil, atPosition(err, r)
	}
	key, err := k.key(ctx, false, KeyID{Subject: r.Subject, Class: r.Class})
	if err != nil {
		return nil, atPosition(err, r)
	}
	return k.open(key, r)
}

// OpenAll opens records in their order, with the missing keys fetched at once. If some don't open, all others are still returned: those
// are nil, and the error is a *PartialError that tells which and why. Any other error means that none was opened.
func (k *Keyring) OpenAll(ctx context.Context, records []eventstore.Recorded) ([]Plaintext, error) {
	ids := make([]KeyID, 0, len(records))
	for i := range records {
		if r := &records[i]; r.Class != eventstore.Public && mayOpen(ctx, r.Class) == nil {
			ids = append(ids, KeyID{Subject: r.Subject, Class: r.Class})
		}
	}
	keys, err := k.keys(ctx, false, ids)
	var failed *PartialError
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	out := make([]Plaintext, len(records))
	var errs partial
	for i, next := 0, 0; i < len(records); i++ {
		r := &records[i]
		var key *key
		if r.Class != eventstore.Public {
			if err := mayOpen(ctx, r.Class); err != nil {
				errs.add(len(records), i, atPosition(err, r))
				continue
			}
			key = keys[next]
			cause := failed.at(next)
			next++
			if cause != nil {
				errs.add(len(records), i, atPosition(cause, r))
				continue
			}
		}
		if out[i], err = k.open(key, r); err != nil {
			errs.add(len(records), i, err)
		}
	}
	return out, errs.err()
}

// open opens r under key, which is nil for a Public record.
func (k *Keyring) open(key *key, r *eventstore.Recorded) (Plaintext, error) {
	if key == nil {
		if sha256.Sum256(r.Payload) != r.Commitment {
			return nil, atPosition(ErrTampered, r)
		}
		return r.Payload, nil
	}
	pt, err := openWith(key.aead, k.logID, &r.Event)
	if err != nil {
		return nil, atPosition(err, r)
	}
	return pt, nil
}

// key returns one key, from the cache or the store.
func (k *Keyring) key(ctx context.Context, create bool, id KeyID) (*key, error) {
	if found := k.cache.get(id); found != nil {
		if found.destroyed {
			return nil, ErrDestroyed
		}
		return found, nil
	}
	keys, err := k.keys(ctx, create, []KeyID{id})
	var failed *PartialError
	if errors.As(err, &failed) {
		return nil, failed.at(0)
	}
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

// keys returns the keys of ids in their order. The error is a *PartialError where some could not be had.
func (k *Keyring) keys(ctx context.Context, create bool, ids []KeyID) ([]*key, error) {
	out := make([]*key, len(ids))
	var missing []KeyID
	for i, id := range ids {
		if err := id.valid(); err != nil {
			return nil, err
		}
		if out[i] = k.cache.get(id); out[i] == nil {
			missing = append(missing, id)
		}
	}
	var fetched map[KeyID]loaded
	if len(missing) > 0 {
		var err error
		if fetched, err = k.fetcher.fetch(ctx, create, missing); err != nil {
			return nil, err
		}
	}
	var errs partial
	for i, id := range ids {
		if out[i] == nil {
			l := fetched[id]
			if out[i] = l.key; l.err != nil {
				errs.add(len(ids), i, l.err)
			}
		}
		if out[i] != nil && out[i].destroyed {
			out[i] = nil
			errs.add(len(ids), i, ErrDestroyed)
		}
	}
	return out, errs.err()
}

// valid refuses what names no key.
func (id KeyID) valid() error {
	if !validClass(id.Class) {
		return fmt.Errorf("seal: no retention class %d", id.Class)
	}
	if id == (KeyID{}) {
		return errors.New("seal: the hub has no pairwise secret")
	}
	return nil
}

func validClass(class eventstore.Class) bool {
	return class >= eventstore.Public && class <= eventstore.IdentityTie
}

func atPosition(err error, r *eventstore.Recorded) error {
	return fmt.Errorf("%w (position %d, %s)", err, r.Position, r.Type)
}

// PartialError says that some of many could not be opened or derived; the others were. Errs[i] belongs to the i-th asked for, nil where
// all is well. errors.Is finds any of them.
type PartialError struct{ Errs []error }

// Error tells how many failed, and the first cause.
func (p *PartialError) Error() string {
	n, first := 0, error(nil)
	for _, err := range p.Errs {
		if err != nil {
			if n++; first == nil {
				first = err
			}
		}
	}
	if n <= 1 {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%v (and %d more)", first, n-1)
}

// Unwrap returns what failed.
func (p *PartialError) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(p.Errs), func(err error) bool { return err == nil })
}

func (p *PartialError) at(i int) error {
	if p == nil {
		return nil
	}
	return p.Errs[i]
}

// partial gathers a PartialError, made only if anything fails.
type partial struct{ errs []error }

func (p *partial) add(n, i int, err error) {
	if p.errs == nil {
		p.errs = make([]error, n)
	}
	p.errs[i] = err
}

func (p *partial) err() error {
	if p.errs == nil {
		return nil
	}
	return &PartialError{Errs: p.errs}
}

// bindLog makes the key store this log's, or refuses if it is another's. A crash in between leaves keys that are bound to a log which
// was never written: init asks BoundLog first and goes on with that id.
func bindLog(ctx context.Context, store KeyStore, logID uuid.UUID) error {
	bound, err := store.Secret(ctx, boundLog, func() ([]byte, error) { return logID[:], nil })
	if err != nil {
		return fmt.Errorf("seal: bind the keys to the log: %w", err)
	}
	if !bytes.Equal(bound, logID[:]) {
		return ErrOtherLog
	}
	return nil
}

// BoundLog returns the id of the log that the keys belong to; uuid.Nil while they belong to none.
func BoundLog(ctx context.Context, store KeyStore) (uuid.UUID, error) {
	errUnbound := errors.New("seal: not bound")
	bound, err := store.Secret(ctx, boundLog, func() ([]byte, error) { return nil, errUnbound })
	if errors.Is(err, errUnbound) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("seal: read which log the keys belong to: %w", err)
	}
	id, err := uuid.FromBytes(bound)
	if err != nil {
		return uuid.Nil, fmt.Errorf("seal: read which log the keys belong to: %w", err)
	}
	return id, nil
}
