package notice

import (
	"slices"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// This file says who is told what. docs/protection.md says why it is so for people who are protected.

// person is what must be known of somebody to tell them something.
type person struct {
	state   *journal.State
	history *citizen.History
	entries []journal.Entry
}

// route is where somebody is reached.
type route struct {
	channel, to string
	contact     int64 // position of the fact that gave it
}

// same says whether two routes lead to the same place, whichever facts gave them.
func (r route) same(other route) bool { return r.channel == other.channel && r.to == other.to }

// plan is one notice that is due: what, to whom, where.
type plan struct {
	template string
	route    route
	language string
	what     consent.Text // of a change: what was changed
	child    bool         // it is about a child in the reader's care
	link     bool         // it has a link by which a change is stopped
}

// The templates. The names are on the log.
const (
	templateChanged   = "changed"   // to the contact that was there before, with the link
	templateConfirmed = "confirmed" // to the new contact
	templateAgreement = "agreement"
	templateFrozen    = "frozen"
	templateUnfrozen  = "unfrozen"
	templateAnswered  = "answered"
)

// changed is a change of which a citizen is told.
type changed struct {
	position int64
	date     string         // civil date on which it was recorded
	fact     citizen.Change // what holds by it; of a cancellation what held before, without data
	imported bool
}

// facts are what is true of somebody, with what a change brings laid over it.
type facts struct {
	profile *citizen.Profile
	over    *citizen.Fact
}

func (f facts) latest(eventType, key string) (citizen.Fact, bool) {
	if f.over != nil && f.over.Type == eventType && f.over.Key == key {
		return *f.over, true
	}
	return f.profile.Latest(eventType, key)
}

// reach is where somebody is reached by what is true of them: as they prefer, else by e-mail, else by text. A letter goes only to whoever
// asked for letters.
func (n *Notices) reach(f facts) (route, bool) {
	preferred := ""
	if fact, ok := f.latest(citizen.NoticePreference, ""); ok {
		preferred = text(fact, "channel")
	}
	for _, channel := range []string{preferred, journal.NoticeEmail, journal.NoticeText} {
		if n.Senders[channel] == nil {
			continue
		}
		if r, ok := f.route(channel); ok {
			return r, true
		}
	}
	return route{}, false
}

func (f facts) route(channel string) (route, bool) {
	switch channel {
	case journal.NoticeEmail, journal.NoticeText:
		member := map[string]string{journal.NoticeEmail: "email", journal.NoticeText: "phone"}[channel]
		contact, ok := f.latest(citizen.ContactChanged, "")
		return route{channel: channel, to: text(contact, member), contact: contact.Position}, ok && text(contact, member) != ""
	case journal.NoticeLetter:
		for _, kind := range []string{consent.AddressMailing, consent.AddressHome} {
			if address, ok := f.latest(citizen.AddressChanged, kind); ok {
				return route{channel: channel, to: f.name() + "\n" + postal(address), contact: address.Position}, true
			}
		}
	}
	return route{}, false
}

// name is the addressee of a letter.
func (f facts) name() string {
	named, ok := f.latest(citizen.NameChanged, "")
	if !ok {
		named, _ = f.latest(citizen.PersonRegistered, "")
	}
	return strings.TrimSpace(text(named, "given_names") + " " + text(named, "family_name"))
}

// postal is an address as it stands on an envelope.
func postal(address citizen.Fact) string {
	street := text(address, "street")
	if unit := text(address, "unit"); unit != "" {
		street = unit + "-" + street
	}
	city := strings.TrimSpace(text(address, "city") + " " + text(address, "province") + "  " + text(address, "postal_code"))
	lines := []string{street, city}
	if country := text(address, "country"); country != "CA" {
		lines = append(lines, country)
	}
	return strings.Join(lines, "\n")
}

func text(f citizen.Fact, member string) string {
	s, _ := f.Data[member].(string)
	return s
}

// on are the facts of a person on a civil date.
func (p *person) on(date string) facts { return facts{profile: p.history.Profile(date)} }

// known are the facts of a date as they were known just after a position.
func (p *person) known(position int64, date string) facts {
	return facts{profile: p.history.Known(position).Profile(date)}
}

// tellable says whether somebody can be told anything: the dead can't, nor who is not served under this id any more.
func (p *person) tellable() bool {
	return p.state.Profile.Registered && !p.state.Profile.Deceased && p.state.Gone == nil
}

func (p *person) language() string {
	if p.state.Language == "fr" {
		return "fr"
	}
	return "en"
}

// guardians are the citizen ids of those who hear about a minor: parents and guardians who act for them today. For somebody of age, and for
// a child for whom nobody was ever to act, others is false: their own contact is all there is. A child whose guardians are all suspended,
// or whose time is over, has nobody.
func (p *person) guardians(today consent.Date) (ids []citizen.ID, others bool) {
	born := p.state.Standing.Born
	if born == 0 || born.YearsTo(today) >= citizen.AgeOfMajority {
		return nil, false
	}
	for _, proxy := range p.state.Proxies {
		if proxy.Kind == journal.ProxyAttorney {
			continue
		}
		others = true
		if held, _ := p.state.MayAct(proxy.ID, "", today); held.ID == proxy.ID {
			ids = append(ids, proxy.ID)
		}
	}
	return ids, others
}

// ofChange lists the notices of a change. The contact that was there before is told with a link; the new one gets a confirmation, unless a
// whole register was imported.
//
// Of protected people only the contact that is theirs now hears anything. The one before may be what they fled from, and is not told even
// that they changed it.
func (n *Notices) ofChange(p *person, c changed, today consent.Date) []plan {
	before, after := p.known(c.position-1, c.date), p.known(c.position, c.date)
	if c.fact.Data != nil { // also of one that only holds from a later day on: it must reach who is named in it
		after.over = &citizen.Fact{Change: c.fact, Position: c.position}
	}
	old, tellOld := n.reach(before)
	next, tellNext := n.reach(after)
	tellNext = tellNext && !c.imported && !(tellOld && old.same(next))
	if _, told := before.latest(c.fact.Type, c.fact.Key); c.imported && !told { // a register is taken over: nothing of theirs changed
		tellOld = false
	}
	if p.state.Standing.IsProtected(today) {
		now, reached := n.reach(p.on(today.String()))
		tellOld, tellNext = tellOld && reached && old.same(now), tellNext && reached && next.same(now)
	}
	var plans []plan
	if tellOld {
		plans = append(plans, plan{template: templateChanged, route: old, link: true})
	}
	if tellNext {
		plans = append(plans, plan{template: templateConfirmed, route: next})
	}
	return plans
}

// current is one notice to the contact that somebody has now.
func (n *Notices) current(p *person, template string, today consent.Date) []plan {
	if r, ok := n.reach(p.on(today.String())); ok {
		return []plan{{template: template, route: r}}
	}
	return nil
}

// change reads a cause as a change of which people are told; false where it is none, such as a correction of something else.
func (p *person) change(e *journal.Entry, date string) (changed, bool) {
	c := changed{date: date, position: e.Position, imported: journal.Issuer(e.Issuer) == journal.IssuerImport}
	switch event := e.Event.(type) {
	case citizen.Change:
		c.fact = event
	case journal.ChangeCorrected:
		c.fact = citizen.Change{Type: event.Type, Effective: event.Effective, Data: event.Data}
		c.fact.Key, _ = event.Data["kind"].(string)
	case journal.ChangeCancelled:
		i := slices.IndexFunc(p.entries, func(e journal.Entry) bool { return e.Position == event.Corrects })
		if i < 0 {
			return c, false
		}
		told, ok := p.entries[i].Event.(citizen.Change)
		if !ok {
			return c, false
		}
		c.fact = citizen.Change{Type: told.Type, Key: told.Key}
	}
	switch c.fact.Type {
	case citizen.AddressChanged, citizen.NameChanged, citizen.ContactChanged, citizen.NoticePreference:
		return c, true
	}
	return c, false
}
