package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/kafka"
	"github.com/tellonce/hub/domain/journal"
)

// provisionFlags are what `stream provision` alone takes.
type provisionFlags struct {
	kafka        kafkaFlags
	hub          userFlags
	ministry     userFlags
	dryRun       bool
	patience     time.Duration
	ministryName string // whose streams are meant, if there is a user of the ministry's
}

// userFlags name a user, and the file of the password that they get.
type userFlags struct{ name, passwordFile string }

func (u userFlags) user() (kafka.User, error) {
	user := kafka.User{Name: u.name}
	if u.passwordFile == "" {
		return user, nil
	}
	if u.name == "" {
		return user, usageError{errors.New("a password's file needs its user: --ministry-user or --hub-user")}
	}
	var err error
	user.Password, err = kafka.ReadPassword(u.passwordFile)
	return user, err
}

func (c *cli) streamProvision() *cobra.Command {
	var p provisionFlags
	cmd := &cobra.Command{
		Use:   "provision [STREAM…] --kafka HOST:PORT",
		Short: "Make what streams need on Kafka: topics, users, rights; again and again without harm",
		Long: `Makes, for each stream (default: all), its topic, that of its receipts and the side topic for replays; and, for the users that are named,
their passwords and their rights: the hub writes and reads all streams, the ministry reads its own and writes its receipts. What is there
already is left alone, but a password is set again. Log in as somebody who may do so; the hub itself need not be.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(p.kafka.brokers) == 0 {
				return usageError{errors.New("where? --kafka HOST:PORT names the brokers")}
			}
			h, err := openHub(cmd.Context(), &c.config, c.logger())
			if err != nil {
				return err
			}
			defer h.Close()
			return c.provision(cmd.Context(), h, p, args)
		},
	}
	p.kafka.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&p.ministry.name, "ministry-user", "", "the ministry's user, or its certificate's name such as CN=moh, who may read the streams and answer")
	f.StringVar(&p.ministry.passwordFile, "password-file", "", "the file of the password that the ministry's user gets")
	f.StringVar(&p.hub.name, "hub-user", "", "the hub's own user, or its certificate's name, who may write all streams")
	f.StringVar(&p.hub.passwordFile, "hub-password-file", "", "the file of the password that the hub's user gets")
	f.BoolVar(&p.dryRun, "dry-run", false, "change nothing, say what would be done")
	f.DurationVar(&p.patience, "patience", 30*time.Second, "how long to wait for brokers that don't answer")
	return cmd
}

func (c *cli) provision(ctx context.Context, h *hub, p provisionFlags, names []string) error {
	plans, err := p.plans(ctx, h, names)
	if err != nil {
		return err
	}
	client, err := p.kafka.open(ctx, c.logger(), nil)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // what was done is done
	ctx, cancel := context.WithTimeoutCause(ctx, p.patience, fmt.Errorf("the brokers did not answer as they should within %s", p.patience))
	defer cancel()
	out := c.lines()
	for _, plan := range plans {
		err := client.Provision(ctx, plan, func(s kafka.Step) {
			_ = out.emit(
				map[string]any{"stream": plan.Stream, "what": s.What, "name": s.Name, "result": s.Result},
				fmt.Sprintf("%-20s %-5s %s", s.Result, s.What, s.Name),
			)
		})
		if err := errors.Join(err, out.flush()); err != nil {
			return err
		}
	}
	return nil
}

// plans are what the chosen streams need, all streams if none is named.
func (p *provisionFlags) plans(ctx context.Context, h *hub, names []string) ([]kafka.Provision, error) {
	reader, err := p.ministry.user()
	if err != nil {
		return nil, err
	}
	writer, err := p.hub.user()
	if err != nil {
		return nil, err
	}
	law, err := h.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		for name := range law.Streams {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	var plans []kafka.Provision
	for _, name := range names {
		stream, ok := law.Streams[name]
		if !ok {
			return nil, fmt.Errorf("there is no stream %s; `tellonce stream list` shows them", name)
		}
		if err := p.same(stream); err != nil {
			return nil, err
		}
		plans = append(plans, kafka.Provision{
			Stream: name, Lanes: stream.Lanes, Ministry: stream.Ministry, Hub: writer, Reader: reader, DryRun: p.dryRun,
		})
	}
	return plans, nil
}

// same refuses to give one ministry's user the streams of another.
func (p *provisionFlags) same(stream journal.StreamOpened) error {
	if p.ministry.name == "" {
		return nil
	}
	if p.ministryName == "" {
		p.ministryName = stream.Ministry
	}
	if stream.Ministry != p.ministryName {
		return usageError{fmt.Errorf("%s would get streams of %s and of %s: name the streams of one ministry", p.ministry.name, p.ministryName, stream.Ministry)}
	}
	return nil
}
