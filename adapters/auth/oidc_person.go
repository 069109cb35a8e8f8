package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/journal"
)

// Why somebody could not be signed in, as pages tell them.
const (
	RefusedAgain    = "again"    // something about this attempt is wrong: a new one may be right
	RefusedAway     = "away"     // the provider does not answer
	RefusedDeclined = "declined" // they did not want to
	RefusedUnknown  = "unknown"  // the hub does not know them
)

// Refusal is why somebody could not be signed in. Its text is for the operator, and holds nothing of the person.
type Refusal struct {
	kind string
	err  error
}

func refuseAs(kind string, err error) *Refusal { return &Refusal{kind: kind, err: err} }

// Refusal is one of the Refused constants.
func (r *Refusal) Refusal() string { return r.kind }

// Error is cut: a provider may answer at length.
func (r *Refusal) Error() string { return fmt.Sprintf("auth: sign-in: %.300s", r.err) }

// Unwrap gives what went wrong.
func (r *Refusal) Unwrap() error { return r.err }

// ClaimNames are the claims of an ID token that the hub reads. A name that is no claim is looked for step by step at its dots, as in
// realm_access.roles.
type ClaimNames struct {
	Subject   string // who somebody in office is, by the name that their organisation uses; default sub
	Reference string // of a resident, in the namespace of OIDCConfig.Source; default sub
	Role      string // text or a list; default role. Without a role that the hub knows, somebody is a resident
	Ministry  string // the id of a ministry's person's ministry; default ministry
	Name      string // to greet people by; default name
}

func (n ClaimNames) withDefaults() ClaimNames {
	for _, d := range []struct {
		name *string
		or   string
	}{{&n.Subject, "sub"}, {&n.Reference, "sub"}, {&n.Role, "role"}, {&n.Ministry, "ministry"}, {&n.Name, "name"}} {
		if *d.name == "" {
			*d.name = d.or
		}
	}
	return n
}

// person is who the claims of a verified ID token describe. Whom the hub does not know is RefusedUnknown.
func (p *Provider) person(ctx context.Context, claims map[string]any) (actor journal.Actor, name string, err error) {
	role, err := p.role(claims)
	if err != nil {
		return actor, "", err
	}
	names := p.config.Claims
	// Judged as a token's claims are. The times are of no account here.
	c := Claims{Role: role, Source: p.config.Source, ACR: p.acr(claims), Issued: time.Unix(1, 0), Expires: time.Unix(2, 0)}
	switch role {
	case journal.RoleCitizen:
		id, err := p.citizen(ctx, text(claims, names.Reference))
		if err != nil {
			return actor, "", err
		}
		c.Subject = id.String()
	case journal.RoleMinistry:
		c.Ministry = text(claims, names.Ministry)
	default:
		c.Subject = text(claims, names.Subject)
	}
	if err := c.check(); err != nil {
		return actor, "", refuseAs(RefusedUnknown, err)
	}
	return c.Actor(), shown(text(claims, names.Name)), nil
}

// role is the one role that the hub knows among those of the claims; without any, somebody is a resident.
func (p *Provider) role(claims map[string]any) (journal.Role, error) {
	role := journal.RoleNone
	for _, value := range texts(claims, p.config.Claims.Role) {
		known, ok := p.config.Roles[value]
		switch {
		case !ok || known == role:
		case role != journal.RoleNone: // to choose one for them would be to decide what they may do
			return role, refuseAs(RefusedUnknown, errors.New("the ID token names several roles"))
		default:
			role = known
		}
	}
	if role == journal.RoleNone {
		role = journal.RoleCitizen
	}
	return role, nil
}

func (p *Provider) acr(claims map[string]any) int {
	for _, value := range p.config.StrongACR {
		if value != "" && text(claims, "acr") == value {
			return maxACR
		}
	}
	return minACR
}

// maxReference is the length of the longest reference by which a source knows a person.
const maxReference = 64

func (p *Provider) citizen(ctx context.Context, reference string) (uuid.UUID, error) {
	if reference == "" || len(reference) > maxReference || strings.ContainsFunc(reference, func(r rune) bool { return r < ' ' || r > '~' }) {
		return uuid.Nil, refuseAs(RefusedUnknown, errors.New("the ID token holds no reference of a resident"))
	}
	id, err := p.config.Citizen(ctx, p.config.Source, reference)
	if err != nil {
		return uuid.Nil, fmt.Errorf("auth: find a citizen: %w", err)
	}
	if id == uuid.Nil {
		return uuid.Nil, refuseAs(RefusedUnknown, errors.New("nobody is registered under the ID token's reference"))
	}
	return id, nil
}

// claim is the claim of a name, or what stands at the name's steps.
func claim(claims map[string]any, name string) any {
	if value, ok := claims[name]; ok {
		return value
	}
	first, rest, ok := strings.Cut(name, ".")
	inner, isObject := claims[first].(map[string]any)
	if !ok || !isObject {
		return nil
	}
	return claim(inner, rest)
}

func text(claims map[string]any, name string) string {
	value, _ := claim(claims, name).(string)
	return value
}

// texts is a claim that holds one text or a list of them.
func texts(claims map[string]any, name string) (out []string) {
	switch value := claim(claims, name).(type) {
	case string:
		return []string{value}
	case []any:
		for _, one := range value {
			if one, ok := one.(string); ok {
				out = append(out, one)
			}
		}
	}
	return out
}

// maxShown is how many letters of a name a page shows.
const maxShown = 100

// shown is a name as a page may show it: no control characters, and not for ever.
func shown(name string) string {
	letters := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "")))
	return string(letters[:min(len(letters), maxShown)])
}
