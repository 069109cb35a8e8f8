package kafka

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
)

// A topic that is deleted while it is in use is a lane that can't send: undecided, no more. The sender makes the topic anew and goes on
// after the last number that it had; what was in the topic is gone with it, and a replay brings it again.
func TestSenderSurvivesADeletedTopic(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	s := h.sender()
	mustTakeOver(t, s, "")
	require.NoError(t, s.Send(deadline(t), disclosed(1, 3)))
	_, err := h.kafka().DeleteTopics(deadline(t), &kafka.DeleteTopicsRequest{Topics: []string{h.topic}})
	require.NoError(t, err)
	eventuallyGone(t, h.Client, h.topic)

	err = s.Send(soon(t), disclosed(4, 4))
	var undecided *Undecided
	require.ErrorAs(t, err, &undecided)
	require.NotErrorIs(t, err, delivery.ErrFatal)
	mustTakeOver(t, s, "1.0.3")
	require.NoError(t, s.Send(deadline(t), disclosed(4, 6)))
	require.Equal(t, []int64{4, 5, 6}, numbers(t, h.topic, 0))
}

// Rule 5: when the broker finds a hole in the sequence, something of ours is not what we think. Nothing more is sent before it is known what.
func TestAHoleInTheSequenceIsUndecided(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(1, 2)))
	b.lane.next.sequence += 5
	var undecided *Undecided
	require.ErrorAs(t, b.lane.Send(deadline(t), events(3, 3)), &undecided)
	require.ErrorIs(t, undecided, kafka.OutOfOrderSequenceNumber)
	require.ErrorAs(t, b.lane.Send(deadline(t), events(3, 3)), &undecided)
	require.Equal(t, int64(2), takeOver(t, b.lane).Number)
	require.NoError(t, b.lane.Send(deadline(t), events(3, 4)))
	require.Equal(t, upTo(4), numbers(t, b.topic, 0))
}
