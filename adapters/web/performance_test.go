package web_test

import (
	"net/http"
	"testing"
	"time"
)

// TestPerformanceIsForEverybody: without signing in, in both languages, and what is suppressed says so in words.
func TestPerformanceIsForEverybody(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	b.get("/en/performance", http.StatusOK).says("No month is published yet.", "suppressed")
	p.clock.now.Store(time.Date(2026, 12, 2, 4, 59, 59, 0, time.UTC).UnixNano()) // still the first of December in Toronto
	b.get("/en/performance", http.StatusOK).says("No month is published yet.")
	p.clock.now.Store(time.Date(2027, 1, 2, 17, 0, 0, 0, time.UTC).UnixNano())
	b.get("/en/performance", http.StatusOK).
		says("Figures of December 2026", "Other months", "November 2026", "Changes told", "Address suppressed", "within 1 second suppressed", "Health card").
		saysNot("0%")
	b.get("/en/performance?month=2026-11", http.StatusOK).says("Figures of November 2026", "Registration suppressed")
	b.get("/fr/performance?month=2026-11", http.StatusOK).says("novembre 2026", "Autres mois", "Adresse masqué", "Carte Santé")
	b.get("/fr/performance?month=2027-01", http.StatusNotFound)
	b.get("/en/performance?month=x", http.StatusNotFound)
	b.get("/en/sign-in", http.StatusOK).says("How the service is doing")
}
