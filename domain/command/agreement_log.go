package command

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// AgreementVersion is one version of an agreement, from its proposal on.
type AgreementVersion struct {
	Agreement consent.Agreement
	State     consent.State
	// Former is the version that this one replaced, or would replace if it were approved now; nil for none.
	Former     *consent.Agreement
	ProposedAt time.Time
	ApprovedAt time.Time             // zero: never
	EndedAt    time.Time             // of the agreement's end; zero: not ended
	EndedOn    consent.Date          // the day that the end names
	Reasons    []journal.FieldReason // why its ministry needs each field, where it proposed it itself

	position   int64 // of the proposal
	document   []byte
	proposedBy string
}

// Difference is what changes from the former version; nothing where there is none.
func (v *AgreementVersion) Difference() consent.Difference {
	if v.Former == nil {
		return consent.Difference{}
	}
	return consent.Compare(*v.Former, v.Agreement)
}

// AsksAnew says whether people who agreed to the former version are asked again, for what the new one shares beyond it.
func (v *AgreementVersion) AsksAnew() bool {
	return v.ByConsent() && len(v.Difference().Asks().Changes) > 0
}

// ByConsent says whether both the version and the former one rest on consent, so that people have agreed to one and not to the other.
func (v *AgreementVersion) ByConsent() bool {
	return v.Former != nil && v.Agreement.Basis.Kind == consent.BasisConsent && v.Former.Basis.Kind == consent.BasisConsent
}

// agreementLog is what a command about agreements is judged by: the law, and every version ever proposed, by id, then version.
type agreementLog struct {
	law      *journal.Law
	versions []AgreementVersion
}

// find is a version that was proposed; nil if it never was.
func (l *agreementLog) find(id string, version int) *AgreementVersion {
	for i := range l.versions {
		if v := &l.versions[i]; v.Agreement.ID == id && v.Agreement.Version == version {
			return v
		}
	}
	return nil
}

// of are the versions of one agreement.
func (l *agreementLog) of(id string) []AgreementVersion {
	from, _ := slices.BinarySearchFunc(l.versions, id, func(v AgreementVersion, id string) int { return cmp.Compare(v.Agreement.ID, id) })
	to := from
	for to < len(l.versions) && l.versions[to].Agreement.ID == id {
		to++
	}
	return l.versions[from:to]
}

// agreementLog reads the agreements whole, up to the version of the law.
func (h *Handler) agreementLog(ctx context.Context) (*agreementLog, error) {
	law, err := h.journal.FreshLaw(ctx)
	if err != nil || law.Version == 0 {
		return &agreementLog{law: law}, err
	}
	entries, err := h.journal.ReadAggregate(ctx, journal.AgreementsAggregate, 1, int(law.Version))
	if err != nil {
		return nil, err
	}
	l := &agreementLog{law: law}
	for i := range entries {
		if err := l.apply(&entries[i]); err != nil {
			return nil, fmt.Errorf("command: agreements at position %d: %w", entries[i].Position, err)
		}
	}
	for i := range l.versions {
		v := &l.versions[i]
		if v.EndedAt.IsZero() {
			v.State = law.Book.State(v.Agreement.ID, v.Agreement.Version)
		}
		if v.State == consent.StateProposed {
			v.Former, _ = law.Book.Find(v.Agreement.ID)
		}
	}
	slices.SortFunc(l.versions, func(a, b AgreementVersion) int {
		return cmp.Or(cmp.Compare(a.Agreement.ID, b.Agreement.ID), cmp.Compare(a.Agreement.Version, b.Agreement.Version))
	})
	return l, nil
}

func (l *agreementLog) apply(e *journal.Entry) error {
	switch event := e.Event.(type) {
	case journal.AgreementProposed:
		agreement, err := schemas.UnmarshalDocument(event.Document)
		if err != nil {
			return err
		}
		v := l.find(event.ID, event.Version)
		if v == nil {
			l.versions = append(l.versions, AgreementVersion{})
			v = &l.versions[len(l.versions)-1]
		}
		*v = AgreementVersion{
			Agreement: agreement, ProposedAt: e.RecordedAt, position: e.Position, document: event.Document, proposedBy: event.By,
			Reasons: event.Reasons,
		}
	case journal.AgreementApproved:
		if v := l.find(event.ID, event.Version); v != nil && v.EndedAt.IsZero() {
			v.Former, v.ApprovedAt = l.newest(event.ID), e.RecordedAt
		}
	case journal.AgreementEnded:
		on, err := consent.ParseDate(event.Date)
		if err != nil {
			return err
		}
		for i := range l.versions {
			if v := &l.versions[i]; v.Agreement.ID == event.ID && v.EndedAt.IsZero() {
				v.State, v.EndedAt, v.EndedOn = consent.StateEnded, e.RecordedAt, on
			}
		}
	}
	return nil
}

// newest is the highest version that is approved and not ended, as far as the log has been read; nil for none.
func (l *agreementLog) newest(id string) *consent.Agreement {
	var newest *consent.Agreement
	for i := range l.versions {
		v := &l.versions[i]
		if v.Agreement.ID == id && !v.ApprovedAt.IsZero() && v.EndedAt.IsZero() && (newest == nil || v.Agreement.Version > newest.Version) {
			newest = &v.Agreement
		}
	}
	if newest == nil {
		return nil
	}
	former := *newest
	return &former
}

// onAgreements judges and appends one command about agreements; judge is called again whenever they have changed. A command that the log
// knows appends nothing again.
func (h *Handler) onAgreements(ctx context.Context, c Command, judge func(*agreementLog, journal.Day) ([]journal.New, error)) error {
	for range maxAttempts {
		on, err := h.agreementLog(ctx)
		if err != nil {
			return err
		}
		day := h.journal.DayOf(h.journal.Now(journal.Timing{}))
		events, err := judge(on, day)
		if err != nil || len(events) == 0 {
			return h.settled(ctx, c, err)
		}
		_, err = h.journal.Append(ctx, journal.Step{
			Command: c.id(), Origin: journal.Origin{Issuer: c.Issuer, Actor: c.Actor.Kind}, Expect: []eventstore.Expect{on.law.Expect()},
			Day: day, Events: events,
		})
		switch {
		case errors.Is(err, eventstore.ErrConflict):
			if _, err := h.journal.Head(ctx); err != nil {
				return err
			}
			continue
		case errors.Is(err, eventstore.ErrCommandReused):
			return citizen.RejectAt(citizen.CodeCommandReused, "/id")
		case err != nil:
			return err
		}
		_, err = h.journal.FreshLaw(ctx)
		return err
	}
	return ErrBusy
}

// settled is the answer to a command that has nothing to append: refused may be what its first time did.
func (h *Handler) settled(ctx context.Context, c Command, refused error) error {
	var rejection *citizen.Rejection
	if c.ID == "" || (refused != nil && !errors.As(refused, &rejection)) {
		return refused
	}
	known, err := h.journal.Find(ctx, c.id())
	switch {
	case err != nil:
		return err
	case known[0].Reused:
		return citizen.RejectAt(citizen.CodeCommandReused, "/id")
	case known[0].Found:
		return nil
	}
	return refused
}

// by is who did something with a version, as it stands in the open (see journal.AgreementProposed). A name's case and the space around
// it make no other person. Empty for nobody.
func (h *Handler) by(actor journal.Actor, id string, version int) string {
	name := strings.ToLower(strings.TrimSpace(actor.ID))
	if name == "" {
		return ""
	}
	sum := h.journal.Digest("agreement-by", []byte(id), []byte(strconv.Itoa(version)), []byte(name))
	return hex.EncodeToString(sum[:])
}

func agreementEvent(event any, cause int64) journal.New {
	return journal.New{Event: event, Aggregate: journal.AgreementsAggregate, Cause: cause}
}

// AgreementVersions are all versions ever proposed, by id, then version.
func (h *Handler) AgreementVersions(ctx context.Context) ([]AgreementVersion, error) {
	on, err := h.agreementLog(ctx)
	if err != nil {
		return nil, err
	}
	return on.versions, nil
}

// AgreementVersion is one version that was proposed; a rejection unknown-version if it never was.
func (h *Handler) AgreementVersion(ctx context.Context, id string, version int) (AgreementVersion, error) {
	on, err := h.agreementLog(ctx)
	if err != nil {
		return AgreementVersion{}, err
	}
	v := on.find(id, version)
	if v == nil {
		return AgreementVersion{}, on.unknown(id)
	}
	return *v, nil
}

// unknown refuses a version that was never proposed, or all of an agreement.
func (l *agreementLog) unknown(id string) *citizen.Rejection {
	if len(l.of(id)) == 0 {
		return citizen.RejectAt(citizen.CodeUnknownVersion, "/id")
	}
	return citizen.Reject(citizen.CodeUnknownVersion)
}

// Agreements are those approved and not ended, by id.
func (h *Handler) Agreements(ctx context.Context) ([]consent.Agreement, error) {
	law, err := h.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(law.Book.Approved()), nil
}

// Labels are what people call event types and fields, in a language, for sentences about agreements.
func (h *Handler) Labels(lang string) consent.Labels {
	registry := h.journal.Registry()
	return func(event string, fields []string) (string, []string) {
		row, ok := registry.Row(event)
		if !ok {
			return event, fields
		}
		names := map[string]string{}
		for _, f := range row.Fields {
			names[f.Name] = f.Label.In(lang)
		}
		out := make([]string, len(fields))
		for i := range fields {
			out[i] = cmp.Or(names[fields[i]], fields[i])
		}
		return row.Label.In(lang), out
	}
}
