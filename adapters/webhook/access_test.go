package webhook

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
)

// files are PEM files of an authority, and of a certificate of its with its key.
func (a *authority) files(t *testing.T, host string) Access {
	t.Helper()
	dir := t.TempDir()
	pair := a.issue(t, time.Now().Add(time.Hour), host)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	access := Access{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for name, block := range map[string]*pem.Block{
		access.CA:   {Type: "CERTIFICATE", Bytes: a.certificate.Raw},
		access.Cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		access.Key:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(block), 0o600))
	}
	return access
}

func TestAccessByFiles(t *testing.T) {
	t.Parallel()
	var access Access
	b := setupWith(t, answer(http.StatusOK), func(c *Config) {
		c.Roots = nil
		require.NoError(t, access.Use(c))
	}, func(s *tls.Config, a *authority) {
		s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, a.pool
		access = a.files(t, "hub.example.ca")
	})
	require.Equal(t, delivery.Outcome{}, b.post(message(1)))
	// Exchanged while the hub runs: by a pair that the endpoint does not know.
	other := newAuthority(t).files(t, "hub.example.ca")
	require.NoError(t, os.Rename(other.Cert, access.Cert))
	require.NoError(t, os.Rename(other.Key, access.Key))
	b.client.Close() // the next request needs a new connection
	require.Equal(t, delivery.Outcome{Code: "tls", Down: true}, b.post(message(1)))
}

func TestAccessThatCannotBe(t *testing.T) {
	t.Parallel()
	good := newAuthority(t).files(t, "hub.example.ca")
	open := newAuthority(t).files(t, "hub.example.ca")
	require.NoError(t, os.Chmod(open.Key, 0o640))
	for name, c := range map[string]struct {
		access Access
		want   string
	}{
		"no such authority":     {Access{CA: "none.pem"}, "none.pem"},
		"a key for authority":   {Access{CA: good.Key}, "holds no PEM certificate"},
		"a certificate alone":   {Access{Cert: good.Cert}, "go together"},
		"a key alone":           {Access{Key: good.Key}, "go together"},
		"a key that others see": {Access{Cert: open.Cert, Key: open.Key}, "chmod 600"},
		"no such key":           {Access{Cert: good.Cert, Key: "none.pem"}, "none.pem"},
		"not a pair":            {Access{Cert: open.Cert, Key: good.Key}, good.Key},
	} {
		require.ErrorContains(t, c.access.Use(&Config{}), c.want, name)
	}
	require.NoError(t, good.Use(&Config{}))
	require.NoError(t, Access{}.Use(&Config{}))
}
