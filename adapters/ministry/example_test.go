package ministry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/tellonce/hub/adapters/ministry"
	"github.com/tellonce/hub/adapters/ministry/sqlitestore"
)

// sandbox is a hub with three events about one invented person, for the examples, and a folder for what they keep.
func sandbox() (url, token, folder string, done func()) {
	hub := startFakeHub([][]byte{
		given(0, 1, ministry.KindFact, map[string]any{"data": map[string]any{"city": "Kenroa", "kind": "mailing", "client_reference": "C-17"}}),
		given(0, 2, ministry.KindRecalled, nil),
		given(0, 3, ministry.KindCorrection, map[string]any{
			"corrects": "1.0.1", "data": map[string]any{"city": "Kenora", "kind": "mailing", "client_reference": "C-17"},
		}),
	})
	folder, err := os.MkdirTemp("", "tellonce-example-")
	if err != nil {
		log.Fatal(err)
	}
	token = filepath.Join(folder, "token")
	if err := os.WriteFile(token, []byte("secret-token\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	return hub.URL, token, folder, func() {
		hub.Close()
		_ = os.RemoveAll(folder)
	}
}

// A program for cron: it applies what is new, answers, and ends. Its numbers stand in a file, together with its state.
func Example() {
	url, token, folder, done := sandbox()
	defer done()
	ctx := context.Background()

	cities := map[string]string{} // by client; stored with the numbers
	store, err := ministry.OpenFile(filepath.Join(folder, "numbers.json"), &cities)
	if err != nil {
		log.Fatal(err)
	}
	handler := ministry.HandlerFunc(func(_ context.Context, e ministry.Event) error {
		if !e.HasValues() {
			return nil // what was recalled, ended or erased: a real program does something about it
		}
		var data struct {
			City   string `json:"city"`
			Client string `json:"client_reference"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return ministry.Reject("not as the agreement says")
		}
		cities[data.Client] = data.City
		return nil
	})
	client, err := ministry.NewClient(ministry.ClientConfig{URL: url, Token: ministry.TokenFile(token)})
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := ministry.New(ministry.Config{Stream: "moh.health-card", Store: store, Handler: handler, Client: client})
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Run(ctx, ministry.Pull(ministry.PullConfig{Once: true})); err != nil {
		log.Fatal(err)
	}
	last, err := consumer.Last(ctx, 0)
	fmt.Println(cities["C-17"], last, err)
	// Output: Kenora 1.0.3 <nil>
}

// Who only wants to know what holds needs no handler of their own.
func ExampleTable() {
	url, token, folder, done := sandbox()
	defer done()
	ctx := context.Background()

	store, err := sqlitestore.Open(ctx, filepath.Join(folder, "table.sqlite"), "moh.health-card")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // an example's
	client, err := ministry.NewClient(ministry.ClientConfig{URL: url, Token: ministry.TokenFile(token)})
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := ministry.New(ministry.Config{
		Stream: "moh.health-card", Store: store, Handler: ministry.Table{Records: store}, Client: client,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Run(ctx, ministry.Pull(ministry.PullConfig{Once: true})); err != nil {
		log.Fatal(err)
	}
	values, err := store.Values(ctx, "v1.person")
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range ministry.Current(values, "2026-12-01") {
		fmt.Println(v.Type, v.Key, v.Effective, string(v.Fields))
	}
	// Output: address-changed mailing 2026-04-01 {"city":"Kenora","client_reference":"C-17","kind":"mailing"}
}

// A payments platform subscribes like any ministry: it keeps where cheques go, and pays nobody whom it does not know.
func ExampleReject() {
	url, token, folder, done := sandbox()
	defer done()

	payees := map[string]string{"C-99": "Ottawa"} // where each payee's cheques go
	store, err := ministry.OpenFile(filepath.Join(folder, "payees.json"), &payees)
	if err != nil {
		log.Fatal(err)
	}
	handler := ministry.HandlerFunc(func(_ context.Context, e ministry.Event) error {
		if !e.HasValues() {
			return nil
		}
		var data struct {
			City  string `json:"city"`
			Payee string `json:"client_reference"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return ministry.Reject("not as the agreement says")
		}
		if _, known := payees[data.Payee]; !known {
			return ministry.Reject("no such payee")
		}
		payees[data.Payee] = data.City
		return nil
	})
	client, err := ministry.NewClient(ministry.ClientConfig{URL: url, Token: ministry.TokenFile(token)})
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := ministry.New(ministry.Config{
		Stream: "moh.health-card", Store: store, Handler: handler, Client: client, Receipts: printed{},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Run(context.Background(), ministry.Pull(ministry.PullConfig{Once: true})); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1.0.1 to 1.0.1 rejected no such payee
	// 1.0.2 to 1.0.2 applied
	// 1.0.3 to 1.0.3 rejected no such payee
}

// printed shows receipts in the place of a hub.
type printed struct{}

func (printed) Send(_ context.Context, _, _ string, receipts []ministry.Receipt) error {
	for _, r := range receipts {
		fmt.Println(strings.TrimSpace(fmt.Sprint(r.From, " to ", r.To, " ", r.Status, " ", r.Reason)))
	}
	return nil
}

// An endpoint of a webhook. The client fetches what the hub holds back or has parked, and takes the receipts.
func ExampleConsumer_Webhook() {
	url, token, folder, done := sandbox()
	defer done()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	store, err := ministry.OpenFile(filepath.Join(folder, "numbers.json"), nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := ministry.NewClient(ministry.ClientConfig{URL: url, Token: ministry.TokenFile(token)})
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := ministry.New(ministry.Config{
		Stream: "moh.health-card", Store: store, Client: client,
		Handler: ministry.HandlerFunc(func(_ context.Context, e ministry.Event) error { fmt.Println(e); return nil }),
	})
	if err != nil {
		log.Fatal(err)
	}
	hook, err := consumer.Webhook(ministry.WebhookConfig{Secrets: ministry.SecretsFile(filepath.Join(folder, "secrets"))})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(hook) // http.ListenAndServeTLS in earnest
	defer server.Close()
	go func() {
		if err := consumer.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			log.Print(err)
		}
	}()

	// Nobody has a secret yet, so what is not signed is refused.
	answer, err := http.Post(server.URL, "application/cloudevents+json", nil) //nolint:noctx // an example's
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.StatusCode, answer.Body.Close())
	// Output: 401 <nil>
}

// Kafka, through a Watermill subscriber on whatever library: here one without a broker.
func ExampleSubscribe() {
	_, _, folder, done := sandbox()
	defer done()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	subscriber := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})

	store, err := ministry.OpenFile(filepath.Join(folder, "numbers.json"), nil)
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := ministry.New(ministry.Config{
		Stream: "moh.health-card", Store: store,
		Receipts: ministry.PublishReceipts(subscriber), // topic tellonce.moh.health-card.receipts
		Handler: ministry.HandlerFunc(func(_ context.Context, e ministry.Event) error {
			fmt.Println(e)
			stop() // an example ends
			return nil
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	record := message.NewMessage("1.0.1", message.Payload(`{"city":"Kenora"}`)) // as the hub writes it
	record.Metadata = message.Metadata{
		"ce_specversion": "1.0", "ce_id": "1.0.1", "ce_source": "https://tellonce.example/streams/moh.health-card",
		"ce_type": "tellonce.address-changed.v1", "ce_subject": "v1.person", "ce_kind": "fact", "ce_sequence": "000000000001", "ce_effective": "2026-04-01",
	}
	if err := subscriber.Publish("tellonce.moh.health-card", record); err != nil {
		log.Fatal(err)
	}
	fmt.Println(consumer.Run(ctx, ministry.Subscribe(subscriber)))
	// Output:
	// event 1.0.1 (fact)
	// <nil>
}
