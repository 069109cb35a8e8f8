package kafka

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
)

// The CloudEvents SDKs for Python and JavaScript read what the Sender writes: a fact with accents, and a placeholder without data.
func TestCloudEventsSDKsReadTheRecords(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	s := h.sender()
	mustTakeOver(t, s, "")
	messages := disclosed(1, 2)
	for i := range messages {
		messages[i].Attributes = append(messages[i].Attributes,
			delivery.Attribute{Name: "source", Value: "https://hub.example/streams/" + h.stream},
			delivery.Attribute{Name: "subject", Value: messages[i].Key},
			delivery.Attribute{Name: "time", Value: "2026-02-03T04:05:06.789Z"})
	}
	messages[0].Data = []byte(`{"city":"Trois-Rivières"}`)
	recalled := &messages[1]
	recalled.Data = nil
	recalled.Attributes[2].Value = "tellonce.recalled.v1"
	recalled.Attributes = append(recalled.Attributes[:3:3], recalled.Attributes[4:]...)
	require.NoError(t, s.Send(deadline(t), messages))

	var in bytes.Buffer
	for _, r := range consume(t, h.topic, 0)[1:] {
		headers := map[string]string{}
		for _, header := range r.headers {
			headers[header.Key] = string(header.Value)
		}
		require.NoError(t, json.NewEncoder(&in).Encode(map[string]any{"headers": headers, "key": r.key, "value": r.value}))
	}
	want := `["1.0.1","tellonce.address-changed.v1","v1.citizen1","000000000001",{"city":"Trois-Rivières"}]
		["1.0.2","tellonce.recalled.v1","v1.citizen2","000000000002",null]`
	for language, command := range map[string][]string{
		"python":     {"PYTHONPATH=", "python3", "testdata/judge.py"},
		"javascript": {"NODE_PATH=node_modules", "node", "testdata/judge.cjs"},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			folder, err := filepath.Abs(filepath.Join("../../deploy/dev/.state/judges", language))
			require.NoError(t, err)
			if _, err := os.Stat(folder + ".pins"); err != nil {
				t.Skipf("needs ministries' libraries for %s: deploy/dev/up --tools installs them", language)
			}
			name, within, _ := strings.Cut(command[0], "=")
			cmd := exec.CommandContext(t.Context(), command[1], command[2:]...)
			var stderr bytes.Buffer
			cmd.Env, cmd.Stdin, cmd.Stderr = append(os.Environ(), name+"="+filepath.Join(folder, within)), bytes.NewReader(in.Bytes()), &stderr
			out, err := cmd.Output()
			require.NoError(t, err, stderr.String())
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			for i, line := range strings.Split(want, "\n") {
				require.Greater(t, len(lines), i)
				require.JSONEq(t, line, lines[i])
			}
		})
	}
}
