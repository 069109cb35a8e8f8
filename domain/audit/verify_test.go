package audit_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

func (p *proof) records(t testing.TB) int64 {
	t.Helper()
	head, err := p.journal.Head(p.ctx)
	require.NoError(t, err)
	return head.Position + 1
}

func TestAnHonestLogVerifies(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	p.sample(t)
	n := p.records(t)
	require.Greater(t, n, int64(4000))
	var last, total int64
	report, err := p.process(t).audit.Verify(p.ctx, func(done, of int64) { last, total = done, of })
	require.NoError(t, err)
	require.Equal(t, audit.VerifyReport{Records: n, Opened: n}, report)
	require.False(t, report.Failed())
	require.Equal(t, []int64{n, n}, []int64{last, total})
}

// TestEveryEditIsFound: each column of a record that an editor could change, on a file whose triggers they took away.
func TestEveryEditIsFound(t *testing.T) {
	t.Parallel()
	found := func(position int64, whats ...string) []audit.Finding {
		var out []audit.Finding
		for _, what := range whats {
			out = append(out, audit.Finding{Position: position, What: what})
		}
		return out
	}
	// Of a log of the sample agreements and one citizen, registered at at (sealed) and decided about at at+1.
	const sealed, public = 28, 2
	for name, test := range map[string]struct {
		sql  string
		want []audit.Finding
	}{
		"nothing":             {"SELECT 1", nil},
		"key reference":       {"UPDATE log SET key_ref = key_ref + 1", nil}, // rotates, and is bound by nothing
		"a byte of a payload": {"UPDATE log SET payload = x'{flipped}' WHERE position = {p}", found(sealed, audit.FoundPayload)},
		"a byte of a nonce":   {"UPDATE log SET payload = x'{nonce}' WHERE position = {p}", found(sealed, audit.FoundPayload)},
		"no payload":          {"UPDATE log SET payload = x'' WHERE position = {p}", found(sealed, audit.FoundPayload)},
		"a public payload":    {"UPDATE log SET payload = x'7b7d' WHERE position = {p} - 26", found(public, audit.FoundPayload)},
		"another's payload": {
			"UPDATE log SET payload = (SELECT payload FROM log WHERE position = {p} + 1) WHERE position = {p}", found(sealed, audit.FoundPayload),
		},
		"commitment":            {"UPDATE log SET commitment = zeroblob(32) WHERE position = {p}", found(sealed, audit.FoundLeaf, audit.FoundPayload)},
		"leaf":                  {"UPDATE log SET leaf = zeroblob(32) WHERE position = {p}", found(sealed, audit.FoundLeaf)},
		"type":                  {"UPDATE log SET type = 'name-changed' WHERE position = {p}", found(sealed, audit.FoundLeaf, audit.FoundPayload)},
		"event id":              {"UPDATE log SET event_id = zeroblob(16) WHERE position = {p}", found(sealed, audit.FoundLeaf, audit.FoundPayload)},
		"schema":                {"UPDATE log SET schema = 2 WHERE position = {p}", found(sealed, audit.FoundLeaf, audit.FoundPayload)},
		"class":                 {"UPDATE log SET class = 2 WHERE position = {p}", found(sealed, audit.FoundLeaf, audit.FoundPayload)},
		"as if public":          {"UPDATE log SET class = 0 WHERE position = {p}", found(sealed, audit.FoundLeaf, audit.FoundPayload)},
		"subject":               {"UPDATE log SET subject = x'00112233445566778899aabbccddeeff' WHERE position = {p}", found(sealed, audit.FoundLeaf, audit.FoundNoKey)},
		"issuer":                {"UPDATE log SET issuer = issuer + 1 WHERE position = {p}", found(sealed, audit.FoundLeaf)},
		"actor kind":            {"UPDATE log SET actor_kind = actor_kind + 1 WHERE position = {p}", found(sealed, audit.FoundLeaf)},
		"channel":               {"UPDATE log SET channel = channel + 1 WHERE position = {p}", found(sealed, audit.FoundLeaf)},
		"cause":                 {"UPDATE log SET cause = 1 WHERE position = {p}", found(sealed, audit.FoundLeaf)},
		"a later cause":         {"UPDATE log SET cause = {p} + 1 WHERE position = {p}", found(sealed, audit.FoundCause, audit.FoundLeaf)},
		"earlier":               {"UPDATE log SET recorded_at = recorded_at - 1 WHERE position = {p}", found(sealed, audit.FoundLeaf)},
		"before the one before": {"UPDATE log SET recorded_at = -1 WHERE position = {p}", found(sealed, audit.FoundLeaf, audit.FoundTime)},
		"later":                 {"UPDATE log SET recorded_at = recorded_at + 1 WHERE position = {p}", append(found(sealed, audit.FoundLeaf), found(sealed+1, audit.FoundTime)...)},
		"version":               {"UPDATE log SET version = 7 WHERE position = {p}", append(found(sealed, audit.FoundLeaf, audit.FoundVersion), found(sealed+1, audit.FoundVersion)...)},
		"aggregate":             {"UPDATE log SET aggregate = zeroblob(16) WHERE position = {p}", append(found(sealed, audit.FoundLeaf), found(sealed+1, audit.FoundVersion)...)},
		"category":              {"UPDATE log SET category = 3 WHERE position = {p}", append(found(sealed, audit.FoundLeaf), found(sealed+1, audit.FoundVersion)...)},
		"taken out":             {"DELETE FROM log WHERE position = {p}", append(found(sealed, audit.FoundMissing), found(sealed+1, audit.FoundVersion)...)},
		"two change places": {
			"UPDATE log SET position = -1 WHERE position = {p}; UPDATE log SET position = {p} WHERE position = {p} + 1; UPDATE log SET position = {p} + 1 WHERE position = -1",
			append(found(sealed, audit.FoundLeaf, audit.FoundVersion, audit.FoundCause), found(sealed+1, audit.FoundLeaf, audit.FoundVersion)...),
		},
		"genesis":              {`UPDATE log SET payload = CAST(replace(CAST(payload AS TEXT), 'example', 'invalid') AS BLOB) WHERE position = 0 * {p}`, found(0, audit.FoundPayload)},
		"the store's identity": {"DROP TRIGGER meta_update; UPDATE meta SET generation = 2 WHERE 0 < {p}", found(0, audit.FoundIdentity)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setupProof(t)
			id := p.someone(t, "r-1", "1980-05-17")
			recs, err := p.store.Read(p.ctx, sealed, sealed+1, public)
			require.NoError(t, err)
			require.Equal(t, []string{citizen.PersonRegistered, journal.TypeDecided, journal.TypeAgreementApproved}, []string{recs[0].Type, recs[1].Type, recs[2].Type})
			require.Equal(t, uuid.UUID(id), recs[0].Subject)
			flipped, nonce := slices.Clone(recs[0].Payload), slices.Clone(recs[0].Payload)
			flipped[20], nonce[0] = flipped[20]^1, nonce[0]^1
			p.tamper(t, strings.NewReplacer("{p}", strconv.Itoa(sealed), "{flipped}", fmt.Sprintf("%x", flipped), "{nonce}", fmt.Sprintf("%x", nonce)).Replace(test.sql))
			report := p.verified(t)
			require.ElementsMatch(t, test.want, report.Findings)
			require.Equal(t, int64(len(test.want)), report.Tampered)
			require.Equal(t, test.want != nil, report.Failed())
			require.Zero(t, report.Destroyed+report.Erased)
		})
	}
}

// TestALongGapIsFound, longer than a page that is read at once.
func TestALongGapIsFound(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	p.sample(t)
	n := p.records(t)
	p.tamper(t, "DELETE FROM log WHERE position BETWEEN 101 AND 4400")
	report := p.verified(t)
	require.Equal(t, audit.Finding{Position: 101, What: audit.FoundMissing}, report.Findings[0])
	require.Equal(t, n-4300, report.Records)
	require.Equal(t, audit.FoundVersion, report.Findings[1].What)
	_, err := p.process(t).audit.Rederive(p.ctx, nil)
	require.ErrorIs(t, err, journal.ErrMissing)
}

// TestErasedIsToldFromDestroyed: a key that is gone needs an event that says so, about that citizen and naming that class.
func TestErasedIsToldFromDestroyed(t *testing.T) {
	t.Parallel()
	facts, evidence := []eventstore.Class{eventstore.Facts}, []eventstore.Class{eventstore.Evidence}
	both := append(facts, evidence...)
	for name, test := range map[string]struct {
		destroyed, named  []eventstore.Class
		another           bool // the event is about somebody else
		erased, tombstone int64
	}{
		"erased":                {both, both, false, 6, 0},
		"one class":             {facts, facts, false, 3, 0},
		"no event":              {both, nil, false, 0, 6},
		"of another class":      {evidence, facts, false, 0, 3},
		"one of two":            {both, evidence, false, 3, 3},
		"of another citizen":    {both, both, true, 0, 6},
		"named and still there": {nil, both, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setupProof(t)
			for _, reference := range []string{"r-1", "r-2"} {
				p.someone(t, reference, "1980-05-17")
				b := p.about(t, reference)
				b.move()
				b.rename()
			}
			gone, other := p.about(t, "r-1").citizen, p.about(t, "r-2").citizen
			if test.named != nil {
				id := gone
				if test.another {
					id = other
				}
				_, err := p.journal.Append(p.ctx, journal.Step{Events: []journal.New{{
					Event: journal.Erased{Classes: test.named}, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: eventstore.NoCause,
				}}})
				require.NoError(t, err)
			}
			for _, class := range test.destroyed {
				p.keys.Destroy(seal.KeyID{Subject: uuid.UUID(gone), Class: class})
			}
			n, report := p.records(t), p.verified(t)
			require.Equal(t, test.tombstone > 0, report.Failed())
			require.Len(t, report.Findings, int(test.tombstone))
			for _, finding := range report.Findings {
				require.Equal(t, audit.FoundDestroyed, finding.What)
				recs, err := p.store.Read(p.ctx, finding.Position)
				require.NoError(t, err)
				require.Equal(t, uuid.UUID(gone), recs[0].Subject)
			}
			report.Findings = nil
			require.Equal(t, audit.VerifyReport{Records: n, Opened: n - test.erased - test.tombstone, Erased: test.erased, Destroyed: test.tombstone}, report)
		})
	}
}

// TestAnErasureVerifies: what the hub itself erases is erased for every proof, and a dry run counts it apart.
func TestAnErasureVerifies(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	for _, reference := range []string{"r-1", "r-2"} {
		p.someone(t, reference, "1980-05-17")
		b := p.about(t, reference)
		b.move()
		b.rename()
	}
	decided, b := p.count(t, journal.TypeDecided), p.about(t, "r-1")
	c := b.as()
	c.Actor = journal.Actor{Kind: journal.ActorClerk, ID: "clerk"}
	_, err := b.command.Erase(p.ctx, c, b.citizen)
	require.NoError(t, err)
	n := p.records(t)
	require.Equal(t, audit.VerifyReport{Records: n, Opened: n - 3, Erased: 3}, p.verified(t))
	require.Equal(t, audit.Report{Same: decided - 3, Erased: 3}, p.rederived(t))
	report := p.dryRun(t, p.candidate(t, "elections-register", func(*consent.Agreement) {}))
	require.Equal(t, []int64{2, 2}, []int64{report.Facts, report.Erased}, "an address and a name of each")
}

// TestAForgedErasureIsNone: an event that was edited into one that names the class is no excuse for a destroyed key.
func TestAForgedErasureIsNone(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	gone := uuid.UUID(p.someone(t, "r-1", "1980-05-17"))
	results, err := p.journal.Append(p.ctx, journal.Step{Events: []journal.New{{
		Event: journal.Erased{Classes: []eventstore.Class{eventstore.Contact}}, Aggregate: journal.CitizenAggregate(citizen.ID(gone)), Subject: citizen.ID(gone), Cause: eventstore.NoCause,
	}}})
	require.NoError(t, err)
	payload := []byte(`{"classes":[1,2,4]}`)
	p.tamper(t, fmt.Sprintf("UPDATE log SET payload = x'%x', commitment = x'%x' WHERE position = %d", payload, sha256.Sum256(payload), results[0].Position))
	p.keys.Destroy(seal.KeyID{Subject: gone, Class: eventstore.Facts})
	report := p.verified(t)
	require.Equal(t, []int64{1, 1}, []int64{report.Destroyed, report.Tampered})
}
