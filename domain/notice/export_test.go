package notice

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Settle does everything that is due now, as Run does it, and returns.
func (n *Notices) Settle(ctx context.Context) error {
	return n.run(ctx, func(ctx context.Context, queue message.Publisher) error {
		for {
			if wait, err := n.batch(ctx, queue); err != nil || wait > 0 {
				return err
			}
		}
	})
}

// Waiting is how many rows wait.
func (n *Notices) Waiting(ctx context.Context) (int, error) {
	rows, err := n.Journal.Store().Scan(ctx, NewDue(n.Journal).Name(), []byte{'w'}, []byte{'w' + 1}, 0, false)
	return len(rows), err
}

// Templates, Languages and Write are the texts, for the tests of parity.
var (
	Templates = names
	Languages = languages
)

// Page is what a template may say.
type Page = page

// Write fills in a template.
func (n *Notices) Write(out *Notice, name string, data Page) error {
	return n.templates.write(out, name, data)
}
