package ministry_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/ministry"
)

var (
	hookNow    = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	hookSecret = "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	oldSecret  = "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 24))
	hookKey    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, 32))
	hookPublic = "whpk_" + base64.StdEncoding.EncodeToString(hookKey[32:])
)

const (
	oneMedia  = "application/cloudevents+json; charset=utf-8"
	manyMedia = "application/cloudevents-batch+json; charset=utf-8"
)

// signedBy is the header of a request, signed by the standard's own library.
func signedBy(t testing.TB, secret, id string, at time.Time, body []byte) http.Header {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	signature, err := signer.Sign(id, at, body)
	require.NoError(t, err)
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature}}
}

func signedByKey(id string, at time.Time, body []byte) http.Header {
	content := fmt.Sprintf("%s.%d.%s", id, at.Unix(), body)
	return http.Header{
		"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)},
		"Webhook-Signature": {"v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(hookKey, []byte(content)))},
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	body := fact(1)
	v, err := ministry.NewVerifier(hookSecret, hookPublic)
	require.NoError(t, err)
	good := signedBy(t, hookSecret, "1.0.1", hookNow, body)
	changed := func(name, value string) http.Header {
		h := good.Clone()
		h.Set(name, value)
		return h
	}
	signature := good.Get("webhook-signature")
	for name, c := range map[string]struct {
		header http.Header
		body   []byte
		now    time.Time
		good   bool
	}{
		"of the secret":               {header: good, good: true},
		"of the key":                  {header: signedByKey("1.0.1", hookNow, body), good: true},
		"among others":                {header: changed("webhook-signature", "v1,AAAA v2,x "+signature), good: true},
		"five minutes old":            {header: good, now: hookNow.Add(5 * time.Minute), good: true},
		"older":                       {header: good, now: hookNow.Add(5*time.Minute + time.Second)},
		"from the future":             {header: good, now: hookNow.Add(-5*time.Minute - time.Second)},
		"of another secret":           {header: signedBy(t, oldSecret, "1.0.1", hookNow, body)},
		"of another body":             {header: good, body: fact(2)},
		"of another id":               {header: changed("webhook-id", "1.0.2")},
		"of another time":             {header: changed("webhook-timestamp", strconv.FormatInt(hookNow.Unix()+1, 10))},
		"a time spelt oddly":          {header: changed("webhook-timestamp", "+"+good.Get("webhook-timestamp"))},
		"no time":                     {header: changed("webhook-timestamp", "")},
		"no id":                       {header: changed("webhook-id", "")},
		"none":                        {header: changed("webhook-signature", "")},
		"no base64":                   {header: changed("webhook-signature", "v1,"+strings.Repeat("!", 44))},
		"cut short":                   {header: changed("webhook-signature", signature[:20])},
		"of another version":          {header: changed("webhook-signature", strings.Replace(signature, "v1,", "v1a,", 1))},
		"the key's as a secret's":     {header: changed("webhook-signature", strings.Replace(signedByKey("1.0.1", hookNow, body).Get("webhook-signature"), "v1a", "v1", 1))},
		"of the key, of another body": {header: signedByKey("1.0.1", hookNow, fact(2))},
		"no header at all":            {header: http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.body == nil {
				c.body = body
			}
			if c.now.IsZero() {
				c.now = hookNow
			}
			err := v.Verify(c.header, c.body, c.now)
			if c.good {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ministry.ErrSignature)
			}
		})
	}
	require.Equal(t, "verifier", fmt.Sprintf("%+v", v))
	for _, secret := range []string{"", "whsec_", "whsec_c2hvcnQ=", "whpk_" + strings.TrimPrefix(hookSecret, "whsec_")[:20], "canary" + hookSecret} {
		_, err := ministry.NewVerifier(secret)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
	}
	_, err = ministry.NewVerifier()
	require.Error(t, err)
}

func hook(t testing.TB, b *bundle, secrets ...string) http.Handler {
	t.Helper()
	handler, err := b.Webhook(ministry.WebhookConfig{
		Secrets: func() ([]string, error) { return secrets, nil }, Clock: func() time.Time { return hookNow },
	})
	require.NoError(t, err)
	return handler
}

func post(handler http.Handler, media string, header http.Header, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", bytes.NewReader(body))
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", media)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

func challengeBody(stream, text string) []byte {
	return []byte(`{"specversion":"1.0","id":"challenge-1","source":"https://tellonce.example/streams/` + stream +
		`","type":"tellonce.challenge.v1","time":"2026-05-01T12:00:00Z","datacontenttype":"application/json","data":{"challenge":"` + text + `"}}`)
}

func TestAWebhook(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	fail := error(nil)
	b.ledger.refuse = func(e ministry.Event) error {
		if e.Cursor.Number == 4 {
			return fail
		}
		return nil
	}
	handler := hook(t, b, oldSecret, hookSecret)
	deliver := func(media string, body []byte) int {
		return post(handler, media, signedBy(t, hookSecret, "x", hookNow, body), body).Code
	}
	require.Equal(t, http.StatusNoContent, deliver(oneMedia, fact(1)))
	require.Equal(t, http.StatusNoContent, deliver(oneMedia, fact(1)), "a repeat is known")
	require.Equal(t, http.StatusNoContent, deliver(manyMedia, batch(facts(1, 3)...)))
	require.Equal(t, http.StatusServiceUnavailable, deliver(oneMedia, fact(5)), "a hole")
	fail = errors.New("canary of the handler's")
	require.Equal(t, http.StatusInternalServerError, deliver(oneMedia, fact(4)))
	fail = ministry.Reject("not ours")
	require.Equal(t, http.StatusNoContent, deliver(oneMedia, fact(4)), "a rejection is an answer")
	require.Equal(t, http.StatusNoContent, deliver(manyMedia, batch(facts(4, 5)...)))
	require.Equal(t, []int64{1, 2, 3, 5}, b.ledger.Applied["0"])

	for name, c := range map[string]struct {
		media  string
		body   []byte
		header http.Header
		want   int
	}{
		"not signed":          {oneMedia, fact(6), http.Header{}, http.StatusUnauthorized},
		"another body":        {oneMedia, fact(6), signedBy(t, hookSecret, "x", hookNow, fact(7)), http.StatusUnauthorized},
		"no event":            {oneMedia, []byte("{}"), nil, http.StatusBadRequest},
		"no media type":       {"", fact(6), nil, http.StatusBadRequest},
		"another stream's":    {oneMedia, given(0, 6, ministry.KindFact, map[string]any{"source": "x/streams/other"}), nil, http.StatusServiceUnavailable},
		"spoilt and unsigned": {oneMedia, []byte("{"), http.Header{}, http.StatusUnauthorized},
		"too large":           {oneMedia, make([]byte, 17<<20), http.Header{}, http.StatusRequestEntityTooLarge},
	} {
		if c.header == nil {
			c.header = signedBy(t, hookSecret, "x", hookNow, c.body)
		}
		answer := post(handler, c.media, c.header, c.body)
		require.Equal(t, c.want, answer.Code, name)
		require.Empty(t, answer.Body.String(), name)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil))
	require.Equal(t, http.StatusMethodNotAllowed, answer.Code)
	require.Equal(t, int64(5), b.last(t))
}

// TestTheChallenge is answered for the own stream alone, before there is a secret, with a text that can be nothing else.
func TestTheChallenge(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	handler := hook(t, b)
	answer := post(handler, oneMedia, nil, challengeBody(stream, "0123abcd"))
	require.Equal(t, http.StatusOK, answer.Code)
	require.Equal(t, "0123abcd", answer.Body.String())
	require.Equal(t, "nosniff", answer.Header().Get("X-Content-Type-Options"))
	require.Equal(t, http.StatusForbidden, post(handler, oneMedia, nil, challengeBody("other", "0123abcd")).Code)
	for _, text := range []string{"<b>", "", strings.Repeat("a", 129), "a b"} {
		answer := post(handler, oneMedia, nil, challengeBody(stream, text))
		require.Equal(t, http.StatusUnauthorized, answer.Code)
		require.Empty(t, answer.Body.String())
	}
	require.Equal(t, http.StatusUnauthorized, post(handler, oneMedia, signedBy(t, hookSecret, "x", hookNow, fact(1)), fact(1)).Code, "no secret yet")
}

func TestASecretsFileIsReadAnew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets")
	secrets := ministry.SecretsFile(path)
	for _, text := range []string{"", hookSecret + "\n", oldSecret + "\n" + hookSecret + "\n"} {
		if text != "" {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
		got, err := secrets()
		require.NoError(t, err)
		require.Equal(t, strings.Fields(text), append([]string{}, got...))
	}
	_, err := ministry.SecretsFile(t.TempDir())()
	require.Error(t, err)
}

// TestAWebhookFillsItsHoles with a client, and sends the receipts.
func TestAWebhookFillsItsHoles(t *testing.T) {
	t.Parallel()
	hub := newFakeHub(t, facts(1, 5))
	b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
	body := fact(5)
	require.Equal(t, http.StatusNoContent, post(hook(t, b, hookPublic), oneMedia, signedByKey("1.0.5", hookNow, body), body).Code)
	b.until(t, func() bool { return len(hub.answers(0)) == 5 })
	require.Equal(t, numbers(1, 5), b.ledger.Applied["0"])
}

// FuzzWebhook: whatever is sent, nothing is handled that was not signed, and nothing is echoed but a challenge's text.
func FuzzWebhook(f *testing.F) {
	f.Add(true, oneMedia, fact(1))
	f.Add(true, manyMedia, batch(facts(1, 3)...))
	f.Add(false, oneMedia, challengeBody(stream, "abc"))
	f.Add(false, oneMedia, []byte("{"))
	f.Fuzz(func(t *testing.T, signed bool, media string, body []byte) {
		handled := 0
		consumer, err := ministry.New(ministry.Config{
			Stream: stream, Store: &forgetful{}, Handler: ministry.HandlerFunc(func(context.Context, ministry.Event) error { handled++; return nil }),
		})
		require.NoError(t, err)
		header := http.Header{}
		if signed {
			header = signedByKey("x", hookNow, body)
		}
		answer := post(hook(t, &bundle{Consumer: consumer}, hookPublic), media, header, body)
		switch answer.Code {
		case http.StatusNoContent:
			require.True(t, signed)
		case http.StatusOK:
			require.Regexp(t, `^[0-9A-Za-z_-]{1,128}$`, answer.Body.String())
		default:
			require.Empty(t, answer.Body.String())
		}
		require.True(t, signed || handled == 0)
	})
}

// forgetful is a store that stores nothing.
type forgetful struct{ progress ministry.Progress }

func (s *forgetful) Load(context.Context, string, int) (ministry.Progress, error) {
	return s.progress, nil
}

func (s *forgetful) Save(ctx context.Context, _ string, _ int, _, after ministry.Progress, work func(context.Context) error) error {
	if work != nil {
		if err := work(ctx); err != nil {
			return err
		}
	}
	s.progress = after
	return nil
}
