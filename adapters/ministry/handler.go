package ministry

import (
	"context"
	"errors"
)

// Handler applies events to what a ministry keeps.
type Handler interface {
	// Handle applies one event, with the transaction of the Store that the context carries. It returns nil when it is applied, Reject(reason)
	// when it never will be (what it has written is taken back), and any other error when it must be tried again.
	//
	// It is called for one event of a lane at a time, in order, and for each once in effect. It may be called again for an event whose
	// transaction was taken back, so what it does outside of the transaction must bear to be done twice.
	Handle(ctx context.Context, e Event) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, e Event) error

// Handle calls the function.
func (f HandlerFunc) Handle(ctx context.Context, e Event) error { return f(ctx, e) }

// Rejection is a ministry's word that it will not apply an event.
type Rejection struct{ Reason string }

// maxReason is how many characters of a reason the hub takes.
const maxReason = 500

// Reject is the error by which a Handler rejects an event for good. The reason reaches the hub, which shows it to the resident whom it is about:
// at most 500 characters are sent.
func Reject(reason string) error {
	if text := []rune(reason); len(text) > maxReason {
		reason = string(text[:maxReason])
	}
	return &Rejection{Reason: reason}
}

// Error does not hold the reason, which may be about a person.
func (r *Rejection) Error() string { return "ministry: the event was rejected" }

// rejected finds a rejection in an error.
func rejected(err error) (*Rejection, bool) {
	var r *Rejection
	ok := errors.As(err, &r)
	return r, ok
}
