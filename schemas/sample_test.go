package schemas_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/schemas"
)

const samples = "../domain/command/testdata/"

func registry(t testing.TB) *schemas.Registry {
	t.Helper()
	r, err := schemas.New()
	require.NoError(t, err)
	return r
}

func lines(t testing.TB, name string) [][]byte {
	t.Helper()
	content, err := os.ReadFile(samples + name)
	require.NoError(t, err)
	return bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
}

// Every line of both sample sets gets the answer that stands beside it, as far as this package gives answers.
func TestSamples(t *testing.T) {
	t.Parallel()
	ours := map[string]bool{schemas.CodeMalformed: true, schemas.CodeUnknownType: true, schemas.CodeSchema: true}
	for set, refused := range map[string]int{"full": 77, "small": 4} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			r, found := registry(t), 0
			expected := lines(t, set+"/expected.ndjson")
			for i, line := range lines(t, set+"/changes.ndjson") {
				var want struct {
					Result, Reason string
					Pointer        *string
				}
				require.NoError(t, json.Unmarshal(expected[i], &want))
				parsed, problem := r.ParseLine(line)
				if !ours[want.Reason] {
					require.Nil(t, problem, "line %d", i+1)
					require.NotEmpty(t, parsed.Content)
					require.NotEmpty(t, parsed.Canonical)
					continue
				}
				found++
				require.NotNil(t, problem, "line %d", i+1)
				require.Equal(t, want.Reason, problem.Code, "line %d", i+1)
				require.Equal(t, want.Pointer, problem.Pointer, "line %d", i+1)
			}
			require.Equal(t, refused, found)
		})
	}
}

func BenchmarkParseLine(b *testing.B) {
	r, all := registry(b), lines(b, "full/changes.ndjson")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = r.ParseLine(all[i%len(all)])
	}
}

func BenchmarkParseAddress(b *testing.B) {
	r := registry(b)
	line := lines(b, "full/changes.ndjson")[4]
	b.ReportAllocs()
	for b.Loop() {
		_, problem := r.ParseLine(line)
		if problem != nil {
			b.Fatal(problem.Detail)
		}
	}
}
