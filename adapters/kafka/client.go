package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// Config of a Client. Only Brokers must be set.
type Config struct {
	// Brokers are host:port of some of the cluster's brokers; the others are found through them.
	Brokers []string
	// Dial opens a connection; nil is net.Dialer with a timeout of 3 s.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS, when not nil, is used for every connection.
	TLS *tls.Config
	// SASL, when not nil, authenticates every connection.
	SASL sasl.Mechanism
	// RequestTimeout bounds one try of one request; 0 is 3 s. It is the time after which a broker that has frozen is given up.
	RequestTimeout time.Duration
	// BatchBytes bounds the records of one batch, without the protocol's headers; 0 is 500,000 (larger ones were no faster), safely below
	// the brokers' default limit of 1,048,588. A single larger message is sent alone, and refused if the broker says so.
	BatchBytes int
	// Logger is told what an operator should know; nil is slog.Default(). It never gets a message's content or key.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
}

const (
	defaultRequestTimeout = 3 * time.Second
	defaultBatchBytes     = 500_000
	// metadataTTL bounds how long a new leader goes unnoticed while no request fails.
	metadataTTL = time.Second
	// refreshEvery limits forced refreshes of the metadata: each closes every idle connection of all lanes, TLS and SASL included.
	refreshEvery = 250 * time.Millisecond
)

// Client is a connection pool to one Kafka cluster, shared by all lanes. It is safe for concurrent use.
type Client struct {
	config  Config
	addr    net.Addr
	log     *slog.Logger
	metrics *metrics
	stop    context.CancelFunc
	ctx     context.Context // of kafka-go's background goroutines, ended by Close

	mu        sync.Mutex
	topics    []string   // of which the transport keeps metadata
	transport *transport // nil once the client is closed
	refreshed time.Time
}

// transport is a kafka-go transport and how many requests are on it. kafka-go opens a new pool for a request that comes after
// CloseIdleConnections, and nobody would close that pool: so one that is left behind is closed again by the last request on it.
type transport struct {
	*kafka.Transport
	requests int
}

// Open prepares a client; it does not wait for a broker, so the hub starts while Kafka is away. The context bounds nothing but Open.
func Open(ctx context.Context, config Config) (*Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(config.Brokers) == 0 {
		return nil, errors.New("kafka: no broker address is configured")
	}
	for _, broker := range config.Brokers {
		if _, _, err := net.SplitHostPort(broker); err != nil {
			return nil, fmt.Errorf("kafka: broker address %q is not host:port: %w", broker, err)
		}
	}
	if config.Dial == nil {
		config.Dial = (&net.Dialer{Timeout: 3 * time.Second}).DialContext
	}
	if config.RequestTimeout <= 0 {
		config.RequestTimeout = defaultRequestTimeout
	}
	if config.BatchBytes <= 0 {
		config.BatchBytes = defaultBatchBytes
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	m, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("kafka: metrics: %w", err)
	}
	c := &Client{config: config, addr: kafka.TCP(config.Brokers...), log: config.Logger, metrics: m}
	c.ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.transport = c.newTransport()
	return c, nil
}

// Close ends the client's connections and goroutines. Sends under way are not waited for: end them first, by their contexts.
func (c *Client) Close() error {
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replaceTransport(nil)
	return nil
}

// RoundTrip sends a request on the present transport (kafka.RoundTripper).
func (c *Client) RoundTrip(ctx context.Context, addr net.Addr, request kafka.Request) (kafka.Response, error) {
	c.mu.Lock()
	on := c.transport
	if on == nil {
		c.mu.Unlock()
		return nil, errClosed
	}
	on.requests++
	c.mu.Unlock()
	answer, err := on.Transport.RoundTrip(ctx, addr, request)
	c.mu.Lock()
	defer c.mu.Unlock()
	if on.requests--; on.requests == 0 && on != c.transport {
		on.CloseIdleConnections()
	}
	return answer, err
}

// replaceTransport leaves the present transport behind; the caller holds c.mu.
func (c *Client) replaceTransport(next *transport) {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	c.transport = next
}

// newTransport makes a transport that keeps metadata of c.topics; the caller holds c.mu or is the only one to know c.
func (c *Client) newTransport() *transport {
	return &transport{Transport: &kafka.Transport{
		Dial:           c.config.Dial,
		DialTimeout:    c.config.RequestTimeout,
		MetadataTTL:    metadataTTL,
		MetadataTopics: slices.Clone(c.topics),
		ClientID:       "tellonce",
		TLS:            c.config.TLS,
		SASL:           c.config.SASL,
		Context:        c.ctx,
	}}
}

// know adds topics to those whose metadata are kept. kafka-go reads its list without a lock, so a longer list needs a new transport;
// requests under way finish on the old one.
func (c *Client) know(topics ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.topics)
	for _, topic := range topics {
		if !slices.Contains(c.topics, topic) {
			c.topics = append(c.topics, topic)
		}
	}
	if len(c.topics) != before && c.transport != nil {
		c.replaceTransport(c.newTransport())
	}
}

// refresh makes the next request fetch the metadata again, at most four times a second for all lanes together.
func (c *Client) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.transport != nil && now.Sub(c.refreshed) >= refreshEvery {
		c.refreshed = now
		c.transport.CloseIdleConnections()
	}
}

// kafka returns kafka-go's client on this client's transport. Its timeout bounds each request.
func (c *Client) kafka() *kafka.Client {
	return &kafka.Client{Addr: c.addr, Timeout: c.config.RequestTimeout, Transport: c}
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// attempt calls try until it succeeds, its error is beyond repeating, or ctx ends; 50 ms apart, doubling to 1 s. certain tells that no
// failed try can have arrived at the broker, so that a refusal is one for certain. failed, when not nil, is told each failed try. The log
// is told after about 1.5 s, and every 10 s from then on.
func (c *Client) attempt(ctx context.Context, failed func(error), try func(context.Context) error) (certain bool, err error) {
	certain = true
	tries := 0
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if ctx.Err() != nil {
			return certain, errors.Join(context.Cause(ctx), err)
		}
		if err = try(ctx); err == nil {
			return certain, nil
		}
		if failed != nil {
			failed(err)
		}
		switch classify(err) {
		case unsent:
		case retry:
			certain = false
		case undecided:
			return false, err
		default:
			return certain, err
		}
		if moved(err) {
			c.refresh()
		}
		if tries++; tries%10 == 5 && ctx.Err() == nil {
			c.log.Warn("Kafka doesn't answer as it should; trying again", "tries", tries, "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
