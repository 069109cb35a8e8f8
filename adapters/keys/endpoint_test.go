package keys_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/keys"
)

const secretName = "moh.health-card@0123456789abcdef"

func TestEndpointSecrets(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	e := keys.Endpoints(dir)
	_, err := e.Read(secretName)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, e.Sweep("moh", "", time.Now()), "nothing is there yet")
	stands, err := e.Create(secretName, []byte("one"))
	require.NoError(t, err)
	require.Equal(t, "one", string(stands))
	stands, err = e.Create(secretName, []byte("two"))
	require.NoError(t, err)
	require.Equal(t, "one", string(stands), "what is there stays")
	text, err := keys.Endpoints(dir).Read(secretName)
	require.NoError(t, err)
	require.Equal(t, "one", string(text))
	path := filepath.Join(dir, "endpoints", secretName)
	for name, mode := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm())
	}
	require.NoError(t, os.Chmod(path, 0o640))
	_, err = e.Read(secretName)
	require.ErrorContains(t, err, "chmod 600 ")
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o777))
	_, err = e.Read(secretName)
	require.ErrorContains(t, err, "chmod 700 ")
	_, err = e.Create(secretName+"0", []byte("x"))
	require.ErrorContains(t, err, "chmod 700 ")
}

func TestNoNameLeadsOutOfTheDirectory(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	e := keys.Endpoints(dir)
	for _, name := range []string{
		"", ".", "..", "../wrapping.key", "../wrapping.key@0", "a/b@0", `a\b@0`, "a@0/../../wrapping.key", "@0", "a@", "a", "a@0\x00", "a@0\n", "-a@0", "a@G",
		strings.Repeat("a", 129) + "@0",
	} {
		_, err := e.Read(name)
		require.ErrorIs(t, err, fs.ErrNotExist, "%q", name)
		_, err = e.Create(name, []byte("x"))
		require.Error(t, err, "%q", name)
	}
	_, err := e.Create("A.b_c-"+strings.Repeat("d", 122)+"@0123456789abcdef", []byte("x"))
	require.NoError(t, err, "every name of a stream will do")
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	e := keys.Endpoints(dir)
	now := time.Now()
	for name, age := range map[string]time.Duration{
		"a@1": 2 * time.Hour, "a@2": 2 * time.Hour, "a@3": 0, "a.b@1": 2 * time.Hour, "a_b@1": 2 * time.Hour, "b@1": 2 * time.Hour,
	} {
		_, err := e.Create(name, []byte("x"))
		require.NoError(t, err)
		at := now.Add(-age)
		require.NoError(t, os.Chtimes(filepath.Join(dir, "endpoints", name), at, at))
	}
	require.NoError(t, e.Sweep("a@", "a@2", now.Add(-time.Hour)))
	entries, err := os.ReadDir(filepath.Join(dir, "endpoints"))
	require.NoError(t, err)
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	require.Equal(t, []string{"a.b@1", "a@2", "a@3", "a_b@1", "b@1"}, left)
}

// Of many who make one secret at once, all get the same.
func TestManyMakeOneSecret(t *testing.T) {
	t.Parallel()
	e := keys.Endpoints(setup(t))
	got := make([]string, 16)
	errs := make([]error, len(got))
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var text []byte
			text, errs[i] = e.Create(secretName, []byte{byte('a' + i)})
			got[i] = string(text)
		})
	}
	wg.Wait()
	for i := range got {
		require.NoError(t, errs[i])
		require.Equal(t, got[0], got[i])
	}
}
