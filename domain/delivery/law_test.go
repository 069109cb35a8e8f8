package delivery_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

// scenarios are the rules of what leaves, one by one: given a log, then the events that a ministry gets, and that it gets again.
var scenarios = map[string]func(*world){
	"who got a wrong value gets the right one, and the wrong number is recalled": func(w *world) {
		wrong := w.move("Kenora")
		w.gets("statute", "1 fact Kenora")
		w.correct(wrong, "2026-03-01", "Dryden")
		got := w.gets("statute", "2 correction corrects 1.0.1 Dryden")
		require.Equal(w, "2026-03-01", attribute(&got[0], "effective"))
		require.Equal(w, "tellonce.address-changed.v1", attribute(&got[0], "type"))
		w.again("statute", "1 recalled", "2 correction corrects 1.0.1 Dryden")
	},
	"a wrong value that was not disclosed never goes out": func(w *world) {
		wrong := w.move("Kenora")
		w.correct(wrong, w.today(), "Dryden")
		w.gets("statute", "1 fact Dryden")
		w.again("statute", "1 fact Dryden")
	},
	"who may not know the right value is told that theirs is wrong": func(w *world) {
		wrong := w.move("Kenora")
		w.gets("ontario", "1 fact Kenora")
		w.correct(wrong, w.today(), "Gatineau QC")
		got := w.gets("ontario", "2 retracted corrects 1.0.1")
		require.Equal(w, "{}", string(got[0].Data))
		w.again("ontario", "1 recalled", "2 retracted corrects 1.0.1")
	},
	"a permission that ends between a correction and its disclosure turns it into a retraction": func(w *world) {
		w.grant()
		wrong := w.move("Kenora")
		w.gets("consent", "1 fact Kenora")
		w.correct(wrong, w.today(), "Dryden")
		w.withdraw()
		w.gets("consent", "2 retracted corrects 1.0.1", "3 ended")
		w.again("consent", "1 recalled", "2 retracted corrects 1.0.1", "3 ended")
	},
	"a correction under a new grant does not reach back": func(w *world) {
		w.grant()
		wrong := w.move("Kenora")
		w.gets("consent", "1 fact Kenora")
		w.withdraw()
		w.correct(wrong, w.today(), "Dryden")
		w.grant()
		w.gets("consent", "2 ended", "3 retracted corrects 1.0.1")
		w.snapshots()
		w.gets("consent", "4 snapshot Dryden")
	},
	"what is cancelled is retracted, once": func(w *world) {
		told := w.move("Kenora")
		w.gets("statute", "1 fact Kenora")
		w.cancel(told)
		w.gets("statute", "2 retracted corrects 1.0.1")
		w.gets("sure")
		w.again("statute", "1 recalled", "2 retracted corrects 1.0.1")
	},
	"what is cancelled before it was disclosed leaves no trace": func(w *world) {
		w.cancel(w.move("Kenora"))
		w.gets("statute")
	},
	"a verification is a correction that changes the assurance alone": func(w *world) {
		told := w.move("Kenora")
		w.gets("statute", "1 fact Kenora")
		w.gets("sure")
		w.verify(told)
		w.gets("statute", "2 correction corrects 1.0.1 verified Kenora")
		w.gets("sure", "1 fact verified Kenora")
		w.again("statute", "1 fact Kenora", "2 correction corrects 1.0.1 verified Kenora")
	},
	"a verification that is disclosed together with its fact corrects it": func(w *world) {
		w.verify(w.move("Kenora"))
		w.gets("statute", "1 fact Kenora", "2 correction corrects 1.0.1 verified Kenora")
	},
	"a correction overtakes a verification that was not disclosed": func(w *world) {
		told := w.move("Kenora")
		w.gets("statute", "1 fact Kenora")
		w.verify(told)
		w.correct(told, w.today(), "Dryden")
		w.gets("statute", "2 correction corrects 1.0.1 Dryden")
		w.gets("sure")
	},
	"what was retracted is not corrected but told anew": func(w *world) {
		w.grant()
		right := w.correct(w.givenBy("consent", "Kenora"), w.today(), "Dryden")
		w.withdraw()
		w.gets("consent", "2 retracted corrects 1.0.1", "3 ended")
		w.grant()
		w.verify(right)
		w.gets("consent", "4 fact verified Dryden")
	},
	"what corrects a verified fact corrects the last number": func(w *world) {
		told := w.move("Kenora")
		w.verify(told)
		w.gets("statute", "1 fact Kenora", "2 correction corrects 1.0.1 verified Kenora")
		w.correct(told, w.today(), "Dryden")
		w.gets("statute", "3 correction corrects 1.0.2 Dryden")
		w.again("statute", "1 recalled", "2 recalled", "3 correction corrects 1.0.2 Dryden")
	},
	"the verification of a correction stands in the first fact's place": func(w *world) {
		right := w.correct(w.move("Kenora"), w.today(), "Dryden")
		w.gets("statute", "1 fact Dryden")
		w.verify(right)
		w.gets("statute", "2 correction corrects 1.0.1 verified Dryden")
	},
	"a grant brings a snapshot of what holds, and withdrawing it an end": func(w *world) {
		w.move("Kenora")
		w.grant()
		w.snapshots()
		w.gets("consent", "1 snapshot Kenora")
		w.move("Dryden")
		w.gets("consent", "2 fact Dryden")
		w.now = w.now.Add(time.Hour)
		w.withdraw()
		got := w.gets("consent", "3 ended")
		require.Equal(w, w.now.Format(time.RFC3339), attribute(&got[0], "time"), "of what ended it")
		require.Equal(w, "tellonce.ended.v1", attribute(&got[0], "type"))
		require.Equal(w, "consent@1", attribute(&got[0], "agreement"))
		w.again("consent", "1 recalled", "2 recalled", "3 ended")
	},
	"a snapshot whose grant is over leaves nothing": func(w *world) {
		w.move("Kenora")
		w.grant()
		w.snapshots()
		w.withdraw()
		w.grant() // what was due under the former grant is not due under this one
		w.gets("consent")
		w.snapshots()
		w.gets("consent", "1 snapshot Kenora")
	},
	"a value that is corrected after its snapshot was taken goes out right, once": func(w *world) {
		wrong := w.move("Kenora")
		w.grant()
		w.snapshots()
		w.correct(wrong, w.today(), "Dryden")
		w.gets("consent", "1 fact Dryden")
	},
	"a snapshot is corrected like a fact": func(w *world) {
		wrong := w.move("Kenora")
		w.grant()
		w.snapshots()
		w.gets("consent", "1 snapshot Kenora")
		w.correct(wrong, w.today(), "Dryden")
		w.gets("consent", "2 correction corrects 1.0.1 Dryden")
		w.again("consent", "1 recalled", "2 correction corrects 1.0.1 Dryden")
	},
	"nothing ends where nothing was given, and an end is told once": func(w *world) {
		w.grant()
		w.withdraw()
		w.gets("consent")
		w.grant()
		w.move("Kenora")
		w.gets("consent", "1 fact Kenora")
		w.withdraw()
		w.grant()
		w.move("Dryden")
		w.withdraw() // nothing was given since the last end
		w.gets("consent", "2 ended")
	},
	"a link's end, and another reference": func(w *world) {
		w.link("first")
		w.move("Kenora")
		w.gets("linked", "1 fact Kenora first")
		w.link("first") // the same: the ministry need not know
		w.gets("linked")
		w.move("Dryden")
		w.gets("linked", "2 fact Dryden first")
		w.link("second")
		w.gets("linked", "3 ended")
		w.move("Red Lake")
		_, err := w.command.Unlink(w.ctx, w.by(source), w.citizen, "m-linked")
		require.NoError(w, err)
		w.gets("linked") // told under the second link and never given: there is nothing to end
		w.again("linked", "1 recalled", "2 recalled", "3 ended")
	},
	"death ends consents, and a corrected death takes back what it told": func(w *world) {
		w.grant()
		w.move("Kenora")
		w.gets("consent", "1 fact Kenora")
		w.gets("statute", "1 fact Kenora")
		death := w.about(w.citizen, registrar, "death-registered", w.today(), map[string]any{"death_date": "2026-03-01", "reported_by": "spouse"})
		w.gets("consent", "2 ended")
		w.gets("statute", "2 fact verified 2026-03-01")
		w.about(w.citizen, registrar, journal.TypeDeathCorrected, w.today(), map[string]any{"corrects": death})
		w.gets("statute", "3 retracted corrects 1.0.2")
		w.snapshots()
		w.gets("consent", "3 snapshot Kenora")
		w.again("statute", "1 fact Kenora", "2 recalled", "3 retracted corrects 1.0.2")
	},
	"leaving the scope is told where the agreement says so, once": func(w *world) {
		w.move("Gatineau QC")
		w.gets("ontario")
		w.move("Kenora")
		w.gets("ontario", "1 fact Kenora")
		w.move("Gatineau QC")
		got := w.gets("ontario", "2 left-scope")
		require.Equal(w, "{}", string(got[0].Data))
		w.move("Hull QC")
		w.gets("ontario")
		w.move("Dryden")
		w.gets("ontario", "3 fact Dryden")
		w.again("ontario", "1 fact Kenora", "2 left-scope", "3 fact Dryden")
	},
	"who leaves the scope between telling and disclosing is told to have left": func(w *world) {
		w.move("Kenora")
		w.move("Gatineau QC")
		w.gets("ontario", "1 fact Kenora", "2 left-scope")
	},
	"a correction of what has left already leaves nothing more": func(w *world) {
		w.givenBy("ontario", "Kenora")
		left := w.move("Gatineau QC")
		w.gets("ontario", "2 left-scope")
		w.correct(left, w.today(), "Hull QC")
		w.gets("ontario")
		w.correct(w.move("Aylmer QC"), w.today(), "Hull QC")
		w.gets("ontario")
	},
	"who leaves the scope of an agreement that is over is told that alone": func(w *world) {
		w.givenBy("ontario", "Kenora")
		w.move("Gatineau QC")
		w.rows() // filed while the agreement is in force
		_, err := w.command.EndAgreement(w.ctx, w.by(operator), "ontario", "")
		require.NoError(w, err)
		w.gets("ontario", "2 ended")
	},
	"a correction that was never in scope leaves what stands before it": func(w *world) {
		w.move("Kenora")
		w.gets("ontario", "1 fact Kenora")
		wrong := w.move("Dryden")
		w.correct(wrong, w.today(), "Gatineau QC") // before it was disclosed
		w.gets("ontario", "2 left-scope")
	},
	"nothing about a protected person leaves for who does not receive them": func(w *world) {
		w.grant()
		told := w.move("Kenora")
		w.gets("consent", "1 fact Kenora")
		w.gets("statute", "1 fact Kenora")
		w.gets("shelter", "1 fact Kenora")
		w.append(w.citizen, journal.RestrictionSet{Kind: journal.RestrictionViolence})
		w.correct(told, w.today(), "Dryden")
		w.move("Gatineau QC")
		w.withdraw()
		w.gets("consent")
		w.gets("statute")
		w.gets("ontario")
		w.gets("shelter", "2 correction corrects 1.0.1 Dryden", "3 fact Gatineau")
		w.again("consent", "1 recalled")
		w.again("shelter", "1 recalled", "2 correction corrects 1.0.1 Dryden", "3 fact Gatineau")
	},
	"what was said without values is recalled once somebody is protected": func(w *world) {
		w.cancelAfter("statute")
		w.append(w.citizen, journal.RestrictionSet{Kind: journal.RestrictionViolence})
		w.again("statute", "1 recalled", "2 recalled")
		w.append(w.citizen, journal.RestrictionLifted{})
		w.again("statute", "1 recalled", "2 recalled")
	},
	"erasing recalls every number and says which": func(w *world) {
		w.grant()
		w.move("Kenora")
		w.gets("consent", "1 fact Kenora")
		w.withdraw()
		w.gets("consent", "2 ended")
		other := w.resident()
		w.erase()
		w.again("consent", "1 recalled", "2 recalled", "3 erased [1.0.1 1.0.2]")
		w.about(other, source, "address-changed", w.today(), address("Dryden"))
		w.gets("statute", "1 fact Dryden")
		got := w.again("consent", "1 recalled", "2 recalled", "3 erased [1.0.1 1.0.2]")
		given, err := journal.NewTrail(w.journal).Given(w.ctx, w.citizen)
		require.NoError(w, err)
		require.Len(w, given, 3)
		require.Equal(w, []journal.Status{journal.StatusRecalled, journal.StatusRecalled, journal.StatusSent}, []journal.Status{given[0].Status, given[1].Status, given[2].Status})
		require.Empty(w, got[0].Key, "the pairwise secret is gone")
		require.Empty(w, attribute(&got[2], "subject"))
		require.Empty(w, attribute(&got[2], "agreement"))
	},
	"what was due when somebody was erased does not leave": func(w *world) {
		w.move("Kenora")
		w.gets("statute", "1 fact Kenora")
		w.correct(w.move("Dryden"), w.today(), "Red Lake")
		w.erase()
		w.gets("statute", "2 erased [1.0.1]")
		w.gets("ontario")
		w.again("statute", "1 recalled", "2 erased [1.0.1]")
		lane, err := w.journal.ReadAggregate(w.ctx, journal.LaneAggregate("s.statute", 0), 1, 0)
		require.NoError(w, err)
		require.Equal(w, journal.Redelivered{From: 1, Stream: "s.statute", To: 2}, lane[len(lane)-1].Event, "the notice itself recalls")
	},
	"an erasure is told of no one, also before the keys are gone": func(w *world) {
		w.givenBy("statute", "Kenora")
		w.append(w.citizen, journal.Erased{Classes: []eventstore.Class{eventstore.Facts}})
		got := w.gets("statute", "2 erased [1.0.1]")
		require.Empty(w, got[0].Key)
		require.Empty(w, attribute(&got[0], "subject"))
	},
	"an erasure is told of a protected person, too": func(w *world) { // it names numbers, and no one
		w.givenBy("statute", "Kenora")
		w.append(w.citizen, journal.RestrictionSet{Kind: journal.RestrictionViolence})
		w.erase()
		w.gets("statute", "2 erased [1.0.1]")
	},
	"who is merged is known by another id from then on": func(w *world) {
		w.move("Kenora")
		first := w.gets("statute", "1 fact Kenora")
		kept := w.resident()
		w.append(w.citizen, journal.CitizensMerged{Kept: kept.String()})
		got := w.gets("statute", "2 rekeyed")
		require.Equal(w, attribute(&first[0], "subject"), attribute(&got[0], "subject"))
		require.Equal(w, "statute@1", attribute(&got[0], "agreement"))
		w.about(kept, source, "address-changed", w.today(), address("Dryden"))
		next := w.gets("statute", "3 fact Dryden")
		require.JSONEq(w, `{"subject":"`+attribute(&next[0], "subject")+`"}`, string(got[0].Data))
		w.again("statute", "1 fact Kenora", "2 rekeyed", "3 fact Dryden")
		w.gets("linked")
	},
	"two agreements of one stream are judged apart, page by page": func(w *world) {
		other := w.agreement("twin", 1, strings.Replace(worldAgreements["ontario"], "[city]", "[postal_code]", 1))
		other.Ministry, other.Stream = "m-statute", "s.statute"
		w.load(other)
		told := w.move("Kenora")
		w.move("Gatineau QC")
		var got []string
		for number := int64(0); ; number++ {
			page, err := w.delivery.Next(w.ctx, "s.statute", 0, number, 1, 0)
			require.NoError(w, err)
			if len(page.Messages) == 0 {
				break
			}
			require.Len(w, page.Messages, 1)
			got = append(got, attribute(&page.Messages[0], "agreement")+" "+line(&page.Messages[0]))
		}
		require.Equal(w, []string{"statute@1 1 fact Kenora", "twin@1 2 fact P9N 3X9", "statute@1 3 fact Gatineau", "twin@1 4 left-scope"}, got)
		w.correct(told, w.today(), "Dryden")
		w.after["statute"] = 4
		w.gets("statute", "5 correction corrects 1.0.1 Dryden", "6 correction corrects 1.0.2 P9N 3X9")
		w.again("statute", "1 recalled", "2 recalled", "3 fact Gatineau", "4 left-scope", "5 correction corrects 1.0.1 Dryden", "6 correction corrects 1.0.2 P9N 3X9")
		w.move("Kenora")
		w.rows()
		_, err := w.command.EndAgreement(w.ctx, w.by(operator), "statute", "")
		require.NoError(w, err)
		page, err := w.delivery.Next(w.ctx, "s.statute", 0, 6, 1, 0)
		require.NoError(w, err)
		require.Equal(w, "7 fact P9N 3X9", line(&page.Messages[0]), "what one of them may not have any more does not take the other's away")
	},
	"a page of the view may end between a correction and its decision": func(w *world) {
		wrong := w.move("Kenora")
		w.gets("statute", "1 fact Kenora")
		const page = 2000
		filler := make([]any, page-1-1-w.head())
		for i := range filler {
			filler[i] = citizen.Change{Type: "language-changed", Data: map[string]any{"language": "fr"}}
		}
		w.append(w.resident(), filler[:len(filler)-2]...) // a registration and its decision stand before them
		right := w.correct(wrong, w.today(), "Dryden")
		require.Equal(w, int64(page-1), right)
		w.rebuilds()
		w.gets("statute", "2 correction corrects 1.0.1 Dryden")
	},
	"a fact that is closed without an erasure stops the lane": func(w *world) {
		w.move("Kenora")
		w.gets("statute", "1 fact Kenora")
		_, err := w.journal.DestroyKeys(w.ctx, w.citizen, eventstore.Facts)
		require.NoError(w, err)
		_, err = w.delivery.Next(w.ctx, "s.statute", 0, 0, 10, 0)
		require.ErrorIs(w, err, delivery.ErrFatal)
		_, err = w.delivery.Next(w.ctx, "s.ontario", 0, 0, 10, 0)
		require.ErrorIs(w, err, delivery.ErrFatal)
	},
	"an agreement's end is told of everybody, a page at a time": func(w *world) {
		people := []citizen.ID{w.citizen, w.resident(), w.resident(), w.resident(), w.resident()}
		for _, id := range people {
			w.about(id, source, "address-changed", w.today(), address("Kenora"))
		}
		w.gets("statute", "1 fact Kenora", "2 fact Kenora", "3 fact Kenora", "4 fact Kenora", "5 fact Kenora")
		w.append(people[2], journal.RestrictionSet{Kind: journal.RestrictionViolence})
		_, err := w.command.EndAgreement(w.ctx, w.by(operator), "statute", "")
		require.NoError(w, err)
		subjects := map[string]bool{}
		for number := int64(6); number <= 9; number++ {
			page, err := w.delivery.Next(w.ctx, "s.statute", 0, number-1, 1, 0)
			require.NoError(w, err)
			require.Len(w, page.Messages, 1)
			require.Equal(w, delivery.KindEnded, attribute(&page.Messages[0], "kind"))
			subjects[attribute(&page.Messages[0], "subject")] = true
		}
		require.Len(w, subjects, 4, "each once, but for the protected one")
		w.after["statute"] = 9
		w.gets("statute")
	},
}

// givenBy moves, and has the agreement's stream read as its first number.
func (w *world) givenBy(agreement, city string) int64 {
	w.Helper()
	told := w.move(city)
	w.gets(agreement, "1 fact "+city)
	return told
}

func (w *world) cancelAfter(agreement string) {
	w.Helper()
	told := w.move("Kenora")
	w.gets(agreement, "1 fact Kenora")
	w.cancel(told)
	w.gets(agreement, "2 retracted corrects 1.0.1")
}

// erase erases the citizen's facts and, as an erasure of everything does, the secret of their pairwise ids.
func (w *world) erase() {
	w.Helper()
	self := journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, Citizen: uuid.UUID(w.citizen)}
	_, err := w.command.Erase(w.ctx, w.by(self), w.citizen)
	require.NoError(w, err)
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
				w := newWorld(t, j)
				scenario(w)
				w.rebuilds()
			})
		})
	}
}
