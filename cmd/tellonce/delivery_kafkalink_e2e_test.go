package main

import (
	"bytes"
	endian "encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/stretchr/testify/require"
)

// TestDeliveryOverABadLinkToKafka spoils the link between a running hub and its broker. When it is good again everything flows again, without a
// hand: nothing is lost, doubled or out of order. Whoever asks the hub meanwhile is answered.
func TestDeliveryOverABadLinkToKafka(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	p := &place{t: t, dir: t.TempDir()}
	seed := rand.Uint64() // #nosec G404 -- a test's
	t.Log("seed", seed)
	number := int(seed % 1e9)
	back := newRenamed(t, broker)
	link := newBadLink(t, "kafka", back.listener.Addr().String())
	back.says(t, link.Listen)
	w := startWorld(p, equalShares(number, "kafka"), "--kafka", link.Listen, "--kafka-streams", fmt.Sprintf("s%02d.kafka", number))
	c := attach(newMover(w.scene(t, number), seed, "kafka"), w.hub.url)
	c.consumes("kafka", broker)
	for i := range 9 {
		c.mover.add(fmt.Sprintf("p%d", i))
	}
	c.flow("at first", func() {})
	for _, bad := range spoilt {
		failed := w.hub.retries(t)
		c.flow(bad.name, func() {
			link.spoil(t, bad.toxic)
			if bad.flows {
				return
			}
			require.Eventually(t, func() bool { return w.hub.retries(t) > failed }, time.Minute, 20*time.Millisecond, bad.name)
			link.heal(t)
		})
		link.heal(t)
		c.flow("after "+bad.name, func() {})
	}
	c.drain()
	require.Equal(t, 0, w.hub.stop(t), w.hub.stderr.String())
}

var retriesTotal = regexp.MustCompile(`(?m)^tellonce_kafka_retries_total\{.*\} ([0-9.e+]+)$`)

// retries are the tries of a hub's Kafka lanes that failed.
func (h *hubProcess) retries(t *testing.T) (total float64) {
	t.Helper()
	response, err := http.Get(h.operatorURL + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for _, line := range retriesTotal.FindAllSubmatch(text, -1) {
		n, err := strconv.ParseFloat(string(line[1]), 64)
		require.NoError(t, err)
		total += n
	}
	return total
}

// renamed stands before a broker that says of itself where it is, and says that it is elsewhere: so clients go by the bad link.
type renamed struct {
	listener net.Listener
	broker   string
	host     string
	port     int32
}

func newRenamed(t *testing.T, broker string) *renamed {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return &renamed{listener: listener, broker: broker}
}

// says begins to serve, under an address.
func (n *renamed) says(t *testing.T, address string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	at, err := strconv.Atoi(port)
	require.NoError(t, err)
	n.host, n.port = host, int32(at)
	go func() {
		for {
			client, err := n.listener.Accept()
			if err != nil {
				return
			}
			go n.serve(client)
		}
	}()
}

type asked struct {
	key     protocol.ApiKey
	version int16
}

func (n *renamed) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", n.broker)
	if err != nil {
		return
	}
	defer server.Close()
	var under sync.Map // what was asked, by its correlation id
	go func() {
		defer server.Close()
		defer client.Close()
		_ = frames(client, func(frame []byte) error {
			key, version := protocol.ApiKey(endian.BigEndian.Uint16(frame[4:])), int16(endian.BigEndian.Uint16(frame[6:]))
			under.Store(endian.BigEndian.Uint32(frame[8:]), asked{key, version})
			_, err := server.Write(frame)
			return err
		})
	}()
	_ = frames(server, func(frame []byte) error {
		question, _ := under.LoadAndDelete(endian.BigEndian.Uint32(frame[4:]))
		a, _ := question.(asked)
		if a.key != protocol.Metadata && a.key != protocol.FindCoordinator {
			_, err := client.Write(frame)
			return err
		}
		id, answer, err := protocol.ReadResponse(bytes.NewReader(frame), a.key, a.version)
		if err != nil {
			return err
		}
		switch answer := answer.(type) {
		case *metadata.Response:
			for i := range answer.Brokers {
				answer.Brokers[i].Host, answer.Brokers[i].Port = n.host, n.port
			}
		case *findcoordinator.Response:
			answer.Host, answer.Port = n.host, n.port
		}
		return protocol.WriteResponse(client, a.version, id, answer)
	})
}

// frames gives each frame that comes, its length before it.
func frames(from io.Reader, take func([]byte) error) error {
	for {
		frame := make([]byte, 4, 4096)
		if _, err := io.ReadFull(from, frame); err != nil {
			return err
		}
		size := endian.BigEndian.Uint32(frame)
		if size < 8 || size > 64<<20 {
			return fmt.Errorf("a frame of %d bytes", size)
		}
		frame = append(frame, make([]byte, size)...)
		if _, err := io.ReadFull(from, frame[4:]); err != nil {
			return err
		}
		if err := take(frame); err != nil {
			return err
		}
	}
}
