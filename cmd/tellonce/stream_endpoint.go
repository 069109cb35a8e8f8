package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/webhook"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// endpointCommand is a command line about one stream's endpoint.
type endpointCommand struct {
	webhooks   webhookFlags
	url        string
	batch      int
	signature  string
	secretFile string
	unasked    bool // no challenge
	keep       time.Duration
}

func (c *cli) streamEndpoint() *cobra.Command {
	return group("endpoint", "Where a stream is pushed to, beside pull: set, show, remove, rotate-secret",
		c.endpointSet(), c.endpointShow(), c.endpointRemove(), c.endpointRotate())
}

func (c *cli) endpointSet() *cobra.Command {
	var e endpointCommand
	cmd := &cobra.Command{
		Use:   "set STREAM --url https://…",
		Short: "Push a stream to an HTTPS address, once that has answered a challenge",
		Long: `The address first gets a challenge, an event of type tellonce.challenge.v1, and must answer with its text. Then it gets the stream's events from
the first on, signed by Standard Webhooks. The secret that the hub makes is printed this once; --secret-file takes one of the ministry's own.
Who only changes --batch keeps the secret.`,
		Args: exactly(1, "a stream's name; `tellonce stream list` shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if e.url == "" {
				return usageError{errors.New("where to? --url https://…")}
			}
			return c.onEndpoints(cmd.Context(), e.webhooks, func(ctx context.Context, endpoints *webhook.Endpoints) error {
				secret, err := c.secretOf(e.secretFile)
				if err != nil {
					return err
				}
				set := journal.EndpointSet{Stream: args[0], URL: e.url, Batch: e.batch, Signature: e.signature}
				verifier, err := endpoints.Set(ctx, terminalActor, journal.CommandID{}, set, secret, !e.unasked)
				if err != nil {
					return err
				}
				object := map[string]any{"stream": set.Stream, "url": set.URL, "batch": set.Batch, "signature": set.Signature}
				text := fmt.Sprintf("%s is pushed to %s.", set.Stream, set.URL)
				return c.emitVerifier(object, text, set.Signature, verifier)
			})
		},
	}
	e.webhooks.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&e.url, "url", "", "the address; it stands on the log: put no secret into it")
	f.IntVar(&e.batch, "batch", 1, fmt.Sprintf("most events of a request, 1 to %d; 1: one event, no batch", delivery.MaxBatch))
	f.StringVar(&e.signature, "signature", journal.SignatureHMAC, "v1: HMAC-SHA256; v1a: Ed25519")
	f.BoolVar(&e.unasked, "no-challenge", false, "leave the challenge out; in a sandbox only")
	e.secretFlag(cmd)
	return cmd
}

func (e *endpointCommand) secretFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&e.secretFile, "secret-file", "", "a file with the ministry's own secret, whsec_… (- for stdin; default: the hub makes one)")
}

func (c *cli) endpointShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show STREAM",
		Short: "Show where a stream is pushed to; never a secret",
		Args:  exactly(1, "a stream's name; `tellonce stream list` shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onEndpoints(cmd.Context(), webhookFlags{}, func(ctx context.Context, endpoints *webhook.Endpoints) error {
				e, public, err := endpoints.Show(ctx, terminalActor, args[0])
				if err != nil {
					return err
				}
				object, text := map[string]any{"stream": args[0]}, args[0]+" is pushed to no endpoint."
				if e != nil {
					object["url"], object["batch"], object["signature"] = e.URL, e.Batch, e.Signature
					text = fmt.Sprintf("%s is pushed to %s, at most %d events a request, signed by %s.", e.Stream, e.URL, e.Batch, e.Signature)
				}
				if len(public) > 0 {
					object["public_keys"] = public
					text += "\nPublic keys: " + strings.Join(public, " ")
				}
				return c.emitOne(object, text)
			})
		},
	}
}

func (c *cli) endpointRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove STREAM",
		Short: "End the push of a stream, and its secret; it can be read as before",
		Args:  exactly(1, "a stream's name; `tellonce stream list` shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onEndpoints(cmd.Context(), webhookFlags{}, func(ctx context.Context, endpoints *webhook.Endpoints) error {
				if err := endpoints.Remove(ctx, terminalActor, journal.CommandID{}, args[0]); err != nil {
					return err
				}
				return c.emitOne(map[string]any{"stream": args[0], "removed": true}, args[0]+" is pushed nowhere. What had left before may still arrive for 10 s.")
			})
		},
	}
}

func (c *cli) endpointRotate() *cobra.Command {
	var e endpointCommand
	cmd := &cobra.Command{
		Use:   "rotate-secret STREAM",
		Short: "Change the secret by which an endpoint's events are signed; the former one stays valid for a while",
		Args:  exactly(1, "a stream's name; `tellonce stream list` shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onEndpoints(cmd.Context(), webhookFlags{}, func(ctx context.Context, endpoints *webhook.Endpoints) error {
				secret, err := c.secretOf(e.secretFile)
				if err != nil {
					return err
				}
				verifier, until, err := endpoints.Rotate(ctx, terminalActor, journal.CommandID{}, args[0], e.keep, secret)
				if err != nil {
					return err
				}
				set, _, err := endpoints.Show(ctx, terminalActor, args[0])
				if err != nil || set == nil {
					return err
				}
				object, text := map[string]any{"stream": args[0]}, "The former secret has ended."
				if !until.IsZero() {
					object["former_until"] = until.UTC().Format(time.RFC3339)
					text = "The former secret stays valid until " + until.UTC().Format(time.RFC3339) + ": till then every request carries both signatures."
				}
				return c.emitVerifier(object, text, set.Signature, verifier)
			})
		},
	}
	cmd.Flags().DurationVar(&e.keep, "keep", webhook.DefaultKeep, "how long the former secret stays valid, at most 720h")
	e.secretFlag(cmd)
	return cmd
}

// terminalActor is whoever has the log and its keys.
var terminalActor = journal.Actor{Kind: journal.ActorOperator, Role: journal.RoleOperator, ID: "command line"}

// onEndpoints opens the hub for one command about endpoints.
func (c *cli) onEndpoints(ctx context.Context, w webhookFlags, fn func(context.Context, *webhook.Endpoints) error) error {
	h, err := openHub(ctx, &c.config, c.logger())
	if err != nil {
		return err
	}
	defer h.Close()
	client, err := h.openWebhooks(w, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	return explainEndpoint(fn(ctx, h.endpoints(client)))
}

func explainEndpoint(err error) error {
	var fault *delivery.EndpointError
	if errors.As(err, &fault) {
		return usageError{fmt.Errorf("--%s %s", fault.Member, fault.Detail)}
	}
	return explainRead(err)
}

// secretOf reads a secret's file, if one is named. A secret is no argument: others see those.
func (c *cli) secretOf(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	in, _, err := c.input(name)
	if err != nil {
		return "", err
	}
	defer in.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(in, 1<<10))
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", usageError{errors.New("the secret's file is empty")}
	}
	return secret, nil
}

// emitVerifier prints what the ministry verifies with from now on.
func (c *cli) emitVerifier(object map[string]any, text, signature, verifier string) error {
	switch {
	case verifier == "":
		text += "\nIts secret is the one it had."
	case signature == journal.SignatureEd25519:
		object["public_key"] = verifier
		text += "\nPublic key: " + verifier
	default:
		object["secret"] = verifier
		text += "\nSecret, shown this once: " + verifier
	}
	return c.emitOne(object, text)
}

// emitOne writes one object.
func (c *cli) emitOne(object map[string]any, text string) error {
	out := c.lines()
	if err := out.emit(object, text); err != nil {
		return err
	}
	return out.flush()
}
