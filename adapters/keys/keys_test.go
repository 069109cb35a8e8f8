package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/keys"
)

func setup(t *testing.T) (dir string) {
	dir = filepath.Join(t.TempDir(), "a", "keys")
	require.NoError(t, keys.Init(dir))
	return dir
}

func TestInit(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "no draft is left")
	before := map[string][]byte{}
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		before[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
	}
	require.NoError(t, keys.Init(dir))
	for name, content := range before {
		after, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, content, after, "what is there stays")
	}
	// A crash between the two files: the next start makes what is missing and keeps what is there.
	require.NoError(t, os.Remove(filepath.Join(dir, keys.TokenFile)))
	require.NoError(t, keys.Init(dir))
	after, err := os.ReadFile(filepath.Join(dir, keys.WrappingFile))
	require.NoError(t, err)
	require.Equal(t, before[keys.WrappingFile], after)
	_, err = keys.TokenKey(dir)
	require.NoError(t, err)
}

func TestManyInitsAtOnceMakeOneKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	const processes = 16
	wrapped := make([][]byte, processes)
	errs := make([]error, processes)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			if errs[i] = keys.Init(dir); errs[i] != nil {
				return
			}
			var w *keys.FileWrapper
			if w, errs[i] = keys.OpenWrapper(dir); errs[i] == nil {
				_, wrapped[i], errs[i] = w.Wrap(nil, []byte("key"))
			}
		})
	}
	wg.Wait()
	w, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	for i := range processes {
		require.NoError(t, errs[i])
		key, err := w.Unwrap(1, nil, wrapped[i])
		require.NoError(t, err)
		require.Equal(t, "key", string(key))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestWrap(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	w, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	require.EqualValues(t, 1, w.Epoch())
	key, aad := bytes.Repeat([]byte{7}, 32), []byte("citizen, class")
	_, one, err := w.Wrap(aad, key)
	require.NoError(t, err)
	_, two, err := w.Wrap(aad, key)
	require.NoError(t, err)
	require.NotEqual(t, one, two)
	require.Len(t, one, 12+32+16)
	again, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	opened, err := again.Unwrap(1, aad, one)
	require.NoError(t, err)
	require.Equal(t, key, opened)

	_, err = w.Unwrap(1, []byte("another citizen"), one)
	require.ErrorContains(t, err, "does not open")
	_, err = w.Unwrap(2, aad, one)
	require.ErrorContains(t, err, "epoch 2")
	for _, broken := range [][]byte{nil, one[:11], one[:len(one)-1], append(bytes.Clone(one[:59]), one[59]^1)} {
		_, err = w.Unwrap(1, aad, broken)
		require.Error(t, err)
	}
	stranger, err := keys.OpenWrapper(setup(t))
	require.NoError(t, err)
	_, err = stranger.Unwrap(1, aad, one)
	require.Error(t, err)
}

func TestSeveralEpochs(t *testing.T) {
	t.Parallel()
	dir, later := setup(t), setup(t)
	w, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	_, old, err := w.Wrap(nil, []byte("old"))
	require.NoError(t, err)
	both := append(content(t, dir), keys.FormatLine(5, bytes.Repeat([]byte{9}, 32))...)
	require.NoError(t, os.WriteFile(filepath.Join(later, keys.WrappingFile), both, 0o600))
	w, err = keys.OpenWrapper(later)
	require.NoError(t, err)
	require.EqualValues(t, 5, w.Epoch(), "the newest wraps")
	opened, err := w.Unwrap(1, nil, old)
	require.NoError(t, err, "the older still unwraps")
	require.Equal(t, "old", string(opened))
	_, wrapped, err := w.Wrap(nil, []byte("new"))
	require.NoError(t, err)
	_, err = w.Unwrap(1, nil, wrapped)
	require.Error(t, err)
	opened, err = w.Unwrap(5, nil, wrapped)
	require.NoError(t, err)
	require.Equal(t, "new", string(opened))
}

func content(t *testing.T, dir string) []byte {
	out, err := os.ReadFile(filepath.Join(dir, keys.WrappingFile))
	require.NoError(t, err)
	return out
}

// Each bad file is one sentence that names the file and says what to do, and shows nothing of the key.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
	}
	chmod := func(name string, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, name), mode)) }
	}
	key := strings.Repeat("\x01", 32)
	good := string(keys.FormatLine(1, []byte(key)))
	canary := strings.Fields(good)[1]
	const rsa = "-----BEGIN PRIVATE KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PRIVATE KEY-----\n"
	for name, c := range map[string]struct {
		file   string
		change func(*testing.T, string)
		want   string
	}{
		"wrapping missing":     {keys.WrappingFile, func(t *testing.T, d string) { require.NoError(t, os.Remove(filepath.Join(d, keys.WrappingFile))) }, `run "tellonce init"`},
		"token missing":        {keys.TokenFile, func(t *testing.T, d string) { require.NoError(t, os.Remove(filepath.Join(d, keys.TokenFile))) }, `run "tellonce init"`},
		"wrapping for all":     {keys.WrappingFile, chmod(keys.WrappingFile, 0o644), "chmod 600 "},
		"wrapping for a group": {keys.WrappingFile, chmod(keys.WrappingFile, 0o640), "chmod 600 "},
		"wrapping writable":    {keys.WrappingFile, chmod(keys.WrappingFile, 0o602), "chmod 600 "},
		"token for all":        {keys.TokenFile, chmod(keys.TokenFile, 0o604), "chmod 600 "},
		"open directory":       {keys.WrappingFile, chmod(".", 0o770), "chmod 700 "},
		"empty":                {keys.WrappingFile, write(keys.WrappingFile, ""), "holds no key"},
		"comments only":        {keys.WrappingFile, write(keys.WrappingFile, "# none\n"), "holds no key"},
		"a directory": {keys.WrappingFile, func(t *testing.T, d string) {
			require.NoError(t, os.Remove(filepath.Join(d, keys.WrappingFile)))
			require.NoError(t, os.Mkdir(filepath.Join(d, keys.WrappingFile), 0o700))
		}, "no regular file"},
		"a flipped character": {keys.WrappingFile, write(keys.WrappingFile, strings.Replace(good, "AQEB", "AQEC", 1)), "line 1"},
		"cut off":             {keys.WrappingFile, write(keys.WrappingFile, good[:len(good)/2]), "line 1"},
		"a short key":         {keys.WrappingFile, write(keys.WrappingFile, string(keys.FormatLine(1, []byte(key[:31])))), "line 1"},
		"a long key":          {keys.WrappingFile, write(keys.WrappingFile, string(keys.FormatLine(1, []byte(key+"x")))), "line 1"},
		"epoch zero":          {keys.WrappingFile, write(keys.WrappingFile, string(keys.FormatLine(0, []byte(key)))), "line 1"},
		"another epoch":       {keys.WrappingFile, write(keys.WrappingFile, "2"+good[1:]), "line 1"},
		"an epoch twice":      {keys.WrappingFile, write(keys.WrappingFile, "# two\n"+good+good), "line 3"},
		"falling epochs":      {keys.WrappingFile, write(keys.WrappingFile, string(keys.FormatLine(2, []byte(key)))+good), "line 2"},
		"binary":              {keys.WrappingFile, write(keys.WrappingFile, "\x00\xff\xfe"+canary), "line 1"},
		"a long line":         {keys.WrappingFile, write(keys.WrappingFile, strings.Repeat("a", 1<<17)), "too long"},
		"a long file":         {keys.WrappingFile, write(keys.WrappingFile, strings.Repeat("#\n", 1<<20)), "longer than any"},
		"no PEM":              {keys.TokenFile, write(keys.TokenFile, canary), "damaged"},
		"PEM of nothing":      {keys.TokenFile, write(keys.TokenFile, rsa), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := setup(t)
			c.change(t, dir)
			var err error
			if c.file == keys.TokenFile {
				_, err = keys.TokenKey(dir)
			} else {
				_, err = keys.OpenWrapper(dir)
			}
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, dir)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), canary)
			require.Less(t, len(err.Error()), 300+2*len(dir))
		})
	}
}

func TestUnreadableForAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root reads every file")
	}
	dir := setup(t)
	require.NoError(t, os.Chmod(filepath.Join(dir, keys.WrappingFile), 0))
	_, err := keys.OpenWrapper(dir)
	require.ErrorContains(t, err, "another user")
}

func TestInitRefusesAnOpenDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.ErrorContains(t, keys.Init(dir), "chmod 700 ")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "nothing half-written")
}

func TestTokenKey(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	key, err := keys.TokenKey(dir)
	require.NoError(t, err)
	again, err := keys.TokenKey(dir)
	require.NoError(t, err)
	require.Equal(t, key, again)
	require.True(t, ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("m"), ed25519.Sign(key, []byte("m"))))
	other, err := keys.TokenKey(setup(t))
	require.NoError(t, err)
	require.NotEqual(t, key, other)
}

func TestTokenFileHoldsOneKey(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	path := filepath.Join(dir, keys.TokenFile)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(text, text...), 0o600))
	_, err = keys.TokenKey(dir)
	require.ErrorContains(t, err, "not one private key")
}

func TestTokenKeyOfAnotherKind(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(other)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	require.NoError(t, os.WriteFile(filepath.Join(dir, keys.TokenFile), text, 0o600))
	_, err = keys.TokenKey(dir)
	require.ErrorContains(t, err, "openssl genpkey -algorithm ed25519")
}

func TestNoKeyPrints(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	w, err := keys.OpenWrapper(dir)
	require.NoError(t, err)
	key := strings.Fields(strings.Split(string(content(t, dir)), "\n")[2])[1]
	raw, err := base64.StdEncoding.DecodeString(key)
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("open", "wrapper", w)
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s %x %q", w, w, w, w, w, w), log.String()} {
		require.Contains(t, printed, "epoch 1")
		require.NotContains(t, printed, key)
		require.NotContains(t, printed, fmt.Sprint(raw[:8])[1:12])
	}
}
