package journal_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

var (
	someone = citizen.ID(uuid.MustParse("11111111-2222-4333-8444-555555555555"))
	update  = flag.Bool("update", false, "write testdata/plaintext.ndjson anew: only for a new event type")
)

// goldenMeta has every member, with what JSON must escape and what it must not.
var goldenMeta = journal.Meta{
	ToldAt: time.Date(2026, 3, 1, 5, 4, 3, 120000000, time.UTC), Effective: "2026-03-02", Actor: "o\"\\\u0001\n<&>é\u2028😀",
	Command: "0b1e6d8a-1f5c-4f0e-9d3a-0c5b7a9e1f23",
}

// samples is one event of every type, each member filled.
func samples(t testing.TB) []any {
	t.Helper()
	j := journaltest.New(t, journaltest.Options{})
	out := []any{
		journal.Genesis{
			BaseURL: "https://tellonce.example", Clock: journal.ClockLog, Generation: 1, LogID: uuid.UUID(someone), Mode: journal.ModeSandbox, TimeZone: "America/Toronto",
		},
		journal.ConsentGranted{
			Agreement: "a", Capacity: "self", Fields: []string{"street", "city"}, Grantor: someone.String(), Language: "fr", NoticeHash: "00ff", Version: 2,
		},
		journal.ConsentWithdrawn{Agreement: "a", Grant: 1<<53 - 1},
		journal.MinistryLinked{ClientReference: `<&"\>`, Means: "import", Ministry: "moh"},
		journal.MinistryUnlinked{Ministry: "moh"},
		journal.Decided{Agreements: 7, Engine: 1, Decisions: []journal.Decision{
			{Agreement: "a", Version: 1, Fields: 0b101}, {Agreement: "b", Version: 3, Reason: consent.MinAge, Conditions: 5},
		}},
		journal.AgreementProposed{Document: json.RawMessage(`{"id":"a","title":{"en":"<A & B>","fr":"Été"},"version":1}`), ID: "a", Version: 1},
		journal.AgreementApproved{ID: "a", Version: 1},
		journal.AgreementEnded{Date: "2026-03-01", ID: "a"},
		journal.StreamOpened{Lanes: 4, Ministry: "moh", Stream: "moh.health-card"},
		journal.ReceiptsRecorded{From: 1, Lane: 2, Status: "applied", Stream: "moh.health-card", To: 9},
		journal.ReceiptRejected{Lane: 2, Number: 9, Reason: "Unknown client <é>", Stream: "moh.health-card"},
		journal.Disclosed{Dropped: []int64{4}, Encoder: 1, First: 8, Lane: 2, Stream: "moh.health-card", Items: []journal.DisclosedItem{
			{Agreement: "a", Epoch: 1, Fields: 3, Grant: 5, Kind: "fact", Link: 6, Position: 7, Schema: 1, Version: 2},
		}},
		journal.Redelivered{From: 1, Lane: 2, Recalled: []int64{3}, Stream: "moh.health-card", To: 4},
		journal.Accessed{Case: "C-1", HiddenUntil: "2026-04-01", HiddenWhy: "inquiry", Kind: "why", Reason: "A complaint", Shown: "timeline"},
		journal.AccessRefused{Route: "GET /v1/me", Status: 404},
	}
	out = append(out, samplesOfLaw()...)
	out = append(out, samplesOfDelivery()...)
	for _, row := range j.Registry().Rows() {
		if !row.Fact {
			continue
		}
		text, err := os.ReadFile("../../schemas/" + row.Type + "/1.example.json")
		require.NoError(t, err)
		change := citizen.Change{Type: row.Type, Effective: goldenMeta.Effective}
		require.NoError(t, json.Unmarshal(text, &change.Data))
		if row.Key != "" {
			change.Key, _ = change.Data[row.Key].(string)
		}
		out = append(out, change)
	}
	return out
}

// samplesOfLaw are corrections, proxies, protection, erasure and snapshots.
func samplesOfDelivery() []any {
	return []any{
		journal.StreamPaused{Stream: "moh.health-card", Why: journal.PausedGone},
		journal.StreamResumed{Stream: "moh.health-card"},
		journal.EndpointSet{
			Batch: 50, Kind: journal.EndpointWebhook, Secret: "2026", Signature: journal.SignatureEd25519, Stream: "moh.health-card", URL: "https://moh.example/in?a=1&b=2",
		},
		journal.SyntheticAsked{Count: 3, Stream: "moh.health-card", Type: "address-changed"},
		journal.ReplayAsked{From: 1, Lane: 2, Stream: "moh.health-card", Target: journal.ReplaySide, To: 9},
		journal.Parked{Attempts: 10, Code: "http-500", From: 3, Lane: 2, Stream: "moh.health-card", To: 3},
		journal.Redriven{From: 3, Lane: 2, Stream: "moh.health-card", To: 3},
		journal.Frozen{Scope: journal.FrozenChanges, Why: journal.FrozenByNotice},
		journal.Unfrozen{Scope: journal.FrozenChanges},
		journal.DisputeOpened{About: 1<<53 - 1, Cursor: "1.0.42", Stream: "moh.health-card", Text: "<Ce n'était pas moi>"},
		journal.DisputeAnswered{Dispute: 9, Outcome: journal.DisputeUpheld, Text: "<é>"},
		journal.NoticeSent{Cause: 7, Channel: journal.NoticeEmail, Contact: 5, Language: "fr", Outcome: journal.NoticeDelivered, Template: "previous-contact"},
	}
}

func samplesOfLaw() []any {
	other := "99999999-2222-4333-8444-555555555555"
	return []any{
		journal.KeyEpochRotated{Epoch: 2},
		journal.ChangeCorrected{
			Corrects: 1<<53 - 1, Data: map[string]any{"family_name": "<Ém>", "given_names": "B"}, Effective: "2026-03-01", Type: "name-changed",
		},
		journal.ChangeCancelled{Corrects: 7},
		journal.ChangeVerified{Verifies: 7},
		journal.DeathCorrected{Corrects: 7},
		journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: other, Scope: []string{"address-changed"}, Until: "2030-01-01"},
		journal.ProxyEnded{Proxy: other},
		journal.RestrictionSet{Keeps: []string{other}, Kind: journal.RestrictionViolence, Through: other, Until: "2030-01-01"},
		journal.RestrictionSet{Kind: journal.RestrictionViolence, Reason: "Danger"},
		journal.RestrictionLifted{Through: other},
		journal.RestrictionLifted{Reason: "Over", Through: other},
		journal.ReplacementAsked{Case: "C-2", Digest: "00ff", Reason: "Danger <now>"},
		journal.IdentityReplaced{New: other},
		journal.CitizensMerged{Kept: other},
		journal.LegalHoldSet{Authority: "Court of <X>", Classes: []eventstore.Class{1, 2}, Until: "2030-01-01"},
		journal.LegalHoldLifted{Authority: "Court of <X>"},
		journal.Erased{Classes: []eventstore.Class{1}, Kept: []journal.Kept{{Class: 2, Law: "Invented Records Act, s. 1", Until: "2033-01-01"}}},
		journal.KeysDestroyed{Class: 1, Key: 12},
		journal.SnapshotTaken{Agreement: "a", Cause: 9, Version: 2, Facts: []journal.SnapshotShare{{Fields: 5, Position: 3}}},
		journal.Disclosed{
			DroppedItems: []journal.DroppedItem{{Cause: 9, Position: 3}}, Encoder: 1, First: 8, Lane: 2, Stream: "moh.health-card",
			Items: []journal.DisclosedItem{
				{Agreement: "a", Cause: 9, Corrects: 4, Epoch: 1, Kind: "erased", Numbers: []int64{1, 4}, Position: 7, Schema: 1, Version: 2},
			},
		},
	}
}

// put appends events about someone, each in the aggregate given, and reads them back.
func put(t testing.TB, j *journal.Journal, aggregate eventstore.Aggregate, meta journal.Meta, events ...any) []journal.Entry {
	t.Helper()
	step := journal.Step{Events: make([]journal.New, len(events))}
	for i, event := range events {
		step.Events[i] = journal.New{Event: event, Aggregate: aggregate, Subject: someone, Cause: eventstore.NoCause, Meta: meta}
	}
	results, err := j.Append(context.Background(), step)
	require.NoError(t, err)
	positions := make([]int64, len(events))
	for i := range positions {
		positions[i] = results[0].Position + int64(i)
	}
	ctx, err := seal.WithTwoOfficers(context.Background(), "one", "another") // an identity's tie opens for nobody else
	require.NoError(t, err)
	entries, err := j.Read(ctx, positions...)
	require.NoError(t, err)
	return entries
}

func TestEveryEventComesBackAsItWas(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	events := samples(t)
	types := map[string]bool{}
	for i, entry := range put(t, j, journal.CitizenAggregate(someone), goldenMeta, events...) {
		types[entry.Type] = true
		require.Equal(t, events[i], entry.Event, entry.Type)
		plain, class, err := j.Encode(events[i], goldenMeta)
		require.NoError(t, err)
		require.Equal(t, class, entry.Class)
		again, err := jcs.Transform(plain)
		require.NoError(t, err)
		require.Equal(t, string(again), string(plain), "%s is not canonical", entry.Type)
		if class == eventstore.Public {
			require.Zero(t, entry.Meta, entry.Type)
			require.Equal(t, string(plain), string(entry.Payload), "a public payload is exactly its data")
			require.Equal(t, sha256.Sum256(plain), entry.Commitment)
			continue
		}
		require.Equal(t, goldenMeta, entry.Meta, entry.Type)
		require.NotContains(t, string(entry.Payload), "agreement")
		require.NotContains(t, string(entry.Payload), goldenMeta.Command)
	}
	for _, want := range journal.HubTypes() {
		require.True(t, types[want], "no sample of %s", want)
	}
}

// TestPlaintextIsGolden: what is on the log stays readable and re-hashable for ever, so the bytes may never change.
func TestPlaintextIsGolden(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	var got strings.Builder
	for _, event := range samples(t) {
		plain, _, err := j.Encode(event, goldenMeta)
		require.NoError(t, err)
		got.Write(append(plain, '\n'))
		bare, _, err := j.Encode(event, journal.Meta{})
		require.NoError(t, err)
		got.Write(append(bare, '\n'))
	}
	const name = "testdata/plaintext.ndjson"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(name, []byte(got.String()), 0o600))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

func TestRestrictingEventsAreMarked(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	want := map[string]bool{
		"consent-granted": true, "consent-withdrawn": true, "ministry-linked": true, "ministry-unlinked": true, "death-registered": true,
		"change-corrected": true, "change-cancelled": true, "death-corrected": true, "restriction-set": true, "identity-replaced": true,
		"citizens-merged": true, "erased": true,
	}
	ctx := context.Background()
	for _, event := range samples(t) {
		head, err := j.Head(ctx)
		require.NoError(t, err)
		typ := put(t, j, journal.CitizenAggregate(someone), journal.Meta{}, event)[0].Type
		_, err = j.Append(ctx, journal.Step{
			Guard:  eventstore.Guard{After: head.Position, Subjects: []uuid.UUID{uuid.UUID(someone)}},
			Events: []journal.New{{Event: journal.AccessRefused{Route: "r", Status: 1}, Aggregate: journal.AccessesAggregate, Cause: eventstore.NoCause}},
		})
		if want[typ] {
			require.ErrorIs(t, err, eventstore.ErrConflict, typ)
		} else {
			require.NoError(t, err, typ)
		}
	}
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	ctx := context.Background()
	for name, event := range map[string]any{
		"unknown type": citizen.Change{Type: "no-such-type", Data: map[string]any{}}, "no event": struct{}{}, "nothing": nil, "a pointer": &journal.Decided{},
		"bytes that are no text": citizen.Change{Type: "language-changed", Data: map[string]any{"language": "\xff"}},
	} {
		_, err := j.Append(ctx, journal.Step{Events: []journal.New{{Event: event, Aggregate: journal.CitizenAggregate(someone), Cause: eventstore.NoCause}}})
		require.Error(t, err, name)
	}
	head, err := j.Head(ctx)
	require.NoError(t, err)
	require.Zero(t, head.Position)

	// A type of a later version of this program, on the log already.
	data := []byte(`{}`)
	_, err = j.Store().Append(ctx, eventstore.Append{Events: []eventstore.Event{{
		ID: uuid.New(), Aggregate: journal.HubAggregate, Type: "from-the-future", Schema: 1, Cause: eventstore.NoCause, Commitment: sha256.Sum256(data), Payload: data,
	}}})
	require.NoError(t, err)
	_, err = j.Read(ctx, 1)
	require.ErrorContains(t, err, "from-the-future")
}

// decided draws a Decided, texts with everything that JSON escapes.
func decided(t *rapid.T) journal.Decided {
	d := journal.Decided{Agreements: rapid.Int32Min(0).Draw(t, "agreements"), Engine: rapid.IntRange(0, 99).Draw(t, "engine"), Decisions: []journal.Decision{}}
	for range rapid.IntRange(0, 4).Draw(t, "decisions") {
		one := journal.Decision{Agreement: text().Draw(t, "agreement"), Version: rapid.IntRange(1, 1<<30).Draw(t, "version")}
		if one.Reason = rapid.SampledFrom(append(consent.Reasons(), consent.None)).Draw(t, "reason"); one.Reason == consent.None {
			one.Fields = consent.FieldSet(rapid.Uint64Range(0, 1<<53-1).Draw(t, "fields"))
		} else {
			one.Conditions = rapid.Uint8().Draw(t, "conditions")
		}
		d.Decisions = append(d.Decisions, one)
	}
	return d
}

func text() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOf(rapid.OneOf(rapid.RuneFrom([]rune("\x00\x01\x08\t\n\v\f\r\x1f\"\\/<>&\x7f\u2028é😀")), rapid.Rune())).Draw(t, "text"))
	})
}

// TestDecidedAgainstEncodingJSON compares the hand-written encoder with encoding/json, made canonical by another library.
func TestDecidedAgainstEncodingJSON(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	type line struct {
		Agreement  string           `json:"agreement"`
		Version    int              `json:"version"`
		Fields     consent.FieldSet `json:"fields,omitempty"`
		Reason     string           `json:"reason,omitempty"`
		Conditions uint8            `json:"conditions,omitempty"`
	}
	rapid.Check(t, func(t *rapid.T) {
		d := decided(t)
		lines := []line{}
		for _, one := range d.Decisions {
			lines = append(lines, line{one.Agreement, one.Version, one.Fields, one.Reason.String(), one.Conditions})
		}
		meta := journal.Meta{Command: text().Draw(t, "command"), Actor: text().Draw(t, "actor")}
		whole := map[string]any{"data": map[string]any{"agreements": d.Agreements, "engine": d.Engine, "decisions": lines}}
		if meta.Command != "" {
			whole["command"] = meta.Command
		}
		if meta.Actor != "" {
			whole["actor"] = meta.Actor
		}
		plain, err := json.Marshal(whole)
		require.NoError(t, err)
		want, err := jcs.Transform(plain)
		require.NoError(t, err)
		got, _, err := j.Encode(d, meta)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	})
}

// TestDrawnEventsComeBack goes through the store with events that nobody thought of.
func TestDrawnEventsComeBack(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	number, name := rapid.Int64Range(0, 1<<53-1), rapid.StringMatching(`[a-z.\-]{0,20}`)
	numbers := rapid.Custom(func(t *rapid.T) []int64 {
		return slices.Clip(append([]int64(nil), rapid.SliceOfN(number, 0, 3).Draw(t, "numbers")...))
	})
	rapid.Check(t, func(t *rapid.T) {
		events := []any{
			decided(t),
			journal.ConsentGranted{Agreement: name.Draw(t, "a"), Language: text().Draw(t, "l"), Version: rapid.Int().Draw(t, "v") & (1<<31 - 1)},
			journal.ConsentWithdrawn{Agreement: name.Draw(t, "a"), Grant: number.Draw(t, "n")},
			journal.MinistryLinked{ClientReference: text().Draw(t, "r"), Means: text().Draw(t, "m"), Ministry: name.Draw(t, "o")},
			journal.ReceiptRejected{Number: number.Draw(t, "n"), Reason: text().Draw(t, "r"), Stream: name.Draw(t, "s")},
			journal.Disclosed{First: number.Draw(t, "n"), Stream: name.Draw(t, "s"), Items: []journal.DisclosedItem{
				{Agreement: text().Draw(t, "a"), Fields: consent.FieldSet(number.Draw(t, "f")), Grant: number.Draw(t, "g"), Position: number.Draw(t, "p")},
			}},
			journal.Redelivered{From: number.Draw(t, "n"), To: number.Draw(t, "n")},
			journal.Accessed{Reason: text().Draw(t, "r"), Kind: name.Draw(t, "k"), Case: text().Draw(t, "c")},
			citizen.Change{Type: "name-changed", Data: map[string]any{"given_names": text().Draw(t, "g"), text().Draw(t, "key"): text().Draw(t, "f")}},
		}
		if list := numbers.Draw(t, "list"); len(list) > 0 {
			events = append(events, journal.Redelivered{Recalled: list}, journal.Disclosed{Dropped: list})
		}
		step := journal.Step{Events: make([]journal.New, len(events))}
		for i, event := range events {
			step.Events[i] = journal.New{Event: event, Aggregate: journal.CitizenAggregate(someone), Subject: someone, Cause: eventstore.NoCause}
			plain, _, err := j.Encode(event, journal.Meta{})
			require.NoError(t, err)
			canonical, err := jcs.Transform(plain)
			require.NoError(t, err)
			require.Equal(t, string(canonical), string(plain))
		}
		results, err := j.Append(context.Background(), step)
		require.NoError(t, err)
		for i, event := range events {
			entries, err := j.Read(context.Background(), results[0].Position+int64(i))
			require.NoError(t, err)
			require.Equal(t, event, entries[0].Event)
		}
	})
}
