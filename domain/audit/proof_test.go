package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
	"github.com/tellonce/hub/eventstore/sqlite"
	"github.com/tellonce/hub/schemas"
)

// proof is a bundle whose store and keys lie open to whoever means to tamper.
type proof struct {
	*bundle
	file    string // of the log
	store   eventstore.Store
	keys    *sealtest.Memory
	wrapper seal.KeyWrapper
	genesis journal.Genesis
}

func setupProof(t testing.TB) *proof {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	store, err := sqlite.Open(context.Background(), sqlite.Config{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return proofOn(t, store, filepath.Join(dir, sqlite.File))
}

func proofOn(t testing.TB, store eventstore.Store, file string) *proof {
	t.Helper()
	wrapper, err := sealtest.NewWrapper(1)
	require.NoError(t, err)
	p := &proof{file: file, store: store, keys: &sealtest.Memory{}, wrapper: wrapper, genesis: journal.Genesis{
		BaseURL: "https://tellonce.example", Clock: journal.ClockLog, Generation: 1, LogID: uuid.New(), Mode: journal.ModeSandbox, TimeZone: "America/Toronto",
	}}
	require.NoError(t, journal.Begin(context.Background(), store, p.genesis))
	p.bundle = p.process(t)
	p.load(t, sampleAgreements(t, p.journal))
	return p
}

// process is another process on the same log and keys, which remembers nothing.
func (p *proof) process(t testing.TB) *bundle {
	t.Helper()
	ctx := context.Background()
	keyring, err := seal.NewKeyring(ctx, seal.Config{Store: p.keys, Wrapper: p.wrapper, LogID: p.genesis.LogID})
	require.NoError(t, err)
	registry, err := schemas.New()
	require.NoError(t, err)
	j, err := journal.Open(ctx, journal.Config{Store: p.store, Keyring: keyring, Registry: registry, Clock: time.Now})
	require.NoError(t, err)
	return &bundle{ctx: ctx, journal: j, command: command.New(j), delivery: delivery.New(j), audit: audit.New(j)}
}

// rederived is what a process that remembers nothing re-derives.
func (p *proof) rederived(t testing.TB) audit.Report {
	t.Helper()
	report, err := p.process(t).audit.Rederive(p.ctx, nil)
	require.NoError(t, err)
	return report
}

func (p *proof) verified(t testing.TB) audit.VerifyReport {
	t.Helper()
	report, err := p.process(t).audit.Verify(p.ctx, nil)
	require.NoError(t, err)
	return report
}

func sampleAgreements(t testing.TB, j *journal.Journal) []consent.Agreement {
	t.Helper()
	files, err := filepath.Glob("../command/testdata/agreements/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	agreements := make([]consent.Agreement, len(files))
	for i, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		agreements[i], err = schemas.ParseAgreement(name, text, j.Registry())
		require.NoError(t, err)
	}
	return agreements
}

// load proposes and, in a sandbox, approves agreements.
func (p *proof) load(t testing.TB, agreements []consent.Agreement) {
	t.Helper()
	_, err := p.command.LoadAgreements(p.ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}, agreements)
	require.NoError(t, err)
}

func (p *proof) imported(t testing.TB, in io.Reader) {
	t.Helper()
	err := p.command.Import(p.ctx, in, command.ImportOptions{Source: "import", ClockTold: true}, func(command.LineResult) error { return nil }, func() error { return nil })
	require.NoError(t, err)
}

func (p *proof) sample(t testing.TB) {
	t.Helper()
	in, err := os.Open("../command/testdata/full/changes.ndjson")
	require.NoError(t, err)
	defer in.Close()
	p.imported(t, in)
}

// someone registers a person by a reference, and gives their id.
func (p *proof) someone(t testing.TB, reference, born string) citizen.ID {
	t.Helper()
	line := fmt.Sprintf(`{"id":%q,"person":%q,"channel":"web","told_at":"2026-01-05T18:00:28Z","effective":"2026-01-05","type":"person-registered",`+
		`"data":{"given_names":"Invented","family_name":"Person","birth_date":%q,"language":"en"}}`, uuid.NewString(), reference, born)
	p.imported(t, bytes.NewBufferString(line+"\n"))
	ids, err := p.journal.Reference(p.ctx, "import", reference)
	require.NoError(t, err)
	return ids[0]
}

// count counts the records of a type.
func (p *proof) count(t testing.TB, eventType string) int64 {
	t.Helper()
	head, err := p.journal.Head(p.ctx)
	require.NoError(t, err)
	recs, err := p.journal.Store().ReadAll(p.ctx, 0, int(head.Position)+1)
	require.NoError(t, err)
	n := int64(0)
	for i := range recs {
		if recs[i].Type == eventType {
			n++
		}
	}
	return n
}

// tamper runs SQL on the log's file as somebody does who means to: with the triggers gone.
func (p *proof) tamper(t testing.TB, sql string) {
	t.Helper()
	db, err := sqlite3.Open("file:" + p.file)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.Exec(`PRAGMA busy_timeout = 10000; DROP TRIGGER IF EXISTS log_update; DROP TRIGGER IF EXISTS log_delete`))
	require.NoError(t, db.Exec(sql))
}
