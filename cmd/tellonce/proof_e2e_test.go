package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// TestTheSampleRederivesThroughTheCommand, on both stores: every decision comes out as it stands, and the log is as it was written.
func TestTheSampleRederivesThroughTheCommand(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		results := p.run("import", "--clock", "told", absolute(t, samples+"full/changes.ndjson"))
		lines, err := os.ReadFile(samples + "full/changes.ndjson")
		require.NoError(t, err)
		p.requireProven(acceptedFacts(t, string(lines), results))
		text, _, code := p.try(nil, "audit", "rederive", "--output", "text")
		require.Equal(t, 0, code)
		require.Regexp(t, `^same=[0-9]+ erased=0 different=0\n$`, text)
	})
}

// requireProven re-derives and verifies; every one of so many decisions must come out the same.
func (p *place) requireProven(decided int) {
	p.t.Helper()
	require.Equal(p.t, []map[string]any{{"same": float64(decided), "erased": float64(0), "different": float64(0)}}, objects(p.t, p.run("audit", "rederive")))
	verified := objects(p.t, p.run("audit", "verify"))
	require.Len(p.t, verified, 1)
	require.Equal(p.t, verified[0]["records"], verified[0]["opened"])
	require.Greater(p.t, verified[0]["records"], float64(decided)*2)
}

// acceptedFacts counts the facts that accepted lines tell: each has a decided.
func acceptedFacts(t *testing.T, lines, results string) int {
	t.Helper()
	answers, n, i := objects(t, results), 0, 0
	for line := range strings.Lines(lines) {
		var told struct{ Type string }
		if json.Unmarshal([]byte(line), &told) == nil && answers[i]["result"] == "accepted" {
			switch told.Type {
			case "birth-registered":
				n += 2 // it registers the child, too
			case "consent-granted", "consent-withdrawn", "ministry-linked", "ministry-unlinked":
			default:
				n++
			}
		}
		i++
	}
	require.Len(t, answers, i)
	return n
}

// TestARandomLogRederives: 100,000 events on the embedded store, fewer on PostgreSQL and with -short, of lines that residents might send, true and false,
// while agreements are replaced by narrower and by wider versions.
func TestARandomLogRederives(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TELLONCE_TEST_SEED"); s != "" {
		_, err := fmt.Sscan(s, &seed)
		require.NoError(t, err)
	}
	t.Logf("TELLONCE_TEST_SEED=%d", seed)
	places(t, func(t *testing.T, p *place) {
		events := 100_000
		if testing.Short() || p.env != nil {
			events = 20_000
		}
		g := newGenerator(rand.New(rand.NewPCG(seed, uint64(events))), events/25)
		p.run("init", "--sandbox")
		p.run("agreement", "load", g.agreements(t, 1))
		decided, records := 0, float64(0)
		for version := 1; version <= 4; version++ {
			lines := g.lines(events * 21 / 100)
			results, errs, code := p.try(bytes.NewReader(lines), "import", "--clock", "told", "-")
			require.Equal(t, 0, code, errs)
			decided += acceptedFacts(t, string(lines), results)
			g.remember(t, string(lines), results)
			p.run("agreement", "load", g.agreements(t, version+1))
		}
		p.requireProven(decided)
		records, _ = objects(t, p.run("audit", "verify"))[0]["records"].(float64)
		require.GreaterOrEqual(t, records, float64(events), "a log of so many events")
	})
}

// generator makes import lines of people whom it invents.
type generator struct {
	*rand.Rand
	people int // how many have been registered
	most   int
	at     time.Time
	told   []told // what was accepted, to be corrected
}

// told is an accepted line and where it stands.
type told struct {
	Person   string
	Type     string
	Data     map[string]any
	position any
}

// remember takes what was accepted into what later lines are about.
func (g *generator) remember(t *testing.T, lines, results string) {
	t.Helper()
	answers, i := objects(t, results), 0
	for line := range strings.Lines(lines) {
		var one told
		if answers[i]["result"] == "accepted" {
			require.NoError(t, json.Unmarshal([]byte(line), &one))
			one.position = answers[i]["position"]
			g.told = append(g.told, one)
		}
		i++
	}
}

// about is a line about one that was told before: a correction, a cancellation, a verification or a death taken back.
func (g *generator) about() (person, eventType string, data map[string]any) {
	one := g.told[g.IntN(len(g.told))]
	switch one.Type {
	case "death-registered":
		return one.Person, "death-corrected", map[string]any{"corrects": one.position}
	case "address-changed":
		one.Data = g.address()
	case "person-registered":
		one.Data["birth_date"] = g.date(1930, 2026)
	}
	if g.IntN(20) == 0 {
		one.Person = "person-1" // as if it were theirs
	}
	switch g.IntN(4) {
	case 0:
		return one.Person, "change-cancelled", map[string]any{"corrects": one.position}
	case 1:
		return one.Person, "change-verified", map[string]any{"verifies": one.position}
	}
	return one.Person, "change-corrected", map[string]any{"corrects": one.position, "type": one.Type, "data": one.Data}
}

func newGenerator(r *rand.Rand, people int) *generator {
	return &generator{Rand: r, most: people, at: time.Date(2026, 1, 5, 15, 0, 0, 0, time.UTC)}
}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) date(from, to int) string {
	return fmt.Sprintf("%04d-%02d-%02d", from+g.IntN(to-from), 1+g.IntN(12), 1+g.IntN(28))
}

// lines are so many of them, one after another in time. Some are refused, which is as it should be.
func (g *generator) lines(n int) []byte {
	var b bytes.Buffer
	for range n {
		g.at = g.at.Add(time.Duration(g.IntN(400)) * time.Second)
		number, eventType, data := g.line()
		person := fmt.Sprintf("person-%d", number)
		if len(g.told) > 0 && g.IntN(6) == 0 {
			person, eventType, data = g.about()
		}
		var id [16]byte
		for i := range id {
			id[i] = byte(g.IntN(256))
		}
		line, err := json.Marshal(map[string]any{
			"id": fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), "person": person,
			"channel": g.pick("web", "phone", "counter", "post"), "told_at": g.at.Format(time.RFC3339), "type": eventType,
			"effective": g.at.AddDate(0, 0, g.IntN(400)-60).Format(time.DateOnly), "data": data,
		})
		if err != nil {
			panic(err) // texts and numbers
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

func (g *generator) line() (person int, eventType string, data map[string]any) {
	if g.people < g.most && g.IntN(8) == 0 || g.people == 0 {
		g.people++
		return g.people - 1, "person-registered", map[string]any{
			"given_names": "Invented", "family_name": "Person", "birth_date": g.date(1930, 2026), "language": g.pick("en", "fr"),
		}
	}
	person = g.IntN(g.people + g.people/50) // a few are unknown
	switch n := g.IntN(100); {
	case n < 30:
		return person, "address-changed", g.address()
	case n < 40:
		return person, "contact-changed", map[string]any{"email": "someone@invented.example", "phone": "+14165550100"}
	case n < 46:
		return person, "name-changed", map[string]any{"given_names": "Other", "family_name": "Person", "reason": g.pick("marriage", "divorce", "court", "preference")}
	case n < 52:
		return person, "marital-status-changed", map[string]any{"status": g.pick("single", "married", "common-law", "divorced", "widowed")}
	case n < 55:
		return person, "language-changed", map[string]any{"language": g.pick("en", "fr")}
	case n < 58:
		return person, "birth-registered", map[string]any{"child_given_names": "New", "child_family_name": "Person", "child_birth_date": g.date(2025, 2026)}
	case n < 59 && g.IntN(4) == 0:
		return person, "death-registered", map[string]any{"death_date": g.date(2025, 2026), "reported_by": g.pick("spouse", "child", "executor")}
	case n < 76:
		return person, "ministry-linked", map[string]any{"ministry": g.pick("moh", "mto", "mof", "mccss", "nobody"), "client_reference": fmt.Sprint(g.Uint32())}
	case n < 80:
		return person, "ministry-unlinked", map[string]any{"ministry": g.pick("moh", "mto", "mof", "mccss")}
	case n < 94:
		data = map[string]any{"agreement": g.pick("outdoors-card", "osap-contact", "library-membership", "arts-newsletter", "moh-health-card")}
		if g.IntN(2) == 0 {
			data["fields"] = []string{g.pick("city", "street", "postal_code", "email", "nothing")}
		}
		return person, "consent-granted", data
	}
	return person, "consent-withdrawn", map[string]any{"agreement": g.pick("outdoors-card", "osap-contact", "library-membership", "arts-newsletter")}
}

func (g *generator) address() map[string]any {
	place := [][3]string{{"Kenora", "ON", "P9N 3X9"}, {"Hamilton", "ON", "L8P 4H9"}, {"Gatineau", "QC", "J8X 1A1"}, {"Calgary", "AB", "T2P 1J9"}, {"Halifax", "NS", "M5V 1A1"}}[g.IntN(5)]
	data := map[string]any{
		"kind": g.pick("home", "mailing"), "street": fmt.Sprintf("%d Sideroad 15", 1+g.IntN(9000)), "city": place[0], "province": place[1], "postal_code": place[2], "country": "CA",
	}
	if g.IntN(3) == 0 {
		data["unit"] = "1204"
	}
	return data
}

// agreements is a folder of versions of the sample agreements: the first of each, or the next of some, which share fewer fields or more
// than they did, under other conditions. They have no snapshots, which are no decisions, and take their time; those of the sample do.
func (g *generator) agreements(t *testing.T, version int) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(samples + "agreements/*.yaml")
	require.NoError(t, err)
	always := g.IntN(len(files))
	for i, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		next := strings.Replace(string(text), "version: 1\n", fmt.Sprintf("version: %d\n", version), 1)
		next += "snapshot: false\n"
		if version > 1 {
			if i != always && g.IntN(3) == 0 {
				continue
			}
			next = regexp.MustCompile("min_age: [0-9]+").ReplaceAllString(next, fmt.Sprintf("min_age: %d", 1+g.IntN(18)))
			next = regexp.MustCompile("fields: .unit, street[^]]*").ReplaceAllString(next, "fields: ["+g.pick(
				"city", "unit, street, city", "province, postal_code", "unit, street, city, province, postal_code, country, kind",
			))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(next), 0o600))
	}
	return dir
}

// edit changes the log past the hub: as a database's superuser, or on the file without its triggers.
func (p *place) edit(sql string) {
	p.t.Helper()
	if p.env == nil {
		db, err := sqlite3.Open("file:" + filepath.Join(p.dir, "tellonce-data", "log.db"))
		require.NoError(p.t, err)
		defer func() { require.NoError(p.t, db.Close()) }()
		require.NoError(p.t, db.Exec("DROP TRIGGER log_update; DROP TRIGGER log_delete;"+sql))
		return
	}
	c := config{store: strings.TrimPrefix(p.env[0], "TELLONCE_STORE=")}
	dsn, schema, err := c.database()
	require.NoError(p.t, err)
	ctx := context.Background()
	db, err := pgx.Connect(ctx, dsn)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, db.Close(ctx)) }()
	tx, err := db.Begin(ctx)
	require.NoError(p.t, err)
	for _, statement := range []string{"SET LOCAL search_path TO " + pgx.Identifier{schema}.Sanitize(), "ALTER TABLE log DISABLE TRIGGER ALL", sql, "ALTER TABLE log ENABLE TRIGGER ALL"} {
		_, err = tx.Exec(ctx, statement)
		require.NoError(p.t, err, statement)
	}
	require.NoError(p.t, tx.Commit(ctx))
}

// TestAnEditedLogIsFound: exit 3, and where.
func TestAnEditedLogIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ sql, what string }{
		"a payload":            {"UPDATE log SET payload = (SELECT payload FROM log WHERE position = 40) WHERE position = 41", "payload"},
		"a field":              {"UPDATE log SET channel = channel + 1 WHERE position = 41", "leaf"},
		"a record":             {"DELETE FROM log WHERE position = 41", "missing"},
		"a leaf cut off":       {"UPDATE log SET leaf = substr(leaf, 1, 5) WHERE position = 41", "leaf"},
		"a commitment cut off": {"UPDATE log SET commitment = substr(commitment, 1, 5) WHERE position = 41", "payload"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			places(t, func(t *testing.T, p *place) {
				p.sandbox()
				p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
				_, _, code := p.try(nil, "audit", "verify")
				require.Equal(t, 0, code)
				p.edit(test.sql)
				out, errs, code := p.try(nil, "audit", "verify")
				require.Equal(t, 3, code, errs)
				require.Contains(t, out, fmt.Sprintf(`{"position":41,"what":%q}`, test.what))
				require.Contains(t, errs, "the log is not as it was written")
				text, _, code := p.try(nil, "audit", "verify", "--output", "text")
				require.Equal(t, 3, code)
				require.Contains(t, text, "position 41: ")
				asks := [][]string{{"audit", "rederive"}, {"agreement", "dry-run", p.candidate("elections-register")}}
				switch test.what { // deciding asks no leaf, and a dry run no decision, which is what stands there
				case "leaf":
					asks = nil
				case "payload":
					asks = asks[:1]
				}
				for _, args := range asks {
					_, errs, code = p.try(nil, args...)
					require.Equal(t, 3, code, errs)
					require.Contains(t, errs, "position 41")
					require.Contains(t, errs, "tellonce audit verify")
				}
			})
		})
	}
}

// TestAnotherLogsKeysVerifyNothing: exit 3 says that genesis and keys don't belong together, whichever of the two was exchanged.
func TestAnotherLogsKeysVerifyNothing(t *testing.T) {
	t.Parallel()
	p, other := &place{t: t, dir: t.TempDir()}, &place{t: t, dir: t.TempDir()}
	p.sandbox()
	other.sandbox()
	out, errs, code := p.try(nil, "audit", "verify", "--keys", filepath.Join(other.dir, "tellonce-data-keys"))
	require.Equal(t, 3, code, errs)
	require.Contains(t, errs, "another log")
	require.Empty(t, out)
}
