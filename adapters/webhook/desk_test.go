package webhook

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/keys"
	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/schemas"
)

// desk is Endpoints on a real log and a real keys directory, with an endpoint that echoes its challenges.
type desk struct {
	*Endpoints
	*bundle
	dir string
	now time.Time
}

var (
	operator = journal.Actor{Kind: journal.ActorOperator, Role: journal.RoleOperator, ID: "operator-1"}
	moh      = journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: "moh", Ministry: "moh"}
)

func newDesk(t *testing.T, handler http.HandlerFunc) *desk {
	t.Helper()
	d := &desk{dir: t.TempDir(), now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)}
	d.bundle = setup(t, handler)
	d.Endpoints = deskOn(t, d.dir, d.bundle.client, func() time.Time { return d.now })
	return d
}

func deskOn(t testing.TB, dir string, client *Client, clock func() time.Time) *Endpoints {
	t.Helper()
	ctx, j := context.Background(), journaltest.New(t, journaltest.Options{})
	files, err := filepath.Glob("../httpapi/testdata/agreements/*.yaml")
	require.NoError(t, err)
	agreements := make([]consent.Agreement, len(files))
	for i, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		agreements[i], err = schemas.ParseAgreement(name, text, j.Registry())
		require.NoError(t, err)
	}
	_, err = command.New(j).LoadAgreements(ctx, command.Command{Actor: operator}, agreements)
	require.NoError(t, err)
	vault := keys.Endpoints(dir)
	client.config.Secrets = vault
	return &Endpoints{Delivery: delivery.New(j), Client: client, Vault: vault, BaseURL: j.Genesis().BaseURL, Clock: clock}
}

func key() journal.CommandID { return journal.CommandID{Issuer: "moh", ID: uuid.NewString()} }

func (d *desk) wanted() journal.EndpointSet {
	return journal.EndpointSet{Stream: health, URL: d.server.URL + "/hook"}
}

func (d *desk) set(t *testing.T, command journal.CommandID, e journal.EndpointSet, given string) string {
	t.Helper()
	verifier, err := d.Set(context.Background(), moh, command, e, given, true)
	require.NoError(t, err)
	return verifier
}

func (d *desk) files(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(d.dir, "endpoints"))
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		out = append(out, e.Name())
	}
	return out
}

// age makes all secrets look old, so that a sweep takes what is not in use.
func (d *desk) age(t *testing.T) {
	t.Helper()
	for _, name := range d.files(t) {
		old := d.now.Add(-2 * abandoned)
		require.NoError(t, os.Chtimes(filepath.Join(d.dir, "endpoints", name), old, old))
	}
}

func (d *desk) current(t *testing.T) journal.EndpointSet {
	t.Helper()
	e, _, err := d.Show(context.Background(), moh, health)
	require.NoError(t, err)
	require.NotNil(t, e)
	return *e
}

func verifies(t *testing.T, secret string, r received) bool {
	t.Helper()
	judge, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	return judge.VerifyIgnoringTimestamp(r.body, r.header) == nil
}

// echo answers challenges, and takes every event.
func echo(b *bundle) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, challengeOf(b)) }
}

// challengeOf is the text of the last request's challenge.
func challengeOf(b *bundle) string {
	seen := b.seen()
	var event challenge
	_ = json.Unmarshal(seen[len(seen)-1].body, &event)
	return event.Data.Challenge
}

// newEchoDesk is a desk whose endpoint echoes.
func newEchoDesk(t *testing.T) *desk {
	t.Helper()
	var b *bundle
	d := newDesk(t, func(w http.ResponseWriter, r *http.Request) { echo(b)(w, r) })
	b = d.bundle
	return d
}
