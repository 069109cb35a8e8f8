// Command tellonce is the hub: a resident tells government once, every ministry that may know, knows, and anyone can prove it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of every command.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitVerification = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], standardStreams()))
}

// run executes one command line and returns its exit code. stdout carries data only.
func run(ctx context.Context, args []string, io streams) int {
	root := newRoot(io)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(io.err, "tellonce: %s\n", explain(err))
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	var verification verificationError
	if errors.As(err, &verification) {
		return exitVerification
	}
	return exitFailure
}

// usageError is a command line that can't be understood.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// newRoot is the command tree.
func newRoot(io streams) *cobra.Command {
	c := &cli{streams: io}
	root := &cobra.Command{
		Use:           "tellonce",
		Short:         "A resident tells government once; every ministry that may know, knows; nobody else does; anyone can prove it.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSubcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return c.config.complete(cmd)
		},
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	c.config.flags(root.PersistentFlags())
	root.AddCommand(
		c.initCommand(), c.demoCommand(), c.serveCommand(), c.agreementCommand(), c.importCommand(), c.auditCommand(), c.streamCommand(),
		c.snapshotCommand(), c.tokenCommand(), c.keysCommand(), c.migrateCommand(), c.rebuildCommand(), c.benchCommand(), c.versionCommand(),
	)
	return root
}

// cli is what every command shares.
type cli struct {
	streams
	config config
}

// group is a command that only holds others: an unknown one is a usage error.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: noSubcommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	g.AddCommand(commands...)
	return g
}

func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown command %q; see `%s --help`", args[0], cmd.CommandPath())}
	}
	return nil
}

// exactly is cobra.ExactArgs with a usage error that says what is missing.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s takes %s; see `%s --help`", cmd.CommandPath(), what, cmd.CommandPath())}
		}
		return nil
	}
}
