package delivery

import (
	"context"
	"time"

	"github.com/tellonce/hub/domain/journal"
)

// Poster sends messages to an endpoint in one request: as a single event where it is one and the endpoint takes no batches, else as a batch.
// It MUST NOT send later than ctx's deadline, and is safe for concurrent use.
type Poster interface {
	Post(ctx context.Context, endpoint journal.EndpointSet, messages []Message) Outcome
}

// Outcome is how an endpoint answered a request.
type Outcome struct {
	// Code is empty if everything was accepted (2xx); else a word of ours that says what failed: "http-500", "timeout", "refused", "redirect",
	// "address-forbidden", "tls", "gone", "secret-missing" …
	Code string
	// Excerpt is the start of the answer, cleaned: nothing that the request held, no runs of digits, printable ASCII, at most 200 bytes.
	Excerpt string
	// RetryAfter is how long the endpoint asked to be left alone; 0 if it did not.
	RetryAfter time.Duration
	// Gone: the endpoint says that it is no more (410).
	Gone bool
	// Down: the endpoint as a whole did not serve (no connection, a timeout, 429, 502 to 504), which says nothing about these events.
	Down bool
}
