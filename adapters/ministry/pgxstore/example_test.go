package pgxstore_test

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tellonce/hub/adapters/ministry"
	"github.com/tellonce/hub/adapters/ministry/pgxstore"
)

// A ministry's own tables and the event's number change in one transaction: whatever crashes, an event counts once.
func Example() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	store, err := pgxstore.Open(ctx, pool)
	if err != nil {
		log.Fatal(err)
	}
	handler := ministry.HandlerFunc(func(ctx context.Context, e ministry.Event) error {
		if !e.HasValues() {
			return nil
		}
		var data struct {
			City   string `json:"city"`
			Client string `json:"client_reference"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return ministry.Reject("not as the agreement says")
		}
		tag, err := pgxstore.Tx(ctx).Exec(ctx, `update clients set city = $1 where reference = $2`, data.City, data.Client)
		if err == nil && tag.RowsAffected() == 0 {
			return ministry.Reject("no such client")
		}
		return err
	})
	client, err := ministry.NewClient(ministry.ClientConfig{URL: "https://hub.example.ca", Token: ministry.TokenFile("token")})
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := ministry.New(ministry.Config{Stream: "moh.health-card", Store: store, Handler: handler, Client: client})
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Run(ctx, ministry.Live()); err != nil {
		log.Fatal(err)
	}
}
