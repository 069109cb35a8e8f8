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

// Crash kills a process that stores keys, again and again, with no chance to clean up, and checks that what was acknowledged stands.
// child is the name of a test that calls CrashChild where CrashPlace is set; place is handed to it.
func Crash(t *testing.T, kills int, child, place string, s Storage) {
	acknowledged := map[seal.KeyID]string{}
	for kill := range kills {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+child+"$", "-test.v") // #nosec G204 G702 -- this very program
		command.Env = append(os.Environ(), CrashPlace+"="+place)
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		lines := bufio.NewScanner(out)
		// Each time somewhat later, so that the kill falls into each part of a call.
		for seen := 0; seen < crashBatch*(1+kill%4)+kill && lines.Scan(); {
			seen += note(acknowledged, lines.Text())
		}
		require.NoError(t, command.Process.Kill())
		for lines.Scan() { // what it acknowledged before it died counts, too
			note(acknowledged, lines.Text())
		}
		_, err = io.Copy(io.Discard, out)
		require.NoError(t, err)
		require.Error(t, command.Wait(), "it was killed")
	}
	require.Greater(t, len(acknowledged), kills*crashBatch/2)
	store := s.Open(t)
	for id, wrapped := range acknowledged {
		require.Equal(t, wrapped, hex.EncodeToString(get(t, store, id)[0].Wrapped))
	}
}

// note reads one line of the child: a key that the store acknowledged.
func note(acknowledged map[seal.KeyID]string, line string) int {
	subject, wrapped, ok := strings.Cut(strings.TrimPrefix(line, "key "), " ")
	id, err := uuid.Parse(subject)
	if !ok || err != nil || len(wrapped) != 2*len(newKey(seal.KeyID{}).Wrapped) { // half a line, or the test's own
		return 0
	}
	acknowledged[seal.KeyID{Subject: id, Class: eventstore.Facts}] = wrapped
	return 1
}

// CrashChild stores keys until it is killed, and prints each that was acknowledged.
func CrashChild(t *testing.T, s Storage) {
	store := s.Open(t)
	for {
		keys := make([]seal.StoredKey, crashBatch)
		for i := range keys {
			keys[i] = newKey(id(eventstore.Facts))
		}
		stands, err := store.PutKeys(context.Background(), keys...)
		require.NoError(t, err)
		for _, key := range stands {
			_, err := fmt.Printf("key %s %s\n", key.Subject, hex.EncodeToString(key.Wrapped))
			require.NoError(t, err)
		}
	}
}
