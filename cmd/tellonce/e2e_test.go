package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore/postgres"
)

// binary is the program under test: the real one, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tellonce-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "tellonce")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const samples = "../../domain/command/testdata/"

// place is one store that commands are run on, from a folder of its own.
type place struct {
	t    *testing.T
	dir  string
	env  []string
	long time.Duration // how long a command may be under way; 0: commandTime
}

const commandTime = 8 * time.Minute

// places are both kinds of store. PostgreSQL gets a schema of its own.
func places(t *testing.T, test func(t *testing.T, p *place)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, &place{t: t, dir: t.TempDir()})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgresPlace(t))
	})
}

func postgresPlace(t *testing.T) *place {
	t.Helper()
	dsn := server(t, "DATABASE_URL")
	schema := "e2e_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	store, err := withSchema(dsn, schema)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.DropSchemas(context.Background(), dsn, schema, schema+"_keys")) })
	return &place{t: t, dir: t.TempDir(), env: []string{"TELLONCE_STORE=" + store}}
}

// server is a real server's address; without one the test is skipped, unless servers are required.
func server(t *testing.T, variable string) string {
	t.Helper()
	address := os.Getenv(variable)
	if address == "" {
		if os.Getenv("TELLONCE_REQUIRE_SERVERS") != "" {
			t.Fatalf("%s must be set", variable)
		}
		t.Skipf("%s is not set: see deploy/dev/up", variable)
	}
	return address
}

// command is the binary's. No command is under way for ever: one that hangs says where by its stacks, and fails its own test.
func (p *place) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(p.long, commandTime))
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir = p.dir
	cmd.Env = append(append(os.Environ(), "TELLONCE_OUTPUT=json"), p.env...)
	return cmd
}

// try runs a command to its end.
func (p *place) try(stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	var out, errs bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(p.t, err, &exit)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// run runs a command that must succeed.
func (p *place) run(args ...string) string {
	p.t.Helper()
	out, errs, code := p.try(nil, args...)
	require.Equal(p.t, 0, code, "%v: %s", args, errs)
	return out
}

// objects are a command's lines.
func objects(t *testing.T, text string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(text) {
		var one map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &one), line)
		out = append(out, one)
	}
	return out
}

func fileObjects(t *testing.T, name string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return objects(t, string(text))
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	require.NoError(t, err)
	return path
}

// sandbox makes the store and loads the sample agreements.
func (p *place) sandbox() {
	p.t.Helper()
	p.run("init", "--sandbox")
	p.run("agreement", "load", absolute(p.t, samples+"agreements"))
}

func TestSampleSetsThroughTheCommands(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		results := objects(t, p.run("import", "--clock", "told", absolute(t, samples+"full/changes.ndjson")))
		expected := fileObjects(t, samples+"full/expected.ndjson")
		require.Len(t, results, len(expected))
		for i, want := range expected {
			require.Equal(t, want["result"] == "rejected", results[i]["position"] == nil)
			delete(results[i], "position")
			require.Equal(t, want, results[i])
		}
		again := objects(t, p.run("import", "--clock", "told", absolute(t, samples+"full/changes.ndjson")))
		for i, want := range expected {
			if want["result"] == "accepted" {
				require.Equal(t, "duplicate", again[i]["result"], "line %d", i+1)
			}
		}
	})
}

func TestDecisionsAndStreamsThroughTheCommands(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		decisions := objects(t, p.run("audit", "decisions"))
		last := float64(-1)
		for _, d := range decisions {
			require.GreaterOrEqual(t, d["position"], last)
			last, _ = d["position"].(float64)
			delete(d, "position")
			delete(d, "type")
			delete(d, "version")
		}
		require.Equal(t, fileObjects(t, samples+"small/decisions.ndjson"), decisions)

		want := map[string][]map[string]any{}
		for _, w := range fileObjects(t, samples+"small/streams.ndjson") {
			want[w["stream"].(string)] = append(want[w["stream"].(string)], w)
		}
		for stream, events := range want {
			all := objects(t, p.run("stream", "read", stream))
			require.Equal(t, all, objects(t, p.run("stream", "read", stream)), "the same bytes again")
			got := facts(t, all)
			require.Len(t, got, len(events), stream)
			people, pairwise := map[any]any{}, map[any]any{}
			for i, w := range events {
				require.Equal(t, fmt.Sprintf("tellonce.%s.v1", w["type"]), got[i]["type"])
				require.Equal(t, w["data"], got[i]["data"])
				require.Equal(t, w["effective"], got[i]["effective"])
				if _, known := people[got[i]["subject"]]; !known {
					require.NotContains(t, pairwise, w["person"], "a person has one pairwise id in a stream")
					people[got[i]["subject"]], pairwise[w["person"]] = w["person"], got[i]["subject"]
				}
				require.Equal(t, w["person"], people[got[i]["subject"]])
			}
		}
		require.Len(t, objects(t, p.run("stream", "read", "moh.health-card", "--limit", "3", "--after", "1.0.2")), 3)
	})
}

// facts are a stream's events of kind fact, in their order: what a decision of their own gave. All else that a stream may hold after an
// import is what the law adds: snapshots, and what ended or left its scope. Numbers have no gap.
func facts(t *testing.T, events []map[string]any) (out []map[string]any) {
	t.Helper()
	for i, e := range events {
		require.Equal(t, fmt.Sprintf("1.0.%d", i+1), e["id"])
		switch e["kind"] {
		case "fact":
			out = append(out, e)
		case "snapshot":
			require.NotEmpty(t, e["data"])
		case "ended", "left-scope":
			require.Empty(t, e["data"])
		default:
			require.Fail(t, "another kind", "%v", e["kind"])
		}
	}
	return out
}

// hubProcess is a running `serve`.
type hubProcess struct {
	cmd         *exec.Cmd
	url         string
	operatorURL string
	stderr      *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts the hub on free ports and waits until it says that it is ready.
func (p *place) serve(args ...string) *hubProcess {
	p.t.Helper()
	h := &hubProcess{stderr: &lockedBuffer{}}
	h.cmd = p.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"}, args...)...)
	h.cmd.Stderr = h.stderr
	stdout, err := h.cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, h.cmd.Start())
	p.t.Cleanup(h.kill)
	var ready struct {
		Ready       bool
		URL         string `json:"url"`
		OperatorURL string `json:"operator_url"`
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(p.t, err, h.stderr.String())
	require.NoError(p.t, json.Unmarshal(line, &ready))
	require.True(p.t, ready.Ready)
	h.url, h.operatorURL = ready.URL, ready.OperatorURL
	return h
}

// kill is kill -9.
func (h *hubProcess) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

// stop asks politely and returns the exit code.
func (h *hubProcess) stop(t *testing.T) int {
	t.Helper()
	require.NoError(t, h.cmd.Process.Signal(syscall.SIGTERM))
	_ = h.cmd.Wait()
	return h.cmd.ProcessState.ExitCode()
}

// call makes one request of the API.
func (h *hubProcess) call(t *testing.T, token, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, h.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func (p *place) token(args ...string) string {
	p.t.Helper()
	return strings.TrimSpace(p.run(append([]string{"token", "issue", "--role"}, args...)...))
}

const move = `{"type":"address-changed","effective":"2026-11-01","data":{"kind":"home","street":"1 Canary Zzyzx St","city":"Kenora",` +
	`"province":"ON","postal_code":"p9n3x9","country":"CA"}}`

func TestServeBesideOtherCommands(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		hub := p.serve()
		code, _ := hub.call(t, "", "GET", "/openapi.json", "")
		require.Equal(t, 200, code)

		resident := p.token("citizen", "--person", "person-000000")
		id := uuid.NewString()
		code, first := hub.call(t, resident, "POST", "/v1/changes", move, "Idempotency-Key", id)
		require.Equal(t, 202, code, first)
		code, again := hub.call(t, resident, "POST", "/v1/changes", move, "Idempotency-Key", id)
		require.Equal(t, 202, code)
		require.JSONEq(t, first, again)
		code, _ = hub.call(t, resident, "POST", "/v1/changes", strings.Replace(move, "Kenora", "Toronto", 1), "Idempotency-Key", id)
		require.Equal(t, 409, code)

		var told struct{ Receipt string }
		require.NoError(t, json.Unmarshal([]byte(first), &told))
		require.Contains(t, p.run("stream", "read", "moh.health-card"), `"postal_code":"P9N 3X9"`)
		require.Contains(t, p.run("audit", "decisions", "--stream", "moh.health-card"), id)
		officer := p.token("officer", "--person", "someone")
		code, why := hub.call(t, officer, "POST", "/v1/audit/searches", `{"reason":"a commissioner asks","receipt":"`+told.Receipt+`"}`)
		require.Equal(t, 200, code, why)
		require.Contains(t, why, "moh-health-card")
		code, me := hub.call(t, resident, "GET", "/v1/me/disclosures", "")
		require.Equal(t, 200, code)
		require.Contains(t, me, "a commissioner asks", "the resident sees who looked, and why")

		ministry := p.token("ministry", "--ministry", "mto")
		code, _ = hub.call(t, ministry, "GET", "/v1/streams/moh.health-card/events", "")
		require.Equal(t, 403, code)
		code, _ = hub.call(t, ministry, "GET", "/v1/streams/mto.licensing/events", "")
		require.Equal(t, 200, code)
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
	})
}

func TestOnlyASecondServeIsRefused(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	hub := p.serve()
	_, errs, code := p.try(nil, "serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "another `tellonce serve` runs on this store")
	p.run("stream", "list")
	hub.kill()
	require.Equal(t, 0, p.serve().stop(t), "a killed hub leaves nothing that would keep the next one out")
}

// TestNoNameLeavesTheSeal plants a canary and looks for it in every byte that the hub left behind or told an operator.
func TestNoNameLeavesTheSeal(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		hub := p.serve()
		resident := p.token("citizen", "--person", "person-000000")
		code, text := hub.call(t, resident, "POST", "/v1/changes", move, "Idempotency-Key", uuid.NewString())
		require.Equal(t, 202, code, text)
		_, refused := hub.call(t, resident, "POST", "/v1/changes", strings.Replace(move, "Canary Zzyzx St", "Canary Zzyzx \\u202e", 1), "Idempotency-Key", uuid.NewString())
		require.NotContains(t, refused, "Zzyzx")
		request, err := http.NewRequest(http.MethodGet, hub.operatorURL+"/metrics", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		metrics, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Contains(t, string(metrics), "go_goroutines")
		require.Equal(t, 0, hub.stop(t))
		for name, text := range map[string]string{"metrics": string(metrics), "log": hub.stderr.String()} {
			require.NotContains(t, text, "Zzyzx", name)
			require.NotContains(t, text, "Canary", name)
		}
		files := 0
		require.NoError(t, filepath.WalkDir(p.dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			require.NotContains(t, string(content), "Zzyzx", path)
			files++
			return err
		}))
		require.Positive(t, files)
		if len(p.env) > 0 {
			require.NotContains(t, dump(t, p), "Zzyzx")
		}
	})
}

func TestAnImportStoppedAndRunAgainEndsAsOneRunWould(t *testing.T) {
	t.Parallel()
	input, err := os.ReadFile(samples + "full/changes.ndjson")
	require.NoError(t, err)
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		whole := objects(t, p.importFrom(bytes.NewReader(input)))
		decisions := p.run("audit", "decisions")

		q := &place{t: t, dir: t.TempDir()}
		if len(p.env) > 0 {
			q = postgresPlace(t)
		}
		q.sandbox()
		for _, after := range []int{1, 700, 2500} { // lines of the input that the process has been given when it is killed
			cmd := q.command("import", "--clock", "told", "-")
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bytes.SplitAfter(input, []byte("\n"))
			_, err = stdin.Write(bytes.Join(lines[:after], nil))
			require.NoError(t, err)
			if after > 2000 { // a whole batch: wait until it is on the log
				_, err = bufio.NewReader(stdout).ReadBytes('\n')
				require.NoError(t, err)
			}
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
		}
		resumed := objects(t, q.importFrom(bytes.NewReader(input)))
		require.Equal(t, len(whole), len(resumed))
		for i := range whole {
			delete(whole[i], "position")
			delete(resumed[i], "position")
			require.Equal(t, whole[i], resumed[i], "an interrupted import prints the earlier results unchanged")
		}
		require.Equal(t, withoutPositions(t, decisions), withoutPositions(t, q.run("audit", "decisions")))
	})
}

func (p *place) importFrom(in io.Reader) string {
	p.t.Helper()
	out, errs, code := p.try(in, "import", "--clock", "told", "-")
	require.Equal(p.t, 0, code, errs)
	return out
}

func withoutPositions(t *testing.T, text string) []map[string]any {
	t.Helper()
	out := objects(t, text)
	for _, o := range out {
		delete(o, "position")
	}
	return out
}

func TestWrongUseIsOneClearSentence(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"stream", "list"}, 1, "there is no log here yet; make one with `tellonce init`"},
		{[]string{"nonsense"}, 2, `unknown command "nonsense"`},
		{[]string{"stream", "nonsense"}, 2, `unknown command "nonsense"`},
		{[]string{"import"}, 2, "takes a file"},
		{[]string{"import", "--clock", "yesterday", "x"}, 2, "--clock is told"},
		{[]string{"init", "--time-zone", "Mars/Olympus"}, 2, "no IANA time zone"},
		{[]string{"init", "--public-url", "hub"}, 2, "is no address"},
		{[]string{"--output", "xml", "version"}, 2, "--output is text or json"},
		{[]string{"token", "issue", "--role", "king"}, 2, "--role must be one of"},
		{[]string{"--store", "postgres://nobody@127.0.0.1:1/none", "stream", "list"}, 1, "127.0.0.1"},
		{[]string{"--config", "none.yaml", "version"}, 2, "configuration file can't be read"},
	} {
		out, errs, code := p.try(nil, test.args...)
		require.Equal(t, test.code, code, "%v: %s", test.args, errs)
		require.Empty(t, out)
		require.Contains(t, errs, test.says, "%v", test.args)
		require.Len(t, strings.Split(strings.TrimSpace(errs), "\n"), 1, errs)
	}
	p.run("init", "--sandbox")
	_, errs, code := p.try(nil, "init")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "there is a log here already")
	for _, test := range []struct {
		name   string
		damage func(t *testing.T)
		says   string
	}{
		{"a key that others may read", func(t *testing.T) {
			require.NoError(t, os.Chmod(filepath.Join(p.dir, "tellonce-data-keys", "wrapping.key"), 0o644))
		}, "chmod 600"},
		{"no key", func(t *testing.T) {
			require.NoError(t, os.Remove(filepath.Join(p.dir, "tellonce-data-keys", "wrapping.key")))
		}, "wrapping.key"},
	} {
		test.damage(t)
		_, errs, code := p.try(nil, "stream", "list")
		require.Equal(t, 1, code, test.name)
		require.Contains(t, errs, test.says, test.name)
	}
}

func TestProductionKeepsItsOwnRules(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: filepath.Join(t.TempDir(), "a folder, dépôt & 100%")}
	require.NoError(t, os.Mkdir(p.dir, 0o700))
	p.run("init")
	loaded := objects(t, p.run("agreement", "load", absolute(t, samples+"agreements")))
	require.Len(t, loaded, 9)
	require.Equal(t, "proposed", loaded[0]["state"], "only a sandbox approves by itself")
	require.Empty(t, p.run("agreement", "list"))
	_, errs, code := p.try(nil, "import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
	require.Equal(t, 1, code)
	require.Contains(t, errs, "clock is the wall clock")
}

// TestDemoNeedsNothing: the demo is ready by itself, others' commands work beside it, and a second one on its store changes nothing.
func TestDemoNeedsNothing(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	heads := make([]string, 0, 2)
	for range 2 {
		cmd := p.command("demo", "--store", "demo-store", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0")
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		line, err := bufio.NewReader(stdout).ReadBytes('\n')
		require.NoError(t, err)
		var ready struct{ URL string }
		require.NoError(t, json.Unmarshal(line, &ready))
		hub := &hubProcess{url: ready.URL}
		for page, says := range map[string]string{"/en/": "All people and agreements are invented", "/fr/": "inventé"} {
			code, text := hub.call(t, "", "GET", page, "")
			require.Equal(t, 200, code)
			require.Contains(t, text, says)
		}
		require.Contains(t, p.run("stream", "read", "moh.health-card", "--store", "demo-store"), "tellonce.address-changed.v1")
		heads = append(heads, p.run("audit", "consents", "--store", "demo-store"))
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	}
	require.Equal(t, heads[0], heads[1])
}
