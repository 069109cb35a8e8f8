package command

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/tellonce/hub/eventstore"
)

// AgreementDraft is an agreement that a ministry is writing. It is no event: nobody is bound by it, and nobody else sees it.
type AgreementDraft struct {
	ID   string
	At   time.Time // when it was kept last
	Text []byte    // whoever keeps it knows its form
}

// The bounds of what a ministry may keep.
const (
	MaxDrafts = 20
	maxDraft  = 32 << 10 // bytes
)

// ErrDraft refuses a draft that is too large, or one too many.
var ErrDraft = errors.New("command: this draft is too large, or there are too many")

// draftView holds drafts by ministry and id. It has no checkpoint: nothing is folded into it, and a rebuild leaves it alone.
const draftView = "agreement-drafts"

func draftKey(ministry, id string) []byte { return append(append([]byte(ministry), 0), id...) }

// Drafts lists a ministry's drafts, by id.
func (h *Handler) Drafts(ctx context.Context, ministry string) ([]AgreementDraft, error) {
	rows, err := h.journal.Store().Scan(ctx, draftView, draftKey(ministry, ""), append([]byte(ministry), 1), 0, false)
	if err != nil {
		return nil, err
	}
	out := make([]AgreementDraft, 0, len(rows))
	for _, row := range rows {
		if len(row.Value) >= 8 {
			at := time.UnixMicro(int64(binary.BigEndian.Uint64(row.Value))).UTC()
			out = append(out, AgreementDraft{ID: string(row.Key[len(ministry)+1:]), At: at, Text: row.Value[8:]})
		}
	}
	return out, nil
}

// Draft is one of a ministry's drafts; false if it has none of that id.
func (h *Handler) Draft(ctx context.Context, ministry, id string) (AgreementDraft, bool, error) {
	all, err := h.Drafts(ctx, ministry)
	for _, d := range all {
		if d.ID == id {
			return d, true, err
		}
	}
	return AgreementDraft{}, false, err
}

// KeepDraft keeps a ministry's draft in the place of the one before; no text drops it. Of two who write at once the last one's stands. Errors:
// ErrDraft.
func (h *Handler) KeepDraft(ctx context.Context, ministry, id string, text []byte) error {
	all, err := h.Drafts(ctx, ministry)
	if err != nil {
		return err
	}
	known := false
	for _, d := range all {
		known = known || d.ID == id
	}
	if len(text) > maxDraft || (!known && len(all) >= MaxDrafts) {
		return ErrDraft
	}
	row := eventstore.Row{View: draftView, Key: draftKey(ministry, id)}
	if len(text) > 0 {
		row.Value = append(binary.BigEndian.AppendUint64(nil, uint64(h.journal.Clock().UnixMicro())), text...)
	}
	return h.journal.Store().Commit(ctx, draftView, 0, 0, []eventstore.Row{row})
}
