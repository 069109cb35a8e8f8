package webhook

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

func TestAnEndpointIsSetAfterItsChallenge(t *testing.T) {
	t.Parallel()
	d := newEchoDesk(t)
	id := key()
	verifier := d.set(t, id, d.wanted(), "")
	require.True(t, strings.HasPrefix(verifier, "whsec_"))
	seen := d.seen()
	require.Len(t, seen, 1)
	require.True(t, verifies(t, verifier, seen[0]), "the challenge is signed, too")
	var event map[string]any
	require.NoError(t, json.Unmarshal(seen[0].body, &event))
	require.Equal(t, challengeType, event["type"])
	require.Equal(t, d.BaseURL+"/streams/"+health, event["source"])
	require.Equal(t, seen[0].header.Get("webhook-id"), event["id"])
	e := d.current(t)
	require.Equal(t, journal.EndpointSet{
		Kind: journal.EndpointWebhook, Stream: health, URL: d.server.URL + "/hook", Batch: 1, Signature: "v1", Secret: e.Secret,
	}, e)
	require.Equal(t, []string{e.Secret}, d.files(t))
	require.Empty(t, d.client.Post(context.Background(), e, []delivery.Message{message(1)}).Code)
	require.True(t, verifies(t, verifier, d.seen()[1]))
	require.Equal(t, verifier, d.set(t, id, d.wanted(), ""), "the same command again is answered again")
	require.Equal(t, []string{e.Secret}, d.files(t))
	require.Empty(t, d.set(t, key(), d.wanted(), ""), "another command is never told the secret")
}

// A process that dies after it made the secret, and before the event, leaves a secret that the same command goes on with.
func TestACrashBeforeTheEvent(t *testing.T) {
	t.Parallel()
	echoes := false
	var b *bundle
	d := newDesk(t, func(w http.ResponseWriter, r *http.Request) {
		if echoes {
			echo(b)(w, r)
		}
	})
	b = d.bundle
	id := key()
	_, err := d.Set(context.Background(), moh, id, d.wanted(), "", true)
	require.ErrorContains(t, err, "not-echoed")
	left := d.files(t)
	require.Len(t, left, 1)
	e, _, err := d.Show(context.Background(), moh, health)
	require.NoError(t, err)
	require.Nil(t, e)
	echoes = true
	d.set(t, id, d.wanted(), "")
	require.Equal(t, left, d.files(t))
	require.Equal(t, left[0], d.current(t).Secret)
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	var b *bundle
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		code    string
	}{
		"as text":        {func(w http.ResponseWriter, r *http.Request) { echo(b)(w, r) }, ""},
		"with a newline": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, challengeOf(b)+"\n") }, ""},
		"as JSON": {func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"challenge": challengeOf(b), "ok": true})
		}, ""},
		"the whole request back": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b.seen()[0].body) }, "not-echoed"},
		"nothing":                {answer(http.StatusOK), "not-echoed"},
		"empty JSON":             {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }, "not-echoed"},
		"something longer":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, challengeOf(b)+"1") }, "not-echoed"},
		"echoed with a 404": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			echo(b)(w, r)
		}, "http-404"},
		"a redirect": {answer(http.StatusFound, "Location", "/there"), "redirect"},
	} {
		d := newDesk(t, c.handler)
		b = d.bundle
		_, err := d.Set(context.Background(), moh, key(), d.wanted(), "", true)
		if c.code == "" {
			require.NoError(t, err, name)
			continue
		}
		var fault *delivery.EndpointError
		require.ErrorAs(t, err, &fault, name)
		require.Equal(t, "url", fault.Member)
		require.Contains(t, fault.Detail, "("+c.code+")", name)
		e, _, err := d.Show(context.Background(), moh, health)
		require.NoError(t, err)
		require.Nil(t, e, name)
	}
}

func TestWhatCannotBeSet(t *testing.T) {
	t.Parallel()
	d := newEchoDesk(t)
	good := made(t, "v1").text()
	for name, c := range map[string]struct {
		change     func(*journal.EndpointSet)
		given      string
		challenged bool
		member     string
	}{
		"inside the network":   {func(e *journal.EndpointSet) { e.URL = "https://10.0.0.1/" }, "", true, "url"},
		"no address":           {func(e *journal.EndpointSet) { e.URL = "" }, "", true, "url"},
		"a batch too large":    {func(e *journal.EndpointSet) { e.Batch = delivery.MaxBatch + 1 }, "", true, "batch"},
		"a batch below one":    {func(e *journal.EndpointSet) { e.Batch = -1 }, "", true, "batch"},
		"an unknown signature": {func(e *journal.EndpointSet) { e.Signature = "v2" }, "", true, "signature"},
		"a short secret":       {func(*journal.EndpointSet) {}, "whsec_c2hvcnQ=", true, "secret"},
		"a secret unprefixed":  {func(*journal.EndpointSet) {}, strings.TrimPrefix(good, "whsec_"), true, "secret"},
		"a private key":        {func(*journal.EndpointSet) {}, made(t, "v1a").text(), true, "secret"},
		"a secret for v1a":     {func(e *journal.EndpointSet) { e.Signature = "v1a" }, good, true, "secret"},
		"unchallenged":         {func(*journal.EndpointSet) {}, "", false, "challenge"},
	} {
		e := d.wanted()
		c.change(&e)
		_, err := d.Set(context.Background(), moh, key(), e, c.given, c.challenged)
		var fault *delivery.EndpointError
		require.ErrorAs(t, err, &fault, name)
		require.Equal(t, c.member, fault.Member, name)
		if c.given != "" {
			require.NotContains(t, err.Error(), c.given, name)
		}
	}
	require.Empty(t, d.seen())
	d.Sandbox = true
	_, err := d.Set(context.Background(), moh, key(), d.wanted(), "", false)
	require.NoError(t, err)
	require.Empty(t, d.seen(), "a sandbox can leave the challenge out")
	for _, stranger := range []journal.Actor{{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: "mto", Ministry: "mto"}} {
		_, err := d.Set(context.Background(), stranger, key(), d.wanted(), "", true)
		require.ErrorIs(t, err, delivery.ErrNotYours)
		_, _, err = d.Rotate(context.Background(), stranger, key(), health, 0, "")
		require.ErrorIs(t, err, delivery.ErrNotYours)
		_, _, err = d.Show(context.Background(), stranger, health)
		require.ErrorIs(t, err, delivery.ErrNotYours)
		require.ErrorIs(t, d.Remove(context.Background(), stranger, key(), health), delivery.ErrNotYours)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	d := newEchoDesk(t)
	ctx := context.Background()
	d.client.config.Clock = func() time.Time { return d.now }
	first := d.set(t, key(), d.wanted(), "")
	d.age(t)
	id := key()
	second, until, err := d.Rotate(ctx, moh, id, health, DefaultKeep, "")
	require.NoError(t, err)
	require.Equal(t, d.now.Add(24*time.Hour), until)
	require.NotEqual(t, first, second)
	again, _, err := d.Rotate(ctx, moh, id, health, DefaultKeep, "")
	require.NoError(t, err)
	require.Equal(t, second, again, "a repeat is the same rotation")
	require.Equal(t, []string{d.current(t).Secret}, d.files(t), "what was replaced is swept")
	post := func() received {
		require.Empty(t, d.client.Post(ctx, d.current(t), []delivery.Message{message(1)}).Code)
		seen := d.seen()
		return seen[len(seen)-1]
	}
	r := post()
	require.True(t, verifies(t, first, r) && verifies(t, second, r))
	given := made(t, "v1").text()
	third, until, err := d.Rotate(ctx, operator, key(), health, time.Hour, given)
	require.NoError(t, err)
	require.Equal(t, given, third)
	require.Equal(t, d.now.Add(time.Hour), until)
	r = post()
	require.True(t, verifies(t, first, r) && verifies(t, second, r) && verifies(t, third, r), "an older one ends no later than it would have")
	d.now = d.now.Add(time.Hour)
	r = post()
	require.True(t, verifies(t, third, r))
	require.False(t, verifies(t, first, r) || verifies(t, second, r))
	_, until, err = d.Rotate(ctx, moh, key(), health, 0, "")
	require.NoError(t, err)
	require.Zero(t, until)
	require.False(t, verifies(t, third, post()), "at once")
	for _, keep := range []time.Duration{-1, MaxKeep + 1} {
		_, _, err = d.Rotate(ctx, moh, key(), health, keep, "")
		require.Error(t, err)
	}
	_, _, err = d.Rotate(ctx, operator, key(), "library.membership", 0, "")
	require.ErrorContains(t, err, "set one first")
}

func TestAnEndpointIsChanged(t *testing.T) {
	t.Parallel()
	d := newEchoDesk(t)
	ctx := context.Background()
	d.client.config.Clock = func() time.Time { return d.now }
	verifier := d.set(t, key(), d.wanted(), "")
	before := d.current(t)
	batched := d.wanted()
	batched.Batch = 50
	require.Empty(t, d.set(t, key(), batched, ""))
	require.Equal(t, before.Secret, d.current(t).Secret, "another batch is no other secret")
	require.Equal(t, 50, d.current(t).Batch)

	asymmetric := batched
	asymmetric.Signature = "v1a"
	public := d.set(t, key(), asymmetric, "")
	require.True(t, strings.HasPrefix(public, "whpk_"))
	require.Empty(t, d.client.Post(ctx, d.current(t), []delivery.Message{message(1)}).Code)
	seen := d.seen()
	last := seen[len(seen)-1]
	require.True(t, verifies(t, verifier, last), "the former signature is there for a while")
	require.Contains(t, last.header.Get("webhook-signature"), "v1a,")
	_, shown, err := d.Show(ctx, moh, health)
	require.NoError(t, err)
	require.Equal(t, []string{public}, shown)

	elsewhere := d.wanted()
	elsewhere.URL = d.server.URL + "/elsewhere"
	other := d.set(t, key(), elsewhere, "")
	require.Empty(t, d.client.Post(ctx, d.current(t), []delivery.Message{message(1)}).Code)
	seen = d.seen()
	require.True(t, verifies(t, other, seen[len(seen)-1]))
	require.False(t, verifies(t, verifier, seen[len(seen)-1]), "another place gets nothing signed with the former's")
}

func TestRemoval(t *testing.T) {
	t.Parallel()
	d := newEchoDesk(t)
	ctx, id := context.Background(), key()
	verifier := d.set(t, id, d.wanted(), "")
	require.NotEmpty(t, verifier)
	old := d.current(t)
	require.NoError(t, d.Remove(ctx, moh, key(), health))
	require.NoError(t, d.Remove(ctx, moh, key(), health), "what is not there can be removed")
	e, _, err := d.Show(ctx, moh, health)
	require.NoError(t, err)
	require.Nil(t, e)
	require.Empty(t, d.files(t))
	require.Equal(t, "secret-missing", d.client.Post(ctx, old, []delivery.Message{message(1)}).Code)
	require.Empty(t, d.set(t, id, d.wanted(), ""), "the first command again: it was carried out, and has no secret to show any more")
	e, _, err = d.Show(ctx, moh, health)
	require.NoError(t, err)
	require.Nil(t, e)
}

// After a restore of keys that are older than the endpoint, both ways out work.
func TestALostSecret(t *testing.T) {
	t.Parallel()
	d := newEchoDesk(t)
	for name, damage := range map[string]func(path string) error{
		"gone":    os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("whsec_x"), 0o600) },
	} {
		d.set(t, key(), d.wanted(), made(t, "v1").text())
		require.NoError(t, damage(filepath.Join(d.dir, "endpoints", d.current(t).Secret)), name)
		_, _, err := d.Rotate(context.Background(), moh, key(), health, DefaultKeep, "")
		require.NoError(t, err, name)
		require.NoError(t, damage(filepath.Join(d.dir, "endpoints", d.current(t).Secret)), name)
		require.NotEmpty(t, d.set(t, key(), d.wanted(), ""), name)
		require.Empty(t, d.client.Post(context.Background(), d.current(t), []delivery.Message{message(1)}).Code, name)
	}
}

func TestAGivenSecretUnderOneCommand(t *testing.T) {
	t.Parallel()
	d := newEchoDesk(t)
	id, given := key(), made(t, "v1").text()
	require.Equal(t, given, d.set(t, id, d.wanted(), given))
	require.Equal(t, given, d.set(t, id, d.wanted(), given))
	_, err := d.Set(context.Background(), moh, id, d.wanted(), made(t, "v1").text(), true)
	require.ErrorIs(t, err, eventstore.ErrCommandReused)
}

// No secret stands on the log, or prints.
func TestSecretsStayApart(t *testing.T) {
	t.Parallel()
	d := newEchoDesk(t)
	verifier := d.set(t, key(), d.wanted(), "")
	encoded := strings.TrimPrefix(verifier, "whsec_")
	e, err := json.Marshal(d.current(t))
	require.NoError(t, err)
	require.NotContains(t, string(e), encoded)
	s := made(t, "v1a")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		printed := sprintf(verb, s)
		require.Equal(t, "secret(v1a)", printed)
	}
	require.True(t, slices.Contains(d.files(t), d.current(t).Secret))
}
