package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// What signs people in to the pages is what the pages ask for.
var (
	_ web.SignIn   = (*auth.Provider)(nil)
	_ web.Sessions = (*auth.Sessions)(nil)
	_ web.Chooser  = (*auth.Sandbox)(nil)
)

// signInFlags say how people sign in to the pages.
type signInFlags struct {
	issuer     string
	clientID   string
	secretFile string
	redirect   string
	scopes     []string
	claims     map[string]string
	roles      map[string]string
	strong     []string
	source     string
	idle       time.Duration
	lifetime   time.Duration
}

func (f *signInFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.issuer, "oidc-issuer", "", "the OpenID Connect provider with which people sign in to the pages (a sandbox on loopback has its own)")
	cmd.Flags().StringVar(&f.clientID, "oidc-client-id", "", "this hub's client id at the provider")
	cmd.Flags().StringVar(&f.secretFile, "oidc-client-secret-file", "", "a file that holds the client's secret (without one: a public client)")
	cmd.Flags().StringVar(&f.redirect, "oidc-redirect-url", "", "where the provider sends people back to (default: the public URL with "+auth.CallbackPath+")")
	cmd.Flags().StringSliceVar(&f.scopes, "oidc-scopes", []string{"profile"}, "scopes to ask for beside openid")
	cmd.Flags().StringToStringVar(&f.claims, "oidc-claims", nil, "the claims to read, as subject=sub,reference=sub,role=role,ministry=ministry,name=name")
	cmd.Flags().StringToStringVar(&f.roles, "oidc-roles", nil, "the hub's roles by the provider's, as staff-clerk=clerk (default: by their own names)")
	cmd.Flags().StringSliceVar(&f.strong, "oidc-strong-acr", []string{"2"}, "acr values of a sign-in with two factors, the preferred first")
	cmd.Flags().StringVar(&f.source, "oidc-source", "import", "the source under which residents' references are known")
	cmd.Flags().DurationVar(&f.idle, "session-idle", auth.DefaultIdle, "a sign-in to the pages ends when no page is asked for so long")
	cmd.Flags().DurationVar(&f.lifetime, "session-lifetime", auth.DefaultLifetime, "a sign-in to the pages ends after so long, whatever happens")
}

// check refuses flags that don't fit together.
func (f *signInFlags) check() error {
	switch {
	case f.issuer == "" && (f.clientID != "" || f.secretFile != ""):
		return errors.New("--oidc-client-id needs --oidc-issuer")
	case f.issuer != "" && f.clientID == "":
		return errors.New("--oidc-issuer needs --oidc-client-id")
	case f.idle <= 0 || f.lifetime <= 0:
		return errors.New("--session-idle and --session-lifetime are longer than nothing")
	}
	_, err := f.claimNames()
	if err == nil {
		_, err = f.roleNames()
	}
	return err
}

func (f *signInFlags) claimNames() (names auth.ClaimNames, err error) {
	by := map[string]*string{
		"subject": &names.Subject, "reference": &names.Reference, "role": &names.Role, "ministry": &names.Ministry, "name": &names.Name,
	}
	for name, claim := range f.claims {
		if by[name] == nil {
			return names, fmt.Errorf("--oidc-claims maps subject, reference, role, ministry and name, not %q", name)
		}
		*by[name] = claim
	}
	return names, nil
}

func (f *signInFlags) roleNames() (map[string]journal.Role, error) {
	roles := map[string]journal.Role{}
	for theirs, ours := range f.roles {
		if _, ok := journal.Role(ours).Kind(); !ok {
			return nil, fmt.Errorf("--oidc-roles leads to %q; the hub's roles are %v", ours, journal.Roles())
		}
		roles[theirs] = journal.Role(ours)
	}
	return roles, nil
}

// provider is the configuration of the provider that the flags name; without an issuer it is for a sandbox's own to fill in.
func (f *signInFlags) provider(h *hub) (config auth.OIDCConfig, err error) {
	config = auth.OIDCConfig{
		Issuer: f.issuer, ClientID: f.clientID, RedirectURL: f.redirect, Scopes: f.scopes, StrongACR: f.strong, Source: f.source,
		Citizen: h.loggedIn, Key: h.journal.Digest("sign-in under way"), Clock: time.Now,
	}
	if config.RedirectURL == "" {
		config.RedirectURL = strings.TrimSuffix(h.journal.Genesis().BaseURL, "/") + auth.CallbackPath
	}
	if f.secretFile != "" {
		secret, err := os.ReadFile(f.secretFile) // #nosec G304 -- the operator's own file
		if err != nil {
			return config, fmt.Errorf("--oidc-client-secret-file: %w", err)
		}
		config.ClientSecret = strings.TrimSpace(string(secret))
	}
	if config.Claims, err = f.claimNames(); err != nil {
		return config, err
	}
	config.Roles, err = f.roleNames()
	return config, err
}

// loggedIn is the resident whom a source knows under a reference; uuid.Nil for nobody who is served.
func (h *hub) loggedIn(ctx context.Context, source, reference string) (uuid.UUID, error) {
	ids, err := h.journal.Reference(ctx, source, reference)
	if err != nil || ids[0].IsZero() {
		return uuid.Nil, err
	}
	states, err := h.journal.FreshStates(ctx, ids[0])
	if err != nil || !states[0].Profile.Registered || states[0].Gone != nil {
		return uuid.Nil, err
	}
	return uuid.UUID(ids[0]), nil
}

// signIn fills in how people sign in to the pages: with the provider that is configured, or with a sandbox's own. sandboxIDP is that one, for
// the mux; nil if there is none.
func (a *app) signIn(pages *web.Config) (sandboxIDP *auth.Sandbox, err error) {
	config, err := a.signInFlags.provider(a.hub)
	if err != nil {
		return nil, err
	}
	if a.signInFlags.issuer == "" {
		if a.journal.Genesis().Mode != journal.ModeSandbox {
			return nil, nil
		}
		sandboxIDP, err = auth.NewSandbox(auth.SandboxConfig{Sandbox: true, Address: a.public.Addr().String(), Accounts: accounts(a.serveConfig.personas)})
		if err != nil {
			a.logger.Warn("nobody can sign in to the pages: --listen on loopback for the sandbox's identity provider, or give --oidc-issuer", "error", err)
			return nil, nil //nolint:nilerr // the hub serves without
		}
		config.Source = sandboxSource
		config = sandboxIDP.Configure(config)
		pages.Chooser, pages.Personas = sandboxIDP, a.serveConfig.personas
	}
	provider, err := auth.NewProvider(config)
	if err != nil {
		return nil, err
	}
	sessions, err := auth.NewSessions(auth.SessionsConfig{
		Views: a.store, Key: a.journal.Digest("sessions of the pages"), Idle: a.signInFlags.idle, Lifetime: a.signInFlags.lifetime,
	})
	if err != nil {
		return nil, err
	}
	pages.SignIn, pages.Sessions = provider, sessions
	return sandboxIDP, nil
}

// sandboxSource is the source by which the sandbox's identity provider knows residents: each under their id.
const sandboxSource = "sandbox"

// accounts are the personas as the sandbox's identity provider has them.
func accounts(personas []web.Persona) []auth.Account {
	out := make([]auth.Account, len(personas))
	for i, p := range personas {
		out[i] = auth.Account{ID: p.ID, Subject: p.Actor.ID, Role: p.Role, Name: p.Name, Ministry: p.Actor.Ministry}
	}
	return out
}

// refer lets a resident be found by the sandbox's identity provider. To do it again does no harm.
func (h *hub) refer(ctx context.Context, id citizen.ID) error {
	_, err := journal.NewProtection(h.journal).Refer(ctx, journal.Actor{}, journal.SourceReference{Source: sandboxSource, Reference: id.String()}, id)
	return err
}
