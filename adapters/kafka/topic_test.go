package kafka

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestEnsureTopicMakesAPartitionPerLane(t *testing.T) {
	t.Parallel()
	c := open(t, Config{Brokers: brokers(t)})
	topic := topicName(t)
	require.NoError(t, c.EnsureTopic(deadline(t), topic, 3))
	require.NoError(t, c.EnsureTopic(deadline(t), topic, 3), "it may be there already")
	for partition := range 3 {
		l := c.Lane(topic, partition, &memoryState{shared: &stored{}})
		takeOver(t, l)
		require.NoError(t, l.Send(deadline(t), events(1, int64(partition+1))))
	}
	for partition := range 3 {
		require.Equal(t, upTo(int64(partition+1)), numbers(t, topic, partition))
	}
	answer, err := c.kafka().DescribeConfigs(deadline(t), &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms", "unclean.leader.election.enable"},
	}}})
	require.NoError(t, err)
	config := map[string]string{}
	for _, entry := range answer.Resources[0].ConfigEntries {
		config[entry.ConfigName] = entry.ConfigValue
	}
	require.Equal(t, map[string]string{"retention.ms": "604800000", "unclean.leader.election.enable": "false"}, config)
}

func TestEnsureTopicRefusesAnotherNumberOfPartitions(t *testing.T) {
	t.Parallel()
	c := open(t, Config{Brokers: brokers(t)})
	topic := topicName(t)
	require.NoError(t, c.EnsureTopic(deadline(t), topic, 2))
	for _, lanes := range []int{1, 3} {
		err := c.EnsureTopic(deadline(t), topic, lanes)
		require.ErrorIs(t, err, ErrPartitions)
		require.ErrorContains(t, err, topic)
	}
	require.Error(t, c.EnsureTopic(deadline(t), topic, 0))
}

func TestEnsureTopicRefusesAnInvalidName(t *testing.T) {
	t.Parallel()
	c := open(t, Config{Brokers: brokers(t)})
	require.ErrorIs(t, c.EnsureTopic(deadline(t), "no spaces please", 1), kafka.InvalidTopic)
}

func TestEnsureTopicTogether(t *testing.T) {
	t.Parallel()
	topic := topicName(t)
	var wg sync.WaitGroup
	for range 4 {
		c := open(t, Config{Brokers: brokers(t)})
		wg.Go(func() { require.NoError(t, c.EnsureTopic(deadline(t), topic, 2)) })
	}
	wg.Wait()
}

func TestEnsureTopicWithoutABrokerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := open(t, Config{Brokers: []string{"127.0.0.1:1"}})
	require.ErrorContains(t, c.EnsureTopic(soon(t), "test."+rand.Text(), 1), "refused")
	require.False(t, c.refreshed.IsZero(), "the brokers may be elsewhere by now: the metadata were asked for again")
}

func TestOpenRefusesWhatCantWork(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	open(t, Config{Brokers: []string{"127.0.0.1:1"}, Registerer: registry})
	for _, config := range []Config{
		{}, {Brokers: []string{"localhost"}}, {Brokers: []string{"127.0.0.1:1"}, Registerer: registry},
	} {
		_, err := Open(t.Context(), config)
		require.Error(t, err)
	}
}

// Rule 8: a forced refresh closes every idle connection of all lanes, so there are at most four a second.
func TestRefreshIsLimited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	ctx := deadline(t)
	before, start := b.faults.dialled(), time.Now()
	for time.Since(start) < time.Second {
		b.refresh()
		_, err := b.lane.start(ctx)
		require.NoError(t, err)
	}
	// Each refresh costs one connection for metadata and one to the partition's leader.
	refreshes := int(time.Since(start)/refreshEvery) + 1
	require.InDelta(t, 2*refreshes, b.faults.dialled()-before, float64(refreshes+1))
}

// expire deletes all records before an offset, as retention does. kafka-go can't say that, franz-go can.
func expire(t testing.TB, b *bundle, before int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers(t)...))
	require.NoError(t, err)
	defer client.Close()
	partition := kmsg.NewDeleteRecordsRequestTopicPartition()
	partition.Offset = before
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = b.topic
	topic.Partitions = append(topic.Partitions, partition)
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(deadline(t), client)
	require.NoError(t, err)
	require.Zero(t, answer.Topics[0].Partitions[0].ErrorCode)
}
