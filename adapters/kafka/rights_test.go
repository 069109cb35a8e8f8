package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
)

// rights is a broker that keeps them, provisioned for the invented ministry moh.
type rights struct {
	*cluster
	*authority
	admin *Client
	plan  Provision
}

const rightsStream = "moh.health-card"

// TestRights provisions a broker of the test's own with TLS and Kafka's StandardAuthorizer, and then does what may and what may not be done.
func TestRights(t *testing.T) {
	t.Parallel()
	r := &rights{authority: newAuthority(t)}
	r.sign(t, "broker")
	r.cluster = newCluster(t, 1, r.dir)
	r.admin = open(t, Config{Brokers: r.addresses})
	r.plan = Provision{
		Stream: rightsStream, Lanes: 2, Ministry: "moh", Hub: User{Name: "hub", Password: "invented-1"}, Reader: User{Name: "moh-app", Password: "invented-2"},
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *rights)
	}{
		{"a dry run makes nothing, a run makes all, the next one nothing", provisionTwice},
		{"the hub sends and the ministry reads and answers by password", passwordsWork},
		{"strangers and the ministry itself can't do what is not theirs", strangersCant},
		{"certificates in place of passwords", certificatesWork},
		{"who isn't who they say", impostorsCant},
		{"rights lost and given back", rightsComeBack},
		{"a password is exchanged while the hub runs", passwordIsExchanged},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, r) })
	}
}

// provision does it and returns the results by what and name.
func (r *rights) provision(t *testing.T, plan Provision) map[string]Result {
	t.Helper()
	did := map[string]Result{}
	require.NoError(t, open(t, Config{Brokers: r.addresses}).Provision(deadline(t), plan, func(s Step) { did[s.What+" "+s.Name] = s.Result }))
	return did
}

func provisionTwice(t *testing.T, r *rights) {
	plan := r.plan
	plan.DryRun = true
	for range 2 {
		for what, result := range r.provision(t, plan) {
			require.Equal(t, WouldMake, result, what)
		}
	}
	first := r.provision(t, r.plan)
	require.Len(t, first, 3+2+5+8)
	for what, result := range first {
		require.Equal(t, Created, result, what)
	}
	require.Contains(t, first, "topic tellonce.moh.health-card.replay with 2 partitions")
	require.Contains(t, first, "right User:hub: Write on topic tellonce.*")
	require.Contains(t, first, "right User:hub: IdempotentWrite on cluster kafka-cluster")
	require.Contains(t, first, "right User:moh-app: Write on topic tellonce.moh.health-card.receipts")
	require.Contains(t, first, "right User:moh-app: Read on group moh:*")
	for what, result := range r.provision(t, r.plan) {
		want := Exists
		if strings.HasPrefix(what, "user ") {
			want = Updated
		}
		require.Equal(t, want, result, what)
	}
	for what, result := range r.provision(t, plan) {
		if strings.HasPrefix(what, "user ") {
			require.Equal(t, WouldReset, result)
		}
	}
	plan.Lanes = 3
	require.ErrorIs(t, r.admin.Provision(deadline(t), plan, func(Step) {}), ErrPartitions, "a dry run says so, too")
	plan.Stream += ".replay"
	require.Error(t, r.admin.Provision(deadline(t), plan, func(Step) {}))
}

// as opens a client of that user's.
func (r *rights) as(t *testing.T, user, password string) *Client {
	t.Helper()
	config := Config{Brokers: r.sasl, RequestTimeout: 2 * time.Second}
	access := Access{User: user, PasswordFile: r.password(t, user, password), CA: filepath.Join(r.dir, "ca.pem")}
	require.NoError(t, access.Use(&config))
	return open(t, config)
}

// with opens a client that shows that certificate.
func (r *rights) with(t *testing.T, cert, key string) *Client {
	t.Helper()
	config := Config{Brokers: r.mtls, RequestTimeout: 2 * time.Second}
	require.NoError(t, Access{CA: filepath.Join(r.dir, "ca.pem"), Cert: cert, Key: key}.Use(&config))
	return open(t, config)
}

// roundTrip lets a hub send five events and a ministry read them in a group and answer.
func roundTrip(t *testing.T, hub, ministry *Client, group string) {
	t.Helper()
	sender := hub.NewSender(newViews(t), rightsStream, 0, 2)
	mustTakeOver(t, sender, "")
	require.NoError(t, sender.Send(deadline(t), disclosed(1, 5)))
	s := newSubscriber(t, SubscriberConfig{Client: ministry, Group: GroupPrefix("moh") + group})
	messages, err := s.Subscribe(deadline(t), Topic(rightsStream))
	require.NoError(t, err)
	for n := range 5 {
		m, ok := <-messages
		require.True(t, ok)
		require.Equal(t, "1.0."+string(rune('1'+n)), m.UUID)
		m.Ack()
	}
	p := newPublisher(t, ministry, 2)
	require.NoError(t, p.Publish(ReceiptsTopic(rightsStream), message.NewMessage("receipt", []byte("{}"))))
	receipts := newSubscriber(t, SubscriberConfig{Client: hub, Group: "tellonce." + group})
	answers, err := receipts.Subscribe(deadline(t), ReceiptsTopic(rightsStream))
	require.NoError(t, err)
	answer, ok := <-answers
	require.True(t, ok)
	require.Equal(t, "receipt", answer.UUID)
	answer.Ack()
}

// emptied makes the topics anew, for another log's sender.
func (r *rights) emptied(t *testing.T) {
	t.Helper()
	topics := []string{Topic(rightsStream), ReceiptsTopic(rightsStream)}
	_, err := r.admin.kafka().DeleteTopics(deadline(t), &kafka.DeleteTopicsRequest{Topics: topics})
	require.NoError(t, err)
	for _, topic := range topics {
		eventuallyGone(t, r.admin, topic)
	}
	r.provision(t, r.plan)
}

func passwordsWork(t *testing.T, r *rights) {
	roundTrip(t, r.as(t, "hub", "invented-1"), r.as(t, "moh-app", "invented-2"), "by-password")
}

// may answers what the broker says to a read and a write of a topic. It asks the broker itself: kafka-go's client asks for metadata first,
// and gets none of a topic that it may not know.
func may(t *testing.T, c *Client, topic string) (read, write error) {
	t.Helper()
	host, port, err := net.SplitHostPort(c.config.Brokers[0])
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	dialer := &kafka.Dialer{TLS: c.config.TLS, SASLMechanism: c.config.SASL}
	conn, err := dialer.DialPartition(deadline(t), "tcp", c.config.Brokers[0], kafka.Partition{Topic: topic, Leader: kafka.Broker{Host: host, Port: number}})
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	batch := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond})
	_, err = batch.ReadMessage()
	read = errors.Join(batch.Close(), err)
	if errors.Is(read, io.EOF) || errors.Is(read, kafka.RequestTimedOut) {
		read = nil // nothing there yet
	}
	_, write = conn.WriteMessages(kafka.Message{Value: []byte("invented")})
	return read, write
}

func strangersCant(t *testing.T, r *rights) {
	plan := r.plan
	plan.Stream, plan.Ministry, plan.Reader = "mto.licensing", "mto", User{Name: "mto-app", Password: "invented-3"}
	r.provision(t, plan)
	stranger, ministry := r.as(t, "mto-app", "invented-3"), r.as(t, "moh-app", "invented-2")

	for _, topic := range []string{Topic(rightsStream), ReceiptsTopic(rightsStream), ReplayTopic(rightsStream)} {
		read, write := may(t, stranger, topic)
		require.ErrorIs(t, read, kafka.TopicAuthorizationFailed, topic)
		stranger.know(topic)
		require.ErrorIs(t, stranger.topicExists(deadline(t), topic), kafka.TopicAuthorizationFailed, "not even whether it is there")
		require.ErrorIs(t, write, kafka.TopicAuthorizationFailed, topic)
		read, write = may(t, ministry, topic)
		require.NoError(t, read, topic)
		if topic == ReceiptsTopic(rightsStream) {
			require.NoError(t, write)
		} else {
			require.ErrorIs(t, write, kafka.TopicAuthorizationFailed, topic)
		}
	}
	// Nor does anybody but the admin make topics or give rights.
	hub := r.as(t, "hub", "invented-1")
	require.ErrorIs(t, hub.EnsureTopic(deadline(t), Topic("new"), 1), kafka.TopicAuthorizationFailed)
	for _, c := range []*Client{hub, ministry} {
		require.ErrorIs(t, c.Provision(deadline(t), r.plan, func(Step) {}), kafka.ClusterAuthorizationFailed)
	}
	// Another's consumer group.
	for group, want := range map[string]error{"mto:app": nil, "moh:app": kafka.GroupAuthorizationFailed, "tellonce.receipts": kafka.GroupAuthorizationFailed} {
		answer, err := stranger.kafka().OffsetFetch(deadline(t), &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{Topic("mto.licensing"): {0}}})
		require.NoError(t, err)
		require.Equal(t, want, answer.Error, group)
	}
}

func certificatesWork(t *testing.T, r *rights) {
	r.emptied(t)
	plan := r.plan
	plan.Hub, plan.Reader = User{Name: "CN=hub"}, User{Name: "CN=moh"}
	require.NotContains(t, r.provision(t, plan), "user CN=hub", "a certificate has no password")
	hubCert, hubKey := r.sign(t, "hub")
	cert, key := r.sign(t, "moh")
	roundTrip(t, r.with(t, hubCert, hubKey), r.with(t, cert, key), "by-certificate")
	_, write := may(t, r.with(t, cert, key), Topic(rightsStream))
	require.ErrorIs(t, write, kafka.TopicAuthorizationFailed)
}

func impostorsCant(t *testing.T, r *rights) {
	err := r.as(t, "hub", "guessed").topicExists(deadline(t), Topic(rightsStream))
	require.ErrorIs(t, err, kafka.SASLAuthenticationFailed)
	require.Equal(t, unsent, classify(err), "nothing arrived, and the right password may come")
	require.NotContains(t, err.Error(), "guessed")

	other := newAuthority(t)
	cert, key := other.sign(t, "hub")
	require.Error(t, r.with(t, cert, key).topicExists(deadline(t), Topic(rightsStream)), "signed by somebody else")
	bare := open(t, Config{Brokers: r.mtls, TLS: &tls.Config{RootCAs: r.pool(), MinVersion: tls.VersionTLS12}, RequestTimeout: 2 * time.Second})
	require.Error(t, bare.topicExists(deadline(t), Topic(rightsStream)), "no certificate at all")

	config := Config{Brokers: r.sasl, RequestTimeout: 2 * time.Second}
	require.NoError(t, Access{User: "hub", PasswordFile: r.password(t, "hub", "invented-1"), CA: filepath.Join(other.dir, "ca.pem")}.Use(&config))
	require.ErrorContains(t, open(t, config).topicExists(deadline(t), Topic(rightsStream)), "certificate", "a broker that somebody else vouches for")
}

// Rule 4: a right that is taken away stops the lane for certain, with nothing in doubt; given back, the lane goes on where it was.
func rightsComeBack(t *testing.T, r *rights) {
	r.emptied(t)
	s := r.as(t, "hub", "invented-1").NewSender(newViews(t), rightsStream, 0, 2)
	mustTakeOver(t, s, "")
	require.NoError(t, s.Send(deadline(t), disclosed(1, 3)))
	answer, err := r.admin.kafka().DeleteACLs(deadline(t), &kafka.DeleteACLsRequest{Filters: []kafka.DeleteACLsFilter{{
		ResourceTypeFilter: kafka.ResourceTypeTopic, ResourcePatternTypeFilter: kafka.PatternTypeAny, PrincipalFilter: "User:hub",
		Operation: kafka.ACLOperationTypeWrite, PermissionType: kafka.ACLPermissionTypeAllow,
	}}})
	require.NoError(t, err)
	require.Len(t, answer.Results[0].MatchingACLs, 1)

	var refusal *Refused
	err = s.Send(deadline(t), disclosed(4, 5))
	require.ErrorAs(t, err, &refusal)
	require.ErrorIs(t, err, kafka.TopicAuthorizationFailed)
	require.ErrorIs(t, err, delivery.ErrFatal)
	require.Equal(t, []int64{4, 5}, []int64{refusal.First, refusal.Last})
	_, err = s.TakeOver(deadline(t))
	require.ErrorIs(t, err, delivery.ErrFatal, "still not")

	did := r.provision(t, r.plan)
	require.Equal(t, Created, did["right User:hub: Write on topic tellonce.*"])
	mustTakeOver(t, s, "1.0.3")
	require.NoError(t, s.Send(deadline(t), disclosed(4, 6)))
	require.Equal(t, upTo(6), numbersOf(readAll(t, reader{r.admin, Topic(rightsStream), 0})))
}

// The broker has the new password before the hub's file has: the hub comes back by itself.
func passwordIsExchanged(t *testing.T, r *rights) {
	r.emptied(t)
	hub := r.as(t, "hub", "invented-1")
	s := hub.NewSender(newViews(t), rightsStream, 0, 2)
	mustTakeOver(t, s, "")
	require.NoError(t, s.Send(deadline(t), disclosed(1, 1)))
	plan := r.plan
	plan.Hub.Password = "invented-4"
	r.provision(t, plan)

	hub.replace(t) // as when the connections break
	err := s.Send(soon(t), disclosed(2, 2))
	require.Error(t, err)
	require.NotErrorIs(t, err, delivery.ErrFatal)
	r.password(t, "hub", "invented-4")
	mustTakeOver(t, s, "1.0.1")
	require.NoError(t, s.Send(deadline(t), disclosed(2, 2)))
}

// replace leaves the client's connections behind.
func (c *Client) replace(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replaceTransport(c.newTransport())
}

func eventuallyGone(t *testing.T, c *Client, topic string) {
	t.Helper()
	_, err := c.attempt(deadline(t), nil, func(ctx context.Context) error {
		switch err := c.topicExists(ctx, topic); {
		case errors.Is(err, kafka.UnknownTopicOrPartition):
			return nil
		case err == nil:
			return io.ErrNoProgress // not yet: again
		default:
			return err
		}
	})
	require.NoError(t, err)
}
