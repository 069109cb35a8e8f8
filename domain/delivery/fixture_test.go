package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// The agreements of a world, each with the stream of its id.
var worldAgreements = map[string]string{
	"statute": `basis: {kind: statute, reference: "Illustration only"}
population: all
shares:
  - {event: address-changed, fields: [street, city]}
  - {event: death-registered, fields: [death_date]}`,
	"consent": `basis: {kind: consent}
population: all
shares: [{event: address-changed, fields: [street, city]}, {event: language-changed, fields: [language]}]`,
	"linked": `basis: {kind: statute, reference: "Illustration only"}
population: linked
client_reference: true
shares: [{event: address-changed, fields: [city]}]`,
	"ontario": `basis: {kind: statute, reference: "Illustration only"}
population: all
on_leaving: notify
shares: [{event: address-changed, fields: [city], when: {province: ["ON"]}}]`,
	"later": `basis: {kind: statute, reference: "Illustration only"}
population: all
deliver: effective
shares: [{event: address-changed, fields: [city]}]`,
	"shelter": `basis: {kind: statute, reference: "Illustration only"}
population: all
receives_protected: true
shares: [{event: address-changed, fields: [city]}]`,
	"sure": `basis: {kind: statute, reference: "Illustration only"}
population: all
min_assurance: verified
shares: [{event: address-changed, fields: [city]}]`,
}

// world is a log whose time the test gives, with the agreements above and one resident.
type world struct {
	*testing.T
	ctx      context.Context
	journal  *journal.Journal
	command  *command.Handler
	delivery *delivery.Delivery
	now      time.Time
	citizen  citizen.ID
	after    map[string]int64 // the last number read, by stream
}

var (
	source    = journal.Actor{Kind: journal.ActorSource, ID: "test"}
	registrar = journal.Actor{Kind: journal.ActorRegistrar, Role: journal.RoleRegistrar, ID: "registrar"}
	operator  = journal.Actor{Kind: journal.ActorOperator, Role: journal.RoleOperator, ID: "operator"}
)

func newWorld(t *testing.T, j *journal.Journal) *world {
	t.Helper()
	w := &world{
		T: t, ctx: context.Background(), journal: j, command: command.New(j), delivery: delivery.New(j), after: map[string]int64{},
		now: time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC),
	}
	var agreements []consent.Agreement
	for _, id := range slices.Sorted(maps.Keys(worldAgreements)) {
		agreements = append(agreements, w.agreement(id, 1, worldAgreements[id]))
	}
	w.load(agreements...)
	w.citizen = w.resident()
	return w
}

func (w *world) agreement(id string, version int, text string) consent.Agreement {
	w.Helper()
	head := fmt.Sprintf("id: %s\nversion: %d\nministry: m-%s\nstream: s.%s\ntitle: {en: Test, fr: Essai}\npurpose: {en: Test, fr: Essai}\n", id, version, id, id)
	a, err := schemas.ParseAgreement(id+".yaml", []byte(head+text+"\n"), w.journal.Registry())
	require.NoError(w, err)
	return a
}

func (w *world) load(agreements ...consent.Agreement) {
	w.Helper()
	_, err := w.command.LoadAgreements(w.ctx, w.by(operator), agreements)
	require.NoError(w, err)
}

func (w *world) by(actor journal.Actor) command.Command {
	return command.Command{ID: uuid.NewString(), Scope: "test", Actor: actor, Issuer: journal.IssuerImport, RecordAt: w.now}
}

func (w *world) resident() citizen.ID {
	w.Helper()
	ids, err := w.journal.Register(w.ctx, "test", uuid.NewString())
	require.NoError(w, err)
	w.about(ids[0], source, "person-registered", "2026-03-02", map[string]any{
		"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en",
	})
	return ids[0]
}

func (w *world) about(id citizen.ID, actor journal.Actor, eventType, effective string, data map[string]any) int64 {
	w.Helper()
	text, err := json.Marshal(data)
	require.NoError(w, err)
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var read map[string]any
	require.NoError(w, decoder.Decode(&read))
	normalised, canonical, problems := w.journal.Registry().Validate(eventType, read)
	require.Empty(w, problems)
	c := command.Change{Type: eventType, Effective: effective, Data: normalised, Canonical: canonical}
	result, err := w.command.Tell(w.ctx, w.by(actor), id, c)
	require.NoError(w, err)
	return result.Position
}

func (w *world) tell(eventType string, data map[string]any) int64 {
	w.Helper()
	return w.about(w.citizen, source, eventType, w.today(), data)
}

func (w *world) today() string { return w.journal.DayOf(w.now).Date.String() }

// address is one in Ontario; a city named "… QC" lies in Quebec.
func address(city string) map[string]any {
	if name, quebec := strings.CutSuffix(city, " QC"); quebec {
		return map[string]any{"kind": "home", "street": "1 Rue Un", "city": name, "province": "QC", "postal_code": "J8X 1A1", "country": "CA"}
	}
	return map[string]any{"kind": "home", "street": "1 First St", "city": city, "province": "ON", "postal_code": "P9N 3X9", "country": "CA"}
}

func (w *world) move(city string) int64 {
	w.Helper()
	return w.tell("address-changed", address(city))
}

func (w *world) moveOn(day, city string) int64 {
	w.Helper()
	return w.about(w.citizen, source, "address-changed", day, address(city))
}

func (w *world) correct(position int64, day, city string) int64 {
	w.Helper()
	return w.about(w.citizen, source, journal.TypeChangeCorrected, day, map[string]any{"corrects": position, "type": "address-changed", "data": address(city)})
}

func (w *world) cancel(position int64) int64 {
	w.Helper()
	return w.tell(journal.TypeChangeCancelled, map[string]any{"corrects": position})
}

func (w *world) verify(position int64) int64 {
	w.Helper()
	return w.about(w.citizen, registrar, journal.TypeChangeVerified, w.today(), map[string]any{"verifies": position})
}

func (w *world) grant() int64 {
	w.Helper()
	result, err := w.command.Grant(w.ctx, w.by(source), w.citizen, command.Choice{Agreement: "consent", Language: "en"})
	require.NoError(w, err)
	return result.Position
}

func (w *world) withdraw() {
	w.Helper()
	_, err := w.command.Withdraw(w.ctx, w.by(source), w.citizen, "consent")
	require.NoError(w, err)
}

func (w *world) link(reference string) {
	w.Helper()
	_, err := w.command.Link(w.ctx, w.by(source), w.citizen, command.Linking{Ministry: "m-linked", ClientReference: reference, Means: "import"})
	require.NoError(w, err)
}

// append puts events onto the log as they are.
func (w *world) append(id citizen.ID, events ...any) int64 {
	w.Helper()
	var step journal.Step
	for _, event := range events {
		step.Events = append(step.Events, journal.New{Event: event})
	}
	step = stepOf(id, step.Events...)
	step.Timing = journal.Timing{At: w.now}
	results, err := w.journal.Append(w.ctx, step)
	require.NoError(w, err)
	return results[0].Position
}

func (w *world) head() int {
	w.Helper()
	head, err := w.journal.Head(w.ctx)
	require.NoError(w, err)
	return int(head.Position)
}

// snapshots takes what snapshots are due.
func (w *world) snapshots() {
	w.Helper()
	_, err := w.command.Snapshots().Settle(w.ctx, nil)
	require.NoError(w, err)
}

// gets reads on in an agreement's stream and requires what comes: for each event its kind, number, what it corrects, and its data.
func (w *world) gets(agreement string, want ...string) []delivery.Message {
	w.Helper()
	var got []string
	var messages []delivery.Message
	for {
		page, err := w.delivery.Next(w.ctx, "s."+agreement, 0, w.after[agreement], 100, 0)
		require.NoError(w, err)
		if len(page.Messages) == 0 {
			break
		}
		messages = append(messages, page.Messages...)
		w.after[agreement] = page.Messages[len(page.Messages)-1].Cursor.Number
	}
	for i := range messages {
		got = append(got, line(&messages[i]))
	}
	require.Equal(w, want, got, "stream of %s", agreement)
	return messages
}

// again reads an agreement's stream from the first, and requires what comes.
func (w *world) again(agreement string, want ...string) []delivery.Message {
	w.Helper()
	w.after[agreement] = 0
	return w.gets(agreement, want...)
}

func line(m *delivery.Message) string {
	parts := []string{strconv.FormatInt(m.Cursor.Number, 10), attribute(m, "kind")}
	if corrects := attribute(m, "corrects"); corrects != "" {
		parts = append(parts, "corrects "+corrects)
	}
	if attribute(m, "assurance") == consent.AssuranceVerified {
		parts = append(parts, "verified")
	}
	var data map[string]any
	if m.Data != nil {
		_ = json.Unmarshal(m.Data, &data)
		for _, name := range slices.Sorted(maps.Keys(data)) {
			if name != "street" && name != "subject" {
				parts = append(parts, fmt.Sprint(data[name]))
			}
		}
	}
	return strings.Join(parts, " ")
}

func attribute(m *delivery.Message, name string) string {
	for _, a := range m.Attributes {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// rows is the whole of the views.
func (w *world) rows() map[string]string {
	w.Helper()
	return rowsOf(w, w.journal, w.delivery)
}

func rowsOf(t testing.TB, j *journal.Journal, d *delivery.Delivery) map[string]string {
	t.Helper()
	ctx := context.Background()
	head, err := j.Head(ctx)
	require.NoError(t, err)
	out := map[string]string{}
	for _, view := range d.Views() {
		_, err = j.CatchUp(ctx, view, head.Position+1)
		require.NoError(t, err)
		rows, err := j.Store().Scan(ctx, view.Name(), nil, nil, 0, false)
		require.NoError(t, err)
		for _, row := range rows {
			out[fmt.Sprintf("%s %q", view.Name(), row.Key)] = fmt.Sprintf("%x", row.Value)
		}
	}
	return out
}

// rebuilds requires that the views, dropped and folded again from the log, are the same.
func (w *world) rebuilds() {
	w.Helper()
	rebuild(w, w.journal, w.delivery)
}

func rebuild(t testing.TB, j *journal.Journal, d *delivery.Delivery) {
	t.Helper()
	before := rowsOf(t, j, d)
	for _, view := range d.Views() {
		require.NoError(t, j.Rebuild(context.Background(), view, nil))
	}
	require.Equal(t, before, rowsOf(t, j, d))
}
