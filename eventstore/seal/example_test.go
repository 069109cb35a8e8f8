package seal_test

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
)

// A payload is sealed under the key of its citizen and class, prints as [sealed], opens unchanged, and is gone with its key.
func Example() {
	ctx := context.Background()
	wrapper, err := sealtest.NewWrapper(1) // in the hub: a file, or an HSM
	if err != nil {
		fmt.Println(err)
		return
	}
	store, logID := &sealtest.Memory{}, uuid.New() // in the hub: SQLite or PostgreSQL
	keyring, err := seal.NewKeyring(ctx, seal.Config{Store: store, Wrapper: wrapper, LogID: logID})
	if err != nil {
		fmt.Println(err)
		return
	}
	citizens, err := keyring.Register(ctx, "import", []string{"R-17"})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := eventstore.Event{ID: uuid.New(), Type: "name-changed", Schema: 1, Subject: citizens[0], Class: eventstore.Facts}
	if err := keyring.Seal(ctx, &e, seal.Plaintext(`{"family_name":"Roy"}`)); err != nil {
		fmt.Println(err)
		return
	}
	plain, err := keyring.Open(ctx, &eventstore.Recorded{Event: e})
	fmt.Printf("%s %v\n", plain, err)
	fmt.Println(string(plain))

	store.Destroy(seal.KeyID{Subject: citizens[0], Class: eventstore.Facts})
	later, err := seal.NewKeyring(ctx, seal.Config{Store: store, Wrapper: wrapper, LogID: logID})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = later.Open(ctx, &eventstore.Recorded{Event: e})
	fmt.Println(err)
	// Output:
	// [sealed] <nil>
	// {"family_name":"Roy"}
	// seal: the key was destroyed (position 0, name-changed)
}
