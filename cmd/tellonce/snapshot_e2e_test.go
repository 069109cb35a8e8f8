package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// open opens the place's log in the test's own process.
func (p *place) open() *hub {
	p.t.Helper()
	c := config{store: filepath.Join(p.dir, "tellonce-data")}
	if len(p.env) > 0 {
		c.store, c.keys = p.env[0][len("TELLONCE_STORE="):], filepath.Join(p.dir, "tellonce-keys")
	}
	h, err := openHub(context.Background(), &c, slog.New(slog.DiscardHandler))
	require.NoError(p.t, err)
	return h
}

// pass is an invented statute that gives the first few fields of everybody's address; a version more, a field more.
func pass(t *testing.T, h *hub, version int) consent.Agreement {
	t.Helper()
	a, err := schemas.ParseAgreement("pass.yaml", []byte(`
id: parks-pass
version: 1
ministry: parks
stream: parks.pass
title: {en: Parks pass, fr: Laissez-passer}
purpose: {en: Illustration, fr: Illustration}
basis: {kind: statute, reference: "Illustration only"}
population: all
shares: [{event: address-changed, fields: [city]}]
`), h.registry)
	require.NoError(t, err)
	a.Version, a.Shares[0].Fields = version, []string{"city", "street", "province", "postal_code", "kind", "country", "unit"}[:version]
	return a
}

// crowd are people with an address who consent to an agreement afterwards: a snapshot each is due.
func (h *hub) crowd(t *testing.T, people int) {
	t.Helper()
	var lines bytes.Buffer
	for i := range people {
		head := func(eventType string) string {
			return fmt.Sprintf(`{"id":%q,"person":"p-%d","channel":"web","told_at":"2026-01-05T12:00:00Z","effective":"2026-01-05","type":%q,"data":`,
				uuid.NewString(), i, eventType)
		}
		lines.WriteString(head("person-registered") + `{"given_names":"A","family_name":"B","birth_date":"1980-05-17","language":"en"}}` + "\n")
		lines.WriteString(head("address-changed") +
			`{"kind":"home","street":"1 First St","city":"Kenora","province":"ON","postal_code":"P9N 3X9","country":"CA"}}` + "\n")
		lines.WriteString(head("consent-granted") + `{"agreement":"outdoors-card"}}` + "\n")
	}
	accepted := func(r command.LineResult) error {
		require.Equal(t, command.Accepted, r.Result, r.Reason)
		return nil
	}
	require.NoError(t, h.command.Import(context.Background(), &lines, command.ImportOptions{Source: "import"}, accepted, func() error { return nil }))
}

// TestSnapshotsSurviveKills kills the process that takes them, at random moments, twenty times and more. In the end everybody has one
// snapshot of each trigger.
func TestSnapshotsSurviveKills(t *testing.T) {
	t.Parallel()
	const people, kills = 1200, 24
	places(t, func(t *testing.T, p *place) {
		ctx := context.Background()
		p.sandbox()
		h := p.open()
		defer h.Close()
		version, killed, midway := 0, 0, 0
		next := func() {
			version++
			_, err := h.command.LoadAgreements(ctx, commandLine(), []consent.Agreement{pass(t, h, version)})
			require.NoError(t, err)
		}
		h.crowd(t, people)
		next()
		for killed < kills {
			before, err := h.journal.Head(ctx)
			require.NoError(t, err)
			cmd := p.command("snapshot", "run")
			require.NoError(t, cmd.Start())
			done := make(chan error, 1)
			go func() { done <- cmd.Wait() }()
			if killed%2 == 0 { // into the work, however long a machine takes to begin; else anywhere
				h.moves(t, before.Position, done)
			}
			select {
			case err := <-done:
				require.NoError(t, err)
				if version < 5 {
					next()
				} else {
					h.regrant(t)
				}
				continue
			case <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond):
			}
			_ = cmd.Process.Kill() // it may just have ended
			<-done
			after, err := h.journal.Head(ctx)
			require.NoError(t, err)
			killed++
			if after.Position > before.Position {
				midway++
			}
		}
		require.Positive(t, midway, "no kill fell into the work")
		p.run("snapshot", "run")
		require.JSONEq(t, `{"taken":0}`, p.run("snapshot", "run"))
		h.checkSnapshots(t, people, version)
	})
}

// moves waits until the log has grown, or the process has ended.
func (h *hub) moves(t *testing.T, from int64, done <-chan error) {
	t.Helper()
	for {
		now, err := h.journal.Head(context.Background())
		require.NoError(t, err)
		if now.Position > from || len(done) > 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// TestAHubTakesSnapshotsAsItRuns: an import beside a running hub comes to the same facts in every stream as one without, and a resident's
// consent gives its stream what they had told before.
func TestAHubTakesSnapshotsAsItRuns(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		hub := p.serve()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		streams := map[string][]map[string]any{}
		for _, w := range fileObjects(t, samples+"small/streams.ndjson") {
			streams[w["stream"].(string)] = append(streams[w["stream"].(string)], w)
		}
		kinds := map[any]int{}
		for stream, want := range streams {
			all := objects(t, p.run("stream", "read", stream))
			for _, e := range all {
				kinds[e["kind"]]++
			}
			got := facts(t, all)
			require.Len(t, got, len(want), stream)
			for i := range want {
				require.Equal(t, want[i]["data"], got[i]["data"])
				require.Equal(t, want[i]["effective"], got[i]["effective"])
			}
		}
		require.Positive(t, kinds["snapshot"])
		require.JSONEq(t, `{"taken":0}`, p.run("snapshot", "run"), "the hub has left none")

		resident := p.token("citizen", "--person", "person-000000")
		code, text := hub.call(t, resident, "POST", "/v1/changes", move, "Idempotency-Key", uuid.NewString())
		require.Equal(t, 202, code, text)
		code, text = hub.call(t, resident, "DELETE", "/v1/me/consents/library-membership", "")
		require.Contains(t, []int{200, 422}, code, text)
		before := len(objects(t, p.run("stream", "read", "library.membership")))
		code, text = hub.call(t, resident, "PUT", "/v1/me/consents/library-membership", "{}")
		require.Equal(t, 200, code, text)
		ministry := p.token("ministry", "--ministry", "library")
		code, text = hub.call(t, ministry, "GET", fmt.Sprintf("/v1/streams/library.membership/events?after=1.0.%d&wait=20s", before), "")
		require.Equal(t, 200, code, text)
		require.Contains(t, text, `"kind":"snapshot"`)
		require.Contains(t, text, "Canary Zzyzx")
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
	})
}

// regrant makes a snapshot due of everybody again.
func (h *hub) regrant(t *testing.T) {
	t.Helper()
	for i := range 200 {
		ids, err := h.journal.Reference(context.Background(), "import", fmt.Sprintf("p-%d", i))
		require.NoError(t, err)
		c := command.Command{Actor: journal.Actor{Kind: journal.ActorSource}}
		_, err = h.command.Withdraw(context.Background(), c, ids[0], "outdoors-card")
		require.NoError(t, err)
		_, err = h.command.Grant(context.Background(), c, ids[0], command.Choice{Agreement: "outdoors-card"})
		require.NoError(t, err)
	}
}

// checkSnapshots reads the whole log: one snapshot of each trigger that holds, never two.
func (h *hub) checkSnapshots(t *testing.T, people, version int) {
	t.Helper()
	ctx := context.Background()
	head, err := h.journal.Head(ctx)
	require.NoError(t, err)
	type key struct {
		id        citizen.ID
		agreement string
		cause     int64
	}
	taken, versions := map[key]int{}, map[citizen.ID]map[int]int{}
	grants := map[citizen.ID]int64{}
	for from := int64(0); from <= head.Position; from += 2000 {
		recs, err := h.store.ReadAll(ctx, from, 2000)
		require.NoError(t, err)
		entries, err := h.journal.Open(ctx, recs)
		require.NoError(t, err)
		for i := range entries {
			id, _ := journal.SubjectOf(&entries[i].Recorded)
			switch event := entries[i].Event.(type) {
			case journal.ConsentGranted:
				grants[id] = entries[i].Position
			case journal.SnapshotTaken:
				require.Len(t, event.Facts, 1)
				taken[key{id, event.Agreement, event.Cause}]++
				if event.Agreement == "parks-pass" {
					if versions[id] == nil {
						versions[id] = map[int]int{}
					}
					versions[id][event.Version]++
				}
			}
		}
	}
	for k, n := range taken {
		require.Equal(t, 1, n, "%v", k)
	}
	require.Len(t, grants, people)
	for id, grant := range grants {
		require.Equal(t, 1, taken[key{id, "outdoors-card", grant}], "the last consent has its snapshot")
		require.Equal(t, 1, versions[id][version], "the last version has its snapshot")
	}
}
