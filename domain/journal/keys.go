package journal

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// DestroyKeys destroys a citizen's keys of some classes for ever, and with the facts also the secret of their pairwise ids and the
// references that lead to them. It returns what each key's reference was. It may be repeated: what is destroyed stays so.
func (j *Journal) DestroyKeys(ctx context.Context, id citizen.ID, classes ...eventstore.Class) ([]KeysDestroyed, error) {
	ids := make([]seal.KeyID, len(classes), len(classes)+1)
	for i, class := range classes {
		ids[i] = seal.KeyID{Subject: uuid.UUID(id), Class: class}
	}
	if slices.Contains(classes, eventstore.Facts) {
		ids = append(ids, seal.KeyID{Subject: uuid.UUID(id), Class: eventstore.Public}) // the pairwise secret
		if _, err := j.keyring.Unregister(ctx, uuid.UUID(id)); err != nil {
			return nil, err
		}
	}
	tombstones, err := j.keyring.Destroy(ctx, ids...)
	if err != nil {
		return nil, err
	}
	out := make([]KeysDestroyed, len(tombstones))
	for i, t := range tombstones {
		out[i] = KeysDestroyed{Class: t.Class, Key: t.Ref}
	}
	return out, nil
}

// EvictErased drops keys that any process destroyed from this process's memory, until ctx ends. The law needs it not: nothing about who
// has left is disclosed or shown, whatever a process could still read. It makes sure that within moments no process can.
func (j *Journal) EvictErased(ctx context.Context) error {
	head, err := j.Head(ctx)
	if err != nil {
		return err
	}
	for from := head.Position + 1; ; {
		recs, err := j.tail.read(ctx, j.store, from, viewPage)
		if err != nil {
			return err
		}
		for i := range recs {
			if recs[i].Type == TypeErased || recs[i].Type == TypeKeysDestroyed {
				subject := recs[i].Subject
				for class := eventstore.Public; class <= eventstore.IdentityTie; class++ {
					j.keyring.Evict(seal.KeyID{Subject: subject, Class: class})
				}
			}
		}
		from += int64(len(recs))
		if err := j.store.Wait(ctx, from); err != nil {
			return err
		}
	}
}

// IsErased says whether an entry's content is gone because its key was destroyed.
func (e *Entry) IsErased() bool { return errors.Is(e.Err, seal.ErrDestroyed) }
