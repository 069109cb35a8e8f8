package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// Loaded says what became of one agreement of a load.
type Loaded struct {
	ID      string
	Version int
	State   string // "approved", "proposed" or "unchanged"
}

// ErrOtherContent refuses an agreement version that is on the log with other content: what was once agreed under a number stays so.
var ErrOtherContent = errors.New("this version is on the log with other content; give it a new version number")

// LoadAgreements proposes agreements, all or none, and in a sandbox approves them at once (elsewhere another officer does). What is on the
// log already, word for word, is left as it is.
func (h *Handler) LoadAgreements(ctx context.Context, c Command, agreements []consent.Agreement) ([]Loaded, error) {
	if c.Actor.Kind != journal.ActorOfficer && c.Actor.Kind != journal.ActorOperator {
		return nil, ErrForbidden
	}
	for range maxAttempts {
		law, err := h.journal.FreshLaw(ctx)
		if err != nil {
			return nil, err
		}
		on, err := h.documents(ctx)
		if err != nil {
			return nil, err
		}
		events, loaded, err := h.proposals(c, law, on, agreements)
		if err != nil || len(events) == 0 {
			return loaded, err
		}
		_, err = h.journal.Append(ctx, journal.Step{
			Command: c.id(), Origin: journal.Origin{Issuer: c.Issuer, Actor: c.Actor.Kind}, Expect: []eventstore.Expect{law.Expect()}, Events: events,
		})
		if errors.Is(err, eventstore.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		_, err = h.journal.FreshLaw(ctx)
		return loaded, err
	}
	return nil, ErrBusy
}

// proposals are the events that bring agreements onto the log: proposed, approved, and the first time its stream opened.
func (h *Handler) proposals(c Command, law *journal.Law, on map[string][]byte, agreements []consent.Agreement) ([]journal.New, []Loaded, error) {
	approve := h.journal.Genesis().Mode == journal.ModeSandbox
	streams := maps.Clone(law.Streams) // with those that this load opens
	var events []journal.New
	var loaded []Loaded
	for _, a := range agreements {
		one := Loaded{ID: a.ID, Version: a.Version, State: "proposed"}
		document := schemas.MarshalDocument(a)
		if former, ok := on[versionKey(a.ID, a.Version)]; ok {
			if !bytes.Equal(former, document) {
				return nil, nil, fmt.Errorf("agreement %s version %d: %w", a.ID, a.Version, ErrOtherContent)
			}
			one.State = "unchanged"
			loaded = append(loaded, one)
			continue
		}
		on[versionKey(a.ID, a.Version)] = document
		stream, open := streams[a.Stream]
		if open && (stream.Ministry != a.Ministry || stream.Lanes != a.Lanes) {
			return nil, nil, fmt.Errorf("agreement %s: its stream %s is open with ministry %s and %d lanes, and keeps them", a.ID, a.Stream, stream.Ministry, stream.Lanes)
		}
		events = append(events, agreementEvent(journal.AgreementProposed{Document: document, ID: a.ID, Version: a.Version}, eventstore.NoCause))
		if approve {
			one.State = "approved"
			events = append(events, agreementEvent(journal.AgreementApproved{ID: a.ID, Version: a.Version}, eventstore.CauseBefore(1)))
			if !open {
				streams[a.Stream] = journal.StreamOpened{Lanes: a.Lanes, Ministry: a.Ministry, Stream: a.Stream}
				events = append(events, journal.New{
					Event: streams[a.Stream], Aggregate: journal.StreamAggregate(a.Stream), Cause: eventstore.CauseBefore(1),
				})
			}
		}
		loaded = append(loaded, one)
	}
	return events, loaded, nil
}

func agreementEvent(event any, cause int64) journal.New {
	return journal.New{Event: event, Aggregate: journal.AgreementsAggregate, Cause: cause}
}

// documents are all versions ever proposed, by id and version.
func (h *Handler) documents(ctx context.Context) (map[string][]byte, error) {
	entries, err := h.journal.ReadAggregate(ctx, journal.AgreementsAggregate, 1, 0)
	if err != nil {
		return nil, err
	}
	on := map[string][]byte{}
	for _, e := range entries {
		if p, ok := e.Event.(journal.AgreementProposed); ok {
			on[versionKey(p.ID, p.Version)] = p.Document
		}
	}
	return on, nil
}

func versionKey(id string, version int) string { return fmt.Sprintf("%s@%d", id, version) }

// Agreements are those approved and not ended, by id.
func (h *Handler) Agreements(ctx context.Context) ([]consent.Agreement, error) {
	law, err := h.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(law.Book.Approved()), nil
}
