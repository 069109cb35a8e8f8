package httpapi_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

func TestAChangeIsToldOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key, body := uuid.NewString(), move("1 First St")
	first := b.call("POST", "/v1/changes", "ann", body, "Idempotency-Key", key)
	require.Equal(t, http.StatusAccepted, first.status, first.text)
	require.Equal(t, "/v1/me/receipts/"+first.body["receipt"].(string), first.header.Get("Location"))
	head := b.head()

	for _, again := range []string{key, strings.ToUpper(key), `"` + key + `"`} { // one id, however it is written
		repeat := b.call("POST", "/v1/changes", "ann", body, "Idempotency-Key", again)
		require.Equal(t, first.status, repeat.status)
		require.Equal(t, first.text, repeat.text)
		require.Equal(t, first.header.Get("Location"), repeat.header.Get("Location"))
	}
	require.Equal(t, head, b.head())

	other := b.call("POST", "/v1/changes", "ann", move("2 Second St"), "Idempotency-Key", key)
	require.Equal(t, http.StatusConflict, other.status)
	require.Equal(t, "command-reused", other.code())
	require.Equal(t, head, b.head())

	bens := b.call("POST", "/v1/changes", "ben", body, "Idempotency-Key", key) // the same id of another caller is another command
	require.Equal(t, http.StatusAccepted, bens.status)
	require.NotEqual(t, first.body["receipt"], bens.body["receipt"])
}

func TestAnIdempotencyKeyIsMandatory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head := b.head()
	for _, key := range []string{"", "1", "not-a-uuid", "{781b9a43-d04c-450b-8620-f0877e5fe381}", "urn:uuid:781b9a43-d04c-450b-8620-f0877e5fe381"} {
		got := b.call("POST", "/v1/changes", "ann", move("1 First St"), "Idempotency-Key", key)
		require.Equal(t, http.StatusBadRequest, got.status, key)
		require.Equal(t, "idempotency-key", got.code())
	}
	require.Equal(t, head, b.head())
}

// with returns a change's body with members set, or left out where the value is nil.
func with(members ...any) object {
	body := maps.Clone(move("1 First St"))
	for i := 0; i+1 < len(members); i += 2 {
		if body[members[i].(string)] = members[i+1]; members[i+1] == nil {
			delete(body, members[i].(string))
		}
	}
	return body
}

func withData(members ...any) object {
	data := address("1 First St")
	for i := 0; i+1 < len(members); i += 2 {
		if data[members[i].(string)] = members[i+1]; members[i+1] == nil {
			delete(data, members[i].(string))
		}
	}
	return with("data", data)
}

func TestBadChangesAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deep := strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17)
	for name, c := range map[string]struct {
		body     any
		status   int
		code     string
		pointers []string
	}{
		"no JSON":                  {"{", 400, "malformed-json", nil},
		"empty":                    {"", 400, "malformed-json", nil},
		"an array":                 {"[]", 400, "malformed-json", nil},
		"two objects":              {"{}{}", 400, "malformed-json", nil},
		"a key twice":              {`{"type":"address-changed","type":"address-changed"}`, 400, "malformed-json", nil},
		"not UTF-8":                {"{\"type\":\"\xff\"}", 400, "malformed-json", nil},
		"a lone surrogate":         {`{"type":"\ud800"}`, 400, "malformed-json", nil},
		"too deep":                 {deep, 400, "malformed-json", nil},
		"nothing in it":            {object{}, 422, "schema", []string{""}},
		"no type":                  {with("type", nil), 422, "schema", []string{""}},
		"a type that is a number":  {with("type", 7), 422, "schema", []string{"/type"}},
		"an unknown type":          {with("type", canary), 422, "unknown-type", []string{"/type"}},
		"a consent as a change":    {with("type", "consent-granted"), 422, "unknown-type", []string{"/type"}},
		"a registration":           {with("type", "person-registered"), 422, "unknown-type", []string{"/type"}},
		"an unknown member":        {with(canary, 1), 422, "schema", []string{""}},
		"no date":                  {with("effective", nil), 422, "schema", []string{""}},
		"no such date":             {with("effective", "2026-02-30"), 422, "schema", []string{"/effective"}},
		"too far ahead":            {with("effective", "2099-01-01"), 422, "effective-too-far", []string{"/effective"}},
		"data that is no object":   {with("data", "x"), 422, "schema", []string{"/data"}},
		"no data":                  {with("data", nil), 422, "schema", []string{""}},
		"unknown data":             {withData(canary, "x"), 422, "schema", []string{"/data"}},
		"a missing street":         {withData("street", nil), 422, "schema", []string{"/data"}},
		"a control character":      {withData("street", "1\u202e"+canary), 422, "schema", []string{"/data/street"}},
		"several faults":           {withData("street", "\u0007", "city", 7, "kind", "x"), 422, "schema", []string{"/data/city", "/data/kind", "/data/street"}},
		"faults on both levels":    {with("effective", "x", "data", object{"kind": "home"}), 422, "schema", []string{"/data", "/data", "/data", "/data", "/data", "/effective"}},
		"another province":         {withData("province", "QC"), 422, "postal-code-province", []string{"/data/postal_code"}},
		"consents of no array":     {with("consents", object{}), 422, "schema", []string{"/consents"}},
		"a consent of no object":   {with("consents", []any{"x"}), 422, "schema", []string{"/consents/0"}},
		"a nameless consent":       {with("consents", []any{object{}}), 422, "schema", []string{"/consents/0"}},
		"a consent too much":       {with("consents", []any{object{"agreement": "outdoors-card", canary: 1}}), 422, "schema", []string{"/consents/0"}},
		"no fields":                {with("consents", []any{object{"agreement": "outdoors-card", "fields": []any{}}}), 422, "schema", []string{"/consents/0/fields"}},
		"a field twice":            {with("consents", []any{object{"agreement": "outdoors-card", "fields": []any{"city", "city"}}}), 422, "schema", []string{"/consents/0/fields/1"}},
		"withdrawn fields":         {with("consents", []any{object{"agreement": "outdoors-card", "withdraw": true, "fields": []any{"city"}}}), 422, "schema", []string{"/consents/0/fields"}},
		"another language":         {with("consents", []any{object{"agreement": "outdoors-card", "language": "de"}}), 422, "schema", []string{"/consents/0/language"}},
		"an unknown agreement":     {with("consents", []any{object{"agreement": canary}}), 422, "unknown-agreement", []string{"/consents/0/agreement"}},
		"a statute":                {with("consents", []any{object{"agreement": "mof-tax"}}), 422, "not-by-consent", []string{"/consents/0/agreement"}},
		"a field not shared":       {with("consents", []any{object{"agreement": "outdoors-card", "fields": []any{"city", canary}}}), 422, "unknown-field", []string{"/consents/0/fields/1"}},
		"nothing to withdraw":      {with("consents", []any{object{"agreement": "outdoors-card", "withdraw": true}}), 422, "no-such-grant", []string{"/consents/0/agreement"}},
		"the same agreement twice": {with("consents", []any{object{"agreement": "outdoors-card"}, object{"agreement": "outdoors-card"}}), 422, "schema", []string{"/consents/1/agreement"}},
		"a person by a resident":   {with("person", object{"reference": "ben"}), 422, "schema", []string{""}},
		"a channel by a resident":  {with("channel", "post"), 422, "schema", []string{""}},
		"a stale preview":          {with("preview", "0123456789abcdef"), 409, "stale-preview", nil},
		"a number beyond a double": {`{"type":"address-changed","effective":"2026-01-05","data":{"street":1e999}}`, 422, "schema", nil},
	} {
		t.Run(name, func(t *testing.T) {
			head := b.head()
			got := b.call("POST", "/v1/changes", "ann", c.body, "Idempotency-Key", uuid.NewString())
			require.Equal(t, c.status, got.status, got.text)
			require.Equal(t, c.code, got.code(), got.text)
			if c.pointers != nil {
				require.Equal(t, c.pointers, got.pointers(), got.text)
			}
			require.Equal(t, head, b.head(), "a refused change is not on the log")
		})
	}
}

func TestBodiesAreBoundedAndJSON(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pad := func(n int) string { // a body of n bytes, wrong in its type alone
		const frame = `{"type":""}`
		return `{"type":"` + strings.Repeat("x", n-len(frame)) + `"}`
	}
	got := b.call("POST", "/v1/changes", "ann", pad(65_536), "Idempotency-Key", uuid.NewString())
	require.Equal(t, "unknown-type", got.code())
	got = b.call("POST", "/v1/changes", "ann", pad(65_537), "Idempotency-Key", uuid.NewString())
	require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
	unread := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/changes", iotest.ErrReader(errors.New("the body was read")))
	unread.ContentLength = 65_537
	require.Equal(t, http.StatusRequestEntityTooLarge, b.send(unread, "ann").status, "a declared length is enough")
	endless := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/changes", io.LimitReader(zeros{}, 1<<40)) // no length declared
	require.Equal(t, http.StatusRequestEntityTooLarge, b.send(endless, "ann").status)
	for header, value := range map[string]string{
		"Content-Type": "text/plain", "content-type": "", "Content-type": "application/json; charset=iso-8859-1", "Content-Encoding": "gzip",
	} {
		got := b.call("POST", "/v1/changes", "ann", move("1 First St"), "Idempotency-Key", uuid.NewString(), header, value)
		require.Equal(t, http.StatusUnsupportedMediaType, got.status, "%s: %s", header, value)
	}
	got = b.call("POST", "/v1/changes", "ann", move("1 First St"), "Idempotency-Key", uuid.NewString(), "Content-Type", "application/json; charset=UTF-8")
	require.Equal(t, http.StatusAccepted, got.status)
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestAPreviewIsWhatIsThenDecided(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := move("1 First St")
	body["consents"] = []any{object{"agreement": "outdoors-card", "fields": []any{"city", "street"}}}
	head := b.head()
	preview := b.call("POST", "/v1/changes/preview", "ann", body)
	require.Equal(t, http.StatusOK, preview.status, preview.text)
	require.Equal(t, head, b.head(), "a preview appends nothing")
	decisions := byAgreement(preview.body["decisions"])
	require.Equal(t, object{
		"agreement": "outdoors-card", "version": 1.0, "stream": "mnr.outdoors-card", "ministry": "mnr", "result": "shared", "fields": []any{"city", "street"},
		"title": decisions["outdoors-card"]["title"],
	}, decisions["outdoors-card"])
	require.Equal(t, "no-grant", decisions["library-membership"]["reason"])
	require.Equal(t, "not-linked", decisions["mto-licensing"]["reason"])
	require.Empty(t, decisions["mto-licensing"]["fields"])
	require.NotEmpty(t, decisions["moh-health-card"]["title"].(object)["fr"])

	body["preview"] = preview.body["digest"]
	receipt := b.call("GET", "/v1/me/receipts/"+b.told("ann", body), "ann", nil)
	require.Equal(t, http.StatusOK, receipt.status)
	told := byAgreement(receipt.body["decisions"])
	for _, d := range told {
		require.NotEmpty(t, d["explain"].(object)["fr"])
		delete(d, "explain")
	}
	require.Equal(t, decisions, told)

	// The rules change between preview and confirmation: refused, with what holds now; confirmed with that, accepted.
	delete(body, "consents")
	delete(body, "preview")
	preview = b.call("POST", "/v1/changes/preview", "ann", body)
	require.Equal(t, http.StatusOK, b.call("DELETE", "/v1/me/consents/outdoors-card", "ann", nil).status)
	body["preview"] = preview.body["digest"]
	stale := b.tell("ann", body)
	require.Equal(t, http.StatusConflict, stale.status)
	now := stale.body["preview"].(object)
	require.Equal(t, "no-grant", byAgreement(now["decisions"])["outdoors-card"]["reason"])
	body["preview"] = now["digest"]
	b.told("ann", body)
}

// byAgreement indexes decisions by their agreement's id.
func byAgreement(decisions any) map[string]object {
	out := map[string]object{}
	for _, d := range decisions.([]any) {
		out[d.(object)["agreement"].(string)] = d.(object)
	}
	return out
}

func TestAClerkSpeaksForAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := with("person", object{"reference": "ann"}, "channel", "phone")
	receipt := b.told("clerk", body)
	require.Equal(t, http.StatusOK, b.call("GET", "/v1/me/receipts/"+receipt, "ann", nil).status)
	changes := b.events("address-changed")
	last := changes[len(changes)-1]
	require.Equal(t, int16(journal.ActorClerk), last.ActorKind)
	require.Equal(t, int16(journal.ChannelPhone), last.Channel)
	require.Equal(t, int16(journal.IssuerAPI), last.Issuer)
	require.Equal(t, "clerk-1", last.Meta.Actor)

	for name, c := range map[string]struct {
		body     object
		code     string
		pointers []string
	}{
		"nobody named":      {with(), "schema", []string{""}},
		"a nameless person": {with("person", object{}), "schema", []string{"/person"}},
		"no reference":      {with("person", object{"reference": "é"}), "schema", []string{"/person/reference"}},
		"an unknown member": {with("person", object{"reference": "ann", canary: 1}), "schema", []string{"/person"}},
		"an unknown person": {with("person", object{"reference": canary}), "unknown-person", []string{"/person"}},
		"another source's":  {with("person", object{"reference": "ann", "source": "other"}), "unknown-person", []string{"/person"}},
		"another channel":   {with("person", object{"reference": "ann"}, "channel", "web"), "schema", []string{"/channel"}},
	} {
		got := b.tell("clerk", c.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, name)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
	}
}

func TestWhoMayTellADeath(t *testing.T) {
	t.Parallel()
	b := setup(t)
	death := object{"type": "death-registered", "effective": "2026-01-05", "data": object{"death_date": "2026-01-04", "reported_by": "spouse"}}
	require.Equal(t, http.StatusForbidden, b.tell("ann", death).status)
	death["person"] = object{"reference": "ann"}
	require.Equal(t, http.StatusForbidden, b.tell("clerk", death).status)
	b.told("registrar", death)
	got := b.tell("ann", move("1 First St"))
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.Equal(t, "person-deceased", got.code())
	require.Empty(t, got.pointers())
}

func TestRegisteringAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	person := func(reference string) object {
		return object{"reference": reference, "data": object{"given_names": "Cy", "family_name": canary, "birth_date": "1990-01-01", "language": "fr"}}
	}
	key := uuid.NewString()
	first := b.call("POST", "/v1/persons", "clerk", person("cy"), "Idempotency-Key", key)
	require.Equal(t, http.StatusCreated, first.status, first.text)
	require.Equal(t, first.text, b.call("POST", "/v1/persons", "clerk", person("cy"), "Idempotency-Key", key).text)
	again := b.call("POST", "/v1/persons", "registrar", person("cy"))
	require.Equal(t, http.StatusUnprocessableEntity, again.status)
	require.Equal(t, "person-exists", again.code())
	require.Equal(t, []string{"/reference"}, again.pointers())
	require.Equal(t, http.StatusCreated, b.call("POST", "/v1/persons", "clerk", with("type", nil, "source", "other", "reference", "cy", "data", person("")["data"])).status)

	for name, c := range map[string]struct {
		change   func(object)
		pointers []string
	}{
		"no reference": {func(o object) { delete(o, "reference") }, []string{""}},
		"no data":      {func(o object) { delete(o, "data") }, []string{""}},
		"unknown":      {func(o object) { o[canary] = 1 }, []string{""}},
		"birth date":   {func(o object) { o["data"].(object)["birth_date"] = "x" }, []string{"/data/birth_date"}},
		"source":       {func(o object) { o["source"] = strings.Repeat("x", 65) }, []string{"/source"}},
		"channel":      {func(o object) { o["channel"] = "web" }, []string{"/channel"}},
	} {
		body := person("dee")
		c.change(body)
		got := b.call("POST", "/v1/persons", "clerk", body)
		require.Equal(t, "schema", got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
	}
	require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/persons", "ann", person("eve")).status)
}
