package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// onBehalfOf is the header by which a resident names the person for whom they act: a header, since URLs end in logs along the way.
const onBehalfOf = "X-On-Behalf-Of"

var onBehalfParam = &huma.Param{
	Name: onBehalfOf, In: "header", Schema: &huma.Schema{Type: "string", Format: "uuid"},
	Description: "the id of the person for whom you act, as GET /v1/me/acting-for lists it; left out: yourself",
}

type behalfKey struct{}

// behalf is the middleware that reads whom a proxy acts for. Whether the caller is one is for the domain to say: who is not, is answered as
// about somebody who does not exist. A route that no proxy may call refuses the header: to leave it unread would do to the caller what they
// meant for somebody else.
func behalf(may bool) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(c)
		named := r.Header.Values(onBehalfOf)
		if len(named) == 0 {
			next(c)
			return
		}
		if !may || len(named) > 1 || !schemas.ValidUUID(named[0]) || caller(c.Context()).Kind != journal.ActorResident {
			newProblem(codeOnBehalf).write(w)
			return
		}
		id, _ := citizen.ParseID(named[0]) // it is a UUID
		next(huma.WithValue(c, behalfKey{}, id))
	}
}

// subject is the person whom a request is about: the one for whom the caller acts, else the caller.
func subject(ctx context.Context) citizen.ID {
	if id, acting := ctx.Value(behalfKey{}).(citizen.ID); acting {
		return id
	}
	return self(ctx)
}

// isProxy says whether the caller asks for somebody else.
func isProxy(ctx context.Context) bool { return subject(ctx) != self(ctx) }

// shown is the person about whom a request reads: whoever acts for somebody in everything sees what they see. Anybody else finds nobody.
func (s *server) shown(ctx context.Context) (citizen.ID, error) {
	if !isProxy(ctx) {
		return self(ctx), nil
	}
	return subject(ctx), s.Projection.MaySee(ctx, self(ctx), subject(ctx))
}

// forWhom stands before what an Idempotency-Key stands for: the same request for somebody else is another one.
func forWhom(ctx context.Context, content []byte) []byte {
	if !isProxy(ctx) {
		return content
	}
	return append([]byte(onBehalfOf+": "+uuid.UUID(subject(ctx)).String()+"\n"), content...)
}

// mayBehalf makes a route one that a proxy may call.
func mayBehalf(rt route) route {
	rt.behalf = true
	rt.codes = append(rt.codes[:len(rt.codes):len(rt.codes)], codeNotFound)
	if rt.method != http.MethodGet {
		rt.codes = append(rt.codes, citizen.CodeNoCapacity)
	}
	return rt
}
