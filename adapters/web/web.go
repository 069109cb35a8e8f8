// Package web is the hub's pages, in English and French: a resident changes an address and sees who is told, a ministry sees its stream
// fill, an officer sees decisions and why. Pages are made on the server and need no script; what is between two pages of a form travels
// in a sealed cookie, never in a URL.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// Persona is somebody whom one can be in a sandbox.
type Persona struct {
	ID    string // in the chooser's form
	Name  string
	Role  journal.Role
	Actor journal.Actor
	About consent.Text
}

// Config is what the pages need.
type Config struct {
	Journal    *journal.Journal
	Command    *command.Handler
	Delivery   *delivery.Delivery
	Projection *projection.Projection
	Audit      *audit.Audit
	Sessions   Sessions // may be nil only without SignIn
	SignIn     SignIn   // nil: nobody can sign in
	// Chooser is the sandbox's own identity provider, if people sign in there, and Personas are who one can be. They exist in a sandbox only.
	Chooser  Chooser
	Personas []Persona
	// Ministries are names of organisations by ministry id, for people to read. Where one is missing, its agreement's title stands alone.
	Ministries map[string]consent.Text
	// Sources are the namespaces in which an officer's reference to a person is looked up, in order, after that of the officer's own client;
	// default "import".
	Sources []string
	Logger  *slog.Logger
	Clock   func() time.Time // the process's; default time.Now
	// Drain ends when the hub begins to stop: pages that keep themselves up to date let go then. Default: never.
	Drain context.Context //nolint:containedctx // it is the hub's life, not a call's
	// DryRunTime bounds a dry run on a page; default 20 s.
	DryRunTime time.Duration
	// Contact is where people write or call about these pages, for people to read. Empty: whoever runs them has named none.
	Contact string
	// PlainLook shows pages as on a bare checkout, also where the full look is built in.
	PlainLook bool
	Console   Console // of ministries
}

// server is the pages of one hub.
type server struct {
	Config
	zone     *time.Location
	mux      *http.ServeMux
	roles    map[string]journal.Role // that may open a page, by its pattern in mux
	pages    map[string]*language    // by "en", "fr"
	drafts   draftBox
	look     look
	licences []licence
	// running holds a place for each dry run under way.
	running chan struct{}
	// lives holds a place for each page that keeps itself up to date.
	lives chan struct{}
}

// Patterns are the http.ServeMux patterns that belong to the pages.
func Patterns() []string { return []string{"/{$}", "/en/", "/fr/", "/assets/", "/sign-in/"} }

// New returns the handler of every page. It refuses personas outside a sandbox.
func New(cfg Config) (http.Handler, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if len(cfg.Sources) == 0 {
		cfg.Sources = []string{"import"}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Drain == nil {
		cfg.Drain = context.Background()
	}
	if cfg.DryRunTime == 0 {
		cfg.DryRunTime = dryRunTime
	}
	genesis := cfg.Journal.Genesis()
	if err := checkPersonas(cfg, genesis); err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(genesis.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("web: the log's time zone is unknown here: %w", err)
	}
	s := &server{Config: cfg, zone: zone, running: make(chan struct{}, 1), lives: make(chan struct{}, maxLives)}
	if s.look, err = loadLook(dist, cfg.PlainLook); err != nil {
		return nil, err
	}
	if s.licences, err = loadLicences(dist); err != nil {
		return nil, err
	}
	if s.pages, err = loadLanguages(zone, &s.look); err != nil {
		return nil, err
	}
	if s.drafts, err = newDraftBox(cfg.Journal); err != nil {
		return nil, err
	}
	s.routes()
	return s.guard(s.mux), nil
}

func checkPersonas(cfg Config, genesis journal.Genesis) error {
	if cfg.SignIn != nil && cfg.Sessions == nil {
		return errors.New("web: who signs in needs Sessions")
	}
	if (len(cfg.Personas) > 0 || cfg.Chooser != nil) && genesis.Mode != journal.ModeSandbox {
		return errors.New("web: personas exist in a sandbox only, and this log is no sandbox")
	}
	for _, p := range cfg.Personas {
		if _, ok := p.Role.Kind(); !ok || p.Actor.Role != p.Role {
			return fmt.Errorf("web: persona %q: there is no such role, or its actor has another", p.ID)
		}
	}
	return nil
}

// homeOf is the path below the language of a role's first page; empty for a role that has none.
func homeOf(role journal.Role) string {
	switch role {
	case journal.RoleCitizen:
		return "/me"
	case journal.RoleMinistry:
		return "/streams"
	case journal.RoleOfficer:
		return "/looks"
	case journal.RoleNone, journal.RoleClerk, journal.RoleProtector, journal.RoleAuditor, journal.RoleRegistrar, journal.RoleOperator:
	}
	return ""
}

// chooseLanguage sends a reader of / to the language that their browser prefers of the two.
func (s *server) chooseLanguage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept-Language")
	http.Redirect(w, r, "/"+preferred(r.Header.Get("Accept-Language"))+"/", http.StatusSeeOther)
}

// langOf is the language of a path of ours.
func langOf(path string) string {
	if path == "/fr" || strings.HasPrefix(path, "/fr/") {
		return "fr"
	}
	return "en"
}
