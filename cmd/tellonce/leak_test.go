package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestServeLeavesNothingBehind runs the hub inside this process, with a waiting reader, and stops it: every goroutine ends. It is not
// parallel, so that no other test's goroutines are taken for the hub's.
func TestServeLeavesNothingBehind(t *testing.T) { //nolint:paralleltest // see above
	before := goleak.IgnoreCurrent()
	store := filepath.Join(t.TempDir(), "data")
	command := func(args ...string) string {
		var out, errs bytes.Buffer
		code := run(context.Background(), append(args, "--store", store), streams{in: strings.NewReader(""), out: &out, err: &errs})
		require.Equal(t, 0, code, errs.String())
		return strings.TrimSpace(out.String())
	}
	command("init", "--sandbox")
	command("agreement", "load", samples+"agreements")
	token := command("token", "issue", "--role", "ministry", "--ministry", "moh")

	args := []string{"serve", "--store", store, "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0", "--output", "json"}
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		stream := (&place{t: t, dir: t.TempDir(), env: []string{"TELLONCE_STORE=" + store}}).ownStream()
		args = append(args, "--kafka", brokers, "--kafka-streams", stream)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	var errs lockedBuffer
	go func() { code <- run(ctx, args, streams{in: strings.NewReader(""), out: writer, err: &errs}) }()
	line, err := bufio.NewReader(reader).ReadBytes('\n')
	require.NoError(t, err)
	var ready struct{ URL string }
	require.NoError(t, json.Unmarshal(line, &ready))

	client := &http.Client{Transport: &http.Transport{}}
	waited := make(chan error, 1)
	go func() {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, ready.URL+"/v1/streams/moh.health-card/events?wait=30s", nil)
		if err == nil {
			request.Header.Set("Authorization", "Bearer "+token)
			var response *http.Response
			if response, err = client.Do(request); err == nil {
				err = response.Body.Close()
			}
		}
		waited <- err
	}()
	stop()
	require.Equal(t, 0, <-code, errs.String())
	<-waited // with an answer or without: it must not outlive the hub
	client.CloseIdleConnections()
	require.NoError(t, reader.Close())
	goleak.VerifyNone(t, before)
}
