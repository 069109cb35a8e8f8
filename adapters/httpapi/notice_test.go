package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// TestFreezesAndDisputesThroughTheAPI: a change that was not theirs, from the link in a notice to the officer's answer.
func TestFreezesAndDisputesThroughTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, http.StatusOK, b.call("PUT", "/v1/me/consents/outdoors-card", "ann", nil).status)
	number := b.told("ann", move("1 First St"))
	told := b.events("address-changed")
	token, err := b.journal.NoticeLink(told[len(told)-1].Position)
	require.NoError(t, err)
	_, err = command.New(b.journal).NotMe(context.Background(), journal.IssuerPages, token)
	require.NoError(t, err)

	for _, refused := range []response{
		b.tell("ann", move("2 Second St")),
		b.call("POST", "/v1/changes/preview", "ann", move("2 Second St")),
		b.call("PUT", "/v1/me/links/mto", "ann", object{"client_reference": "mto-ann"}),
		b.call("POST", "/v1/me/erasure", "ann", nil),
	} {
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, refused.text)
		require.Equal(t, "frozen", refused.body["code"])
	}
	require.Equal(t, http.StatusOK, b.call("DELETE", "/v1/me/consents/outdoors-card", "ann", nil).status, "one can always withdraw")
	require.NotEmpty(t, b.call("GET", "/v1/me/notices", "ann", nil).body["frozen_since"])

	require.Equal(t, http.StatusNotFound, b.call("POST", "/v1/me/disputes", "ben", object{"receipt": number}).status)
	require.Equal(t, http.StatusNotFound, b.call("POST", "/v1/me/disputes", "ann", object{"receipt": number, "stream": health}).status, "nothing was given there")
	dispute := object{"receipt": number, "text": "It was " + canary}
	key := []string{"Idempotency-Key", uuid.NewString()}
	opened := b.call("POST", "/v1/me/disputes", "ann", dispute, key...)
	require.Equal(t, http.StatusCreated, opened.status, opened.text)
	require.Equal(t, opened.text, b.call("POST", "/v1/me/disputes", "ann", dispute, key...).text)

	require.Equal(t, http.StatusBadRequest, b.call("GET", "/v1/disputes", "officer", nil).status, "a look needs a reason")
	look := []string{"X-Access-Reason", "The week's disputes"}
	waiting := list(b.call("GET", "/v1/disputes", "officer", nil, look...).body["disputes"])
	require.Len(t, waiting, 2)
	byLink := waiting[0].(object)
	require.Equal(t, true, byLink["by_link"])
	require.Equal(t, number, byLink["receipt"])
	require.Equal(t, "address-changed", byLink["type"])
	require.Equal(t, true, byLink["frozen"])
	looked := len(b.events(journal.TypeAccessed))
	path := func(d any) string { return fmt.Sprintf("/v1/disputes/%v/answer", d.(object)["position"]) }
	answer := object{"outcome": "upheld", "text": "It was not you."}
	require.Equal(t, http.StatusOK, b.call("POST", path(waiting[0]), "officer", answer, look...).status)
	require.Len(t, b.events(journal.TypeAccessed), looked+1, "accessed first")
	require.Equal(t, http.StatusUnprocessableEntity, b.call("POST", path(waiting[0]), "officer", answer, look...).status, "once")
	require.Equal(t, http.StatusNotFound, b.call("POST", "/v1/disputes/1/answer", "officer", answer, look...).status)
	require.Equal(t, http.StatusBadRequest, b.call("POST", path(waiting[1]), "officer", answer).status)
	mine := list(b.call("GET", "/v1/me/disputes", "ann", nil).body["disputes"])
	require.Len(t, mine, 2)
	require.Equal(t, "upheld", mine[1].(object)["outcome"])
	require.Equal(t, "It was "+canary, mine[0].(object)["text"])
	require.Nil(t, mine[0].(object)["outcome"])

	person := object{"person": object{"source": "registry", "reference": "ann"}, "reason": "Two documents"}
	require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/freezes/lift", "clerk", person).status)
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/freezes/lift", "registrar", person).status)
	require.Equal(t, http.StatusAccepted, b.tell("ann", move("3 Third St")).status)
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/freezes", "officer", person).status)
	require.Equal(t, "frozen", b.tell("ann", move("4 Fourth St")).body["code"])
	require.NotContains(t, b.logs.String(), canary)
}
