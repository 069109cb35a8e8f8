package journal

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
)

// ActorKind says what kind of caller caused a record. The numbers are on the log: never change one.
type ActorKind int16

// The actor kinds of the log.
const (
	ActorHub       ActorKind = 0 // the hub itself: a follower, a job
	ActorResident  ActorKind = 1
	ActorClerk     ActorKind = 2
	ActorMinistry  ActorKind = 3
	ActorOfficer   ActorKind = 4
	ActorProtector ActorKind = 5
	ActorAuditor   ActorKind = 6
	ActorRegistrar ActorKind = 7
	ActorOperator  ActorKind = 8
	ActorSource    ActorKind = 9 // an import source
)

// Role is what a caller may be, in the words of tokens and of the command line.
type Role string

// The roles that a token can name. RoleNone is the hub itself or an import source: no token names it.
const (
	RoleNone      Role = ""
	RoleCitizen   Role = "citizen"
	RoleClerk     Role = "clerk"
	RoleMinistry  Role = "ministry"
	RoleOfficer   Role = "officer"
	RoleProtector Role = "protector"
	RoleAuditor   Role = "auditor"
	RoleRegistrar Role = "registrar"
	RoleOperator  Role = "operator"
)

// Roles returns every role that a token can name, in the order of their actor kinds.
func Roles() []Role {
	return []Role{RoleCitizen, RoleClerk, RoleMinistry, RoleOfficer, RoleProtector, RoleAuditor, RoleRegistrar, RoleOperator}
}

// Kind is the role's number on the log; ok is false for anything but the roles that a token can name.
func (r Role) Kind() (kind ActorKind, ok bool) {
	switch r {
	case RoleCitizen:
		return ActorResident, true
	case RoleClerk:
		return ActorClerk, true
	case RoleMinistry:
		return ActorMinistry, true
	case RoleOfficer:
		return ActorOfficer, true
	case RoleProtector:
		return ActorProtector, true
	case RoleAuditor:
		return ActorAuditor, true
	case RoleRegistrar:
		return ActorRegistrar, true
	case RoleOperator:
		return ActorOperator, true
	case RoleNone:
	}
	return ActorHub, false
}

// String names the kind as tokens do; what no token can name is the hub itself.
func (k ActorKind) String() string {
	for _, role := range Roles() {
		if kind, _ := role.Kind(); kind == k {
			return string(role)
		}
	}
	if k == ActorSource {
		return "source"
	}
	return "hub"
}

// Actor is who is calling. Adapters fill it and put it into the context; the first line of a use case judges it. The zero Actor is
// the hub itself, which may nothing that a role allows.
type Actor struct {
	Kind ActorKind
	Role Role
	// ID is the caller's pseudonymous id (a citizen's uuid as text, an officer's name in the directory, a ministry's id). It stands in
	// sealed content only: never in a log line, a metric or an error.
	ID string
	// Citizen is who a RoleCitizen caller is; uuid.Nil for everyone else.
	Citizen uuid.UUID
	// Ministry is the id of the ministry that a RoleMinistry caller speaks for; empty for everyone else.
	Ministry string
	// Source is the authenticated client: issuer of the caller's commands and namespace of its references.
	Source string
	// ACR is how a caller who logged in proved who they are: 1 with one factor, 2 with two. 0 is for callers who don't log in themselves: a
	// source, the hub, a terminal. Tokens and sessions always say 1 or 2.
	ACR int
}

// Format prints the role alone under every verb: an actor's ids never reach a log line by way of fmt.
func (a Actor) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "actor(%s)", a.name()) }

// LogValue is the role alone.
func (a Actor) LogValue() slog.Value { return slog.StringValue(a.name()) }

func (a Actor) name() string {
	if a.Role != RoleNone {
		return string(a.Role)
	}
	if a.Kind == ActorSource {
		return "source"
	}
	return "hub"
}

type actorKey struct{}

// WithActor returns a context that carries who is calling.
func WithActor(ctx context.Context, actor Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// ActorFrom returns who is calling; ok is false where nobody has been authenticated.
func ActorFrom(ctx context.Context) (actor Actor, ok bool) {
	actor, ok = ctx.Value(actorKey{}).(Actor)
	return actor, ok
}
