package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// Secrets are the signing secrets of endpoints, which are kept apart from the log under the names that are on it.
type Secrets interface {
	// Read returns what stands under a name; fs.ErrNotExist if nothing does.
	Read(name string) ([]byte, error)
}

// Config of a Client. Only Secrets must be set.
type Config struct {
	Secrets Secrets
	// Ministry names the ministry of a stream, whose requests share one bound; nil: every stream stands for itself.
	Ministry func(stream string) string
	// Loopback allows endpoints on this machine, on any port and without TLS. For a sandbox alone.
	Loopback bool
	// Networks are private networks in which endpoints may be.
	Networks []netip.Prefix
	// Roots judge the endpoints' certificates; nil: the system's.
	Roots *x509.CertPool
	// Certificate is the hub's own, for endpoints that ask for one; nil: none. It is called at each handshake.
	Certificate func() (*tls.Certificate, error)
	// Concurrency bounds the requests that are under way to one ministry; 0: 16.
	Concurrency int
	// Timeout bounds one request as a whole; 0, or more than delivery.D: delivery.D.
	Timeout time.Duration
	// Resolver answers for host names; nil: the system's.
	Resolver *net.Resolver
	// Clock is what signatures are dated by; nil: time.Now.
	Clock func() time.Time
	// Registerer takes the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
}

const (
	connectTime  = 3 * time.Second // also of the TLS handshake
	drainTime    = time.Second     // for the rest of an answer, once it is known what it says
	maxAnswer    = 4 << 10         // bytes of an answer that are read
	maxHeaders   = 16 << 10        // bytes of an answer's headers
	idleTime     = 90 * time.Second
	defaultSlots = 16

	eventType = "application/cloudevents+json; charset=utf-8"
	batchType = "application/cloudevents-batch+json; charset=utf-8"
)

// Client posts to endpoints. It is safe for concurrent use.
type Client struct {
	config    Config
	guard     *guard
	transport *http.Transport
	slots     *slots
	duration  *prometheus.HistogramVec
}

var _ delivery.Poster = (*Client)(nil)

// New returns a client. Errors: a network that is not private, a metric that is registered already.
func New(config Config) (*Client, error) {
	g, err := newGuard(config.Loopback, config.Networks)
	if err != nil {
		return nil, err
	}
	if config.Concurrency <= 0 {
		config.Concurrency = defaultSlots
	}
	if config.Timeout <= 0 || config.Timeout > delivery.D {
		config.Timeout = delivery.D
	}
	if config.Clock == nil {
		config.Clock = time.Now
	}
	if config.Ministry == nil {
		config.Ministry = func(stream string) string { return stream }
	}
	duration, err := newDuration(config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("webhook: metrics: %w", err)
	}
	slots := &slots{size: config.Concurrency, ministry: config.Ministry, taken: map[string]chan struct{}{}}
	return &Client{config: config, guard: g, transport: newTransport(config, g), slots: slots, duration: duration}, nil
}

// newTransport reuses connections, asks no proxy and speaks HTTP/1.1: a connection that has gone dead then holds up one request, not all
// that would share it.
func newTransport(config Config, g *guard) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTime, Control: g.control, Resolver: config.Resolver}
	t := &http.Transport{
		DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: config.Roots,
		},
		TLSHandshakeTimeout:    connectTime,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConnsPerHost:    config.Concurrency,
		MaxIdleConns:           256,
		IdleConnTimeout:        idleTime,
		DisableCompression:     true,
	}
	if config.Certificate != nil {
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return config.Certificate() }
	}
	return t
}

// Close ends idle connections. Requests under way end by their contexts.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Post sends messages in one request and says how the endpoint answered. It returns within the time that ctx and Config.Timeout leave, and
// sends nothing after it.
func (c *Client) Post(ctx context.Context, e journal.EndpointSet, messages []delivery.Message) delivery.Outcome {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	outcome := c.slots.use(ctx, e.Stream, func() delivery.Outcome { return c.post(ctx, e, messages) })
	c.duration.WithLabelValues(e.Stream).Observe(time.Since(started).Seconds())
	return outcome
}

func (c *Client) post(ctx context.Context, e journal.EndpointSet, messages []delivery.Message) delivery.Outcome {
	secrets, err := c.secrets(e.Secret)
	if err != nil {
		return down(codeSecret)
	}
	p := parcel{url: e.URL, media: eventType, secrets: secrets, id: messages[0].Cursor.String(), body: messages[0].Structured()}
	if len(messages) > 1 || e.Batch > 1 {
		p.media, p.body = batchType, batch(messages)
	}
	if len(messages) > 1 {
		p.id += ".." + messages[len(messages)-1].Cursor.String()
	}
	_, outcome := c.send(ctx, p)
	return outcome
}

func (c *Client) secrets(name string) ([]secret, error) {
	text, err := c.config.Secrets.Read(name)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return parseSecrets(text)
}

// batch is the CloudEvents JSON batch format: an array of structured events.
func batch(messages []delivery.Message) []byte {
	var b bytes.Buffer
	for i := range messages {
		b.WriteByte("[,"[min(i, 1)])
		b.Write(messages[i].Structured())
	}
	b.WriteByte(']')
	return b.Bytes()
}

// parcel is one request.
type parcel struct {
	url, media string
	id         string
	body       []byte
	secrets    []secret
}

// send makes one request, once, and reads at most maxAnswer bytes of the answer. A 2xx counts from its headers on: what comes of the body
// after them changes nothing.
func (c *Client) send(ctx context.Context, p parcel) (answer []byte, o delivery.Outcome) {
	if _, err := c.guard.check(p.url); err != nil { // the switches may be others than when the endpoint was set
		return nil, down(codeForbidden)
	}
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(p.body))
	if err != nil {
		return nil, down(codeForbidden)
	}
	r.Header.Set("Content-Type", p.media)
	r.Header.Set("User-Agent", "tellonce")
	sign(r.Header, p.secrets, p.id, c.config.Clock(), p.body)
	// The transport alone: http.Client would follow redirects and keep cookies.
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, down(failure(ctx, err))
	}
	defer response.Body.Close() //nolint:errcheck // of an answer that was read
	late := time.AfterFunc(drainTime, giveUp)
	defer late.Stop()
	// One that ends within maxAnswer leaves the connection to be used again; one that does not, or dawdles, loses it.
	answer, _ = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1)) // what came is what counts
	answer = answer[:min(len(answer), maxAnswer)]
	return answer, answered(response, answer, p.body, c.config.Clock())
}
