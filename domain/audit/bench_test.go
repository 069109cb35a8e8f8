package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// people is the input of people who each are registered, linked twice, consent once and move four times.
func people(n int) *bytes.Buffer {
	var b bytes.Buffer
	for i := range n {
		for _, line := range []string{
			`"person-registered","data":{"given_names":"Invented","family_name":"Person","birth_date":"1980-05-17","language":"en"}`,
			`"ministry-linked","data":{"ministry":"moh","client_reference":"2241-918-842-AK"}`,
			`"ministry-linked","data":{"ministry":"mto","client_reference":"6775-703-356-BK"}`,
			`"consent-granted","data":{"agreement":"outdoors-card","fields":["city","street"]}`,
			move, move, move, move,
		} {
			fmt.Fprintf(&b, `{"id":%q,"person":"p-%d","channel":"web","told_at":"2026-01-05T18:00:28Z","effective":"2026-01-05","type":%s}`+"\n", uuid.NewString(), i, line)
		}
	}
	return &b
}

const move = `"address-changed","data":{"kind":"home","street":"1 First St","city":"Kenora","province":"ON","postal_code":"P9N 3X9","country":"CA"}`

// BenchmarkFold says how much memory a proof over the whole log holds for each citizen. (Its speed, against a bare replay, is what
// `tellonce bench --parts prove` measures.)
func BenchmarkFold(b *testing.B) {
	p := setupProof(b)
	const n = 5000
	p.imported(b, people(n))
	var held any
	before := heap()
	for b.Loop() {
		var citizens int
		var err error
		held, citizens, err = p.audit.Fold(context.Background())
		require.NoError(b, err)
		require.Equal(b, n, citizens)
	}
	b.ReportMetric(float64(heap()-before)/n, "B/citizen")
	runtime.KeepAlive(held)
}

// BenchmarkRederive is for profiles.
func BenchmarkRederive(b *testing.B) {
	p := setupProof(b)
	p.imported(b, people(5000))
	for b.Loop() {
		_, err := p.audit.Rederive(context.Background(), nil)
		require.NoError(b, err)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
