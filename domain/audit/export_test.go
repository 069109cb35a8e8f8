package audit

import (
	"context"

	"github.com/tellonce/hub/domain/journal"
)

// Fold folds the whole log as Rederive does, judging nothing, and returns what it holds of the citizens.
func (a *Audit) Fold(ctx context.Context) (held any, citizens int, err error) {
	head, err := a.journal.Head(ctx)
	if err != nil {
		return nil, 0, err
	}
	h := newHistory(a.journal)
	err = h.replay(ctx, head.Position+1, func(string) bool { return true }, func(context.Context, *decision) error { return nil }, nil)
	h.pages = [2][]journal.Entry{}
	return h, len(h.people), err
}
