package sealtest

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// CrashPlace tells a child process where the storage is.
const CrashPlace = "TELLONCE_TEST_KEYS_CRASH"

const crashBatch = 20

// Crash kills a process that stores and destroys keys, again and again, with no chance to clean up, and checks that what was acknowledged
// stands. child is the name of a test that calls CrashChild where CrashPlace is set; place is handed to it.
func Crash(t *testing.T, kills int, child, place string, s Storage) {
	said := map[seal.KeyID]acknowledged{}
	for kill := range kills {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+child+"$", "-test.v") // #nosec G204 G702 -- this very program
		command.Env = append(os.Environ(), CrashPlace+"="+place)
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		lines := bufio.NewScanner(out)
		// Each time somewhat later, so that the kill falls into each part of a call.
		for seen := 0; seen < crashBatch*(1+kill%4)+kill && lines.Scan(); {
			seen += note(said, lines.Text())
		}
		require.NoError(t, command.Process.Kill())
		for lines.Scan() { // what it acknowledged before it died counts, too
			note(said, lines.Text())
		}
		_, err = io.Copy(io.Discard, out)
		require.NoError(t, err)
		require.Error(t, command.Wait(), "it was killed")
	}
	require.Greater(t, len(said), kills*crashBatch/2)
	store, gone := s.Open(t), 0
	for id, key := range said {
		stored := get(t, store, id)[0]
		if key.gone {
			gone++
			require.True(t, stored.Destroyed)
		}
		if stored.Destroyed {
			require.True(t, key.going, "nobody asked for it")
			require.Nil(t, stored.Wrapped)
			continue
		}
		require.Equal(t, key.wrapped, hex.EncodeToString(stored.Wrapped))
	}
	require.Positive(t, gone)
}

// acknowledged is what a child said of a key: that it stands, that it is about to be destroyed, that it is.
type acknowledged struct {
	wrapped     string
	going, gone bool
}

// note reads one line of the child.
func note(said map[seal.KeyID]acknowledged, line string) int {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return 0
	}
	subject, err := uuid.Parse(fields[1])
	if err != nil || len(fields[2]) != 2*len(newKey(seal.KeyID{}).Wrapped) { // half a line, or the test's own
		return 0
	}
	id := seal.KeyID{Subject: subject, Class: eventstore.Facts}
	switch fields[0] {
	case "key":
		said[id] = acknowledged{wrapped: fields[2]}
	case "going":
		said[id] = acknowledged{wrapped: fields[2], going: true}
	case "gone":
		said[id] = acknowledged{wrapped: fields[2], going: true, gone: true}
	default:
		return 0
	}
	return 1
}

// CrashChild stores keys and destroys a few of them until it is killed, and prints what was acknowledged.
func CrashChild(t *testing.T, s Storage) {
	store, ctx := s.Open(t), context.Background()
	say := func(what string, keys ...seal.StoredKey) {
		for _, key := range keys {
			_, err := fmt.Printf("%s %s %s\n", what, key.Subject, hex.EncodeToString(key.Wrapped))
			require.NoError(t, err)
		}
	}
	for {
		keys := make([]seal.StoredKey, crashBatch)
		for i := range keys {
			keys[i] = newKey(id(eventstore.Facts))
		}
		stands, err := store.PutKeys(ctx, keys...)
		require.NoError(t, err)
		say("key", stands...)
		say("going", stands[:2]...)
		_, err = store.DestroyKeys(ctx, stands[0].KeyID, stands[1].KeyID)
		require.NoError(t, err)
		say("gone", stands[:2]...)
	}
}
