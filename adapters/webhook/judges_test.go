package webhook

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
	"github.com/tellonce/hub/domain/journal"
)

// judged is a request as a judge reads it.
type judged struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Secret  string            `json:"secret"`
	want    string
}

// TestMinistriesLibrariesVerify: the Standard Webhooks and CloudEvents libraries of Python and JavaScript take what the hub sends, and refuse
// what somebody changed.
func TestMinistriesLibrariesVerify(t *testing.T) {
	t.Parallel()
	cases := requestsToJudge(t)
	symmetric := make([]judged, 0, len(cases))
	for _, c := range cases {
		if !strings.HasPrefix(c.Secret, prefixPublic) {
			symmetric = append(symmetric, c)
		}
	}
	t.Run("Python", func(t *testing.T) {
		t.Parallel()
		judge(t, symmetric, "PYTHONPATH="+library(t, "python"), "python3", "testdata/judge.py")
	})
	t.Run("JavaScript", func(t *testing.T) {
		t.Parallel()
		judge(t, cases, "NODE_PATH="+filepath.Join(library(t, "javascript"), "node_modules"), "node", "testdata/judge.cjs")
	})
}

// library is where deploy/dev/up --tools put the judges of a language.
func library(t *testing.T, language string) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("../../deploy/dev/.state/judges", language))
	require.NoError(t, err)
	if _, err := os.Stat(folder + ".pins"); err != nil {
		t.Skipf("needs ministries' libraries for %s: deploy/dev/up --tools installs them", language)
	}
	return folder
}

func judge(t *testing.T, cases []judged, env string, command ...string) {
	t.Helper()
	var in, stderr bytes.Buffer
	encoder := json.NewEncoder(&in)
	for _, c := range cases {
		require.NoError(t, encoder.Encode(c))
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stderr = append(os.Environ(), env), &in, &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, len(cases))
	for i, c := range cases {
		require.Equal(t, c.want, lines[i], "request %d", i)
	}
}

// requestsToJudge are real requests of both modes and signatures, each also under another's secret and with one byte changed.
func requestsToJudge(t *testing.T) []judged {
	t.Helper()
	var out []judged
	for _, signature := range []string{journal.SignatureHMAC, journal.SignatureEd25519} {
		b := setup(t, answer(200))
		fresh, old := made(t, signature), made(t, signature)
		old.until = b.roots.certificate.NotAfter
		b.secrets.texts[secretName] = formatSecrets([]secret{fresh, old})
		accented := message(3)
		accented.Data = []byte(`{"family_name":"Trémblay-Ō’Neil","note":"a \"quote\" \\ and 日本"}`)
		recalled := message(4)
		recalled.Data = nil
		for _, messages := range [][]delivery.Message{{message(1)}, {message(1), message(2)}, {accented}, {recalled}, {accented, recalled}} {
			b.endpoint.Batch = len(messages)
			require.Empty(t, b.post(messages...).Code)
			seen := b.seen()
			r := seen[len(seen)-1]
			request := judged{Headers: map[string]string{}, Body: string(r.body), Secret: fresh.verifier()}
			for _, name := range []string{"content-type", "webhook-id", "webhook-timestamp", "webhook-signature"} {
				request.Headers[name] = r.header.Get(name)
			}
			ids := make([]string, len(messages))
			for i := range messages {
				ids[i] = messages[i].Cursor.String()
			}
			request.want = strings.Join(ids, " ")
			former, stranger, changed := request, request, request
			former.Secret = old.verifier()
			stranger.Secret, stranger.want = made(t, signature).verifier(), "refused"
			changed.Body, changed.want = strings.Replace(request.Body, "moh", "mto", 1), "refused"
			out = append(out, request, former, stranger, changed)
		}
	}
	return out
}
