package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

func TestResidentSeesAndSavesEverything(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.tell(t)
	b := p.as(t, "en", "zoe")
	b.get("/en/me", http.StatusOK).says("See or save everything that we hold on me", "Have my information erased")
	b.get("/en/my-data", http.StatusOK).says(
		"Everything that we hold on you", "Registration", "Date of birth 1990-05-04", "Decision on who may know", "Nothing was handed over to anybody.",
		"Nobody in office has looked.", "Proof of what was shared",
	)
	p.answers(t, "moh.health-card", "applied")
	b.get("/fr/my-data", http.StatusOK).says("Tout ce que nous détenons sur vous", "Inscription", "Décision sur les destinataires", "Appliqué", "7\u00a0ans")

	var file struct {
		Records []struct {
			Type string
			Data map[string]any
		}
		Given []struct{ Ministry, Type, Status string }
		Kept  []any
	}
	answer, err := b.client.Get(b.base + "/en/my-data/file")
	require.NoError(t, err)
	require.Equal(t, `attachment; filename="my-data.json"`, answer.Header.Get("Content-Disposition"))
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&file))
	require.NoError(t, answer.Body.Close())
	require.Equal(t, "person-registered", file.Records[0].Type)
	require.Equal(t, "1990-05-04", file.Records[0].Data["birth_date"])
	require.Contains(t, file.Given, struct{ Ministry, Type, Status string }{"moh", "address-changed", "applied"})
	require.Len(t, file.Kept, 4)
	p.quiet(t)
}

func TestResidentIsErasedOnceTheyAreSure(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.tell(t)
	b := p.as(t, "fr", "zoe")
	form := b.get("/fr/erasure", http.StatusOK).says("Faire effacer vos renseignements", "7\u00a0ans").hidden()
	b.post("/fr/erasure", form, http.StatusUnprocessableEntity).says("Cochez la case")
	require.Zero(t, p.count(t, journal.TypeErased))
	b.post("/fr/erasure", url.Values{"sure": {"yes"}, "command": {"no id"}}, http.StatusBadRequest)
	require.Zero(t, p.count(t, journal.TypeErased))
	form.Set("sure", "yes")
	for range 2 { // sent twice, it counts once
		b.post("/fr/erasure", form, http.StatusOK).says("Ce que vous nous avez dit est effacé", "Votre numéro de reçu", "Jusqu’au")
	}
	require.Equal(t, 1, p.count(t, journal.TypeErased))
	b.get("/en/erasure", http.StatusOK).says("What you told us is erased", "Until")
	b.get("/en/my-data", http.StatusOK).says("The content of this record was erased.").saysNot("1990-05-04")
	p.quiet(t)
}
