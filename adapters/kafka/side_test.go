package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
)

func (h *hub) side(t *testing.T, replay string) *Sender {
	t.Helper()
	return h.NewSideSender(h.views, h.stream, replay, 0, 1)
}

// Replays of one lane interrupt each other, die, and go on, each where it was. Each event comes once in each replay, and in order.
func TestReplaysShareTheSideTopic(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	deleteAfterwards(t, ReplayTopic(h.stream))
	stream := h.sender()
	mustTakeOver(t, stream, "")
	require.NoError(t, stream.Send(deadline(t), disclosed(1, 20)))

	first := h.side(t, "100")
	mustTakeOver(t, first, "")
	require.NoError(t, first.Send(deadline(t), disclosed(3, 5)))
	// It dies after the acknowledgement, before the cursor is saved.
	unsaved := disclosed(6, 7)
	for i := range unsaved {
		unsaved[i].Attributes = append(unsaved[i].Attributes, delivery.Attribute{Name: "replay", Value: "100"})
	}
	require.NoError(t, first.lane.Send(deadline(t), []Message{binaryMode(&unsaved[0]), binaryMode(&unsaved[1])}))

	second := h.side(t, "200")
	mustTakeOver(t, second, "")
	require.NoError(t, second.Send(deadline(t), disclosed(1, 4)))
	var fenced *Fenced
	require.ErrorAs(t, first.Send(deadline(t), disclosed(8, 8)), &fenced)

	first = h.side(t, "100")
	mustTakeOver(t, first, "1.0.7")
	require.NoError(t, first.Send(deadline(t), disclosed(8, 10)))
	require.Error(t, second.Send(deadline(t), disclosed(5, 5)))
	mustTakeOver(t, second, "1.0.4")
	require.NoError(t, second.Send(deadline(t), disclosed(5, 6)))
	mustTakeOver(t, h.side(t, "100"), "1.0.10")
	mustTakeOver(t, h.side(t, "300"), "")

	by := map[string][]int64{}
	for _, r := range consume(t, ReplayTopic(h.stream), 0) {
		if n := numbersOf([]record{r}); len(n) == 1 {
			by[r.header(replayHeader)] = append(by[r.header(replayHeader)], n...)
		}
	}
	require.Equal(t, map[string][]int64{"100": {3, 4, 5, 6, 7, 8, 9, 10}, "200": {1, 2, 3, 4, 5, 6}}, by)

	// The stream itself knows nothing of it.
	require.Equal(t, upTo(20), numbers(t, h.topic, 0))
	mustTakeOver(t, h.sender(), "1.0.20")
}
