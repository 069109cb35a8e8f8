package notice_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/notice"
	"github.com/tellonce/hub/schemas"
)

// TestTheDeadAndTheErasedHearNothing, also of what was told before.
func TestTheDeadAndTheErasedHearNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		ctx := context.Background()
		dead, erased := w.born("1980-05-17", "en"), w.born("1980-05-17", "en")
		for _, id := range []citizen.ID{dead, erased} {
			w.contact(id, map[string]any{"email": "a@example.ca"})
		}
		w.settle()
		w.moves(self(dead), dead, "1 First St")
		w.moves(self(erased), erased, "1 First St")
		w.tells(registrar, dead, citizen.DeathRegistered, map[string]any{"death_date": "2026-03-01", "reported_by": "spouse"})
		_, err := w.command.Erase(ctx, by(self(erased)), erased)
		require.NoError(w.t, err)
		require.Empty(w.t, w.settle())
		waiting, err := w.notices.Waiting(ctx)
		require.NoError(w.t, err)
		require.Zero(w.t, waiting)
	})
}

// TestWhoHearsOfAChild: those who may act for it; its own contact only where nobody ever was to act.
func TestWhoHearsOfAChild(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		ctx := context.Background()
		child, parent := w.born("2012-01-01", "en"), w.born("1980-05-17", "fr")
		w.contact(child, map[string]any{"email": "child@example.ca"})
		require.Equal(w.t, []string{"email child@example.ca: confirmed"}, w.settle(), "nobody is known who acts for it")
		w.contact(parent, map[string]any{"email": "parent@example.ca"})
		_, err := w.command.GrantProxy(ctx, by(registrar), child, command.Proxying{Proxy: parent, Kind: journal.ProxyParent, Scope: []string{citizen.NameChanged}})
		require.NoError(w.t, err)
		w.settle()
		w.contact(child, map[string]any{"email": "other@example.ca"})
		require.NoError(w.t, w.notices.Settle(ctx))
		took := w.carrier.take()
		require.Len(w.t, took, 1, "the child's contacts hear nothing")
		require.Equal(w.t, "parent@example.ca", took[0].To)
		require.Equal(w.t, "fr", took[0].Language)
		require.Contains(w.t, took[0].Text, "enfant")
		require.Contains(w.t, took[0].Text, "/fr/notices/", "with the link")

		_, err = w.command.EndProxy(ctx, by(registrar), child, parent)
		require.NoError(w.t, err)
		w.contact(child, map[string]any{"email": "third@example.ca"})
		require.Equal(w.t, []string{"email other@example.ca: changed", "email third@example.ca: confirmed"}, w.settle())
	})
}

// TestFreezesAndAnswersAreTold to the contact of now.
func TestFreezesAndAnswersAreTold(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		ctx, id := context.Background(), w.born("1980-05-17", "en")
		w.contact(id, map[string]any{"email": "old@example.ca"})
		w.settle()
		w.contact(id, map[string]any{"email": "new@example.ca"})
		require.NoError(w.t, w.notices.Settle(ctx))
		var token string
		for _, n := range w.carrier.take() {
			if n.To == "old@example.ca" {
				token = regexp.MustCompile(`https://tellonce\.example/en/notices/(\S+)`).FindStringSubmatch(n.Text)[1]
				require.Contains(w.t, n.HTML, `href="https://tellonce.example/en/notices/`+token+`"`)
			} else {
				require.NotContains(w.t, n.Text, "/notices/", "the new contact gets no such link")
			}
		}
		_, err := w.command.NotMe(ctx, journal.IssuerPages, token)
		require.NoError(w.t, err)
		require.Equal(w.t, []string{"email new@example.ca: frozen"}, w.settle())
		_, err = w.command.AnswerDispute(ctx, by(officer), w.last(id, journal.TypeDisputeOpened), journal.DisputeUpheld, "It was not you")
		require.NoError(w.t, err)
		_, err = w.command.Unfreeze(ctx, by(officer), id, "They came with two documents")
		require.NoError(w.t, err)
		require.Equal(w.t, []string{"email new@example.ca: answered", "email new@example.ca: unfrozen"}, w.settle())
	})
}

// last is the position of somebody's last record of a type.
func (w *world) last(id citizen.ID, eventType string) int64 {
	w.t.Helper()
	recs, err := w.journal.Store().ReadAggregate(context.Background(), journal.CitizenAggregate(id), 1, 0)
	require.NoError(w.t, err)
	for i := len(recs) - 1; i >= 0; i-- {
		if recs[i].Type == eventType {
			return recs[i].Position
		}
	}
	w.t.Fatalf("no %s", eventType)
	return 0
}

const agreement = `id: library-membership
version: %d
ministry: library
stream: library.membership
title: { en: Public library, fr: Bibliothèque publique }
purpose: { en: Keep your library membership current, fr: Tenir à jour votre abonnement }
basis: { kind: consent }
population: all
shares:
  - event: address-changed
    fields: [%s]
valid: { from: 2026-01-01 }
`

func (w *world) agrees(version int, fields string) {
	w.t.Helper()
	a, err := schemas.ParseAgreement("a.yaml", fmt.Appendf(nil, agreement, version, fields), w.journal.Registry())
	require.NoError(w.t, err)
	_, err = w.command.LoadAgreements(context.Background(), command.Command{Actor: journal.Actor{Kind: journal.ActorOperator, Role: journal.RoleOperator, ID: "test"}}, []consent.Agreement{a})
	require.NoError(w.t, err)
}

// TestAWiderVersionIsTold to whoever agreed to less, once, and to nobody else.
func TestAWiderVersionIsTold(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		ctx := context.Background()
		w.agrees(1, "city")
		agreed, withdrew, never := w.born("1980-05-17", "en"), w.born("1980-05-17", "en"), w.born("1980-05-17", "en")
		for i, id := range []citizen.ID{agreed, withdrew, never} {
			w.contact(id, map[string]any{"email": fmt.Sprintf("%d@example.ca", i)})
		}
		for _, id := range []citizen.ID{agreed, withdrew} {
			_, err := w.command.Grant(ctx, by(self(id)), id, command.Choice{Agreement: "library-membership", Language: "en"})
			require.NoError(w.t, err)
		}
		_, err := w.command.Withdraw(ctx, by(self(withdrew)), withdrew, "library-membership")
		require.NoError(w.t, err)
		w.settle()
		w.agrees(2, "city, street")
		require.Equal(w.t, []string{"email 0@example.ca: agreement"}, w.settle())
		w.agrees(3, "city")
		require.Empty(w.t, w.settle(), "a narrower one asks nobody")
	})
}

// TestAnImportedRegisterTellsNobody, but what an import changes of theirs does.
func TestAnImportedRegisterTellsNobody(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		line := func(eventType, data string) string {
			return fmt.Sprintf(`{"id":%q,"person":"p-1","channel":"web","type":%q,"told_at":"2026-03-01T12:00:00Z","effective":"2026-03-01","data":%s}`+"\n",
				uuid.NewString(), eventType, data)
		}
		address := `{"kind":"home","street":"%d First St","city":"Kenora","province":"ON","postal_code":"P9N 3X9","country":"CA"}`
		w.imports(line("person-registered", `{"given_names":"Invented","family_name":"Person","birth_date":"1980-05-17","language":"en"}`) +
			line("contact-changed", `{"email":"old@example.ca"}`) + line("address-changed", fmt.Sprintf(address, 1)))
		require.Empty(w.t, w.settle())
		w.imports(line("address-changed", fmt.Sprintf(address, 2)) + line("contact-changed", `{"email":"new@example.ca"}`))
		require.Equal(w.t, []string{"email old@example.ca: changed", "email old@example.ca: changed"}, w.settle())
	})
}

func (w *world) imports(lines string) {
	w.t.Helper()
	err := w.command.Import(context.Background(), strings.NewReader(lines), command.ImportOptions{Source: "import"}, func(r command.LineResult) error {
		require.Equal(w.t, command.Accepted, r.Result, "%+v", r)
		return nil
	}, func() error { return nil })
	require.NoError(w.t, err)
}

// TestNoticesSayNoValue: in every template, language and channel, nothing of what was told stands in a notice or in its link.
func TestNoticesSayNoValue(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		for _, language := range []string{"en", "fr"} {
			for _, channel := range []string{"email", "text"} {
				id := w.born("1980-05-17", language)
				w.contact(id, map[string]any{"email": "canaryone@example.ca", "phone": "+14165550111"})
				w.prefers(id, channel)
				w.settle()
				w.moves(self(id), id, "4711 Canarystreet")
				w.tells(self(id), id, citizen.NameChanged, map[string]any{"given_names": "Canarygiven", "family_name": "Canaryfamily", "reason": "marriage"})
				w.contact(id, map[string]any{"email": "canarytwo@example.ca", "phone": "+14165550222"})
				require.NoError(w.t, w.notices.Settle(context.Background()))
				took := w.carrier.take()
				require.Len(w.t, took, 4)
				for _, n := range took {
					for _, canary := range []string{"anary", "4711", "0111", "0222", id.String(), "Kenora", "1980"} {
						require.NotContains(w.t, n.Subject+n.Text+n.HTML+n.ID, canary)
					}
					require.Equal(w.t, language, n.Language)
					require.Equal(w.t, "notice("+channel+")", fmt.Sprintf("%+v", n))
				}
			}
		}
	})
}

// TestTemplatesSayTheSameInBothLanguages: the same links, in the same places, and every part.
func TestTemplatesSayTheSameInBothLanguages(t *testing.T) {
	t.Parallel()
	w := newSQLite(t)
	for _, name := range notice.Templates {
		for _, child := range []bool{false, true} {
			for _, channel := range []string{"email", "text", "letter"} {
				shape := map[string]string{}
				for _, language := range notice.Languages {
					n := notice.Notice{Channel: channel, Language: language}
					data := notice.Page{What: "WHAT", Agreement: "TITLE <&>", Child: child, Link: "https://link.example/x", SignIn: "https://sign.example/"}
					require.NoError(t, w.notices.Write(&n, name, data))
					require.NotContains(t, n.Text+n.Subject+n.HTML, "<no value>")
					require.Equal(t, channel == "email", n.HTML != "")
					require.Equal(t, channel == "text", n.Subject == "")
					if channel == "text" {
						require.Less(t, len([]rune(n.Text)), 306+30, "two text messages, with the link")
						require.NotContains(t, n.Text, "\n")
					}
					if n.HTML != "" {
						require.Contains(t, n.HTML, `<html lang="`+language+`">`)
						require.NotContains(t, n.HTML, "<&>")
					}
					found := regexp.MustCompile(`WHAT|TITLE|https://[a-z.]+/`).FindAllString(n.Subject+"\n"+n.Text, -1)
					shape[language] = fmt.Sprint(found, bytes.Count([]byte(n.Text), []byte("\n\n")))
				}
				require.Equal(t, shape["en"], shape["fr"], "%s %s", name, channel)
			}
		}
	}
}
