package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// A log begins with genesis. What is appended after it is read back in order; an append that was decided by an older state is refused.
func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "tellonce")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()

	genesis := eventstore.Event{ID: uuid.New(), Type: "genesis", Cause: eventstore.NoCause}
	citizen := eventstore.Aggregate{Category: eventstore.Citizen, ID: uuid.New()}
	change := eventstore.Append{
		Expect: []eventstore.Expect{{Aggregate: citizen, Version: 0}},
		Events: []eventstore.Event{{ID: uuid.New(), Aggregate: citizen, Type: "address-changed", Schema: 1, Cause: eventstore.NoCause}},
	}
	begins := &eventstore.Identity{LogID: uuid.New(), Generation: 1}
	results, err := store.Append(ctx, eventstore.Append{Begins: begins, Events: []eventstore.Event{genesis}}, change)
	fmt.Println(results[1].Position, err)

	_, err = store.Append(ctx, change) // the citizen is at version 1 now
	fmt.Println(errors.Is(err, eventstore.ErrConflict))

	records, err := store.ReadAll(ctx, 0, 100)
	for _, r := range records {
		fmt.Println(r.Position, r.Type, r.Version)
	}
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// true
	// 0 genesis 1
	// 1 address-changed 1
	// <nil>
}
