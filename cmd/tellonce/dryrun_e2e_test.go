package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/postgres"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// candidate is the file of a sample agreement's next version, changed.
func (p *place) candidate(id string, replace ...string) string {
	p.t.Helper()
	text, err := os.ReadFile(samples + "agreements/" + id + ".yaml")
	require.NoError(p.t, err)
	file := filepath.Join(p.dir, id+".yaml")
	changed := strings.NewReplacer(append(replace, "version: 1", "version: 2")...).Replace(string(text))
	require.NoError(p.t, os.WriteFile(file, []byte(changed), 0o600))
	return file
}

// TestDryRunThroughTheCommand: what it says of the rules in force is what the decisions of the log say, and counting writes nothing.
func TestDryRunThroughTheCommand(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		file := p.candidate("outdoors-card", "min_age: 12", "min_age: 40", "city, province", "city")
		before := p.run("audit", "verify")
		reports := objects(t, p.run("agreement", "dry-run", file))
		require.Len(t, reports, 1)
		report := reports[0]
		require.Equal(t, before, p.run("audit", "verify"), "counting writes nothing")
		require.Equal(t, []any{"outdoors-card", float64(2), float64(1)}, []any{report["agreement"], report["version"], report["replaces"]})
		var shared, lostProvince float64
		for _, d := range objects(t, p.run("audit", "decisions", "--stream", "mnr.outdoors-card")) {
			if d["result"] == "shared" {
				shared++
				for _, field := range d["fields"].([]any) {
					if field == "province" {
						lostProvince++
					}
				}
			}
		}
		require.Positive(t, shared)
		require.Equal(t, shared, report["shared_before"])
		require.Less(t, report["shared_after"], shared)
		province := report["fields"].([]any)[3].(map[string]any)
		require.Equal(t, []any{"province", lostProvince, float64(0), lostProvince}, []any{province["field"], province["before"], province["after"], province["lost_facts"]})

		text, errs, code := p.try(nil, "agreement", "dry-run", "--output", "text", file)
		require.Equal(t, 0, code)
		require.Contains(t, text, "outdoors-card: version 2 in place of version 1\n")
		require.Regexp(t, `(?m)^address-changed +province +[0-9]+ +0 +0 +[0-9]+ +0 +[0-9]+$`, text)
		require.Contains(t, errs, "dry run: ")
	})
}

// TestDryRunPeopleIsALook: with a reason, on the log before the answer.
func TestDryRunPeopleIsALook(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		file := p.candidate("outdoors-card", "city, province", "city")
		for _, wrong := range [][]string{{"--people"}, {"--people", "--reason", "  "}, {"--reason", "counts need none"}} {
			_, errs, code := p.try(nil, append([]string{"agreement", "dry-run", file}, wrong...)...)
			require.Equal(t, 2, code, errs)
		}
		before := objects(t, p.run("audit", "verify"))[0]["records"].(float64)
		lines := objects(t, p.run("agreement", "dry-run", file, "--people", "--reason", "a new version"))
		require.Equal(t, before+1, objects(t, p.run("audit", "verify"))[0]["records"])
		report, people := lines[len(lines)-1], lines[:len(lines)-1]
		require.NotEmpty(t, people)
		require.Equal(t, report["fields"].([]any)[3].(map[string]any)["lost_citizens"], float64(len(people)))
		for _, one := range people {
			_, err := uuid.Parse(one["citizen"].(string))
			require.NoError(t, err)
			require.Equal(t, []any{"address-changed", []any{}, []any{"province"}}, []any{one["type"], one["gained"], one["lost"]})
		}
	})
}

func TestDryRunRefusals(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "takes the file of an agreement"},
		{[]string{"no-such.yaml"}, 1, "can't be read"},
		{[]string{p.candidate("outdoors-card", "city", "shoe_size")}, 1, "shoe_size"},
		{[]string{absolute(t, samples+"agreements/outdoors-card.yaml")}, 1, "outdoors-card@1 is approved"},
	} {
		out, errs, code := p.try(nil, append([]string{"agreement", "dry-run"}, test.args...)...)
		require.Equal(t, test.code, code, errs)
		require.Contains(t, errs, test.says)
		require.Empty(t, out)
	}
}

// destroyKeys puts tombstones in the place of every key of a class, past the hub.
func (p *place) destroyKeys(class eventstore.Class) {
	p.t.Helper()
	ctx := p.t.Context()
	c := config{store: filepath.Join(p.dir, "tellonce-data")}
	var log eventstore.Store
	var keys seal.KeyStore
	if p.env == nil {
		store, err := sqlite.Open(ctx, sqlite.Config{Dir: c.store, MustExist: true})
		require.NoError(p.t, err)
		defer store.Close()
		keyStore, err := sqlite.OpenKeys(ctx, c.store+"-keys")
		require.NoError(p.t, err)
		defer keyStore.Close()
		log, keys = store, keyStore
	} else {
		c.store = strings.TrimPrefix(p.env[0], "TELLONCE_STORE=")
		dsn, schema, err := c.database()
		require.NoError(p.t, err)
		store, err := postgres.Open(ctx, postgres.Config{DSN: dsn, Schema: schema})
		require.NoError(p.t, err)
		defer store.Close()
		keyStore, err := postgres.OpenKeys(ctx, postgres.KeysConfig{DSN: dsn, Schema: schema + "_keys"})
		require.NoError(p.t, err)
		defer keyStore.Close()
		log, keys = store, keyStore
	}
	recs, err := log.ReadAll(ctx, 0, 100000)
	require.NoError(p.t, err)
	for i := range recs {
		if recs[i].Class == class {
			_, err = keys.DestroyKeys(ctx, seal.KeyID{Subject: recs[i].Subject, Class: class})
			require.NoError(p.t, err)
		}
	}
}

// TestDestroyedKeysAreNotErased: keys that vanish past the hub are found, and what they closed is not taken for a difference of the engine.
func TestDestroyedKeysAreNotErased(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		same := objects(t, p.run("audit", "rederive"))[0]["same"]
		p.destroyKeys(eventstore.Facts)
		out, errs, code := p.try(nil, "audit", "verify")
		require.Equal(t, 3, code, errs)
		report := objects(t, out)[0]
		require.Equal(t, float64(0), report["erased"])
		require.Positive(t, report["destroyed"])
		require.Contains(t, out, `"what":"destroyed"`)
		require.Equal(t, []map[string]any{{"same": float64(0), "erased": same, "different": float64(0)}}, objects(t, p.run("audit", "rederive")))
	})
}
