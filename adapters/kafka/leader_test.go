package kafka

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
)

// leaderKills says how many leaders TestLeaderKills kills; `make test-kafka3` asks for 20 and more.
const leaderKills = "TELLONCE_LEADER_KILLS"

// TestLeaderKills has three brokers, replication 3, and six lanes under load, half of which give up after 0.3 s and take over again and again.
// The leader of one lane is killed (SIGKILL), the lanes go on, the broker comes back, until all are in sync; and so on with the next lane.
func TestLeaderKills(t *testing.T) {
	t.Parallel()
	kills := 2
	if text := os.Getenv(leaderKills); text != "" {
		var err error
		kills, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	own := newCluster(t, 3, "")
	c := open(t, Config{Brokers: own.addresses})
	const topic, hurried, patient = "test.leader-kills", 300 * time.Millisecond, 10 * time.Second
	patience := []time.Duration{patient, hurried, patient, hurried, patient, hurried}
	require.NoError(t, c.EnsureTopic(deadline(t), topic, len(patience)))
	inSync := func(partitions []kafka.Partition) bool {
		for _, p := range partitions {
			if len(p.Isr) != 3 {
				return false
			}
		}
		return true
	}
	eventually(t, c, topic, inSync)
	load := startLoad(t, c, topic, patience)
	load.flows(t, 500)
	var waits []time.Duration
	for kill := range kills {
		leader := eventually(t, c, topic, inSync)[kill%len(patience)].Leader.ID
		began := time.Now()
		own.kill(t, leader)
		load.flows(t, 500)
		waits = append(waits, time.Since(began).Round(100*time.Millisecond))
		t.Logf("kill %d: broker %d; all lanes flow again after %s", kill+1, leader, waits[kill])
		own.start(t, leader)
	}
	load.flows(t, 500)
	load.stop()
	found := load.check(t, c)
	slices.Sort(waits)
	t.Logf("%d leader kills, %d events in %d lanes: %d lost, %d doubled, %d reordered; in the middle %s, at most %s until all lanes flowed again",
		kills, found.events, len(patience), found.lost, found.doubled, found.reordered, waits[len(waits)/2], waits[len(waits)-1])
	require.Zero(t, found.lost+found.doubled+found.reordered)
}
