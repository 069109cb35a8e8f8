package command

import (
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// judgeLine is the use case of a line, by its type. on is what it is about, where it is about something told before.
func (h *Handler) judgeLine(c Command, told *importLine, on target) judge {
	line := told.parsed
	text := func(member string) string { s, _ := line.Data[member].(string); return s }
	switch line.Type {
	case journal.TypeConsentGranted:
		return judgeGrant(c, Choice{Agreement: text("agreement"), Fields: texts(line.Data["fields"]), Language: "en"}, line.Effective)
	case journal.TypeConsentWithdrawn:
		return judgeWithdrawal(c, text("agreement"), line.Effective)
	case journal.TypeMinistryLinked:
		return judgeLink(c, Linking{Ministry: text("ministry"), ClientReference: text("client_reference"), Means: "import"}, line.Effective)
	case journal.TypeMinistryUnlinked:
		return judgeUnlink(c, text("ministry"), line.Effective)
	}
	change := Change{Type: line.Type, Effective: line.Effective, Data: line.Data, Canonical: line.Canonical, on: on, child: told.child}
	return func(law *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		if !mayTell(c.Actor, line.Type) { // a source without the registrar's authority
			return verdict{}, citizen.RejectAt(citizen.CodeNoCapacity, "/type")
		}
		return h.judgeTell(c, change, law, state, day)
	}
}

func texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
