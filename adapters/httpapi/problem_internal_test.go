package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/eventstore"
)

func TestEveryErrorHasItsAnswer(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		ctx    context.Context
		err    error
		status int
		code   string
		logged bool
	}{
		{err: command.ErrForbidden, status: 403, code: "forbidden"},
		{err: audit.ErrForbidden, status: 403, code: "forbidden"},
		{err: delivery.ErrNotYours, status: 403, code: "not-your-stream"},
		{err: delivery.ErrUnknownStream, status: 404, code: "unknown-stream"},
		{err: projection.ErrNotFound, status: 404, code: "not-found"},
		{err: audit.ErrNotFound, status: 404, code: "not-found"},
		{err: audit.ErrReason, status: 422, code: "reason"},
		{err: delivery.ErrUnknownCursor, status: 409, code: "unknown-cursor"},
		{err: delivery.ErrCursor, status: 409, code: "unknown-cursor"},
		{err: delivery.ErrUnknownLane, status: 400, code: "bad-query"},
		{err: &delivery.ReceiptError{Index: 3, Member: "to", Detail: "x"}, status: 422, code: "receipt"},
		{err: citizen.Reject(citizen.CodeMalformedJSON), status: 400, code: "malformed-json"},
		{err: citizen.Reject(citizen.CodePersonDeceased), status: 422, code: "person-deceased"},
		{err: citizen.Reject(citizen.CodeCommandReused), status: 409, code: "command-reused"},
		{err: citizen.Reject(citizen.CodeStalePreview), status: 409, code: "stale-preview"},
		{err: eventstore.ErrCommandReused, status: 409, code: "command-reused"},
		{err: eventstore.ErrUnknownOutcome, status: 503, code: "unknown-outcome"},
		{err: &eventstore.Conflict{Kind: eventstore.ConflictGuard}, status: 503, code: "busy"},
		{err: command.ErrBusy, status: 503, code: "busy"},
		{err: delivery.ErrBusy, status: 503, code: "busy"},
		{err: eventstore.ErrClosed, status: 503, code: "unavailable"},
		{err: eventstore.ErrUnavailable, status: 503, code: "unavailable", logged: true},
		{err: context.DeadlineExceeded, status: 503, code: "unavailable"},
		{err: context.Canceled, status: 503, code: "unavailable"},
		{ctx: gone, err: context.Canceled, status: 499, code: "cancelled"},
		{ctx: gone, err: command.ErrBusy, status: 503, code: "busy"},
		{err: errors.New("something else"), status: 500, code: "internal", logged: true},
	} {
		if c.ctx == nil {
			c.ctx = context.Background()
		}
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			p := problemOf(c.ctx, err)
			require.Equal(t, c.status, p.Status, err.Error())
			require.Equal(t, c.code, p.Code, err.Error())
			require.NotContains(t, p.Detail, "wrapped", "an error's text stays inside")
			require.Equal(t, c.logged, p.cause != nil, "what is the hub's fault or its store's is logged, and nothing else")
			require.Equal(t, c.status == http.StatusServiceUnavailable, p.GetHeaders().Get("Retry-After") != "")
		}
	}
}

func TestEveryCodeHasASentence(t *testing.T) {
	t.Parallel()
	for _, code := range append(citizen.Codes(), codeBadQuery, codeIdempotencyKey, codeAccessReason, codeBodyTimeout, codeReason) {
		p := newProblem(code)
		require.NotEmpty(t, p.Detail, code)
		require.NotEmpty(t, p.Title, code)
		require.NotEqual(t, citizen.Reject("no-such-code").Sentence("en"), p.Detail, code)
	}
}

func TestPointersMoveIntoTheRoutesBody(t *testing.T) {
	t.Parallel()
	pointer := func(err error) *string {
		var r *citizen.Rejection
		require.ErrorAs(t, err, &r)
		return r.Pointer
	}
	at := citizen.RejectAt(citizen.CodeUnknownField, "/data/fields/2")
	require.Equal(t, "/fields/2", *pointer(relocate(at, "/data/fields", "/fields")))
	require.Nil(t, pointer(relocate(at, "/data/agreement", "/agreement")), "what is not in the body has no pointer")
	require.Equal(t, "/data/fields/2", *at.Pointer, "the rejection itself is left alone")
	other := errors.New("other")
	require.Equal(t, other, relocate(other, "/data", "/x"))
	require.NoError(t, relocate(nil))
}
