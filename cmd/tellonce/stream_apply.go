package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/kafka"
	"github.com/tellonce/hub/adapters/ministry"
	"github.com/tellonce/hub/adapters/ministry/sqlitestore"
)

// follower is what `stream follow` takes. It is a ministry's program: it opens no log, and knows of the hub what its API says.
type follower struct {
	stream     string
	apply      string
	url        string
	tokenFile  string
	live       bool
	once       bool
	noReceipts bool
	kafka      kafkaFlags
	group      string
}

func (c *cli) streamFollow() *cobra.Command {
	var f follower
	cmd := &cobra.Command{
		Use:   "follow STREAM --apply FILE --url URL --token-file FILE",
		Short: "Follow a stream as its ministry, and keep a table of what holds in a SQLite file",
		Long: `Reads a stream with the ministry's own token, over the API or from Kafka, applies each event to a table in a SQLite file, and answers what
became of it. It may be killed at any moment and started again: each number counts once. The view current_values has what holds today.`,
		Args: exactly(1, "a stream's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.stream = args[0]
			if err := f.check(); err != nil {
				return err
			}
			return c.follow(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.apply, "apply", "", "the SQLite file; it is made if it is missing")
	flags.StringVar(&f.url, "url", "", "the hub's address")
	flags.StringVar(&f.tokenFile, "token-file", "", "the file of the ministry's token")
	flags.BoolVar(&f.live, "live", false, "by server-sent events instead of long polling")
	flags.BoolVar(&f.once, "once", false, "end when everything that there is has been applied (for cron)")
	flags.BoolVar(&f.noReceipts, "no-receipts", false, "answer nothing")
	f.kafka.flags(cmd)
	flags.StringVar(&f.group, "group", "follow", "with --kafka: the consumer group's name, before a dot and the topic's")
	return cmd
}

func (f *follower) check() error {
	overKafka := len(f.kafka.brokers) > 0
	switch {
	case f.apply == "":
		return usageError{errors.New("where to? --apply FILE names the SQLite file; `tellonce stream read STREAM --follow` only prints")}
	case f.url == "" && !overKafka:
		return usageError{errors.New("where from? --url URL is the hub's address, or --kafka HOST:PORT the brokers")}
	case (f.url == "") != (f.tokenFile == ""):
		return usageError{errors.New("--url and --token-file belong together")}
	case overKafka && (f.live || f.once):
		return usageError{errors.New("--live and --once are of the API, not of --kafka")}
	case f.live && f.once:
		return usageError{errors.New("--live never ends: leave it out with --once")}
	}
	return nil
}

func (c *cli) follow(ctx context.Context, f follower) error {
	store, err := sqlitestore.Open(ctx, f.apply, f.stream)
	if err != nil {
		return err
	}
	err = c.followInto(ctx, f, store)
	if err == nil {
		err = c.summary(context.WithoutCancel(ctx), f, store)
	}
	return errors.Join(explainFollow(err), store.Close())
}

func (c *cli) followInto(ctx context.Context, f follower, store *sqlitestore.Store) error {
	config := ministry.Config{Stream: f.stream, Store: store, Handler: ministry.Table{Records: store}, Logger: c.logger()}
	if f.url != "" {
		client, err := ministry.NewClient(ministry.ClientConfig{URL: f.url, Token: ministry.TokenFile(f.tokenFile)})
		if err != nil {
			return usageError{err}
		}
		config.Client = client
	}
	if f.noReceipts {
		config.Receipts = ministry.NoReceipts
	}
	consumer, err := ministry.New(config)
	if err != nil {
		return err
	}
	if len(f.kafka.brokers) > 0 {
		return c.followKafka(ctx, f, consumer)
	}
	if f.live {
		return consumer.Run(ctx, ministry.Live())
	}
	return consumer.Run(ctx, ministry.Pull(ministry.PullConfig{Once: f.once}))
}

func (c *cli) followKafka(ctx context.Context, f follower, consumer *ministry.Consumer) error {
	client, err := f.kafka.open(ctx, c.logger(), nil)
	if err != nil {
		return err
	}
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{Client: client, Group: f.group})
	if err == nil {
		err = errors.Join(consumer.Run(ctx, ministry.Subscribe(subscriber)), subscriber.Close())
	}
	return errors.Join(err, client.Close())
}

// summary says how far each lane is and how much holds.
func (c *cli) summary(ctx context.Context, f follower, store *sqlitestore.Store) error {
	cursors, values, err := store.Status(ctx)
	if err != nil {
		return err
	}
	last := make([]string, len(cursors))
	for i, cursor := range cursors {
		last[i] = cursor.String()
	}
	out := c.lines()
	object := map[string]any{"stream": f.stream, "last": last, "values": values}
	if err := out.emit(object, fmt.Sprintf("%s: applied up to %v; %d values stand", f.stream, last, values)); err != nil {
		return err
	}
	return out.flush()
}

func explainFollow(err error) error {
	switch {
	case errors.Is(err, ministry.ErrUnknownCursor):
		return fmt.Errorf("%w; the file is of another log, or the log was restored: ask the operator, or begin with a new file", err)
	case errors.Is(err, ministry.ErrGeneration):
		return fmt.Errorf("%w; begin with a new file", err)
	}
	return err
}
