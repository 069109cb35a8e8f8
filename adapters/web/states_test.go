package web_test

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
)

// pageState is one page as somebody comes to it. Every state is opened once in each language, and what the hub served is then looked at by
// every checker (checkers_test.go), at every size and in every mode (modes_test.go): a new page is checked by standing in its area's list.
type pageState struct {
	// name is area-page, or area-page-what for what is special about it: lower case and hyphens, unlike any other's.
	name string
	as   string // persona's id; "" for nobody signed in
	// prepare does what must have happened before, on a hub of this state's and this language's own. Without it the state is opened on the
	// scene that many share, so open must not change what others see there: read, or post what is refused.
	prepare func(t *testing.T, s *scene)
	// open goes there as that person, each step with the status that it must have, and returns the page.
	open func(s *scene, b *browser, lang string) *sheet
}

// states are all of them, area by area: each list stands in states_<area>_test.go. TELLONCE_STATES, an expression, leaves those whose name it
// fits: who writes a page looks at that alone.
func states() []pageState {
	all := slices.Concat(publicStates(), signInStates(), residentStates(), rightsStates(), ministryStates(), officerStates())
	if only, err := regexp.Compile(os.Getenv("TELLONCE_STATES")); err == nil {
		all = slices.DeleteFunc(all, func(s pageState) bool { return !only.MatchString(s.name) })
	}
	return all
}

// ownHub is for a state whose open changes something: nothing has to happen before, but nobody else may see it.
func ownHub(*testing.T, *scene) {}

// scene is a hub on which things have happened: Zoë told an address and the birth of Mia and let the library know, Rosa lets her tell her addresses, one ministry applied it and one rejected it, and
// an officer proposed a new version of an agreement that waits for another's approval.
type scene struct {
	*pages
	receipt string // of Zoë's change
	birth   string // of the birth of her child Mia
	contact string // of her change of contact details
	notice  string // token of the link in the notice about her e-mail address
	// cancelled is the position of what took her change back, where that happened.
	cancelled int64
}

func newScene(t *testing.T) *scene {
	t.Helper()
	ctx, p := context.Background(), setup(t)
	p.office(t)
	p.console(t)
	s := &scene{pages: p, receipt: p.tell(t)}
	p.answers(t, "moh.health-card", "applied")
	p.answers(t, "library.membership", "rejected")
	told, err := p.command.Tell(ctx, command.Command{Actor: resident(p.zoe)}, p.zoe,
		command.Change{Type: citizen.ContactChanged, Effective: "2026-11-25", Data: map[string]any{"email": "zoe@example.ca"}})
	require.NoError(t, err)
	s.notice, err = p.journal.NoticeLink(told.Position)
	require.NoError(t, err)
	s.contact = told.Receipt
	_, s.birth = p.born(t, "Mia")
	p.rosa(t)
	p.as(t, "en", "officer").propose(wider(t), http.StatusOK)
	return s
}

// goTo opens a page that only has to be gone to.
func goTo(path string, status ...int) func(*scene, *browser, string) *sheet {
	return func(_ *scene, b *browser, lang string) *sheet {
		b.t.Helper()
		return b.get("/"+lang+path, cmp.Or(append(status, http.StatusOK)...))
	}
}

// refused opens the page that says what is wrong with a form.
func refused(path string, form url.Values) func(*scene, *browser, string) *sheet {
	return func(_ *scene, b *browser, lang string) *sheet {
		b.t.Helper()
		return b.post("/"+lang+path, form, http.StatusUnprocessableEntity)
	}
}

// shot is a state as it was served, in one language.
type shot struct {
	state *pageState
	lang  string
	sheet *sheet
}

func (s *shot) name() string { return s.state.name + "-" + s.lang }

// served is every state in each language, opened when the first test asks.
var served struct {
	once  sync.Once
	shots []*shot
}

// shots opens every state, or gives what was opened before. Each opening is a test of its own within the one that asked first, so that the
// hub of a state ends with it; a state that can't be opened is missing.
func shots(t *testing.T) []*shot {
	t.Helper()
	served.once.Do(func() {
		shared, all := newScene(t), states()
		got := make([]*shot, 2*len(all))
		var open sync.WaitGroup
		places := make(chan struct{}, runtime.GOMAXPROCS(0))
		for i := range got {
			places <- struct{}{}
			state, lang := &all[i/2], []string{"en", "fr"}[i%2]
			open.Go(func() {
				defer func() { <-places }()
				t.Run(state.name+"-"+lang, func(t *testing.T) {
					got[i] = &shot{state: state, lang: lang, sheet: state.in(t, shared, lang)}
				})
			})
		}
		open.Wait()
		served.shots = slices.DeleteFunc(got, func(s *shot) bool { return s == nil })
	})
	return served.shots
}

// in opens a state in one language.
func (state *pageState) in(t *testing.T, s *scene, lang string) *sheet {
	t.Helper()
	if state.prepare != nil {
		s = newScene(t)
		state.prepare(t, s)
	}
	b := s.browser(t)
	if state.as != "" {
		b = s.as(t, lang, state.as)
	}
	return state.open(s, b, lang)
}

var stateName = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)

// TestStates: each can be opened in each language, and obeys what every page obeys (rules_test.go).
func TestStates(t *testing.T) {
	t.Parallel()
	names, all := map[string]bool{}, shots(t)
	require.Equal(t, 2*len(states()), len(all), "a state could not be opened: the test that asked first says which, and why") //nolint:testifylint // Len would print them all
	for _, shot := range all {
		require.Regexp(t, stateName, shot.state.name)
		require.False(t, names[shot.name()], "two states have the name %s", shot.name())
		names[shot.name()] = true
		require.Equal(t, shot.lang, shot.sheet.path[1:3], shot.name())
	}
}
