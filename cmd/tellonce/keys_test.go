package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/keys"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// newcomers are lines that register people.
func newcomers(n int) string {
	var out strings.Builder
	for range n {
		fmt.Fprintf(&out, `{"id":"%s","person":"%s","channel":"web","told_at":"2026-01-01T00:00:00Z","type":"person-registered","effective":"2026-01-01",`+
			`"data":{"given_names":"Anna","family_name":"Newcomer","birth_date":"1980-01-01","language":"en"}}`+"\n", uuid.NewString(), uuid.NewString())
	}
	return out.String()
}

// keysDir is where a place keeps its wrapping keys.
func (p *place) keysDir() string {
	if len(p.env) > 0 {
		return filepath.Join(p.dir, "tellonce-keys")
	}
	return filepath.Join(p.dir, "tellonce-data-keys")
}

// openKeys opens a place's log in this process, with the wrapping keys of a directory.
func (p *place) openKeys(dir string) (*hub, error) {
	p.t.Helper()
	c := &config{store: filepath.Join(p.dir, "tellonce-data"), keys: dir}
	if len(p.env) > 0 {
		c.store = strings.TrimPrefix(p.env[0], "TELLONCE_STORE=")
	}
	h, err := openHub(context.Background(), c, streams{err: &bytes.Buffer{}}.logger())
	if err == nil {
		p.t.Cleanup(h.Close)
	}
	return h, err
}

// wrappedKeys is all that is stored of the data keys.
func wrappedKeys(t *testing.T, store seal.KeyStore) []seal.StoredKey {
	t.Helper()
	var out []seal.StoredKey
	for after := int64(0); ; {
		page, next, err := store.KeysBefore(context.Background(), 1<<30, after, 1000)
		require.NoError(t, err)
		out = append(out, page...)
		if next == 0 {
			return out
		}
		after = next
	}
}

// A rotation is killed again and again while a hub serves and imports run; then it is finished and the old epoch retired. Nobody is
// refused anything, everything opens, and who took the old wrapping key and takes the key store now opens nothing.
func TestRotateWhileTheHubWorks(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		p.importFrom(strings.NewReader(newcomers(6000)))
		stolen := filepath.Join(p.dir, "stolen")
		require.NoError(t, os.Mkdir(stolen, 0o700))
		steal(t, p.keysDir(), stolen, keys.WrappingFile, keys.TokenFile)
		before, err := p.openKeys(p.keysDir())
		require.NoError(t, err)
		old := wrappedKeys(t, before.keyStore)
		require.Greater(t, len(old), 6000)

		stop := p.work()
		killed, resumed := 0, 0
		for attempt := 0; attempt < 25 || resumed < 3; attempt++ {
			require.Less(t, attempt, 200, "no kill hits a rotation under way")
			rotation, said := p.command("keys", "rotate"), &bytes.Buffer{}
			rotation.Stderr = said
			require.NoError(t, rotation.Start())
			time.Sleep(time.Duration(rand.IntN(250+20*attempt)) * time.Millisecond) // a kill at any moment is what is tested
			_ = rotation.Process.Kill()
			_ = rotation.Wait()
			require.Contains(t, []int{0, -1}, rotation.ProcessState.ExitCode(), "it never fails by itself")
			if !rotation.ProcessState.Exited() {
				killed++
			}
			resumed += strings.Count(said.String(), "was interrupted: it goes on")
		}
		require.Greater(t, killed, 5)
		finished := objects(t, p.run("keys", "rotate"))
		retired := objects(t, p.run("keys", "rotate", "--retire", "--yes"))
		stop() // it has worked all the time, also past the end of the old epoch
		require.Equal(t, finished[0]["epoch"], retired[0]["epoch"])
		require.Contains(t, retired[0]["retired"], float64(1))
		p.requireRotated(stolen, old)
	})
}

// steal copies files of one keys directory into another.
func steal(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(from, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, name), content, 0o600))
	}
}

// work serves and imports until the returned function is called, which fails the test if anything was refused.
func (p *place) work() (stop func()) {
	hub, clerk := p.serve(), p.token("clerk", "--person", "someone")
	done := make(chan struct{})
	var wg sync.WaitGroup
	var refused lockedBuffer
	served, imported := 0, 0
	until := func(do func()) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					do()
				}
			}
		})
	}
	until(func() {
		person := `{"reference":"` + uuid.NewString() + `","data":{"given_names":"Ben","family_name":"Newcomer","birth_date":"1980-01-01","language":"en"}}`
		if code, text := hub.call(p.t, clerk, "POST", "/v1/persons", person); code != 201 {
			fmt.Fprintln(&refused, "person:", code, text)
		}
		served++
	})
	until(func() {
		if out, errs, code := p.try(strings.NewReader(newcomers(50)), "import", "-"); code != 0 || strings.Count(out, "accepted") != 50 {
			fmt.Fprintln(&refused, "import:", code, errs)
		}
		imported++
	})
	return func() {
		close(done)
		wg.Wait()
		code := hub.stop(p.t)
		require.Equal(p.t, 0, code, hub.stderr.String())
		require.Empty(p.t, refused.String())
		require.Greater(p.t, served, 10, hub.stderr.String())
		require.Positive(p.t, imported)
	}
}

// requireRotated checks what a finished rotation has left.
func (p *place) requireRotated(stolen string, old []seal.StoredKey) {
	t := p.t
	t.Helper()
	verified := objects(t, p.run("audit", "verify"))
	require.Equal(t, verified[0]["records"], verified[0]["opened"], "every record opens")
	if len(p.env) == 0 {
		steal(t, p.keysDir(), stolen, sqlite.KeysFile)
	}
	out, errs, code := p.try(nil, "audit", "verify", "--keys", stolen)
	require.NotZero(t, code, out)
	require.Contains(t, errs, "wrapped under another wrapping key")

	h, err := p.openKeys(p.keysDir())
	require.NoError(t, err)
	_, err = p.openKeys(stolen)
	require.ErrorIs(t, err, seal.ErrWrongWrapper)
	newest := h.wrapper.Epoch()
	require.Equal(t, []int32{newest}, h.wrapper.Epochs())
	for _, key := range wrappedKeys(t, h.keyStore) {
		require.Equal(t, newest, key.Epoch)
	}
	recs, err := h.store.ReadAll(context.Background(), 0, 1<<20)
	require.NoError(t, err)
	epochs := 1
	for _, r := range recs {
		if r.Type == journal.TypeKeyEpochRotated {
			epochs++
			require.JSONEq(t, fmt.Sprintf(`{"epoch":%d}`, epochs), string(r.Payload))
		}
	}
	require.EqualValues(t, newest, epochs, "each epoch is in the log, once")
	if len(p.env) == 0 { // what PostgreSQL's files keep is not SQL's to say
		files := storeFiles(t, p.keysDir())
		for _, key := range old {
			require.False(t, bytes.Contains(files, key.Wrapped), "the files still hold a key as the old epoch wrapped it")
		}
		require.True(t, bytes.Contains(files, wrappedKeys(t, h.keyStore)[0].Wrapped), "else nothing was looked at")
	}
}

// storeFiles is the content of a directory's files.
func storeFiles(t *testing.T, dir string) (all []byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		all = append(all, content...)
	}
	return all
}

// What was erased after a backup stays erased when the backup is restored and the tombstones are planted.
func TestTombstonesAfterARestore(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	p.importFrom(strings.NewReader(newcomers(20)))
	h, err := p.openKeys(p.keysDir())
	require.NoError(t, err)
	people := wrappedKeys(t, h.keyStore)
	require.NoError(t, os.CopyFS(filepath.Join(p.dir, "backup"), os.DirFS(p.keysDir())))

	var gone []seal.KeyID
	for _, key := range people {
		if key.Class == eventstore.Facts {
			gone = append(gone, key.KeyID, seal.KeyID{Subject: key.Subject})
		}
	}
	require.Len(t, gone, 40)
	for range 2 * tombstonePage { // more than one page; these never had a key
		gone = append(gone, seal.KeyID{Subject: uuid.New(), Class: eventstore.Contact})
	}
	_, err = h.keyring.Destroy(context.Background(), gone...)
	require.NoError(t, err)
	lines := p.run("keys", "tombstones")
	want := map[string]bool{}
	for _, line := range objects(t, lines) {
		require.Len(t, line, 4)
		require.Equal(t, true, line["destroyed"])
		require.Positive(t, line["reference"])
		want[fmt.Sprint(line["subject"], line["class"])] = true
	}
	require.Len(t, want, len(gone))
	for _, id := range gone {
		require.True(t, want[fmt.Sprint(id.Subject.String(), id.Class)])
	}

	h.Close()
	require.NoError(t, os.RemoveAll(p.keysDir()))
	require.NoError(t, os.Mkdir(p.keysDir(), 0o700))
	steal(t, filepath.Join(p.dir, "backup"), p.keysDir(), keys.WrappingFile, keys.TokenFile, sqlite.KeysFile)
	require.Empty(t, p.run("keys", "tombstones"))
	file := filepath.Join(p.dir, "tombstones.ndjson")
	require.NoError(t, os.WriteFile(file, []byte(lines), 0o600))
	for range 2 {
		p.run("keys", "tombstones", "--import", file)
		after := map[string]bool{}
		for _, line := range objects(t, p.run("keys", "tombstones")) {
			after[fmt.Sprint(line["subject"], line["class"])] = true
		}
		require.Equal(t, want, after)
	}
	restored, err := p.openKeys(p.keysDir())
	require.NoError(t, err)
	require.ErrorIs(t, restored.keyring.Ensure(context.Background(), gone[0]), seal.ErrDestroyed)
}

func TestTombstoneLinesThatAreNone(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.run("init", "--sandbox")
	const good = `{"subject":"7f1c0a3e-5a0e-4b7e-8f39-1f2f7b1c2d3e","class":1,"reference":12,"destroyed":true}`
	for name, line := range map[string]string{
		"no JSON": "x", "another object": `{"position":1}`, "two objects": good + good, "no class": strings.Replace(good, "1,", "6,", 1),
		"negative class": strings.Replace(good, `"class":1`, `"class":-1`, 1), "living": strings.Replace(good, "true", "false", 1),
		"nobody": `{"subject":"00000000-0000-0000-0000-000000000000","class":0,"reference":12,"destroyed":true}`, "empty": "",
	} {
		_, errs, code := p.try(strings.NewReader(good+"\n"+line+"\n"), "keys", "tombstones", "--import", "-")
		require.Equal(t, 1, code, name)
		require.Contains(t, errs, "line 2 of -: not a line that", name)
	}
	_, errs, code := p.try(nil, "keys", "rotate", "--retire")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--yes")
	_, errs, code = p.try(nil, "keys", "turn")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "unknown command")
	_, errs, code = p.try(nil, "keys", "tombstones", "--import", "missing")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "can't be read")
}

// Retiring is refused while anything stands under an earlier epoch.
func TestRetireTooEarly(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.run("init", "--sandbox")
		rotation, err := keys.Rotate(p.keysDir())
		require.NoError(t, err)
		_, errs, code := p.try(nil, "keys", "rotate")
		require.Equal(t, 1, code)
		require.Contains(t, errs, "another process is rotating")
		_, err = rotation.Add() // a rotation that got no further
		require.NoError(t, err)
		require.NoError(t, rotation.Close())
		_, errs, code = p.try(nil, "keys", "rotate", "--retire", "--yes")
		require.Equal(t, 1, code)
		require.Contains(t, errs, "still stand under epochs before 2")
		require.Equal(t, []map[string]any{{"epoch": 2.0, "keys": 1.0}}, objects(t, p.run("keys", "rotate")), "it goes on, with the same epoch")
		require.Equal(t, []map[string]any{{"epoch": 2.0, "retired": []any{1.0}}}, objects(t, p.run("keys", "rotate", "--retire", "--yes")))
		require.Equal(t, []map[string]any{{"epoch": 2.0, "retired": []any{}}}, objects(t, p.run("keys", "rotate", "--retire", "--yes")))
		require.Equal(t, 3.0, objects(t, p.run("keys", "rotate"))[0]["epoch"])
	})
}
