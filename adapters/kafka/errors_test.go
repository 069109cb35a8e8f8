package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/stretchr/testify/require"
)

// Rule 2 to 5: what each error of a try means.
func TestClassify(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, c := range []struct {
		err   error
		want  verdict
		moved bool
		label string
	}{
		{dial, unsent, true, "leader"},
		{protocol.NewErrNoTopic("t"), unsent, true, "leader"},
		{protocol.NewErrNoPartition("t", 1), unsent, true, "leader"},
		{protocol.NewErrNoLeader("t", 1), unsent, true, "leader"},
		{kafka.BrokerNotAvailable, unsent, true, "leader"},
		{kafka.SASLAuthenticationFailed, unsent, false, "broker"},
		{reset, retry, false, "network"},
		{io.EOF, retry, false, "network"},
		{io.ErrUnexpectedEOF, retry, false, "network"},
		{os.ErrDeadlineExceeded, retry, false, "timeout"},
		{context.DeadlineExceeded, retry, false, "timeout"},
		{kafka.NotLeaderForPartition, retry, true, "leader"},
		{kafka.LeaderNotAvailable, retry, true, "leader"},
		{kafka.UnknownTopicOrPartition, retry, true, "leader"},
		{kafka.RequestTimedOut, retry, false, "broker"},
		{kafka.NotEnoughReplicas, retry, false, "replicas"},
		{kafka.NotEnoughReplicasAfterAppend, retry, false, "replicas"},
		{kafka.KafkaStorageError, retry, false, "broker"},
		{kafka.GroupLoadInProgress, retry, false, "broker"},
		{kafka.MessageSizeTooLarge, refused, false, "broker"},
		{kafka.RecordListTooLarge, refused, false, "broker"},
		{kafka.TopicAuthorizationFailed, refused, false, "broker"},
		{kafka.InvalidRecord, refused, false, "broker"},
		{ErrPartitions, refused, false, "network"},
		{kafka.InvalidProducerEpoch, fenced, false, "broker"},
		{kafka.ProducerFenced, fenced, false, "broker"},
		{kafka.OutOfOrderSequenceNumber, undecided, false, "broker"},
		{kafka.DuplicateSequenceNumber, undecided, false, "broker"},
		{kafka.UnknownProducerId, undecided, false, "broker"},
		{kafka.Unknown, undecided, false, "broker"},
		{kafka.Error(12345), undecided, false, "broker"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err), errors.Join(errors.New("other"), c.err)} {
			require.Equal(t, c.want, classify(err), "%v", err)
			require.Equal(t, c.moved, moved(err), "%v", err)
			require.Equal(t, c.label, category(err), "%v", err)
		}
	}
}
