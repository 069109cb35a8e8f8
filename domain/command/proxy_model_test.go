package command_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// allowed is a naive model of who may act for whom: by person, then proxy, what the grant said last.
type allowed map[int]map[int]*held

type held struct {
	scope []string
	over  bool // ran out yesterday
	kept  bool
}

// leads follows the grants that hold as somebody sees them: the proxies of who is hidden from them are not seen, and since nobody acts for
// somebody who is hidden, nothing goes round there.
func (a allowed) leads(from, to int, hidden func(int) bool) bool {
	reached := map[int]bool{from: true}
	for range len(a) + 1 {
		for of, proxies := range a {
			for proxy, h := range proxies {
				if reached[of] && !h.over && !hidden(of) {
					reached[proxy] = true
				}
			}
		}
	}
	return reached[to]
}

// answer is what somebody who asks for somebody else must get: accepted, no-capacity or forbidden.
func (a allowed) answer(of, by int, eventType string, protected bool) string {
	h := a[of][by]
	switch {
	case of == by:
		return "accepted"
	case h == nil || (protected && !h.kept):
		return "forbidden"
	case h.over || (h.scope != nil && !slices.Contains(h.scope, eventType)):
		return "no-capacity"
	}
	return "accepted"
}

// TestProxiesAgainstAModel: whatever was granted, ended, ran out or was suspended, in any order, each command is answered as the naive model
// answers it.
func TestProxiesAgainstAModel(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	outcome := func(err error) string {
		var rejection *citizen.Rejection
		switch {
		case err == nil:
			return "accepted"
		case errors.Is(err, command.ErrForbidden):
			return "forbidden"
		case errors.As(err, &rejection):
			return rejection.Code
		}
		return err.Error()
	}
	rapid.Check(t, func(rt *rapid.T) {
		ids := []citizen.ID{b.resident(t), b.resident(t), b.resident(t), b.resident(t)}
		model, protected := allowed{}, make([]bool, len(ids))
		anyone := rapid.IntRange(0, len(ids)-1)
		for range rapid.IntRange(4, 14).Draw(rt, "steps") {
			of, by1 := anyone.Draw(rt, "of"), anyone.Draw(rt, "by")
			switch rapid.SampledFrom([]string{"grant", "grant", "end", "over", "protect", "lift", "tell", "tell", "link"}).Draw(rt, "do") {
			case "grant":
				scope := rapid.SampledFrom([][]string{nil, nil, {"address-changed"}, {"ministry-linked", "name-changed"}}).Draw(rt, "scope")
				_, err := b.command.GrantProxy(ctx, by(self(ids[of])), ids[of], command.Proxying{Proxy: ids[by1], Kind: journal.ProxyAttorney, Scope: scope})
				hidden := func(who int) bool {
					h := model[who][of]
					return protected[who] && who != of && (h == nil || !h.kept || h.over)
				}
				want := "accepted"
				switch {
				case of == by1:
					want = "same-person"
				case hidden(by1):
					want = "unknown-person"
				case model.leads(by1, of, hidden):
					want = "circular-proxy"
				}
				require.Equal(t, want, outcome(err))
				if err == nil {
					if model[of] == nil {
						model[of] = map[int]*held{}
					}
					model[of][by1] = &held{scope: scope}
				}
			case "end":
				_, err := b.command.EndProxy(ctx, by(self(ids[by1])), ids[of], ids[by1])
				want := model.answer(of, by1, "", protected[of])
				if h := model[of][by1]; of == by1 {
					want = "no-such-proxy"
				} else if want == "no-capacity" && !h.over { // whatever the scope, one may always stop
					want = "accepted"
				}
				require.Equal(t, want, outcome(err))
				if err == nil {
					delete(model[of], by1)
				}
			case "over":
				if h := model[of][by1]; h != nil {
					b.append(t, ids[of], journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: ids[by1].String(), Until: b.daysFrom(0, -1)})
					model[of][by1] = &held{over: true}
				}
			case "protect":
				b.append(t, ids[of], journal.RestrictionSet{Kind: journal.RestrictionViolence, Keeps: []string{ids[by1].String()}})
				protected[of] = true
				for proxy, h := range model[of] {
					h.kept = proxy == by1
				}
			case "lift":
				b.append(t, ids[of], journal.RestrictionLifted{})
				protected[of] = false
			case "tell":
				_, err := b.command.Tell(ctx, by(self(ids[by1])), ids[of], address(t, b.journal, "1 First St"))
				require.Equal(t, model.answer(of, by1, "address-changed", protected[of]), outcome(err))
			case "link":
				_, err := b.command.Link(ctx, by(self(ids[by1])), ids[of], command.Linking{Ministry: "moh", ClientReference: "r"})
				require.Equal(t, model.answer(of, by1, "ministry-linked", protected[of]), outcome(err))
			}
		}
	})
}
