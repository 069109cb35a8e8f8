package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/adapters/keys"
	"github.com/tellonce/hub/domain/journal"
)

func (c *cli) tokenCommand() *cobra.Command {
	return group("token", "Tokens for the API", c.tokenIssue())
}

// tokenRequest is what `token issue` is asked for.
type tokenRequest struct {
	role     string
	person   string
	source   string
	ministry string
	days     int
	acr      int
}

func (c *cli) tokenIssue() *cobra.Command {
	var r tokenRequest
	cmd := &cobra.Command{
		Use:   "issue --role ROLE",
		Short: "Print a signed token, alone on stdout",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.check(); err != nil {
				return usageError{err}
			}
			h, err := openHub(cmd.Context(), &c.config, c.logger())
			if err != nil {
				return err
			}
			defer h.Close()
			actor, err := h.actor(cmd.Context(), r)
			if err != nil {
				return err
			}
			token, err := h.token(actor, time.Duration(r.days)*24*time.Hour)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.out, token)
			return err
		},
	}
	cmd.Flags().StringVar(&r.role, "role", "", "citizen, clerk, ministry, officer, protector, auditor, registrar or operator")
	cmd.Flags().StringVar(&r.person, "person", "", "the source's reference of the citizen, or the name of the person in office")
	cmd.Flags().StringVar(&r.source, "source", "import", "the source that knows the citizen under --person")
	cmd.Flags().StringVar(&r.ministry, "ministry", "", "the ministry's id")
	cmd.Flags().IntVar(&r.acr, "acr", 2, "how the bearer proved who they are: 1 with one factor, 2 with two")
	cmd.Flags().IntVar(&r.days, "days", 1, "how long it is valid, 1 to 366")
	return cmd
}

func (r tokenRequest) check() error {
	_, known := journal.Role(r.role).Kind()
	switch {
	case !known:
		return fmt.Errorf("--role must be one of %v", journal.Roles())
	case r.role == string(journal.RoleCitizen) && r.person == "":
		return errors.New("a citizen's token needs --person, the source's reference")
	case r.role == string(journal.RoleMinistry) && r.ministry == "":
		return errors.New("a ministry's token needs --ministry")
	case r.acr != 1 && r.acr != 2:
		return errors.New("--acr is 1 or 2")
	case r.days < 1 || r.days > 366:
		return errors.New("--days must be 1 to 366")
	}
	return nil
}

// actor is who the token will speak for.
func (h *hub) actor(ctx context.Context, r tokenRequest) (journal.Actor, error) {
	role := journal.Role(r.role)
	kind, _ := role.Kind()
	a := journal.Actor{Kind: kind, Role: role, Source: r.source, ID: r.person, ACR: r.acr}
	switch role {
	case journal.RoleCitizen:
		ids, err := h.journal.Reference(ctx, r.source, r.person)
		if err != nil {
			return a, err
		}
		if ids[0].IsZero() {
			return a, fmt.Errorf("the source %s knows nobody under that reference; import or register the person first", r.source)
		}
		a.Citizen, a.ID = uuid.UUID(ids[0]), ids[0].String()
	case journal.RoleMinistry:
		law, err := h.journal.FreshLaw(ctx)
		if err != nil {
			return a, err
		}
		if !law.Book.HasMinistry(r.ministry) {
			return a, fmt.Errorf("no approved agreement names the ministry %q; `tellonce agreement list` shows them", r.ministry)
		}
		a.Ministry, a.ID = r.ministry, r.ministry
	default:
		if a.ID == "" {
			a.ID = r.role
		}
	}
	return a, nil
}

// openTokens reads the key that signs tokens.
func (h *hub) openTokens(genesis journal.Genesis) error {
	key, err := keys.TokenKey(h.config.keysDir())
	if err != nil {
		return err
	}
	if h.tokens, err = auth.NewIssuer(key, genesis.BaseURL); err != nil {
		return err
	}
	public, _ := key.Public().(ed25519.PublicKey)
	h.verifier, err = auth.NewVerifier(genesis.BaseURL, public)
	return err
}

// token is a signed token that speaks for an actor, valid from now.
func (h *hub) token(actor journal.Actor, valid time.Duration) (string, error) {
	now := time.Now()
	claims := auth.Claims{Role: actor.Role, Subject: actor.ID, Ministry: actor.Ministry, Source: actor.Source, ACR: actor.ACR, Issued: now, Expires: now.Add(valid)}
	if actor.Role == journal.RoleMinistry {
		claims.Subject = ""
	}
	return h.tokens.Issue(claims)
}
