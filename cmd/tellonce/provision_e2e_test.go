package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

// securedBroker is a Kafka broker of the test's own with TLS and rights.
type securedBroker struct {
	clear, sasl, mtls string // where whoever comes may do all, where one logs in, and where one shows a certificate
	certs             string // a folder
}

func newSecuredBroker(t *testing.T) *securedBroker {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a broker of its own")
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("starts a broker of its own, which needs Java")
	}
	b := &securedBroker{certs: t.TempDir()}
	selfSigned(t, b.certs)
	state := t.TempDir()
	brokers := func(ctx context.Context, args ...string) string {
		cmd := exec.CommandContext(ctx, "../../deploy/dev/brokers", args...)
		cmd.Env = append(os.Environ(), "TELLONCE_DEV_STATE="+state)
		progress := &lockedBuffer{}
		cmd.Stderr = progress
		out, err := cmd.Output()
		require.NoError(t, err, progress.String())
		return string(out)
	}
	t.Cleanup(func() { brokers(context.Background(), "down") })
	addresses := map[string]string{}
	for _, line := range regexp.MustCompile(`export (\w+)='(.*)'`).FindAllStringSubmatch(brokers(t.Context(), "up", "1", "--secure", b.certs), -1) {
		addresses[line[1]] = line[2]
	}
	b.clear, b.sasl, b.mtls = addresses["KAFKA_BROKERS"], addresses["KAFKA_SASL"], addresses["KAFKA_MTLS"]
	return b
}

// selfSigned writes ca.pem and broker.pem: one certificate that vouches for itself, the broker's and the ministry's.
func selfSigned(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "moh"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), text, 0o600))
	text = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), text...)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broker.pem"), text, 0o600))
}

func (b *securedBroker) password(t *testing.T, user string) string {
	t.Helper()
	path := filepath.Join(b.certs, user)
	require.NoError(t, os.WriteFile(path, []byte("invented-"+user+"\n"), 0o600))
	return path
}

// TestProvisionedHub provisions a broker with rights by the command, step by step: a hub without rights stops, and goes on once it has them
// and the stream is resumed; the ministry reads with a tool that is not ours.
func TestProvisionedHub(t *testing.T) {
	t.Parallel()
	server(t, "KAFKA_BROKERS")
	b := newSecuredBroker(t)
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	stream := p.ownStream()
	p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
	hubFile, ca := b.password(t, "hub"), filepath.Join(b.certs, "ca.pem")
	results := func(args ...string) map[string]int {
		out := map[string]int{}
		for _, step := range objects(t, p.run(append([]string{"stream", "provision", stream, "--kafka", b.clear, "--output", "json"}, args...)...)) {
			require.Equal(t, stream, step["stream"])
			out[step["what"].(string)+" "+step["result"].(string)]++
		}
		return out
	}
	hubUser := []string{"--hub-user", "hub", "--hub-password-file", hubFile}
	ministry := []string{"--ministry-user", "CN=moh"}
	require.Equal(t, map[string]int{"topic would be created": 3, "user would be created": 1, "right would be created": 13},
		results(append(append([]string{"--dry-run"}, hubUser...), ministry...)...))
	require.Equal(t, map[string]int{"topic created": 3, "right created": 8}, results(ministry...))

	// The hub has no user: it can't log in, and says so, until it has one. (A right that is missing is another matter: then the lane stops.)
	login := []string{"--kafka", b.sasl, "--kafka-streams", stream, "--kafka-user", "hub", "--kafka-password-file", hubFile, "--kafka-ca", ca}
	hub := p.serve(login...)
	requireSaid(t, hub, "SASL Authentication Failed")
	require.Equal(t, map[string]int{"topic exists": 3, "user created": 1, "right created": 5}, results(hubUser...))
	require.Equal(t, map[string]int{"topic exists": 3, "user password set": 1, "right exists": 5}, results(hubUser...))
	pulled := len(objects(t, p.run("stream", "read", stream)))
	require.Positive(t, pulled)
	require.Eventually(t, func() bool { return b.kcat(t, stream) == pulled }, time.Minute, 100*time.Millisecond, "%s", hub.stderr)
	require.Equal(t, 0, hub.stop(t))

	// A file that others may read is refused at once.
	require.NoError(t, os.Chmod(hubFile, 0o644)) // #nosec G302 -- that is what is refused
	require.Contains(t, p.fails(exitFailure, append([]string{"serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"}, login...)...), "chmod 600")
	require.Contains(t, p.fails(exitUsage, "stream", "provision"), "--kafka HOST:PORT")
	require.Contains(t, p.fails(exitUsage, "stream", "provision", "--kafka", b.clear, "--ministry-user", "moh"), "one ministry")
	require.Contains(t, p.fails(exitFailure, "stream", "provision", "none", "--kafka", b.clear), "stream list")
}

// TestAStoppedLaneIsResumed: what the broker refuses for certain stops a lane; pausing and resuming its stream starts it again.
func TestAStoppedLaneIsResumed(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	stream := p.ownStream()
	p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
	makeTopic(t, broker, "tellonce."+stream, 7) // not the stream's number of lanes
	hub := p.serve("--kafka", broker, "--kafka-streams", stream)
	requireSaid(t, hub, "a Kafka lane has stopped until a person has looked")
	deleteTopic(t, broker, "tellonce."+stream)

	inner := p.open()
	defer inner.Close()
	// More than once: the hub asks for a topic's partitions once a second, and stops again while it believes that the old one is there.
	require.Eventually(t, func() bool {
		require.NoError(t, inner.delivery.Pause(t.Context(), terminalActor, journal.CommandID{}, stream))
		require.NoError(t, inner.delivery.Resume(t.Context(), terminalActor, journal.CommandID{}, stream))
		return topicExists(t, broker, "tellonce."+stream)
	}, time.Minute, 2*time.Second)
	consume(t, broker, "tellonce."+stream, func(seen []record) bool { return len(seen) >= 10 })
	require.Equal(t, 0, hub.stop(t))
}

func requireSaid(t *testing.T, hub *hubProcess, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(hub.stderr.String(), text) }, time.Minute, 20*time.Millisecond, text)
}

// kcat counts the numbered events that the ministry reads; -1 while it can't.
func (b *securedBroker) kcat(t *testing.T, stream string) int {
	t.Helper()
	path, err := exec.LookPath("kcat")
	require.NoError(t, err, "kcat must be installed: deploy/dev/up --tools")
	// By certificate: Debian's kcat has a librdkafka older than 2.6.1, whose SCRAM current brokers refuse.
	out, err := exec.CommandContext(t.Context(), path, "-b", b.mtls, "-t", "tellonce."+stream, "-C", "-e", "-q", "-f", "%h\n",
		"-X", "security.protocol=SSL", "-X", "ssl.ca.location="+filepath.Join(b.certs, "ca.pem"),
		"-X", "ssl.key.location="+filepath.Join(b.certs, "broker.pem"), "-X", "ssl.certificate.location="+filepath.Join(b.certs, "ca.pem"),
		"-X", "ssl.endpoint.identification.algorithm=none").Output() // it compares names only, not addresses
	if err != nil {
		return -1
	}
	return strings.Count(string(out), "ce_sequence=")
}
