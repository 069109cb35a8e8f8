package httpapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

func (s *server) deathRoutes() {
	registrars := []journal.Role{journal.RoleRegistrar}
	register(s, route{
		method: http.MethodPost, path: "/v1/deaths", id: "reportDeath", tag: "deaths", status: http.StatusAccepted, roles: []journal.Role{journal.RoleCitizen},
		summary: "Report the death of a relative",
		description: "Name the person exactly: as they are registered. The answer is the same whoever is named: it does not say whether " +
			"there is such a person. A report is held until a registrar confirms it, and shared with nobody. Clerks and registrars report a " +
			"death as a change, of type `death-reported`.",
		body: deathBody{}, codes: append([]string{codeWeakLogin}, repeatCodes...),
	}, s.reportDeath)
	register(s, route{
		method: http.MethodGet, path: "/v1/deaths", id: "deaths", tag: "deaths", roles: registrars,
		summary:     "Reported deaths that wait for a registrar, the oldest first",
		description: lookNotice + " A page shows 200 at most.", codes: []string{codeAccessReason, codeUnknownOutcome, codeBusy},
	}, s.deaths)
	codes := slices.Concat(repeatCodes, []string{
		codeNotFound, citizen.CodePersonDeceased, citizen.CodeUnknownPerson, citizen.CodeEffectiveTooFar, citizen.CodeAlreadyCorrected,
	})
	register(s, route{
		method: http.MethodPost, path: "/v1/deaths/{report}/confirmation", id: "confirmDeath", tag: "deaths", status: http.StatusAccepted, roles: registrars,
		summary: "Register the death that a report tells of, as it was reported", codes: codes,
		description: "With another date, tell `death-registered` as a change instead.",
	}, s.confirmDeath)
	register(s, route{
		method: http.MethodDelete, path: "/v1/deaths/{report}", id: "dismissDeath", tag: "deaths", roles: registrars,
		summary: "Dismiss a reported death: it was wrong", codes: codes,
	}, s.dismissDeath)
}

// deathBody is the body of a resident's report, for the document; reportDeath reads it.
type deathBody struct {
	_          struct{} `additionalProperties:"false"`
	GivenNames string   `json:"given_names" doc:"of who died"`
	FamilyName string   `json:"family_name"`
	BirthDate  string   `json:"birth_date" format:"date"`
	DeathDate  string   `json:"death_date" format:"date" doc:"not in the future"`
	ReportedBy string   `json:"reported_by" enum:"spouse,child,executor,funeral-home" doc:"what you are to them"`
}

// reportDeath is POST /v1/deaths.
func (s *server) reportDeath(ctx context.Context, in *tellInput) (*struct{}, error) {
	id, err := commandID(in.Key)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	const dateDetail = "must be a date, YYYY-MM-DD"
	who := citizen.Identity{
		GivenNames: o.text("given_names", true, schemas.ValidText, textDetail), FamilyName: o.text("family_name", true, schemas.ValidText, textDetail),
		BirthDate: o.text("birth_date", true, schemas.ValidDate, dateDetail),
	}
	today := s.Journal.DayOf(s.Journal.Now(journal.Timing{Told: true})).Date.String()
	died := o.text("death_date", true, func(d string) bool { return schemas.ValidDate(d) && d <= today }, dateDetail+", and not in the future")
	by := o.oneOf("reported_by", "spouse", "child", "executor", "funeral-home")
	if _, sent := o.members["reported_by"]; !sent {
		o.wrong("", "the member reported_by is missing")
	}
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical("POST /v1/deaths", o.members)
	if err != nil {
		return nil, err
	}
	change := command.Change{Effective: died, Data: map[string]any{"death_date": died, "reported_by": by}}
	return nil, s.Command.ReportDeath(ctx, s.command(ctx, id, journal.ChannelWeb, content), who, change)
}

type deathsOutput struct {
	Body struct {
		Deaths []deathLine `json:"deaths"`
	}
}

type deathLine struct {
	Receipt    string    `json:"receipt" example:"7ZK3M9QX2B4D"`
	Position   int64     `json:"position" example:"4711"`
	RecordedAt time.Time `json:"recorded_at"`
	Role       string    `json:"role" example:"clerk" doc:"of who told it"`
	DeathDate  string    `json:"death_date" format:"date"`
	ReportedBy string    `json:"reported_by" enum:"spouse,child,executor,funeral-home"`
	GivenNames string    `json:"given_names" doc:"of who is said to have died, as they are today"`
	FamilyName string    `json:"family_name"`
	BirthDate  string    `json:"birth_date" format:"date"`
}

// deaths is GET /v1/deaths.
func (s *server) deaths(ctx context.Context, in *accessHeaders) (*deathsOutput, error) {
	look, err := in.look(audit.KindDeaths)
	if err != nil {
		return nil, err
	}
	reports, err := s.Audit.ReportedDeaths(ctx, caller(ctx), journal.IssuerAPI, look)
	if err != nil {
		return nil, err
	}
	out := &deathsOutput{}
	out.Body.Deaths = make([]deathLine, len(reports))
	for i, r := range reports {
		out.Body.Deaths[i] = deathLine{
			Receipt: r.Receipt, Position: r.Position, RecordedAt: r.RecordedAt, Role: roleName(r.By), DeathDate: r.DeathDate, ReportedBy: r.ReportedBy,
			GivenNames: r.Person.GivenNames, FamilyName: r.Person.FamilyName, BirthDate: r.Person.BirthDate,
		}
	}
	return out, nil
}

type deathInput struct {
	Repeatable
	Report string `path:"report" doc:"the report's receipt number" example:"7ZK3M9QX2B4D"`
}

type deathOutput struct{ Body accepted }

// confirmDeath is POST /v1/deaths/{report}/confirmation.
func (s *server) confirmDeath(ctx context.Context, in *deathInput) (*deathOutput, error) {
	return s.decideDeath(ctx, in, "confirm ", s.Command.ConfirmDeath)
}

// dismissDeath is DELETE /v1/deaths/{report}.
func (s *server) dismissDeath(ctx context.Context, in *deathInput) (*deathOutput, error) {
	return s.decideDeath(ctx, in, "dismiss ", s.Command.DismissDeath)
}

func (s *server) decideDeath(
	ctx context.Context, in *deathInput, place string, decide func(context.Context, command.Command, string) (command.Result, error),
) (*deathOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	result, err := decide(ctx, s.command(ctx, id, journal.ChannelNone, []byte(place+in.Report)), in.Report)
	if err != nil {
		return nil, relocate(err)
	}
	return &deathOutput{Body: accepted{Receipt: result.Receipt, Position: result.Position}}, nil
}
