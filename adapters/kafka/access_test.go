package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs a test's certificates into a folder.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := certificate("invented authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.write(t, "ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func certificate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic(err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

func (a *authority) write(t *testing.T, name string, blocks ...*pem.Block) string {
	t.Helper()
	var text []byte
	for _, block := range blocks {
		text = append(text, pem.EncodeToMemory(block)...)
	}
	path := filepath.Join(a.dir, name)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// sign writes name.pem, with the key and the certificate as brokers want it, and both apart as clients want them.
func (a *authority) sign(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, certificate(name), a.cert, &private.PublicKey, a.key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	keyBlock, certBlock := &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}, &pem.Block{Type: "CERTIFICATE", Bytes: der}
	a.write(t, name+".pem", keyBlock, certBlock)
	return a.write(t, name+"-cert.pem", certBlock), a.write(t, name+"-key.pem", keyBlock)
}

// pool trusts the authority.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// password writes a password's file.
func (a *authority) password(t *testing.T, user, password string) string {
	t.Helper()
	path := filepath.Join(a.dir, user+".password")
	require.NoError(t, os.WriteFile(path, []byte(password+"\n"), 0o600))
	return path
}

func TestAccessIsCheckedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	ca, password := filepath.Join(a.dir, "ca.pem"), a.password(t, "hub", "secret")
	cert, key := a.sign(t, "hub")
	otherCert, _ := a.sign(t, "other")
	open := a.password(t, "open", "secret")
	require.NoError(t, os.Chmod(open, 0o640)) // #nosec G302 -- that is what is refused
	openKey := a.write(t, "open-key.pem", &pem.Block{Type: "PRIVATE KEY"})
	require.NoError(t, os.Chmod(openKey, 0o604)) // #nosec G302
	for _, good := range []Access{
		{}, {CA: ca}, {CA: SystemCA}, {User: "hub", PasswordFile: password}, {User: "hub", PasswordFile: password, CA: ca, Cert: cert, Key: key},
	} {
		var config Config
		require.NoError(t, good.Use(&config))
		require.Equal(t, good.CA != "", config.TLS != nil)
		require.Equal(t, good.User != "", config.SASL != nil)
	}
	for want, bad := range map[string]Access{
		"go together":              {User: "hub"},
		"and the file of":          {Cert: cert, CA: ca},
		"needs TLS":                {Cert: cert, Key: key},
		"no such file":             {User: "hub", PasswordFile: password + "x"},
		"chmod 600 " + open:        {User: "hub", PasswordFile: open},
		"printable ASCII":          {User: "hub", PasswordFile: a.password(t, "empty", "")},
		"one line":                 {User: "hub", PasswordFile: a.password(t, "two", "a\nb")},
		"no PEM certificate":       {CA: password},
		"chmod 600 " + openKey:     {CA: ca, Cert: cert, Key: openKey},
		"private key does not mat": {CA: ca, Cert: otherCert, Key: key},
	} {
		err := bad.Use(new(Config))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
}
