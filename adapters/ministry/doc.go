// Package ministry is what a ministry imports to follow its stream: every fact once in effect, in order, whatever crashes.
//
// A [Handler] gets one event at a time. A [Consumer] brings them to it from wherever they come: long polling ([Pull]), server-sent events
// ([Live]), Kafka ([Subscribe]) or a webhook ([Consumer.Webhook]), alone or side by side. It stores the number of the last event together
// with the state that the event led to (a [Store]: of its own transaction with package pgxstore or sqlitestore, or a file), so an event that
// comes again is dropped, and one that comes too early halts its lane until those between have been fetched.
//
// What Handle returns is the ministry's answer: nil is "applied", [Reject] is "rejected" with its reason, and any other error means that the
// event is not dealt with: it is tried again, and nothing after it is touched meanwhile.
//
//	client, err := ministry.NewClient(ministry.ClientConfig{URL: "https://hub.example.ca", Token: ministry.TokenFile("token")})
//	…
//	consumer, err := ministry.New(ministry.Config{Stream: "moh.health-card", Store: store, Handler: handler, Client: client})
//	…
//	err = consumer.Run(ctx, ministry.Pull(ministry.PullConfig{}))
//
// Who only wants to know what holds now uses a [Table] as handler: it applies what is told, corrected, retracted, erased and joined to a table
// of values, and [Current] says which of them hold on a day.
//
// Events hold personal data. Nothing in this package logs them or puts them into an error; an [Event] prints as its cursor and kind.
package ministry
