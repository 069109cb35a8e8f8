package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tellonce/hub/domain/projection"
)

// figuresCache is how long anybody may keep the public figures: they change once a month.
const figuresCache = "public, max-age=3600"

func (s *server) performanceRoutes() {
	register(s, route{
		method: http.MethodGet, path: "/v1/performance", id: "performance", tag: "public", summary: "How the hub is doing: public figures",
		description: "By civil month, the newest first, at most 24: the changes that were told; of each agreement, the facts that were to be shared " +
			"and those that were withheld; and how long what was shared by itself took to leave. A figure below 10 is null, and so is one that " +
			"would give it away; `note` says so for people. There are no totals. A month appears from the second day of the next one on, and " +
			"does not change any more. Corrections and snapshots are not counted.",
	}, s.performance)
}

type performanceOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Threshold int         `json:"threshold" example:"10" doc:"figures below it, zero included, are null"`
		Note      bilingue    `json:"note" doc:"what is suppressed and why"`
		Months    []monthBody `json:"months" doc:"whole months that have ended, the newest first"`
	}
}

type monthBody struct {
	Month      string           `json:"month" example:"2026-11" doc:"civil month in the log's time zone"`
	Told       []toldFigure     `json:"told"`
	Agreements []agreedFigure   `json:"agreements"`
	Within     withinFigureBody `json:"within" doc:"shares of what was delivered, in percent, by the time since it was told; rounded, all null where there was little"`
}

type toldFigure struct {
	Type    string `json:"type" example:"address-changed"`
	Changes figure `json:"changes"`
}

type agreedFigure struct {
	Agreement string `json:"agreement" example:"library-membership"`
	Type      string `json:"type" example:"address-changed"`
	Shared    figure `json:"shared" doc:"null wherever withheld is"`
	Withheld  figure `json:"withheld" doc:"for whatever reason; null wherever shared is"`
}

type withinFigureBody struct {
	Second     figure `json:"1s"`
	TenSeconds figure `json:"10s"`
	Minute     figure `json:"1min"`
	Hour       figure `json:"1h"`
	Later      figure `json:"later" doc:"after more than an hour"`
}

// figure is a public number; null where it is suppressed.
type figure *int

// performance is GET /v1/performance.
func (s *server) performance(ctx context.Context, _ *struct{}) (*performanceOutput, error) {
	figures, err := s.Projection.Performance(ctx)
	if err != nil {
		return nil, err
	}
	note := projection.PerformanceNote()
	out := &performanceOutput{CacheControl: figuresCache}
	out.Body.Threshold, out.Body.Note = projection.Threshold, bilingue{EN: note.EN, FR: note.FR}
	out.Body.Months = make([]monthBody, len(figures.Months))
	for i := range figures.Months {
		out.Body.Months[i] = monthOf(&figures.Months[i])
	}
	return out, nil
}

func monthOf(m *projection.PerformanceMonth) monthBody {
	out := monthBody{Month: m.Month, Told: make([]toldFigure, len(m.Told)), Agreements: make([]agreedFigure, len(m.Agreements))}
	for i, f := range m.Told {
		out.Told[i] = toldFigure{Type: f.Type, Changes: f.Changes}
	}
	for i, f := range m.Agreements {
		out.Agreements[i] = agreedFigure{Agreement: f.Agreement, Type: f.Type, Shared: f.Shared, Withheld: f.Withheld}
	}
	if w := m.Within; w != nil {
		out.Within = withinFigureBody{Second: &w[0], TenSeconds: &w[1], Minute: &w[2], Hour: &w[3], Later: &w[4]}
	}
	return out
}

// mayBeNull puts null among the values of the figures in the document, which says of nothing else that it may be null.
func (s *server) mayBeNull() {
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	for _, name := range []string{"ToldFigure", "AgreedFigure", "WithinFigureBody"} {
		for member, property := range schemas[name].Properties {
			if property.Type == huma.TypeInteger {
				schemas[name].Properties[member] = &huma.Schema{
					OneOf: []*huma.Schema{{Type: huma.TypeInteger}, {Type: "null"}}, Description: property.Description,
				}
			}
		}
	}
}
