package journal

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

// ReadGenesis reads the record at position 0, or eventstore.ErrNoGenesis.
func ReadGenesis(ctx context.Context, log eventstore.Log) (Genesis, error) {
	recs, err := log.ReadAll(ctx, 0, 1)
	if err != nil {
		return Genesis{}, err
	}
	if len(recs) == 0 {
		return Genesis{}, eventstore.ErrNoGenesis
	}
	var g Genesis
	if err := json.Unmarshal(recs[0].Payload, &g); err != nil || recs[0].Type != TypeGenesis {
		return Genesis{}, errors.New("journal: position 0 holds no genesis: this is not a log of this program")
	}
	return g, nil
}

// ErrExists refuses a second genesis.
var ErrExists = errors.New("journal: there is a log here already")

// Begin writes genesis at position 0 of an empty log. The process's clock gives its time on a wall clock; a log clock begins at the epoch.
func Begin(ctx context.Context, log eventstore.Log, genesis Genesis) error {
	data, err := encodeData(genesis)
	if err != nil {
		return err
	}
	at := time.Time{}
	if genesis.Clock == ClockLog {
		at = time.Unix(0, 0).UTC()
	}
	_, err = log.Append(ctx, eventstore.Append{
		At: at, Begins: &eventstore.Identity{LogID: genesis.LogID, Generation: int64(genesis.Generation)},
		Expect: []eventstore.Expect{{Aggregate: HubAggregate}},
		Events: []eventstore.Event{{
			ID: uuid.New(), Aggregate: HubAggregate, Type: TypeGenesis, Schema: 1, Cause: eventstore.NoCause, Issuer: int16(IssuerCommand),
			ActorKind: int16(ActorOperator), Commitment: sha256.Sum256(data), Payload: data,
		}},
	})
	if errors.Is(err, eventstore.ErrConflict) {
		return ErrExists
	}
	return err
}
