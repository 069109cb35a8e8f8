package keys_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/keys"
)

func rotate(t *testing.T, dir string) *keys.Rotation {
	rotation, err := keys.Rotate(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rotation.Close() }) // some tests close it themselves
	return rotation
}

func TestAddAndRetire(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	before := content(t, dir)
	running, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	_, old, err := running.Wrap(nil, []byte("old"))
	require.NoError(t, err)

	rotation := rotate(t, dir)
	epoch, err := rotation.Add()
	require.NoError(t, err)
	require.EqualValues(t, 2, epoch)
	require.True(t, bytes.HasPrefix(content(t, dir), before), "what was there stays as it was")
	later, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	require.Equal(t, []int32{1, 2}, later.Epochs())
	wrappedUnder, fresh, err := later.Wrap(nil, []byte("new"))
	require.NoError(t, err)
	require.EqualValues(t, 2, wrappedUnder)

	// A process that opened the file before looks again when it meets the new epoch, and wraps under it from then on.
	require.EqualValues(t, 1, running.Epoch())
	opened, err := running.Unwrap(2, nil, fresh)
	require.NoError(t, err)
	require.Equal(t, "new", string(opened))
	require.EqualValues(t, 2, running.Epoch())
	opened, err = running.Unwrap(1, nil, old)
	require.NoError(t, err)
	require.Equal(t, "old", string(opened))

	require.ErrorContains(t, rotation.Retire(1, 2), "in use")
	require.NoError(t, rotation.Retire(1))
	require.Equal(t, []int32{1, 2}, running.Epochs(), "it has not looked")
	require.NoError(t, running.Refresh())
	require.Equal(t, []int32{2}, running.Epochs())
	_, err = running.Unwrap(1, nil, old)
	require.ErrorContains(t, err, "no key of epoch 1")
	require.NotContains(t, string(content(t, dir)), strings.Fields(strings.Split(string(before), "\n")[2])[1], "the old key is in the file no more")
	require.True(t, strings.HasPrefix(string(content(t, dir)), "# Tellonce wrapping keys"))
	epoch, err = rotation.Add()
	require.NoError(t, err)
	require.EqualValues(t, 3, epoch, "no number is used again")
	requireOnlyKeyFiles(t, dir)
}

// requireOnlyKeyFiles checks that nothing is left lying about, and who may read what is there.
func requireOnlyKeyFiles(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), entry.Name())
	}
	require.Equal(t, []string{keys.TokenFile, keys.WrappingFile, keys.WrappingFile + ".lock"}, names)
}

func TestOneRotationAtATime(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	const processes = 8
	var wg sync.WaitGroup
	added, errs := make([]int32, processes), make([]error, processes)
	for i := range processes {
		wg.Go(func() {
			for {
				rotation, err := keys.Rotate(dir)
				if errors.Is(err, keys.ErrRotating) {
					runtime.Gosched()
					continue
				}
				if errs[i] = err; err == nil {
					added[i], errs[i] = rotation.Add()
					_ = rotation.Close()
				}
				return
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.ElementsMatch(t, []int32{2, 3, 4, 5, 6, 7, 8, 9}, added)
	w, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	require.Len(t, w.Epochs(), processes+1, "none was lost")

	held := rotate(t, dir)
	_, err = keys.Rotate(dir)
	require.ErrorIs(t, err, keys.ErrRotating)
	require.NoError(t, held.Close())
	rotate(t, dir)
}

// A rotation that died leaves a draft; the next one removes it, with all it holds.
func TestDraftsOfADeadRotation(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	draft := filepath.Join(dir, keys.WrappingFile+".new-0011223344556677")
	require.NoError(t, os.WriteFile(draft, content(t, dir), 0o600))
	_, err := rotate(t, dir).Add()
	require.NoError(t, err)
	requireOnlyKeyFiles(t, dir)
}

func TestRotateWhatIsNotToBeTouched(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"no file":          {func(dir string) error { return os.Remove(filepath.Join(dir, keys.WrappingFile)) }, "tellonce init"},
		"others may read":  {func(dir string) error { return os.Chmod(filepath.Join(dir, keys.WrappingFile), 0o644) }, "chmod 600"},
		"others may write": {func(dir string) error { return os.Chmod(dir, 0o777) }, "chmod 700"},
	} {
		dir := setup(t)
		require.NoError(t, c.change(dir))
		_, err := keys.Rotate(dir)
		require.ErrorContains(t, err, c.want, name)
	}
	for name, text := range map[string]string{
		"damaged":        "1 AAAA AAAA\n",
		"the last epoch": string(keys.FormatLine(1<<31-1, bytes.Repeat([]byte{1}, 32))),
	} {
		dir := setup(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, keys.WrappingFile), []byte(text), 0o600))
		_, err := rotate(t, dir).Add()
		require.ErrorContains(t, err, "damaged", name)
		require.Equal(t, text, string(content(t, dir)), name)
	}
}

// A file whose last line has no end, or which a person has edited, keeps every line.
func TestAddToAnEditedFile(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	key := strings.TrimSuffix(string(keys.FormatLine(7, bytes.Repeat([]byte{1}, 32))), "\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, keys.WrappingFile), []byte("# mine\n\n  "+key), 0o600))
	epoch, err := rotate(t, dir).Add()
	require.NoError(t, err)
	require.EqualValues(t, 8, epoch)
	w, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	require.Equal(t, []int32{7, 8}, w.Epochs())
}

// A file that can't be read any more leaves a running process with what it had.
func TestRefreshOfABadFile(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	w, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	_, wrapped, err := w.Wrap(nil, []byte("key"))
	require.NoError(t, err)
	draft := filepath.Join(dir, "draft")
	require.NoError(t, os.WriteFile(draft, []byte("nothing"), 0o600))
	require.NoError(t, os.Rename(draft, filepath.Join(dir, keys.WrappingFile)))
	require.ErrorContains(t, w.Refresh(), "damaged")
	_, err = w.Unwrap(2, nil, wrapped)
	require.ErrorContains(t, err, "damaged")
	key, err := w.Unwrap(1, nil, wrapped)
	require.NoError(t, err)
	require.Equal(t, "key", string(key))
}
