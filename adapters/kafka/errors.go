package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// Undecided reports that the lane stopped while a batch, or a part of it, may or may not be in the topic. The lane sends nothing more
// before TakeOver has found out.
type Undecided struct {
	Topic     string
	Partition int
	// First and Last are the numbers of the messages concerned; zero when they carry none.
	First, Last int64
	Cause       error
}

func (e *Undecided) Error() string {
	return fmt.Sprintf("kafka: %s/%d: not known whether %d to %d arrived, take over first: %v", e.Topic, e.Partition, e.First, e.Last, e.Cause)
}

// Unwrap returns the cause.
func (e *Undecided) Unwrap() error { return e.Cause }

// Refused reports that the broker refused a batch for certain (too large, not authorised, invalid): nothing of it was appended. The lane
// stops, what is queued behind it fails too, and a human has to look; TakeOver starts it again.
type Refused struct {
	Topic     string
	Partition int
	// First and Last are the numbers of the messages concerned; zero when they carry none.
	First, Last int64
	Cause       error
}

func (e *Refused) Error() string {
	return fmt.Sprintf("kafka: %s/%d: the broker refused %d to %d, the lane stops: %v", e.Topic, e.Partition, e.First, e.Last, e.Cause)
}

// Unwrap returns the cause.
func (e *Refused) Unwrap() error { return e.Cause }

// Fenced reports that another process took the lane over: this one must stop, and may TakeOver only after it has won the lease again.
// Nothing of the batch it was sending was appended after the other's fence; what came in before, the other has read.
type Fenced struct {
	Topic     string
	Partition int
	Cause     error
}

func (e *Fenced) Error() string {
	return fmt.Sprintf("kafka: %s/%d: someone else has taken the lane over: %v", e.Topic, e.Partition, e.Cause)
}

// Unwrap returns the cause.
func (e *Fenced) Unwrap() error { return e.Cause }

// ErrPartitions reports a topic whose number of partitions is not the stream's number of lanes; it was pinned when the stream opened.
var ErrPartitions = errors.New("the topic has another number of partitions than the stream has lanes")

// errNoProducer stands behind the first Undecided of a lane that has never been taken over.
var errNoProducer = errors.New("the lane has not been taken over yet")

// errStaleState reports that the broker knows a later epoch than the store: a restored backup.
var errStaleState = errors.New("the broker knows a later epoch of this producer than the store does; was the store restored from a backup?")

// verdict says what one failed try means for a batch.
type verdict int

const (
	retry     verdict = iota // may succeed later; it may or may not have arrived
	unsent                   // may succeed later; it certainly did not arrive
	refused                  // not appended, and never will be
	fenced                   // someone else has a later epoch
	undecided                // no use in trying again; it may have arrived
)

// kafkaVerdicts sorts the broker's error codes. What is not listed is undecided.
var kafkaVerdicts = map[kafka.Error]verdict{
	kafka.UnknownTopicOrPartition:      retry,
	kafka.LeaderNotAvailable:           retry,
	kafka.NotLeaderForPartition:        retry, // the former leader may have appended and then lost the lead
	kafka.RequestTimedOut:              retry,
	kafka.NotEnoughReplicas:            retry,
	kafka.NotEnoughReplicasAfterAppend: retry,
	kafka.KafkaStorageError:            retry,
	kafka.NetworkException:             retry,
	kafka.BrokerNotAvailable:           unsent, // kafka-go's word for a broker that is not in its metadata
	kafka.SASLAuthenticationFailed:     unsent, // a password that is being exchanged: what was to be sent never left
	kafka.GroupLoadInProgress:          retry,  // InitProducerID, just after the broker's start
	kafka.GroupCoordinatorNotAvailable: retry,
	kafka.NotCoordinatorForGroup:       retry,
	kafka.FencedLeaderEpoch:            retry,
	kafka.UnknownLeaderEpoch:           retry,
	kafka.ThrottlingQuotaExceeded:      retry,

	kafka.InvalidMessage:              refused,
	kafka.InvalidMessageSize:          refused,
	kafka.MessageSizeTooLarge:         refused,
	kafka.RecordListTooLarge:          refused,
	kafka.InvalidTopic:                refused,
	kafka.InvalidRequiredAcks:         refused,
	kafka.InvalidTimestamp:            refused,
	kafka.InvalidRecord:               refused,
	kafka.InvalidRequest:              refused,
	kafka.PolicyViolation:             refused,
	kafka.UnsupportedVersion:          refused,
	kafka.UnsupportedForMessageFormat: refused,
	kafka.UnsupportedCompressionType:  refused,
	kafka.TopicAuthorizationFailed:    refused,
	kafka.ClusterAuthorizationFailed:  refused,
	kafka.UnsupportedSASLMechanism:    refused,

	kafka.InvalidProducerEpoch: fenced,
	kafka.ProducerFenced:       fenced,
}

// classify says what err, of one try, means. The order matters: a code of the broker's, then what kafka-go found before it sent
// anything, then the network.
func classify(err error) verdict {
	if code := kafka.Error(0); errors.As(err, &code) {
		if v, known := kafkaVerdicts[code]; known {
			return v
		}
		return undecided
	}
	if errors.Is(err, ErrPartitions) {
		return refused
	}
	for _, routing := range []error{protocol.ErrNoTopic, protocol.ErrNoPartition, protocol.ErrNoLeader} {
		if errors.Is(err, routing) {
			return unsent
		}
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return unsent
	}
	return retry
}

// moved says whether err may mean that the partition's leader is elsewhere by now, so that the metadata should be fetched again.
func moved(err error) bool {
	for _, sign := range []error{
		kafka.NotLeaderForPartition, kafka.LeaderNotAvailable, kafka.UnknownTopicOrPartition, kafka.BrokerNotAvailable,
		kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch,
		protocol.ErrNoTopic, protocol.ErrNoPartition, protocol.ErrNoLeader, syscall.ECONNREFUSED,
	} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}

// category names err for a metric's label: never its text, which may hold addresses.
func category(err error) string {
	var netErr net.Error
	switch {
	case errors.Is(err, kafka.NotEnoughReplicas), errors.Is(err, kafka.NotEnoughReplicasAfterAppend):
		return "replicas"
	case moved(err):
		return "leader"
	case errors.As(err, new(kafka.Error)):
		return "broker"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	default:
		return "network"
	}
}
