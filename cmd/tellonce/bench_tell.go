package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/storebench"
)

// withSchema names the schema of a log in a PostgreSQL address.
func withSchema(dsn, schema string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	query := u.Query()
	query.Set("tellonce_schema", schema)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// invented is the import line of a change of an invented citizen.
func invented(person, eventType string, data map[string]any) []byte {
	line, err := json.Marshal(map[string]any{
		"id": uuid.NewString(), "person": person, "channel": "web", "told_at": "2026-01-02T15:04:05Z", "type": eventType, "effective": "2026-01-02", "data": data,
	})
	if err != nil {
		panic(err) // strings only
	}
	return line
}

func inventedAddress(n int) map[string]any {
	return map[string]any{
		"kind": "home", "street": fmt.Sprintf("%d Sideroad 15", n%9000+1), "unit": "1204", "city": "Sault Ste. Marie", "province": "ON",
		"postal_code": "P6A 5V8", "country": "CA",
	}
}

// inventedPeople registers people and links each to two ministries.
func inventedPeople(n int) *bytes.Buffer {
	var b bytes.Buffer
	for i := range n {
		person := fmt.Sprintf("bench-%d", i)
		for _, line := range [][]byte{
			invented(person, citizen.PersonRegistered, map[string]any{
				"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en",
			}),
			invented(person, journal.TypeMinistryLinked, map[string]any{"ministry": "moh", "client_reference": fmt.Sprintf("%08d", i)}),
			invented(person, journal.TypeMinistryLinked, map[string]any{"ministry": "mto", "client_reference": fmt.Sprintf("%08d", i)}),
		} {
			b.Write(append(line, '\n'))
		}
	}
	return &b
}

func importAll(ctx context.Context, h *hub, in *bytes.Buffer) error {
	refused := func(r command.LineResult) error {
		if r.Result == command.Rejected {
			return fmt.Errorf("line %d: %s", r.Line, r.Reason)
		}
		return nil
	}
	return h.command.Import(ctx, in, command.ImportOptions{Source: "bench"}, refused, func() error { return nil })
}

// benchTell compares a change told in process, end to end (parse, validate, load, fold, decide, seal, append), with bare appends of two
// records on the same store in the same run: with citizens' states in memory, and with each read from the log.
func (c *cli) benchTell(ctx context.Context, b benchConfig, report func(storebench.Line)) error {
	for _, memory := range []struct {
		name   string
		states int
	}{{"tell, states in memory", b.citizens + 1000}, {"tell, states read from the log", 1}} {
		if err := c.benchTellWith(ctx, b, memory.name, memory.states, report); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) benchTellWith(ctx context.Context, b benchConfig, name string, states int, report func(storebench.Line)) error {
	h, closeHub, err := c.benchHub(ctx, states)
	if err != nil {
		return err
	}
	defer closeHub()
	if err := importAll(ctx, h, inventedPeople(b.citizens)); err != nil {
		return err
	}
	references := make([]string, b.citizens)
	for i := range references {
		references[i] = fmt.Sprintf("bench-%d", i)
	}
	people, err := h.journal.Reference(ctx, "bench", references...)
	if err != nil {
		return err
	}
	law, err := h.journal.FreshLaw(ctx)
	if err != nil {
		return err
	}
	for _, callers := range b.writers {
		var ours, bare []storebench.Measure
		for range b.rounds {
			m, err := storebench.Write(ctx, callers, b.round, h.tellOnce(people, callers))
			if err != nil {
				return err
			}
			ours = append(ours, m)
			if m, err = storebench.Write(ctx, callers, b.round, storebench.NewTells(h.store, callers, 2000, 0).UnderLaw(law.Version).Call); err != nil {
				return err
			}
			bare = append(bare, m)
		}
		report(storebench.Line{Name: name, Against: "bare appends of two records", Writers: callers, Ours: storebench.Median(ours), Raw: storebench.Median(bare)})
	}
	return nil
}

// benchAddress is a change as bytes: making it must not cost what is measured.
const benchAddress = `{"id": "%s", "person": "bench", "channel": "web", "told_at": "2026-01-02T15:04:05Z", "type": "address-changed", ` +
	`"effective": "2026-01-02", "data": {"kind": "home", "street": "%d Sideroad 15", "unit": "1204", "city": "Sault Ste. Marie", ` +
	`"province": "ON", "postal_code": "P6A 5V8", "country": "CA"}}`

// tellOnce is one caller's next change of some citizen: the bytes of a line, to the answer. As with the bare appends, each caller has
// citizens of its own: two changes of one person at the same moment are rare, and are not what this measures.
func (h *hub) tellOnce(people []citizen.ID, callers int) func(context.Context, int) (int, error) {
	return func(ctx context.Context, caller int) (int, error) {
		n := caller + callers*rand.IntN(len(people)/callers) // #nosec G404 -- a load, no secret
		line, problem := h.registry.ParseLine(fmt.Appendf(nil, benchAddress, uuid.New(), n%9000+1))
		if problem != nil {
			return 0, fmt.Errorf("the bench's own line: %s", problem.Code)
		}
		_, err := h.command.Tell(ctx, command.Command{
			ID: line.ID, Scope: "bench", Content: line.Content, Issuer: journal.IssuerAPI, Channel: journal.ChannelWeb, ToldAt: line.ToldAt,
			Actor: journal.Actor{Kind: journal.ActorSource, ID: "bench"},
		}, people[n], command.Change{Type: line.Type, Effective: line.Effective, Data: line.Data, Canonical: line.Canonical})
		return 2, err
	}
}

// benchLines measures the import of lines, end to end. Its raw limit stands in the part import of the same run.
func (c *cli) benchLines(ctx context.Context, b benchConfig, report func(storebench.Line)) error {
	h, closeHub, err := c.benchHub(ctx, 0)
	if err != nil {
		return err
	}
	defer closeHub()
	people := b.lines / 5
	in := inventedPeople(people)
	for n := range b.lines - 3*people {
		in.Write(append(invented(fmt.Sprintf("bench-%d", n%people), "address-changed", inventedAddress(n)), '\n'))
	}
	before, err := h.journal.Head(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := importAll(ctx, h, in); err != nil {
		return err
	}
	took := time.Since(began)
	head, err := h.journal.Head(ctx)
	if err != nil {
		return err
	}
	m := storebench.Measure{Calls: b.lines, Records: int(head.Position - before.Position), Elapsed: took}
	lines := storebench.Measure{Records: b.lines, Elapsed: took}
	report(storebench.Line{Name: "import of lines, in records", Against: "lines of the same import", Ours: m, Raw: lines})
	return nil
}

// benchDecide measures one decision over the built-in agreements.
func (c *cli) benchDecide(ctx context.Context, b benchConfig, report func(storebench.Line)) error {
	h, closeHub, err := c.benchHub(ctx, 0)
	if err != nil {
		return err
	}
	defer closeHub()
	law, err := h.journal.FreshLaw(ctx)
	if err != nil {
		return err
	}
	var standing consent.Standing
	standing.Registered(19800517)
	standing.Linked(1, "moh", "1")
	standing.Linked(2, "mto", "2")
	fact := h.journal.Fact(citizen.Change{Type: "address-changed", Effective: "2026-01-02", Data: inventedAddress(1)}, 20260102)
	decisions := make([]consent.Decision, 0, 16)
	began, n := time.Now(), 0
	for time.Since(began) < b.round {
		for range 1000 {
			decisions = consent.Decide(decisions[:0], law.Rules, &standing, &fact)
		}
		n += 1000
	}
	took := time.Since(began)
	agreements := storebench.Measure{Records: n * len(decisions), Elapsed: took}
	report(storebench.Line{
		Name: "decide one change", Against: fmt.Sprintf("its %d agreements' decisions", len(decisions)),
		Ours: storebench.Measure{Records: n, Elapsed: took}, Raw: agreements,
	})
	return nil
}
