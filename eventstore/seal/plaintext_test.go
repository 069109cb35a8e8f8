package seal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore/seal"
)

const canary = "Zoë Canary-O’Brien 999"

// Neither the name nor its bytes in decimal, hex or base64 may show.
func requireSealed(t *testing.T, printed string) {
	t.Helper()
	require.Contains(t, printed, "[sealed]")
	for _, form := range []string{"Canary", "43616e617279", "43616E617279", "67 97 110", "67, 97, 110", "0x43", "Q2FuYXJ5", "DYW5hcn", "FuYXJ5"} {
		require.NotContains(t, printed, form)
	}
}

type holder struct {
	Name  string
	Inner seal.Plaintext
	Ptr   *seal.Plaintext
	Any   any
	Many  []seal.Plaintext
	Map   map[string]seal.Plaintext
}

func newHolder() holder {
	pt := seal.Plaintext(canary)
	return holder{Name: "n", Inner: pt, Any: pt, Many: []seal.Plaintext{pt}, Map: map[string]seal.Plaintext{"k": pt}}
}

func TestPlaintextNeverPrints(t *testing.T) {
	t.Parallel()
	pt := seal.Plaintext(canary)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "%X", "% x", "%#x", "%d", "%c", "%U", "%b", "%o", "%t", "%40v", "%-40s", "%.3s", "%T %v"} {
		for _, value := range []any{pt, &pt, []seal.Plaintext{pt}, map[string]seal.Plaintext{"a": pt}, newHolder(), []any{pt}} {
			if verb == "%T %v" {
				requireSealed(t, fmt.Sprintf(verb, value, value))
				continue
			}
			if _, pointer := value.(*seal.Plaintext); pointer && verb != "%v" {
				continue // a pointer prints as its target or as an address: neither shows the bytes, see below
			}
			requireSealed(t, fmt.Sprintf(verb, value))
		}
		require.NotContains(t, fmt.Sprintf(verb, &pt, &pt), "Canary")
	}
	requireSealed(t, fmt.Sprint(pt))
	requireSealed(t, fmt.Sprintln(pt))
	requireSealed(t, fmt.Errorf("open: %v", pt).Error())
	requireSealed(t, errors.Join(fmt.Errorf("%s", pt)).Error())
	require.Equal(t, canary, string(pt), "the bytes are there for who asks")
}

func TestPlaintextNeverEncodes(t *testing.T) {
	t.Parallel()
	pt := seal.Plaintext(canary)
	encoded, err := json.Marshal(newHolder())
	require.NoError(t, err)
	requireSealed(t, string(encoded))
	text, err := pt.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "[sealed]", string(text))
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		out.Reset()
		slog.New(handler).Info("told", "payload", pt, "pointer", &pt, slog.Any("any", pt), slog.Group("g", "p", pt), "holder", newHolder())
		requireSealed(t, out.String())
	}
}
