package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// Loaded says what became of one agreement of a load or a proposal.
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
	return h.propose(ctx, c, agreements, h.sandbox())
}

// ProposeAgreements proposes versions of agreements, all or none, by an officer or an operator. What is proposed already, word for word, is
// left as it is. Errors: ErrForbidden, ErrOtherContent, and the rejections older-version, agreement-ended and stream-kept.
func (h *Handler) ProposeAgreements(ctx context.Context, c Command, agreements ...consent.Agreement) ([]Loaded, error) {
	return h.propose(ctx, c, agreements, false)
}

func (h *Handler) sandbox() bool { return h.journal.Genesis().Mode == journal.ModeSandbox }

func (h *Handler) propose(ctx context.Context, c Command, agreements []consent.Agreement, approve bool) ([]Loaded, error) {
	if c.Actor.Kind != journal.ActorOfficer && c.Actor.Kind != journal.ActorOperator {
		return nil, ErrForbidden
	}
	var loaded []Loaded
	err := h.onAgreements(ctx, c, func(on *agreementLog, _ journal.Day) (events []journal.New, err error) {
		p := proposals{Handler: h, command: c, on: on, approve: approve, streams: maps.Clone(on.law.Streams), documents: map[string][]byte{}}
		for _, a := range agreements {
			if err := p.add(a); err != nil {
				return nil, fmt.Errorf("agreement %s version %d: %w", a.ID, a.Version, err)
			}
		}
		loaded = p.loaded
		return p.events, nil
	})
	if err != nil {
		return nil, err
	}
	return loaded, nil
}

// proposals are the events that bring agreements onto the log: proposed and, in a sandbox's load, approved and the first time its stream
// opened.
type proposals struct {
	*Handler
	command   Command
	on        *agreementLog
	approve   bool
	streams   map[string]journal.StreamOpened // with those that this load opens
	documents map[string][]byte               // of this load, by id and version
	reasons   []journal.FieldReason           // of a ministry's own proposal
	events    []journal.New
	loaded    []Loaded
}

func (p *proposals) add(a consent.Agreement) error {
	document := schemas.MarshalDocument(a)
	by := p.by(p.command.Actor, a.ID, a.Version)
	unchanged, err := p.known(a, document, by)
	if err != nil {
		return err
	}
	if unchanged {
		p.loaded = append(p.loaded, Loaded{ID: a.ID, Version: a.Version, State: "unchanged"})
		return nil
	}
	if rejection := keepsStream(p.streams, &a); rejection != nil {
		return rejection
	}
	p.documents[versionKey(a.ID, a.Version)] = document
	proposed := journal.AgreementProposed{By: by, Document: document, ID: a.ID, Reasons: p.reasons, Version: a.Version}
	p.events = append(p.events, agreementEvent(proposed, eventstore.NoCause))
	one := Loaded{ID: a.ID, Version: a.Version, State: "proposed"}
	if p.approve {
		one.State = "approved"
		p.events = append(p.events, agreementEvent(journal.AgreementApproved{ID: a.ID, Version: a.Version}, eventstore.CauseBefore(1)))
		p.events = append(p.events, opens(p.streams, &a)...)
	}
	p.loaded = append(p.loaded, one)
	return nil
}

// known says whether a version is on the log, or in this very list, word for word. A new version is higher than any that was ever
// approved: under a former number there may be consents.
func (p *proposals) known(a consent.Agreement, document []byte, by string) (bool, error) {
	if former, ok := p.documents[versionKey(a.ID, a.Version)]; ok {
		if !bytes.Equal(former, document) {
			return false, ErrOtherContent
		}
		return true, nil
	}
	v := p.on.find(a.ID, a.Version)
	switch {
	case v != nil && !bytes.Equal(v.document, document):
		return false, ErrOtherContent
	case v != nil && v.State == consent.StateEnded:
		return false, citizen.Reject(citizen.CodeAgreementEnded)
	case v != nil: // a proposal of nobody's is proposed again by who can be told from the approver
		return v.State != consent.StateProposed || v.proposedBy != "" || by == "", nil
	}
	for _, other := range p.on.of(a.ID) {
		if !other.ApprovedAt.IsZero() && other.Agreement.Version > a.Version {
			return false, citizen.Reject(citizen.CodeOlderVersion)
		}
	}
	return false, nil
}

func versionKey(id string, version int) string { return fmt.Sprintf("%s@%d", id, version) }

// keepsStream refuses an agreement that would change its stream, which keeps its ministry and its lanes for ever.
func keepsStream(streams map[string]journal.StreamOpened, a *consent.Agreement) *citizen.Rejection {
	switch stream, open := streams[a.Stream]; {
	case open && stream.Ministry != a.Ministry:
		return citizen.RejectAt(citizen.CodeStreamKept, "/ministry")
	case open && stream.Lanes != a.Lanes:
		return citizen.RejectAt(citizen.CodeStreamKept, "/lanes")
	}
	return nil
}

// opens is the opening of an agreement's stream, the first time that one of its agreements is approved. It comes right after the approval.
func opens(streams map[string]journal.StreamOpened, a *consent.Agreement) []journal.New {
	if _, open := streams[a.Stream]; open {
		return nil
	}
	opened := journal.StreamOpened{Lanes: a.Lanes, Ministry: a.Ministry, Stream: a.Stream}
	streams[a.Stream] = opened
	return []journal.New{{Event: opened, Aggregate: journal.StreamAggregate(a.Stream), Cause: eventstore.CauseBefore(1)}}
}
