package schemas_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/schemas"
)

func TestSampleAgreements(t *testing.T) {
	t.Parallel()
	r := registry(t)
	paths, err := filepath.Glob("testdata/agreements/*.yaml")
	require.NoError(t, err)
	require.Len(t, paths, 9)
	var all []consent.Agreement
	for _, path := range paths {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		agreement, err := schemas.ParseAgreement(path, source, r)
		require.NoError(t, err)
		document := schemas.MarshalDocument(agreement)
		again, err := schemas.UnmarshalDocument(document)
		require.NoError(t, err)
		require.Equal(t, agreement, again)
		require.Equal(t, document, schemas.MarshalDocument(again))
		all = append(all, agreement)
	}
	_, err = consent.Compile(all, func(eventType string) []string {
		row, ok := r.Row(eventType)
		if !ok {
			return nil
		}
		return row.FieldNames()
	})
	require.NoError(t, err)
}
