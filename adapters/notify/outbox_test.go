package notify_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/notify"
	"github.com/tellonce/hub/domain/notice"
)

// TestAnOutboxHoldsWholeFiles that only this user may read; the same notice is the same file.
func TestAnOutboxHoldsWholeFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "texts")
	outbox, err := notify.NewOutbox(dir)
	require.NoError(t, err)
	text := notice.Notice{ID: "00ff", Channel: "text", To: "+14165550100", Language: "en", Text: "Hello"}
	letter := notice.Notice{ID: "11ff", Channel: "letter", To: "Invented Person\n1 First St\nKenora ON  P9N 3X9", Language: "fr", Subject: "Sujet", Text: "Bonjour"}
	for _, n := range []notice.Notice{text, text, letter} {
		require.NoError(t, outbox.Send(context.Background(), n))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	for name, want := range map[string]string{
		"00ff.json": `{"id":"00ff","to":"+14165550100","language":"en","text":"Hello"}`,
		"11ff.json": `{"id":"11ff","address":["Invented Person","1 First St","Kenora ON  P9N 3X9"],"language":"fr","subject":"Sujet","text":"Bonjour"}`,
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.True(t, json.Valid(got))
		require.JSONEq(t, want, string(got))
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.NoError(t, os.RemoveAll(dir))
	err = outbox.Send(context.Background(), text)
	require.Error(t, err)
	require.NotErrorIs(t, err, notice.ErrPermanent)
}
