package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
)

// residentStates are a resident's details, the forms that change them, and receipts.
func residentStates() []pageState {
	list := []pageState{
		{name: "resident-details", as: "zoe", open: goTo("/me")},
		{name: "resident-details-new", as: "luc", open: goTo("/me")},
		{name: "resident-details-asked-anew", as: "zoe", prepare: widerInForce, open: goTo("/me")},
		{name: "resident-details-frozen", as: "zoe", prepare: notMe, open: goTo("/me")},
		{name: "resident-address-home", as: "zoe", open: goTo("/address/home")},
		{name: "resident-address-mailing", as: "luc", open: goTo("/address/mailing")},
		{name: "resident-address-errors", as: "zoe", open: refused("/address/home", url.Values{"street": {"12 Elm <b>"}, "postal_code": {"H2X 1Y4"}, "date-day": {"32"}})},
		{name: "resident-address-refused", as: "zoe", prepare: notMe, open: refused("/address/home", address())},
		{name: "resident-who", as: "luc", open: who},
		{name: "resident-who-agreed", as: "zoe", open: who},
		{name: "resident-check", as: "zoe", open: check},
		{name: "resident-check-nobody", as: "luc", open: func(_ *scene, b *browser, lang string) *sheet {
			b.post("/"+lang+"/address/mailing", address(), http.StatusOK)
			return b.post("/"+lang+"/address/mailing/who", nil, http.StatusOK)
		}},
		{name: "resident-check-stale", as: "zoe", prepare: ownHub, open: func(s *scene, b *browser, lang string) *sheet {
			shown := check(s, b, lang)
			s.load(b.t, "testdata/more/*.yaml")
			return b.post("/"+lang+"/address/home/check", shown.hidden(), http.StatusConflict)
		}},
		{name: "resident-check-edited", as: "zoe", open: func(s *scene, b *browser, lang string) *sheet {
			shown := check(s, b, lang)
			b.post("/"+lang+"/address/home", with(address(), "street", "1 Other St"), http.StatusOK)
			b.post("/"+lang+"/address/home/who", nil, http.StatusOK)
			return b.post("/"+lang+"/address/home/check", shown.hidden(), http.StatusConflict)
		}},
		{name: "resident-receipt", as: "zoe", open: receipt},
		{name: "resident-receipt-over", as: "zoe", prepare: allAnswered, open: receipt},
		{name: "resident-receipt-cancelled", as: "zoe", prepare: cancelled, open: receipt},
		{name: "resident-receipt-cancellation", as: "zoe", prepare: cancelled, open: func(s *scene, b *browser, lang string) *sheet {
			head := s.receiptAt(b.t, s.cancelled)
			return b.get("/"+lang+"/receipts/"+head, http.StatusOK)
		}},
		{name: "resident-receipt-birth", as: "zoe", open: func(s *scene, b *browser, lang string) *sheet {
			return b.get("/"+lang+"/receipts/"+s.birth, http.StatusOK)
		}},
		{name: "resident-receipts", as: "zoe", open: goTo("/receipts")},
		{name: "resident-check-family", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
			path := "/" + lang + "/address/home"
			mark := b.get(path, http.StatusOK).marks("with")["Mia Fournier"]
			b.post(path, withAll(address(), "with", mark), http.StatusOK)
			return b.post(path+"/who", nil, http.StatusOK)
		}},
		{name: "resident-who-family", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
			path := "/" + lang + "/address/home"
			return b.post(path, withAll(address(), "with", b.get(path, http.StatusOK).marks("with")["Mia Fournier"]), http.StatusOK)
		}},
		{name: "resident-done-family", as: "zoe", prepare: ownHub, open: func(_ *scene, b *browser, lang string) *sheet {
			path := "/" + lang + "/address/home"
			b.post(path, withAll(address(), "with", b.get(path, http.StatusOK).marks("with")["Mia Fournier"]), http.StatusOK)
			return b.post(path+"/check", b.post(path+"/who", nil, http.StatusOK).hidden(), http.StatusOK)
		}},
		{name: "resident-acting", as: "zoe", open: goTo("/acting")},
		{name: "resident-acting-nobody", as: "luc", open: goTo("/acting")},
		{name: "resident-acting-details", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet { return b.actFor(lang, "Mia Fournier") }},
		{name: "resident-acting-partly", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet { return b.actFor(lang, "Rosa Example") }},
		{name: "resident-acting-address", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
			b.actFor(lang, "Mia Fournier")
			return b.get("/"+lang+"/address/home", http.StatusOK)
		}},
		{name: "resident-acting-other-window", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
			b.actFor(lang, "Mia Fournier")
			return b.post("/"+lang+"/address/home", address(), http.StatusConflict)
		}},
		{name: "resident-correct", as: "zoe", open: func(s *scene, b *browser, lang string) *sheet {
			return b.get("/"+lang+"/receipts/"+s.receipt+"/correct", http.StatusOK)
		}},
		{name: "resident-correct-errors", as: "zoe", open: func(s *scene, b *browser, lang string) *sheet {
			return b.post("/"+lang+"/receipts/"+s.receipt+"/correct", with(address(), "city", ""), http.StatusUnprocessableEntity)
		}},
		{name: "resident-correct-check", as: "zoe", open: func(s *scene, b *browser, lang string) *sheet {
			return b.post("/"+lang+"/receipts/"+s.receipt+"/correct", with(address(), "street", "1 Other St"), http.StatusOK)
		}},
		{name: "resident-cancel", as: "zoe", open: func(s *scene, b *browser, lang string) *sheet {
			return b.get("/"+lang+"/receipts/"+s.contact+"/cancel", http.StatusOK)
		}},
		{name: "resident-cancel-refused", as: "zoe", prepare: cancelled, open: func(s *scene, b *browser, lang string) *sheet {
			return b.get("/"+lang+"/receipts/"+s.receipt+"/cancel", http.StatusUnprocessableEntity)
		}},
		{name: "resident-death", as: "zoe", open: goTo("/death")},
		{name: "resident-death-errors", as: "zoe", open: refused("/death", url.Values{"given_names": {"Luc"}, "death_date-year": {"2027"}})},
		{name: "resident-death-check", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
			return b.post("/"+lang+"/death", someone(), http.StatusOK)
		}},
		{name: "resident-death-done", as: "zoe", prepare: ownHub, open: func(_ *scene, b *browser, lang string) *sheet {
			return b.post("/"+lang+"/death/check", b.post("/"+lang+"/death", someone(), http.StatusOK).hidden(), http.StatusOK)
		}},
	}
	for _, kind := range kinds { // the same steps for each
		list = append(list,
			pageState{name: "resident-" + kind.path, as: "zoe", open: goTo("/" + kind.path)},
			pageState{name: "resident-" + kind.path + "-errors", as: "zoe", open: refused("/"+kind.path, kind.wrong)},
			pageState{name: "resident-" + kind.path + "-check", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
				b.post("/"+lang+"/"+kind.path, kind.form, http.StatusOK)
				return b.post("/"+lang+"/"+kind.path+"/who", nil, http.StatusOK)
			}},
		)
	}
	return list
}

// actFor begins to act for somebody.
func (b *browser) actFor(lang, name string) *sheet {
	b.t.Helper()
	acting := b.get("/"+lang+"/acting", http.StatusOK)
	for n := range acting.root.Descendants() {
		if n.Data == "section" && strings.Contains(textOf(n), name) {
			for field := range n.Descendants() {
				if attr(field, "name") == "person" {
					return b.post("/"+lang+"/acting", url.Values{"person": {attr(field, "value")}}, http.StatusOK)
				}
			}
		}
	}
	require.Fail(b.t, "nobody of this name")
	return nil
}

func who(_ *scene, b *browser, lang string) *sheet {
	return b.post("/"+lang+"/address/home", address(), http.StatusOK)
}

func check(s *scene, b *browser, lang string) *sheet {
	who(s, b, lang)
	return b.post("/"+lang+"/address/home/who", url.Values{"agree": {"outdoors-card"}}, http.StatusOK)
}

func receipt(s *scene, b *browser, lang string) *sheet {
	return b.get("/"+lang+"/receipts/"+s.receipt, http.StatusOK)
}

// widerInForce puts a version in force that asks for more than Zoë agreed to.
func widerInForce(t *testing.T, s *scene) {
	b := s.as(t, "en", "officer-2")
	b.get("/en/agreements/library-membership/2", http.StatusOK).do(b, "approve", http.StatusOK)
}

func allAnswered(t *testing.T, s *scene) {
	for _, stream := range s.toldStreams(t, s.receipt) {
		s.answers(t, stream, "applied")
	}
}

// cancelled takes Zoë's change back.
func cancelled(t *testing.T, s *scene) {
	line := fmt.Sprintf(`{"id":"0b6c1b1e-5a0e-4d0e-9a51-0d7a5a2f1c22","person":"zoe","channel":"counter","told_at":"2026-11-24T15:00:00Z",`+
		`"type":"change-cancelled","effective":"2026-11-25","data":{"corrects":%d}}`, s.at(t, s.receipt)) + "\n"
	require.NoError(t, s.command.Import(context.Background(), strings.NewReader(line), command.ImportOptions{Source: "import"}, func(r command.LineResult) error {
		require.Equal(t, command.Accepted, r.Result)
		s.cancelled = *r.Position
		return nil
	}, func() error { return nil }))
	_, err := s.delivery.Next(context.Background(), "library.membership", 0, 1, 100, 0)
	require.NoError(t, err)
}
