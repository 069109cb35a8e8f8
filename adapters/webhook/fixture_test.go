package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	health     = "moh.health-card"
	secretName = "moh.health-card@1"
	// canary stands in what a request holds: it must not be found in an excerpt, an error or a metric.
	canary = "Zanzibarquist"
)

// memory keeps secrets as the keys directory does.
type memory struct {
	mu    sync.Mutex
	texts map[string][]byte
}

func newMemory(secrets ...secret) *memory {
	m := &memory{texts: map[string][]byte{}}
	if len(secrets) > 0 {
		m.texts[secretName] = formatSecrets(secrets)
	}
	return m
}

func (m *memory) Read(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.texts[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return append([]byte{}, text...), nil
}

func made(t testing.TB, signature string) secret {
	t.Helper()
	s, err := newSecret(signature)
	require.NoError(t, err)
	return s
}

// authority issues certificates for tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	a := &authority{key: key, pool: x509.NewCertPool()}
	a.certificate, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pool.AddCert(a.certificate)
	return a
}

// issue makes a certificate for hosts that ends at a time.
func (a *authority) issue(t testing.TB, end time.Time, hosts ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// bundle is a client, and an endpoint over TLS on loopback that answers as its handler does.
type bundle struct {
	t        testing.TB
	client   *Client
	secret   secret
	secrets  *memory
	registry *prometheus.Registry
	roots    *authority
	server   *httptest.Server
	endpoint journal.EndpointSet

	mu       sync.Mutex
	requests []received
}

// received is a request as the endpoint saw it.
type received struct {
	header http.Header
	body   []byte
	remote string
}

func setup(t testing.TB, handler http.HandlerFunc) *bundle {
	t.Helper()
	return setupWith(t, handler, func(*Config) {}, func(*tls.Config, *authority) {})
}

func setupWith(t testing.TB, handler http.HandlerFunc, change func(*Config), changeTLS func(*tls.Config, *authority)) *bundle {
	t.Helper()
	b := &bundle{t: t, secret: made(t, journal.SignatureHMAC), registry: prometheus.NewRegistry(), roots: newAuthority(t)}
	b.secrets = newMemory(b.secret)
	b.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // a client that went away
		}
		b.mu.Lock()
		b.requests = append(b.requests, received{r.Header, body, r.RemoteAddr})
		b.mu.Unlock()
		handler(w, r)
	}))
	b.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b.server.TLS = &tls.Config{Certificates: []tls.Certificate{b.roots.issue(t, time.Now().Add(time.Hour), "127.0.0.1", "localhost")}}
	changeTLS(b.server.TLS, b.roots)
	b.server.StartTLS()
	t.Cleanup(b.server.Close)
	config := Config{Secrets: b.secrets, Loopback: true, Roots: b.roots.pool, Registerer: b.registry}
	change(&config)
	var err error
	b.client, err = New(config)
	require.NoError(t, err)
	t.Cleanup(b.client.Close)
	b.endpoint = endpoint(b.server.URL + "/hook")
	return b
}

func endpoint(url string) journal.EndpointSet {
	return journal.EndpointSet{
		Kind: journal.EndpointWebhook, Stream: health, URL: url, Batch: 1, Secret: secretName, Signature: journal.SignatureHMAC,
	}
}

func (b *bundle) post(messages ...delivery.Message) delivery.Outcome {
	b.t.Helper()
	return b.client.Post(context.Background(), b.endpoint, messages)
}

func (b *bundle) seen() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]received{}, b.requests...)
}

// message is an invented event of a number.
func message(number int64) delivery.Message {
	cursor := delivery.Cursor{Generation: 1, Lane: 0, Number: number}
	return delivery.Message{
		Cursor: cursor,
		Attributes: []delivery.Attribute{
			{Name: "specversion", Value: "1.0"}, {Name: "id", Value: cursor.String()}, {Name: "source", Value: "https://hub.example/streams/" + health},
			{Name: "type", Value: "tellonce.address-changed.v1"}, {Name: "subject", Value: "P-" + strconv.FormatInt(number, 10)},
		},
		Data: []byte(`{"city":"Kenora","street":"` + strconv.FormatInt(number, 10) + ` ` + canary + ` St"}`),
	}
}

// until ends a handler when its caller has gone: a handler that only sleeps would hold up the end of the test.
func until(r *http.Request) { <-r.Context().Done() }

func answer(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

func sprintf(verb string, value any) string { return fmt.Sprintf(verb, value) }
