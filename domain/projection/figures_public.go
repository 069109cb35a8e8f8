package projection

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// Threshold is the smallest figure that is published. Smaller ones are suppressed, zero too: nil, in every place.
const Threshold = 10

// publishedMonths is how many months stay published. Decisions are kept longer than that, so no erasure can change a published figure.
const publishedMonths = 24

// Performance is the public numbers: whole civil months that have ended, the newest first.
type Performance struct{ Months []PerformanceMonth }

// PerformanceMonth is one month's figures. Which rows it has follows from the registry and the approved agreements alone, never from a count.
type PerformanceMonth struct {
	Month      string // as 2026-12
	Told       []ToldFigure
	Agreements []AgreementFigure
	// Within are the shares of deliveries that left within 1 s, 10 s, 1 min and 1 h of being told, then of those that left later: whole
	// percents, rounded so far that no number of deliveries below the threshold shows. Nil where there are too few.
	Within []int
}

// ToldFigure is how many changes of a type were told.
type ToldFigure struct {
	Type    string
	Changes *int
}

// AgreementFigure is how many facts of a type an agreement was to get, and how many were withheld from it for whatever reason.
type AgreementFigure struct {
	Agreement        string
	Type             string
	Shared, Withheld *int
}

// PerformanceNote says what is not shown and why, for people to read.
func PerformanceNote() consent.Text {
	return consent.Text{
		EN: "A figure below 10, zero included, is suppressed: it is not shown, so that no figure points at a person. Where the shared or the " +
			"withheld figure of an agreement is below 10, neither is shown, because one would give away the other. There are no totals. Shares " +
			"are rounded so that fewer than 10 deliveries never show. Only whole months are published, from the second day of the next month " +
			"on, and a published figure does not change.",
		FR: "Un chiffre inférieur à 10, zéro compris, est masqué\u00a0: il n’est pas affiché, pour qu’aucun chiffre ne désigne une personne. Si " +
			"le nombre de renseignements communiqués ou retenus d’une entente est inférieur à 10, aucun des deux n’est affiché, car l’un " +
			"révélerait l’autre. Il n’y a pas de totaux. Les parts sont arrondies de sorte que moins de 10 transmissions n’y paraissent jamais. " +
			"Seuls des mois entiers sont publiés, à partir du deuxième jour du mois suivant, et un chiffre publié ne change plus.",
	}
}

// Performance reads the public numbers. A month is published once the first whole civil day after it has passed, so that nobody can watch
// figures grow, and whoever's clock is a little ahead publishes nothing that still grows.
func (p *Projection) Performance(ctx context.Context) (*Performance, error) {
	if _, err := p.journal.Head(ctx); err != nil { // of a log clock, the head says which day it is
		return nil, err
	}
	months, err := p.endedMonths(ctx)
	if err != nil || len(months) == 0 {
		return &Performance{}, err
	}
	terms, err := p.publicTerms(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := NewFigures(p.journal).whole(ctx, months[len(months)-1], months[0])
	if err != nil {
		return nil, err
	}
	out := &Performance{}
	for _, month := range months {
		out.Months = append(out.Months, publish(month, counts, p.journal.Registry().Rows(), terms))
	}
	return out, nil
}

// endedMonths are the months to publish, the newest first: none from before the log began.
func (p *Projection) endedMonths(ctx context.Context) ([]string, error) {
	recs, err := p.journal.Store().Read(ctx, 0)
	if err != nil {
		return nil, err
	}
	began := monthOf(p.journal.DayOf(recs[0].RecordedAt).Date)
	today := p.journal.DayOf(p.journal.Now(journal.Timing{}))
	yesterday, err := time.Parse(time.DateOnly, p.journal.DayOf(today.From.Add(-time.Second)).Date.String())
	if err != nil {
		return nil, err
	}
	var out []string
	month := yesterday.AddDate(0, 0, -yesterday.Day()) // the last day of the month before
	for len(out) < publishedMonths && month.Format("2006-01") >= began {
		out = append(out, month.Format("2006-01"))
		month = month.AddDate(0, 0, -month.Day())
	}
	return out, nil
}

// publicTerm is an agreement that was in force in some months, with one of the types that it shares.
type publicTerm struct{ agreement, eventType, from, until string } // months; until is "" while it is in force

func (t publicTerm) in(month string) bool {
	return t.from <= month && (t.until == "" || month <= t.until)
}

// publicTerms are all agreements that ever were approved, by id and type: what was only proposed is nobody's to know.
func (p *Projection) publicTerms(ctx context.Context) ([]publicTerm, error) {
	entries, err := p.journal.ReadAggregate(ctx, journal.AgreementsAggregate, 1, 0)
	if err != nil {
		return nil, err
	}
	var terms []publicTerm
	proposed := map[string]journal.AgreementProposed{}
	for i := range entries {
		month := monthOf(p.journal.DayOf(entries[i].RecordedAt).Date)
		switch event := entries[i].Event.(type) {
		case journal.AgreementProposed:
			proposed[versionKey(event.ID, event.Version)] = event
		case journal.AgreementApproved:
			if terms, err = approve(terms, proposed[versionKey(event.ID, event.Version)], month); err != nil {
				return nil, err
			}
		case journal.AgreementEnded:
			for k := range terms {
				if terms[k].agreement == event.ID && terms[k].until == "" {
					terms[k].until = month
				}
			}
		}
	}
	return terms, nil
}

// approve adds what a version shares to what was in force.
func approve(terms []publicTerm, p journal.AgreementProposed, month string) ([]publicTerm, error) {
	a, err := readAgreement(p)
	if err != nil {
		return nil, err
	}
	for _, share := range a.Shares {
		known := slices.ContainsFunc(terms, func(t publicTerm) bool {
			return t.agreement == a.ID && t.eventType == share.Event && t.until == ""
		})
		if !known {
			terms = append(terms, publicTerm{agreement: a.ID, eventType: share.Event, from: month})
		}
	}
	return terms, nil
}

func readAgreement(p journal.AgreementProposed) (consent.Agreement, error) {
	return schemas.UnmarshalDocument(p.Document)
}

// publish suppresses. What an agreement was to get of a type, and what was withheld, come to the changes of that type: of the two, both are
// shown or none. No sum is published, and rows are by the finest difference that is counted, so nothing is the difference of two others.
func publish(month string, counts map[string]uint64, types []*schemas.Row, terms []publicTerm) PerformanceMonth {
	out := PerformanceMonth{Month: month}
	for _, row := range types {
		if row.Fact {
			out.Told = append(out.Told, ToldFigure{row.Type, shown(counts[figureKey('t', month, row.Type)])})
		}
	}
	for _, term := range terms {
		if !term.in(month) {
			continue
		}
		line := AgreementFigure{Agreement: term.agreement, Type: term.eventType}
		line.Shared = shown(counts[figureKey('s', month, term.agreement, term.eventType)])
		line.Withheld = shown(counts[figureKey('w', month, term.agreement, term.eventType)])
		if line.Shared == nil || line.Withheld == nil {
			line.Shared, line.Withheld = nil, nil
		}
		out.Agreements = append(out.Agreements, line)
	}
	compare := func(a, b AgreementFigure) int {
		return cmp.Or(strings.Compare(a.Agreement, b.Agreement), strings.Compare(a.Type, b.Type))
	}
	slices.SortFunc(out.Agreements, compare)
	same := func(a, b AgreementFigure) bool { return compare(a, b) == 0 } // ended and approved again in one month
	out.Agreements = slices.CompactFunc(out.Agreements, same)
	var delays [len(limits) + 1]uint64
	for i := range delays {
		delays[i] = counts[figureKey('d', month, strconv.Itoa(i))]
	}
	out.Within = shares(delays)
	return out
}

func shown(n uint64) *int {
	if n < Threshold {
		return nil
	}
	out := int(n)
	return &out
}

// steps are what shares are rounded to, in percent.
var steps = [...]uint64{1, 2, 5, 10, 20, 25, 50}

// shares are cumulative, rounded to the finest step of which the half is worth as many deliveries as the threshold: so that 0 and 9 look
// alike, and so do all and all but 9, also to somebody who knows how many there were. The last one says what the one before it says.
func shares(delays [len(limits) + 1]uint64) []int {
	var total uint64
	for _, n := range delays {
		total += n
	}
	for _, step := range steps {
		if step*total < 2*100*Threshold {
			continue
		}
		out, within := make([]int, len(delays)), uint64(0)
		for i, n := range delays[:len(limits)] {
			within += n
			out[i] = int((2*100*within + step*total) / (2 * step * total) * step)
		}
		out[len(limits)] = 100 - out[len(limits)-1]
		return out
	}
	return nil
}
