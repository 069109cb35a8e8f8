package command

import (
	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// This file is the one place that says who may ask for what. By the kind of actor alone it is decided before anything is read: mayTell,
// mayAnswerFor. A resident may also ask for somebody whose proxy they are; that is judged with the use case itself, by the states that the
// append expects, so that a proxy that ended a moment ago does not act any more.

// mayTell: a resident about themself or whoever they are a proxy of, clerks and the registrar about anyone, an import source likewise.
// Registrations and deaths need the registrar's authority; a registration also a clerk's. To verify, and to take a death back, is for the
// registrar alone.
func mayTell(actor journal.Actor, eventType string) bool {
	if eventType == journal.TypeChangeVerified || eventType == journal.TypeDeathCorrected {
		return actor.Kind == journal.ActorRegistrar
	}
	switch actor.Kind {
	case journal.ActorRegistrar, journal.ActorSource:
		return true
	case journal.ActorClerk:
		return eventType != citizen.DeathRegistered
	case journal.ActorResident:
		return actor.Citizen != uuid.Nil && eventType != citizen.DeathRegistered && eventType != citizen.PersonRegistered
	}
	return false
}

// mayAnswerFor: a resident for themself or whoever they are a proxy of; a clerk, the registrar or a source on a citizen's behalf.
func mayAnswerFor(actor journal.Actor) bool {
	switch actor.Kind {
	case journal.ActorClerk, journal.ActorRegistrar, journal.ActorSource:
		return true
	case journal.ActorResident:
		return actor.Citizen != uuid.Nil
	}
	return false
}

// stranger refuses a resident who asks about somebody of whom they may know nothing: it is the same answer, after the same work, whether
// that person exists or not. The caller gets ErrForbidden.
var stranger = &citizen.Rejection{Code: citizen.CodeUnknownPerson}

// actsFor says whether the caller is a resident who asks for somebody else, and under which id they are known themself.
func (c Command) actsFor(id citizen.ID) (proxy citizen.ID, acting bool) {
	proxy = citizen.ID(c.Actor.Citizen)
	return proxy, c.Actor.Kind == journal.ActorResident && proxy != id
}

// people are those by whose states a command about a citizen is judged: the citizen, and who acts for them.
func (c Command) people(id citizen.ID) []citizen.ID {
	if proxy, acting := c.actsFor(id); acting {
		return []citizen.ID{id, proxy}
	}
	return []citizen.ID{id}
}

// asked is a use case about one citizen as this caller may ask it. states are those of people. What a proxy may tell is seen by what
// would be appended, so that no use case can forget to ask.
func (c Command) asked(ask judge) judgeMany {
	return func(law *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		state := states[0]
		if len(states) == 1 {
			return ask(law, state, day)
		}
		if rejection := proxyStands(state, states[1], day); rejection != nil {
			return verdict{}, rejection
		}
		v, rejection := ask(law, state, day)
		if rejection != nil {
			return verdict{}, rejection
		}
		for i := range v.events {
			if eventType := toldBy(v.events[i].Event); eventType != "" && v.events[i].Aggregate == journal.CitizenAggregate(state.ID) {
				if _, may := state.MayAct(states[1].ID, eventType, day.Date); !may {
					return verdict{}, citizen.Reject(citizen.CodeNoCapacity)
				}
			}
		}
		return v, nil
	}
}

// proxyStands says whether somebody acts for a citizen at all, whatever they ask. Who never did is a stranger, and so is one whom the
// citizen's protection suspends, for to them the citizen was never registered; one whose time is over has no capacity any more. Nobody acts
// for somebody else who is not served themself.
func proxyStands(state, proxy *journal.State, day journal.Day) *citizen.Rejection {
	held := heldProxy(state, proxy.ID)
	switch {
	case held == nil, state.Gone != nil, !proxy.Profile.Registered, proxy.Profile.Deceased, proxy.Gone != nil:
		return stranger
	case held.Until != 0 && day.Date > held.Until:
		return citizen.Reject(citizen.CodeNoCapacity)
	}
	return nil
}

// heldProxy is the standing of a proxy as it was granted last and not ended, whether it holds today or not; nil if there is none.
func heldProxy(state *journal.State, proxy citizen.ID) *journal.Proxy {
	for i := range state.Proxies {
		if state.Proxies[i].ID == proxy {
			return &state.Proxies[i]
		}
	}
	return nil
}

// toldBy is the type by which a proxy's scope judges an event: a correction's is that of the fact. Empty for what only records a
// judgement.
func toldBy(event any) string {
	switch e := event.(type) {
	case journal.Decided:
		return ""
	case journal.ChangeCorrected:
		return e.Type
	case citizen.Change:
		return e.Type
	case journal.ConsentGranted:
		return journal.TypeConsentGranted
	case journal.ConsentWithdrawn:
		return journal.TypeConsentWithdrawn
	case journal.MinistryLinked:
		return journal.TypeMinistryLinked
	case journal.MinistryUnlinked:
		return journal.TypeMinistryUnlinked
	case journal.ChangeCancelled:
		return journal.TypeChangeCancelled
	}
	return journal.TypeProxyGranted // what is in no scope is for a proxy of everything alone
}

// grantor is who gives a consent for a citizen, and in which capacity.
func (c Command) grantor(state *journal.State) (id citizen.ID, capacity string) {
	if proxy, acting := c.actsFor(state.ID); acting {
		if held := heldProxy(state, proxy); held != nil {
			return proxy, held.Kind
		}
	}
	return state.ID, journal.CapacitySelf
}
