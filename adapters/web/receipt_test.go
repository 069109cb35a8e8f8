package web_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// TestAReceiptSaysWhatPutItRight, and to whom a wrong value was taken back; "my details" says so, too.
func TestAReceiptSaysWhatPutItRight(t *testing.T) {
	t.Parallel()
	p := setup(t)
	first := p.tell(t)
	ctx := context.Background()
	_, err := p.delivery.Next(ctx, "library.membership", 0, 0, 100, 0)
	require.NoError(t, err)
	b := p.as(t, "en", "zoe")
	b.get("/en/receipts/"+first, http.StatusOK).saysNot("What was told about it later")

	moved := p.at(t, first)
	line := fmt.Sprintf(`{"id":"0b6c1b1e-5a0e-4d0e-9a51-0d7a5a2f1c22","person":"zoe","channel":"counter","told_at":"2026-11-24T15:00:00Z",`+
		`"type":"change-cancelled","effective":"2026-11-25","data":{"corrects":%d}}`, moved) + "\n"
	var position int64
	require.NoError(t, p.command.Import(ctx, strings.NewReader(line), command.ImportOptions{Source: "import"}, func(r command.LineResult) error {
		require.Equal(t, command.Accepted, r.Result)
		position = *r.Position
		return nil
	}, func() error { return nil }))
	_, err = p.delivery.Next(ctx, "library.membership", 0, 1, 100, 0)
	require.NoError(t, err)
	cancelled := p.receiptAt(t, position)

	b.get("/en/me", http.StatusOK).says("Cancellation (Address)", "Cancellation on November 25, 2026", "Told that something they had received is wrong")
	b.get("/en/receipts/"+first, http.StatusOK).says("What was told about it later", "Cancellation on November 25, 2026", "Receipt "+cancelled)
	b.get("/en/receipts/"+cancelled, http.StatusOK).says(
		"We have your change: Cancellation (Address)", "It is about what you told us on November 25, 2026", "Receipt "+first,
		"Who we told that it was wrong", "Public library Sent 14:05:01", "Nobody is told about this change.",
	).saysNot("It starts on", "We have your new address")
	b.get("/fr/receipts/"+cancelled, http.StatusOK).says("Annulation (Adresse)", "Qui nous avons informé de l’erreur")
	p.quiet(t)
}

// at is the position of what a receipt number of Zoë's stands for.
func (p *pages) at(t *testing.T, receipt string) int64 {
	t.Helper()
	told, err := p.config.Projection.Receipt(context.Background(), p.zoe, receipt)
	require.NoError(t, err)
	return told.Position
}

// receiptAt is the number that stands for what was told at a position.
func (p *pages) receiptAt(t *testing.T, position int64) string {
	t.Helper()
	entries, err := p.journal.Read(context.Background(), position)
	require.NoError(t, err)
	return journal.Receipt(entries[0].ID)
}
