package notice

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/seal"
)

// recordTime bounds the append of what became of a notice, which happens even if the hub is told to stop.
const recordTime = 10 * time.Second

// tell sends what a cause still asks to be told about a citizen, and puts each notice on the log as soon as its carrier has it. It may be
// repeated at any time: what is on the log is not sent again. The error is that of the first notice that could not be sent for now.
func (n *Notices) tell(ctx context.Context, cause int64, id citizen.ID) error {
	p, err := n.person(ctx, id)
	if err != nil {
		return err
	}
	causes, err := n.Journal.Read(ctx, cause)
	if err != nil {
		return err
	}
	plans, err := n.plans(ctx, p, &causes[0])
	if err != nil {
		return err
	}
	late := n.Journal.Now(journal.Timing{}).Sub(causes[0].RecordedAt) > journal.LinkLife
	var failed error
	for i := range plans {
		if p.heard(cause, &plans[i]) {
			continue
		}
		outcome := journal.NoticeFailed
		if !late {
			err := n.send(ctx, &plans[i], &causes[0], id)
			if err != nil && !errors.Is(err, ErrPermanent) {
				failed = errors.Join(failed, err)
				continue
			}
			if err == nil {
				outcome = journal.NoticeDelivered
			}
		}
		// If the process dies here, the carrier has a notice that is not on the log: it is sent once more. A hub that is told to stop writes
		// it down first.
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
		err := n.record(writing, &plans[i], cause, id, outcome)
		cancel()
		if err != nil {
			return err
		}
	}
	return failed
}

// person reads somebody, complete up to the head.
func (n *Notices) person(ctx context.Context, id citizen.ID) (*person, error) {
	history, entries, err := n.Journal.History(ctx, id)
	if err != nil {
		return nil, err
	}
	p := &person{state: &journal.State{ID: id}, history: history, entries: entries}
	for i := range entries {
		p.state.Fold(&entries[i])
	}
	return p, nil
}

// heard says whether a notice is on the log.
func (p *person) heard(cause int64, plan *plan) bool {
	for i := range p.entries {
		if s, ok := p.entries[i].Event.(journal.NoticeSent); ok &&
			s.Cause == cause && s.Template == plan.template && s.Channel == plan.route.channel && s.Contact == plan.route.contact {
			return true
		}
	}
	return false
}

// plans lists what a cause asks to be told, by what is true now: who has died since, or is protected since, is treated so.
func (n *Notices) plans(ctx context.Context, p *person, cause *journal.Entry) ([]plan, error) {
	if !p.tellable() {
		return nil, nil
	}
	today := n.Journal.DayOf(n.Journal.Now(journal.Timing{})).Date
	c, isChange := p.change(cause, n.Journal.DayOf(cause.RecordedAt).Date.String())
	template := map[string]string{
		journal.TypeFrozen: templateFrozen, journal.TypeUnfrozen: templateUnfrozen, journal.TypeDisputeAnswered: templateAnswered,
	}[cause.Type]
	var what consent.Text
	if isChange {
		template = templateChanged
		if row, ok := n.Journal.Registry().Row(c.fact.Type); ok {
			what = row.Label
		}
	}
	if cause.Type == journal.TypeAgreementApproved {
		var err error
		if what, err = n.asksMore(ctx, p, cause); err != nil {
			return nil, err
		}
		if what.EN != "" {
			template = templateAgreement
		}
	}
	if template == "" {
		return nil, nil
	}
	guardians, others := p.guardians(today)
	var out []plan
	switch {
	case others:
		for _, id := range guardians {
			more, err := n.toGuardian(ctx, id, template, today)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
	case isChange:
		out = n.ofChange(p, c, today)
	default:
		out = n.current(p, template, today)
	}
	for i := range out {
		out[i].what = what
		if out[i].language == "" {
			out[i].language = p.language()
		}
	}
	return out, nil
}

// toGuardian is a notice about a child to who acts for it, at the contact that they have now.
func (n *Notices) toGuardian(ctx context.Context, id citizen.ID, template string, today consent.Date) ([]plan, error) {
	guardian, err := n.person(ctx, id)
	if err != nil || !guardian.tellable() {
		return nil, err
	}
	plans := n.current(guardian, template, today)
	for i := range plans {
		plans[i].child, plans[i].language, plans[i].link = true, guardian.language(), template == templateChanged
	}
	return plans, nil
}

// asksMore is the title of an agreement whose newly approved version asks for more than somebody agreed to; empty if it does not.
func (n *Notices) asksMore(ctx context.Context, p *person, cause *journal.Entry) (title consent.Text, err error) {
	approved, ok := cause.Event.(journal.AgreementApproved)
	if !ok {
		return title, nil
	}
	law, err := n.Journal.FreshLaw(ctx)
	if err != nil {
		return title, err
	}
	grant, granted := p.state.Standing.Grant(approved.ID)
	if !granted || grant.Version >= approved.Version {
		return title, nil
	}
	newer, ok := law.Agreement(approved.ID, approved.Version)
	older, known := law.Agreement(approved.ID, grant.Version)
	if ok && known && newer.Basis.Kind == consent.BasisConsent && len(consent.Compare(*older, *newer).Asks().Changes) > 0 {
		title = newer.Title
	}
	return title, nil
}

// send writes a notice and hands it to its carrier.
func (n *Notices) send(ctx context.Context, p *plan, cause *journal.Entry, id citizen.ID) error {
	sum := n.Journal.Digest("notice", id[:], []byte(noticeName(p, cause.Position)))
	out := Notice{ID: fmt.Sprintf("%x", sum[:16]), Channel: p.route.channel, To: p.route.to, Language: p.language}
	data := page{What: p.what.In(p.language), Child: p.child, Agreement: p.what.In(p.language), SignIn: n.Journal.Genesis().BaseURL + "/" + p.language + "/"}
	if p.link {
		token, err := n.Journal.NoticeLink(cause.Position)
		if err != nil {
			return err
		}
		data.Link = data.SignIn + "notices/" + token
	}
	if err := n.templates.write(&out, p.template, data); err != nil {
		return err
	}
	return n.Senders[p.route.channel].Send(ctx, out)
}

// noticeName names a notice: what caused it, its template, its channel and its contact.
func noticeName(p *plan, cause int64) string {
	return strings.Join([]string{strconv.FormatInt(cause, 10), p.template, p.route.channel, strconv.FormatInt(p.route.contact, 10)}, " ")
}

// noticeScope is the namespace of the hub's commands that record a notice.
const noticeScope = "hub/notice"

// record puts on the log what became of a notice: once, however often it is tried.
func (n *Notices) record(ctx context.Context, p *plan, cause int64, id citizen.ID, outcome string) error {
	name := uuid.NewSHA1(uuid.UUID(id), []byte(noticeName(p, cause))).String()
	results, err := n.Journal.Append(ctx, journal.Step{
		Command: journal.CommandID{Issuer: noticeScope, ID: name},
		Origin:  journal.Origin{Issuer: journal.IssuerHub, Actor: journal.ActorHub},
		Events: []journal.New{{
			Event: journal.NoticeSent{
				Cause: cause, Channel: p.route.channel, Contact: p.route.contact, Language: p.language, Outcome: outcome, Template: p.template,
			},
			Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: cause,
		}},
	})
	if errors.Is(err, seal.ErrDestroyed) { // they were erased meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	if !results[0].Repeated {
		n.sent.WithLabelValues(p.route.channel, outcome).Inc()
	}
	return nil
}
