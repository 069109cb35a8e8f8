package seal

import (
	"context"
	"errors"
	"strings"

	"github.com/tellonce/hub/eventstore"
)

type twoOfficersKey struct{}

// WithTwoOfficers returns a context under which what ties the two identities of a protected person can be opened. a and b name the
// officers who answer for it, and must be two: one alone, or one twice (in whatever case, however spaced), is an error. The caller has
// checked who they are and recorded the access.
func WithTwoOfficers(ctx context.Context, a, b string) (context.Context, error) {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if a == "" || b == "" || strings.EqualFold(a, b) {
		return nil, errors.New("seal: it takes two different officers")
	}
	return context.WithValue(ctx, twoOfficersKey{}, true), nil
}

// mayOpen says whether a sealed record of the class may be opened under ctx. Sealing one needs no permission.
func mayOpen(ctx context.Context, class eventstore.Class) error {
	if !validClass(class) {
		return ErrTampered
	}
	if class == eventstore.IdentityTie && ctx.Value(twoOfficersKey{}) == nil {
		return ErrLocked
	}
	return nil
}
