package webhook

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sign puts the three headers of Standard Webhooks on a request. What is signed is `id.timestamp.body`. An id is a cursor of ours, or two of
// them, and the time is ours: no ministry and no resident chooses where the dots stand. Each secret that is valid signs.
func sign(h http.Header, secrets []secret, id string, now time.Time, body []byte) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	content := slices.Concat([]byte(id+"."+timestamp+"."), body)
	signatures := make([]string, 0, len(secrets))
	for _, s := range valid(secrets, now) {
		signatures = append(signatures, s.sign(content))
	}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", timestamp)
	h.Set("webhook-signature", strings.Join(signatures, " "))
}
