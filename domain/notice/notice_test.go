package notice_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/domain/notice"
)

var (
	registrar = journal.Actor{Kind: journal.ActorRegistrar, Role: journal.RoleRegistrar, ID: "registrar-1"}
	protector = journal.Actor{Kind: journal.ActorProtector, Role: journal.RoleProtector, ID: "protector-1"}
	officer   = journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "officer-1"}
	source    = journal.Actor{Kind: journal.ActorSource, ID: "test", Source: "test"}
)

func self(id citizen.ID) journal.Actor {
	return journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: uuid.UUID(id)}
}

// carrier keeps what it is handed, and fails as it is told.
type carrier struct {
	mu   sync.Mutex
	took []notice.Notice
	fail func(notice.Notice) error // nil: takes everything
}

func (c *carrier) Send(_ context.Context, n notice.Notice) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		if err := c.fail(n); err != nil {
			return err
		}
	}
	c.took = append(c.took, n)
	return nil
}

// take returns what was taken since the last call, by channel and recipient.
func (c *carrier) take() []notice.Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.took
	c.took = nil
	slices.SortStableFunc(out, func(a, b notice.Notice) int { return strings.Compare(a.Channel+a.To, b.Channel+b.To) })
	return out
}

// world is a hub with its notices, on a clock that tests move.
type world struct {
	t       testing.TB
	journal *journal.Journal
	command *command.Handler
	carrier *carrier
	notices *notice.Notices
	clock   *clock
}

// clock is the process's, which tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func onBothStores(t *testing.T, test func(w *world)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB, journaltest.Options) *journal.Journal{
		"sqlite": journaltest.New, "postgres": journaltest.OnPostgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &clock{at: time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)}
			test(newWorld(t, open(t, journaltest.Options{Clock: c.now}), c))
		})
	}
}

func newWorld(t testing.TB, j *journal.Journal, c *clock) *world {
	t.Helper()
	w := &world{t: t, journal: j, command: command.New(j), carrier: &carrier{}, clock: c}
	w.notices = w.follower()
	return w
}

// follower is another process that tells.
func (w *world) follower(channels ...string) *notice.Notices {
	w.t.Helper()
	if channels == nil {
		channels = []string{journal.NoticeEmail, journal.NoticeText, journal.NoticeLetter}
	}
	senders := map[string]notice.Sender{}
	for _, channel := range channels {
		senders[channel] = w.carrier
	}
	n, err := notice.New(notice.Config{Journal: w.journal, Senders: senders, Owner: uuid.NewString(), FirstRetry: time.Microsecond})
	require.NoError(w.t, err)
	return n
}

func by(actor journal.Actor) command.Command {
	return command.Command{ID: uuid.NewString(), Scope: "test", Content: []byte("content"), Actor: actor, Issuer: journal.IssuerAPI, Channel: journal.ChannelWeb}
}

func (w *world) born(date, language string) citizen.ID {
	w.t.Helper()
	ids, err := w.journal.Register(context.Background(), "test", uuid.NewString())
	require.NoError(w.t, err)
	w.tells(source, ids[0], citizen.PersonRegistered,
		map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": date, "language": language})
	return ids[0]
}

func (w *world) tells(actor journal.Actor, id citizen.ID, eventType string, data map[string]any) int64 {
	w.t.Helper()
	normalised, canonical, problems := w.journal.Registry().Validate(eventType, data)
	require.Empty(w.t, problems)
	result, err := w.command.Tell(context.Background(), by(actor), id,
		command.Change{Type: eventType, Effective: "2026-03-02", Data: normalised, Canonical: canonical})
	require.NoError(w.t, err)
	return result.Position
}

func (w *world) contact(id citizen.ID, data map[string]any) int64 {
	w.t.Helper()
	return w.tells(self(id), id, citizen.ContactChanged, data)
}

func (w *world) moves(actor journal.Actor, id citizen.ID, street string) int64 {
	w.t.Helper()
	return w.tells(actor, id, citizen.AddressChanged, map[string]any{
		"kind": "home", "street": street, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	})
}

func (w *world) prefers(id citizen.ID, channel string) {
	w.t.Helper()
	w.tells(self(id), id, citizen.NoticePreference, map[string]any{"channel": channel})
}

// settle tells what is due, and returns it as lines: channel, contact, first words of what it is.
func (w *world) settle() []string {
	w.t.Helper()
	require.NoError(w.t, w.notices.Settle(context.Background()))
	var out []string
	for _, n := range w.carrier.take() {
		out = append(out, fmt.Sprintf("%s %s: %s", n.Channel, strings.ReplaceAll(n.To, "\n", " | "), kindOf(n)))
	}
	return out
}

// kindOf recognises a template by its words.
func kindOf(n notice.Notice) string {
	for words, kind := range map[string]string{
		"not you? stop": "changed", "if it was not, follow": "changed", "sinon, suivez": "changed", "have noted": "confirmed", "avons noté": "confirmed",
		"asks for more": "agreement", "nothing can be changed in your name. consents": "frozen", "let changes": "unfrozen", "has answered": "answered",
	} {
		if strings.Contains(strings.ToLower(n.Text), words) {
			if strings.Contains(n.Text, "child") {
				kind += " (child)"
			}
			return kind
		}
	}
	return n.Text
}

func (w *world) sent(id citizen.ID) []journal.NoticeSent {
	w.t.Helper()
	entries, err := w.journal.ReadAggregate(context.Background(), journal.CitizenAggregate(id), 1, 0)
	require.NoError(w.t, err)
	var out []journal.NoticeSent
	for i := range entries {
		if s, ok := entries[i].Event.(journal.NoticeSent); ok {
			out = append(out, s)
			require.Equal(w.t, s.Cause, entries[i].Cause)
		}
	}
	return out
}

// TestTheContactBeforeIsTold: whoever held the account before a change hears of it, with a link; the new contact gets a confirmation.
func TestTheContactBeforeIsTold(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		id := w.born("1980-05-17", "en")
		require.Empty(w.t, w.settle(), "nobody can be reached yet")
		first := w.contact(id, map[string]any{"email": "old@example.ca", "phone": "+14165550100"})
		require.Equal(w.t, []string{"email old@example.ca: confirmed"}, w.settle())
		w.moves(self(id), id, "1 First St")
		require.Equal(w.t, []string{"email old@example.ca: changed"}, w.settle())
		w.tells(self(id), id, citizen.NameChanged, map[string]any{"given_names": "Other", "family_name": "Name", "reason": "marriage"})
		require.Equal(w.t, []string{"email old@example.ca: changed"}, w.settle())
		second := w.contact(id, map[string]any{"email": "new@example.ca", "phone": "+14165550100"})
		require.Equal(w.t, []string{"email new@example.ca: confirmed", "email old@example.ca: changed"}, w.settle())
		require.Equal(w.t, []journal.NoticeSent{
			{Cause: second, Channel: "email", Contact: first, Language: "en", Outcome: "delivered", Template: "changed"},
			{Cause: second, Channel: "email", Contact: second, Language: "en", Outcome: "delivered", Template: "confirmed"},
		}, w.sent(id)[3:])

		w.prefers(id, "text")
		require.Equal(w.t, []string{"email new@example.ca: changed", "text +14165550100: confirmed"}, w.settle())
		w.prefers(id, "letter")
		require.Equal(w.t, []string{"letter Other Name | 1 First St | Kenora ON  P9N 3X9: confirmed", "text +14165550100: changed"}, w.settle())
		w.moves(self(id), id, "2 Second St")
		require.Equal(w.t, []string{
			"letter Other Name | 1 First St | Kenora ON  P9N 3X9: changed", "letter Other Name | 2 Second St | Kenora ON  P9N 3X9: confirmed",
		}, w.settle())
		w.tells(self(id), id, "marital-status-changed", map[string]any{"status": "married"})
		require.Empty(w.t, w.settle(), "of nothing else")
		waiting, err := w.notices.Waiting(context.Background())
		require.NoError(w.t, err)
		require.Zero(w.t, waiting)
	})
}

// TestPuttingRightIsAChange: corrections and cancellations alter what holds, too.
func TestPuttingRightIsAChange(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		id := w.born("1980-05-17", "fr")
		w.contact(id, map[string]any{"email": "old@example.ca"})
		second := w.contact(id, map[string]any{"email": "new@example.ca"})
		w.settle()
		w.tells(self(id), id, journal.TypeChangeCancelled, map[string]any{"corrects": second})
		require.Equal(w.t, []string{"email new@example.ca: changed", "email old@example.ca: confirmed"}, w.settle())
		third := w.contact(id, map[string]any{"email": "third@example.ca"})
		w.settle()
		w.tells(self(id), id, journal.TypeChangeCorrected, map[string]any{
			"corrects": third, "type": citizen.ContactChanged, "data": map[string]any{"email": "right@example.ca"},
		})
		require.Equal(w.t, []string{"email right@example.ca: confirmed", "email third@example.ca: changed"}, w.settle())
	})
}

// TestNothingBetraysTheProtected: a contact that is not theirs any more hears nothing, from the moment of the protection, also of what was
// told before it and not sent yet; and guardians whom it suspends hear nothing of a child.
func TestNothingBetraysTheProtected(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		ctx := context.Background()
		id, child, other := w.born("1980-05-17", "en"), w.born("2020-01-01", "en"), w.born("1978-01-01", "en")
		w.contact(id, map[string]any{"email": "shared@example.ca"})
		w.contact(other, map[string]any{"email": "other@example.ca"})
		for _, parent := range []citizen.ID{id, other} {
			_, err := w.command.GrantProxy(ctx, by(registrar), child, command.Proxying{Proxy: parent, Kind: journal.ProxyParent})
			require.NoError(w.t, err)
		}
		w.settle()
		w.moves(self(id), child, "1 First St")
		require.Equal(w.t, []string{"email other@example.ca: changed (child)", "email shared@example.ca: changed (child)"}, w.settle())

		w.contact(id, map[string]any{"email": "safe@example.ca"}) // told, and not sent yet
		_, err := w.command.Restrict(ctx, by(protector), id, command.Restricting{Kind: journal.RestrictionViolence, Reason: "Danger"})
		require.NoError(w.t, err)
		require.Equal(w.t, []string{"email safe@example.ca: confirmed"}, w.settle())
		w.contact(id, map[string]any{"email": "safer@example.ca"})
		require.Equal(w.t, []string{"email safer@example.ca: confirmed"}, w.settle())
		w.moves(self(id), id, "2 Second St")
		require.Equal(w.t, []string{"email safer@example.ca: changed"}, w.settle())
		w.moves(self(id), child, "3 Third St")
		require.Equal(w.t, []string{"email safer@example.ca: changed (child)"}, w.settle())
	})
}
