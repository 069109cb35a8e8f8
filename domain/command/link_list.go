package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// MeansList is how a link is proved by a ministry's matched list.
const MeansList = "list"

// Client is one line of a ministry's list: its own reference, and exact reference data of who it takes the client to be.
type Client struct {
	Reference string
	citizen.Identity
	Content []byte // what the line says, canonical: what its repetition must say, too
}

// The results of a client's line. Nothing else is revealed: somebody of whom the ministry may know nothing, who died, or whom another line
// or reference of this ministry already has, is as unknown as nobody.
const (
	Linked    = "linked"
	Ambiguous = "ambiguous" // more than one person is meant
	Unknown   = "unknown"
)

// ErrNoLinks refuses a list for a stream of which no agreement asks for links.
var ErrNoLinks = errors.New("command: no agreement of this stream asks for links")

// MaxClients is how many lines a list may have.
const MaxClients = 10_000

// LinkList links those clients of a stream's ministry who are matched exactly and once, and says of each line what came of it, in order.
// The command's id makes the list repeatable, line by line: after a crash the same list goes on, and once it was answered a repetition
// links nobody else. An access event with the counts is on the log before the answer. Errors: ErrForbidden, ErrNoLinks, ErrBusy, a
// rejection command-reused, and the store's.
func (h *Handler) LinkList(ctx context.Context, c Command, stream string, clients []Client) ([]string, error) {
	law, err := h.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	open, ok := law.Streams[stream]
	if !ok || c.Actor.Kind != journal.ActorMinistry || c.Actor.Ministry != open.Ministry || len(clients) > MaxClients {
		return nil, ErrForbidden
	}
	if !asksForLinks(law, stream) {
		return nil, ErrNoLinks
	}
	known, err := h.journal.Find(ctx, c.id())
	if err != nil {
		return nil, err
	}
	if known[0].Reused {
		return nil, citizen.RejectAt(citizen.CodeCommandReused, "/id")
	}
	l := &linkList{h: h, command: c, ministry: open.Ministry, answered: known[0].Found, taken: map[citizen.ID]string{}}
	results := make([]string, 0, len(clients))
	for from := 0; from < len(clients); from += together {
		some, err := l.take(ctx, from, clients[from:min(from+together, len(clients))])
		if err != nil {
			return nil, err
		}
		results = append(results, some...)
	}
	return results, l.record(ctx, stream, results)
}

// asksForLinks says whether an agreement of a stream is for linked people only.
func asksForLinks(law *journal.Law, stream string) bool {
	for _, a := range law.Book.Approved() {
		if a.Stream == stream && a.Population == consent.PopulationLinked {
			return true
		}
	}
	return false
}

// linkList is one run of LinkList.
type linkList struct {
	h        *Handler
	command  Command
	ministry string
	answered bool                  // the list was answered before
	taken    map[citizen.ID]string // by a line of this list, under this reference
}

// take matches and links a few lines in one step; whoever moved meanwhile is matched again.
func (l *linkList) take(ctx context.Context, from int, clients []Client) ([]string, error) {
	for range maxAttempts {
		results, err := l.try(ctx, from, clients)
		if !errors.Is(err, eventstore.ErrConflict) {
			return results, err
		}
	}
	return nil, ErrBusy
}

func (l *linkList) try(ctx context.Context, from int, clients []Client) ([]string, error) {
	law, err := l.h.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	wanted, commands := make([]citizen.Identity, len(clients)), make([]journal.CommandID, len(clients))
	for i := range clients {
		wanted[i], commands[i] = clients[i].Identity, l.lineCommand(from+i, &clients[i]).id()
	}
	known, err := l.h.journal.Find(ctx, commands...)
	if err != nil {
		return nil, err
	}
	found, err := l.h.matches(ctx, wanted)
	if err != nil {
		return nil, err
	}
	page := linkPage{list: l, law: law, day: l.h.journal.DayOf(l.h.journal.Now(journal.Timing{})), taken: maps.Clone(l.taken)}
	results := make([]string, len(clients))
	for i := range clients {
		if results[i], err = page.line(l.lineCommand(from+i, &clients[i]), &clients[i], found[i], known[i].Found); err != nil {
			return nil, err
		}
	}
	if len(page.steps) > 0 {
		if _, err := l.h.journal.Append(ctx, page.steps...); err != nil {
			return nil, err
		}
	}
	l.taken = page.taken
	return results, nil
}

// linkPage is a few lines being judged by one look at the log.
type linkPage struct {
	list  *linkList
	law   *journal.Law
	day   journal.Day
	taken map[citizen.ID]string
	steps []journal.Step
}

// line judges one line and adds the step that links its client.
func (p *linkPage) line(c Command, client *Client, found []match, known bool) (string, error) {
	result, one := p.judge(client, found)
	if known || result != Linked || one == nil {
		if known {
			result = Linked
		}
		return result, nil
	}
	if p.list.answered {
		return Unknown, nil // it was not linked when the list was answered
	}
	linking := Linking{Ministry: p.list.ministry, ClientReference: client.Reference, Means: MeansList}
	v, rejection := judgeLink(c, linking, "")(p.law, one.state, p.day)
	if rejection != nil {
		return "", rejection // no agreement names the ministry any more
	}
	p.steps = append(p.steps, step(c, p.law, []*journal.State{one.state}, p.day, journal.Timing{}, v))
	p.taken[one.state.ID] = client.Reference
	return result, nil
}

// judge says what comes of one line, and whom it is to be linked to: nobody, if the link is there already.
func (p *linkPage) judge(client *Client, found []match) (string, *match) {
	var one *match
	for i := range found {
		if !found[i].is(p.list.h, p.list.command.Actor, client.Identity, p.day) {
			continue
		}
		if one != nil {
			return Ambiguous, nil
		}
		one = &found[i]
	}
	if one == nil {
		return Unknown, nil
	}
	reference, taken := p.taken[one.state.ID]
	if link, linked := one.state.Standing.Link(p.list.ministry); linked && !taken {
		reference, taken = link.Reference, true
	}
	switch {
	case !taken && one.state.Frozen != 0: // nothing is said about them that is not said about nobody
		return Unknown, nil
	case !taken:
		return Linked, one
	case reference == client.Reference:
		return Linked, nil
	}
	return Unknown, nil
}

// lineCommand is the command of one line.
func (l *linkList) lineCommand(line int, client *Client) Command {
	c := l.command
	c.ID, c.Content = l.command.ID+"/"+strconv.Itoa(line), client.Content
	return c
}

// record puts the access on the log, with counts alone. Its command stands for the whole list.
func (l *linkList) record(ctx context.Context, stream string, results []string) error {
	count := map[string]int{}
	for _, r := range results {
		count[r]++
	}
	accessed := journal.Accessed{
		Kind: "matched-list", Reason: "matched list",
		Shown: fmt.Sprintf("%s: %d linked, %d ambiguous, %d unknown", stream, count[Linked], count[Ambiguous], count[Unknown]),
	}
	_, err := l.h.journal.Append(ctx, journal.Step{
		Command: l.command.id(), Origin: journal.Origin{Issuer: l.command.Issuer, Actor: l.command.Actor.Kind},
		Events: []journal.New{{
			Event: accessed, Aggregate: journal.AccessesAggregate, Cause: eventstore.NoCause,
			Meta: journal.Meta{Actor: l.command.Actor.ID, Command: l.command.ID},
		}},
	})
	if errors.Is(err, eventstore.ErrCommandReused) {
		return citizen.RejectAt(citizen.CodeCommandReused, "/id")
	}
	return err
}
