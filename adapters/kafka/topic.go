package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// retention is how long a topic keeps what was disclosed: seven days, the longest that the law of erasure allows.
const retention = "604800000" // ms

// EnsureTopic makes the topic, a partition per lane, if it is missing: three replicas of which two must be in sync where the cluster has
// three brokers or more, else one. It refuses, with ErrPartitions, a topic that has another number of partitions, for a citizen's lane
// would change. It tries until ctx ends and returns when every partition has a leader.
func (c *Client) EnsureTopic(ctx context.Context, topic string, partitions int) error {
	if partitions < 1 {
		return fmt.Errorf("kafka: topic %s: %d partitions", topic, partitions)
	}
	c.know(topic) // before it exists: kafka-go waits for the topics it makes to show up in its metadata
	_, err := c.attempt(ctx, nil, func(ctx context.Context) error { return c.ensureTopic(ctx, topic, partitions) })
	if err != nil {
		return fmt.Errorf("kafka: topic %s: %w", topic, err)
	}
	return nil
}

func (c *Client) ensureTopic(ctx context.Context, topic string, partitions int) error {
	metadata, err := c.kafka().Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	found := metadata.Topics[0]
	switch {
	case errors.Is(found.Error, kafka.UnknownTopicOrPartition):
		if err := c.createTopic(ctx, topic, partitions, len(metadata.Brokers)); err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return err
		}
		return found.Error // try again: the metadata must show it, whoever made it
	case found.Error != nil:
		return found.Error
	case len(found.Partitions) != partitions:
		return &partitionsError{have: len(found.Partitions), want: partitions}
	}
	for _, p := range found.Partitions {
		if p.Leader.Host == "" {
			return kafka.LeaderNotAvailable
		}
	}
	return nil
}

// topicExists returns nil when the topic is there, UnknownTopicOrPartition when it is not.
func (c *Client) topicExists(ctx context.Context, topic string) error {
	metadata, err := c.kafka().Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	return metadata.Topics[0].Error
}

func (c *Client) createTopic(ctx context.Context, topic string, partitions, brokers int) error {
	config := kafka.TopicConfig{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{
			{ConfigName: "cleanup.policy", ConfigValue: "delete"},
			{ConfigName: "retention.ms", ConfigValue: retention},
			// A replica that lags must not become leader: it would lose what was acknowledged.
			{ConfigName: "unclean.leader.election.enable", ConfigValue: "false"},
			{ConfigName: "min.insync.replicas", ConfigValue: "1"},
		},
	}
	if brokers >= 3 {
		config.ReplicationFactor = 3
		config.ConfigEntries[3].ConfigValue = "2"
	}
	answer, err := c.kafka().CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

// partitionsError is ErrPartitions with the numbers. It is a refusal: no try will change it.
type partitionsError struct{ have, want int }

func (e *partitionsError) Error() string {
	return fmt.Sprintf("%v: %d, not %d; lanes are fixed when a stream opens, so delete the topic or open another stream",
		ErrPartitions, e.have, e.want)
}

func (e *partitionsError) Unwrap() error { return ErrPartitions }
