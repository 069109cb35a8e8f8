package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/journal"
)

type claimsKey struct{}

// From returns the claims of the request's token; ok is false where the caller sent none.
func From(ctx context.Context) (claims Claims, ok bool) {
	claims, ok = ctx.Value(claimsKey{}).(Claims)
	return claims, ok
}

// Middleware verifies the token of each request by the clock now, and puts its claims and their journal.Actor into the context. A request
// without an Authorization header passes as nobody's: the route demands a caller, or doesn't. One with a token that is not valid, or with
// anything but one bearer token, gets 401 whatever the route: to go on as nobody would hide the caller's mistake.
func Middleware(verifier *Verifier, now func() time.Time) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header := r.Header.Values("Authorization")
			if len(header) == 0 {
				next.ServeHTTP(w, r)
				return
			}
			token, ok := bearer(header)
			if !ok {
				refuse(w, "invalid_request", `Send one token, as: Authorization: Bearer TOKEN.`)
				return
			}
			claims, err := verifier.Verify(token, now())
			if err != nil {
				refuse(w, "invalid_token", sentence(err))
				return
			}
			ctx := context.WithValue(r.Context(), claimsKey{}, claims)
			next.ServeHTTP(w, r.WithContext(journal.WithActor(ctx, claims.Actor())))
		})
	}
}

// Demand answers 401 where nobody is calling. It stands behind Middleware, before a route that is nobody's.
func Demand(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := journal.ActorFrom(r.Context()); !ok {
			refuse(w, "", `This needs a token: send it as Authorization: Bearer TOKEN.`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bearer returns the one bearer token of the Authorization headers.
func bearer(header []string) (token string, ok bool) {
	if len(header) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(header[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && !strings.Contains(token, " ")
}

func sentence(err error) string {
	switch {
	case errors.Is(err, ErrExpired):
		return "The token has expired: ask for a new one."
	case errors.Is(err, ErrAudience):
		return "The token is for another hub."
	case errors.Is(err, ErrTooEarly):
		return "The token was issued in the future: one of the clocks is wrong."
	}
	return "This is not a token of this hub."
}

// problem is an RFC 9457 problem; code is the hub's own member.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// refuse answers 401. reason is RFC 6750's error, empty where no token was sent.
func refuse(w http.ResponseWriter, reason, detail string) {
	challenge := `Bearer realm="tellonce"`
	if reason != "" {
		challenge += `, error="` + reason + `"`
	}
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(http.StatusUnauthorized), Status: http.StatusUnauthorized,
		Code: "unauthenticated", Detail: detail,
	})
	if err != nil { // constants alone: it can't
		body = nil
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write(body) // a caller that is gone needs no answer
}
