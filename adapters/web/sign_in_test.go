package web_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/domain/journal"
)

// provide puts the sandbox's identity provider beside the pages: its accounts are the personas.
func (p *pages) provide(t *testing.T, mux *http.ServeMux) {
	t.Helper()
	config := auth.SandboxConfig{Sandbox: true, Address: p.server.Listener.Addr().String(), Clock: p.clock.Now}
	for _, one := range p.config.Personas {
		config.Accounts = append(config.Accounts, auth.Account{
			ID: one.ID, Subject: one.Actor.ID, Role: one.Role, Name: one.Name, Ministry: one.Actor.Ministry,
		})
	}
	idp, err := auth.NewSandbox(config)
	require.NoError(t, err)
	mux.Handle(auth.SandboxPath+"/", idp)
	provider, err := auth.NewProvider(idp.Configure(auth.OIDCConfig{
		Clock:  p.clock.Now,
		Source: "sandbox",
		Citizen: func(_ context.Context, _, reference string) (uuid.UUID, error) {
			for _, one := range p.config.Personas {
				if one.Role == journal.RoleCitizen && one.Actor.ID == reference {
					return one.Actor.Citizen, nil
				}
			}
			return uuid.Nil, nil
		},
	}))
	require.NoError(t, err)
	p.config.SignIn, p.config.Chooser = provider, idp
}
