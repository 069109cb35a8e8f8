package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// fourEyes is a scene that looks at the agreements' log, too.
type fourEyes struct {
	*scene
	seen int32 // its version up to which it was compared
}

// lawLog demands exactly these events, in order, on the agreements' log since the last look at it.
func (f *fourEyes) lawLog(types ...string) {
	f.Helper()
	recs, err := f.log.store.ReadAggregate(context.Background(), journal.AgreementsAggregate, f.seen+1, 1000)
	require.NoError(f, err)
	var got []string
	for i := range recs {
		got = append(got, recs[i].Type)
		f.seen = recs[i].Version
	}
	require.Equal(f, types, got)
}

// propose sends an agreement's document.
func (f *fourEyes) propose(who, document string) reply {
	f.Helper()
	return f.call(who, http.MethodPost, "/v1/agreements/proposals", document, "Content-Type", "application/yaml")
}

func (f *fourEyes) approve(who string, version int, more ...string) reply {
	f.Helper()
	return f.call(who, http.MethodPost, "/v1/agreements/approvals", fmt.Sprintf(`{"id":"NAME-card","version":%d%s}`, version, append(more, "")[0]))
}

func (f *fourEyes) end(who string) reply {
	f.Helper()
	return f.call(who, http.MethodPost, "/v1/agreements/endings", `{"id":"NAME-card"}`)
}

// states demands the state of every version, from the first on.
func (f *fourEyes) states(want ...string) {
	f.Helper()
	var got []string
	for _, one := range f.call("officer", http.MethodGet, "/v1/agreements/versions", "").ok().body["agreements"].([]any) {
		version, _ := one.(map[string]any)
		got = append(got, fmt.Sprint(version["document"].(map[string]any)["version"], " ", version["state"]))
	}
	require.Equal(f, want, got)
}

// TestFourEyesOverTheAPI: on a log that is no sandbox, a version counts from another officer's approval on and not before, and nobody
// who is no officer has a part in it. What the agreements' log holds and what leaves is compared after each step.
func TestFourEyesOverTheAPI(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.run("init")
		w := &world{place: p, roles: map[string]string{}}
		w.open()
		for _, role := range []string{"officer", "auditor", "operator"} {
			w.roles[role+"-2"] = p.token(role, "--person", "another "+role)
		}
		f := &fourEyes{scene: w.scene(t, 0)}
		f.register("ann")
		f.tell("ann", "address-changed", inOntario("Rainy River"))
		f.onLog("ann", "address-changed", "decided")
		f.onlyOfficers()
		f.firstVersion()
		f.hub.kill()
		f.hub = p.serve()
		f.secondVersion()
		f.over()
		w.settled(t)
	})
}

// onlyOfficers: by everybody else each step is refused, and nothing is written.
func (f *fourEyes) onlyOfficers() {
	card := agreementText("card", "statute", "all", 1, cityOnly)
	for _, who := range []string{"ann", "ministry", "clerk", "registrar", "protector", "auditor-2"} {
		f.propose(who, card).refused("forbidden")
		f.approve(who, 1).refused("forbidden")
		f.end(who).refused("forbidden")
	}
	f.approve("operator-2", 1).refused("forbidden")
	for _, path := range []string{"proposals", "approvals", "endings"} {
		code, text := f.hub.call(f.T, "", http.MethodPost, "/v1/agreements/"+path, `{"id":"s00-card","version":1}`, "Idempotency-Key", uuid.NewString())
		require.Equal(f, http.StatusUnauthorized, code, text)
	}
	f.lawLog()
}

// firstVersion: what is proposed shares nothing; another officer's approval puts it in force.
func (f *fourEyes) firstVersion() {
	card := agreementText("card", "statute", "all", 1, cityOnly)
	f.propose("officer", card).ok().has(`"state":"proposed"`, `"may_approve":false`)
	f.lawLog(journal.TypeAgreementProposed)
	f.propose("officer", card).ok() // word for word: nothing more is on the log
	f.propose("officer", agreementText("card", "statute", "all", 1, "{event: address-changed, fields: [city, street]}")).refused("other-content", "/version")
	require.Empty(f, f.decisions("ann", f.told("ann", "address-changed", inOntario("Kenora"))), "it is nobody's rule yet")
	f.call("ministry", http.MethodGet, "/v1/streams/NAME.card/events", "").refused("unknown-stream")

	f.approve("officer", 1).refused("same-person")
	f.approve("officer-2", 2).refused("unknown-version", "/version")
	f.lawLog()
	f.states("1 proposed")
	f.onLog("ann", "address-changed", "decided")
	f.approve("officer-2", 1, `,"replaces":0`).ok().has(`"state":"approved"`)
	f.lawLog(journal.TypeAgreementApproved)
	f.states("1 approved")
	f.approve("officer-2", 1).refused("already-approved", "/version")

	f.waitLog("ann", journal.TypeSnapshotTaken)
	f.delivered("card", `1 snapshot address-changed a {"city":"Kenora"} asserted card@1`)
	told := f.told("ann", "address-changed", inOntario("Dryden"))
	require.Equal(f, map[string]string{"card": "city"}, f.decisions("ann", told))
	f.delivered("card", `2 fact address-changed a {"city":"Dryden"} asserted card@1`)
	f.lawLog()
}

// secondVersion: it takes the first one's place at its approval, whoever proposed the first.
func (f *fourEyes) secondVersion() {
	wider := agreementText("card", "statute", "all", 2, "{event: address-changed, fields: [city, street]}")
	f.propose("officer-2", wider).ok().has(`"state":"proposed"`, `"replaces":1`, `"wider":true`)
	f.propose("officer-2", agreementText("card", "statute", "all", 2, cityOnly)).refused("other-content", "/version")
	f.propose("officer", agreementText("card", "statute", "all", 1, cityOnly)).ok() // as it is on the log already
	f.lawLog(journal.TypeAgreementProposed)
	f.tell("ann", "address-changed", inOntario("Atikokan"))
	f.delivered("card", `3 fact address-changed a {"city":"Atikokan"} asserted card@1`)
	f.onLog("ann", "address-changed", "decided", "address-changed", "decided")

	f.approve("officer-2", 2).refused("same-person")
	f.approve("officer", 2, `,"replaces":0`).refused("stale-preview")
	f.lawLog()
	f.states("1 approved", "2 proposed")
	f.approve("officer", 2, `,"replaces":1`).ok().has(`"state":"approved"`)
	f.lawLog(journal.TypeAgreementApproved)
	f.states("1 replaced", "2 approved")
	f.waitLog("ann", journal.TypeSnapshotTaken)
	f.delivered("card", `4 snapshot address-changed a {"city":"Atikokan","street":"1 First St"} asserted card@2`)
	f.tell("ann", "address-changed", inOntario("Fort Frances"))
	f.delivered("card", `5 fact address-changed a {"city":"Fort Frances","street":"1 First St"} asserted card@2`)
	f.onLog("ann", "address-changed", "decided")
}

// over: an end is for good; the number can't come back, a higher one can, under four eyes.
func (f *fourEyes) over() {
	f.propose("operator-2", agreementText("card", "statute", "all", 3, cityOnly)).ok()
	f.lawLog(journal.TypeAgreementProposed)
	f.tell("ann", "address-changed", inOntario("Sioux Lookout")) // permitted, and not yet asked for
	f.end("officer").ok().has(`"state":"ended"`)
	f.lawLog(journal.TypeAgreementEnded)
	f.states("1 ended", "2 ended", "3 ended")
	f.delivered("card", `6 ended a {} card@2`)
	f.recalled("card", 1, 2, 3, 4, 5)
	require.Empty(f, f.decisions("ann", f.told("ann", "address-changed", inOntario("Kenora"))))
	f.delivered("card")
	f.end("officer-2").refused("agreement-ended", "/id")
	f.approve("officer", 3).refused("agreement-ended", "/version")
	f.propose("officer", agreementText("card", "statute", "all", 3, "{event: address-changed, fields: [street]}")).refused("other-content", "/version")
	f.lawLog()

	f.propose("officer", agreementText("card", "statute", "all", 4, cityOnly)).ok()
	f.approve("officer", 4).refused("same-person")
	f.delivered("card")
	f.approve("officer-2", 4).ok()
	f.lawLog(journal.TypeAgreementProposed, journal.TypeAgreementApproved)
	f.delivered("card", `7 snapshot address-changed a {"city":"Kenora"} asserted card@4`)
	f.by()
}

// by: of each event the log names no one, only a hash; proposer's and approver's are two.
func (f *fourEyes) by() {
	recs, err := f.log.store.ReadAggregate(context.Background(), journal.AgreementsAggregate, 1, 1000)
	require.NoError(f, err)
	positions := make([]int64, len(recs))
	for i := range recs {
		positions[i] = recs[i].Position
	}
	entries, err := f.log.journal.Read(context.Background(), positions...)
	require.NoError(f, err)
	proposed, approved := map[int]string{}, 0
	for _, e := range entries {
		switch event := e.Event.(type) {
		case journal.AgreementProposed:
			proposed[len(proposed)+1] = event.By
		case journal.AgreementApproved:
			require.NotEmpty(f, event.By)
			require.NotEqual(f, proposed[event.Version], event.By)
			approved++
		}
	}
	require.Equal(f, 3, approved)
	require.NotEqual(f, eventstore.NoCause, entries[1].Cause, "an approval names what it approves")
}
