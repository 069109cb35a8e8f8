package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"github.com/tellonce/hub/domain/journal"
)

// OIDCConfig says which identity provider people sign in with, and what its claims mean.
type OIDCConfig struct {
	// Issuer is the provider's, exactly as its discovery document has it: https, or http on this very machine.
	Issuer       string
	ClientID     string
	ClientSecret string // empty: a public client, by PKCE alone
	// RedirectURL is where the provider sends people back to: the pages' address with CallbackPath.
	RedirectURL string
	Scopes      []string // beside openid; default profile
	Claims      ClaimNames
	// Roles are the hub's roles by the value of the role claim; default: by their own names.
	Roles map[string]journal.Role
	// StrongACR are the acr values of a log-in with two factors, the preferred first; default "2". Any other is one factor.
	StrongACR []string
	// Source is the namespace of residents' references, and the client by which everybody comes; default "import".
	Source string
	// Citizen returns whom a source knows under a reference; uuid.Nil for nobody.
	Citizen func(ctx context.Context, source, reference string) (uuid.UUID, error)
	Key     [32]byte // seals what is under way; the same on every replica
	Client  *http.Client
	Clock   func() time.Time
}

func (c OIDCConfig) withDefaults() OIDCConfig {
	if len(c.Scopes) == 0 {
		c.Scopes = []string{oidc.ScopeProfile}
	}
	if len(c.Roles) == 0 {
		c.Roles = map[string]journal.Role{}
		for _, role := range journal.Roles() {
			c.Roles[string(role)] = role
		}
	}
	if len(c.StrongACR) == 0 {
		c.StrongACR = []string{"2"}
	}
	if c.Source == "" {
		c.Source = "import"
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: providerTime}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.Claims = c.Claims.withDefaults()
	return c
}

const (
	// CallbackPath is where providers send people back to, for both languages.
	CallbackPath = "/sign-in/callback"
	// providerTime bounds each call of the provider; attemptTime how long somebody may be at the provider's pages.
	providerTime = 10 * time.Second
	attemptTime  = 15 * time.Minute
)

// signingAlgorithms are those that are taken for an ID token, where the provider names them: never none, never a shared secret.
var signingAlgorithms = []string{
	oidc.EdDSA, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.RS256, oidc.RS384, oidc.RS512,
}

// Provider signs people in with an OpenID Connect provider: authorization code with PKCE, state and nonce. It looks the provider up when
// the first comes, so that the hub starts without it. Safe for concurrent use.
type Provider struct {
	config OIDCConfig
	box    box

	turn  sync.Mutex
	found *endpoints // nil until the provider was looked up
}

// endpoints is what the provider says of itself.
type endpoints struct {
	oauth2.Config
	verifier    *oidc.IDTokenVerifier
	endSession  string
	namesItself bool // its answers hold its issuer (RFC 9207)
}

// NewProvider checks a configuration; it calls nobody.
func NewProvider(config OIDCConfig) (*Provider, error) {
	config = config.withDefaults()
	for name, text := range map[string]string{"issuer": config.Issuer, "redirect URL": config.RedirectURL} {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && (u.Scheme != "http" || !onLoopback(u.Host))) {
			return nil, fmt.Errorf("auth: the %s %q is no https URL (http is for this very machine only)", name, text)
		}
	}
	if config.ClientID == "" || config.Citizen == nil {
		return nil, errors.New("auth: an identity provider needs a client id and a way to find citizens")
	}
	box, err := newBox(config.Key)
	if err != nil {
		return nil, err
	}
	return &Provider{config: config, box: box}, nil
}

// attempt is a sign-in under way. It travels, sealed, in a cookie of the browser that began it: whoever comes back without it did not begin.
type attempt struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Carry    string    `json:"carry"`
	Until    time.Time `json:"until"`
}

const whereAttempt = "sign-in"

// Begin returns the address of the provider's page for one sign-in, and a secret for the browser's cookie that Finish wants back. lang is en
// or fr; acr 2 asks for two factors; carry comes back from Finish.
func (p *Provider) Begin(ctx context.Context, lang string, acr int, carry string) (address, secret string, err error) {
	found, err := p.lookUp(ctx)
	if err != nil {
		return "", "", err
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Carry: carry, Until: p.config.Clock().Add(attemptTime)}
	plain, err := json.Marshal(a)
	if err != nil {
		return "", "", fmt.Errorf("auth: encode a sign-in: %w", err)
	}
	options := []oauth2.AuthCodeOption{
		oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier), oauth2.SetAuthURLParam("ui_locales", lang+"-CA "+lang),
	}
	if acr > minACR {
		options = append(options, oauth2.SetAuthURLParam("acr_values", strings.Join(p.config.StrongACR, " ")))
	}
	return found.AuthCodeURL(a.State, options...), base64.RawURLEncoding.EncodeToString(p.box.seal(plain, whereAttempt)), nil
}

// Finish reads the provider's answer to the sign-in that secret is of: who came, what they are called, and what Begin was given to carry.
// Errors are *Refusal, and the store's.
func (p *Provider) Finish(ctx context.Context, secret string, answer url.Values) (actor journal.Actor, name, carry string, err error) {
	a, ok := p.attempt(secret)
	if !ok || subtle.ConstantTimeCompare([]byte(a.State), []byte(answer.Get("state"))) != 1 {
		return actor, "", "", refuseAs(RefusedAgain, errors.New("the answer is to no sign-in that this browser began"))
	}
	token, err := p.token(ctx, a, answer)
	if err != nil {
		return actor, "", a.Carry, err
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return actor, "", a.Carry, refuseAs(RefusedAgain, errors.New("the ID token's claims are no object"))
	}
	actor, name, err = p.person(ctx, claims)
	return actor, name, a.Carry, err
}

func (p *Provider) attempt(secret string) (a attempt, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(secret)
	if err != nil {
		return a, false
	}
	plain, ok := p.box.open(sealed, whereAttempt)
	return a, ok && json.Unmarshal(plain, &a) == nil && a.State != "" && p.config.Clock().Before(a.Until)
}

// token redeems the answer's code and verifies the ID token that comes for it.
func (p *Provider) token(ctx context.Context, a attempt, answer url.Values) (*oidc.IDToken, error) {
	found, err := p.lookUp(ctx)
	if err != nil {
		return nil, err
	}
	switch iss, says := answer.Get("iss"), answer.Get("error"); {
	case iss != p.config.Issuer && (iss != "" || found.namesItself):
		return nil, refuseAs(RefusedAgain, errors.New("the answer is another provider's"))
	case slices.Contains([]string{"access_denied", "login_required", "interaction_required", "consent_required"}, says):
		return nil, refuseAs(RefusedDeclined, errors.New("declined at the provider"))
	case says != "" || answer.Get("code") == "":
		return nil, refuseAs(RefusedAgain, fmt.Errorf("the provider answers with the error %.40q", says))
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.config.Client), providerTime)
	defer cancel()
	issued, err := found.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(a.Verifier))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused): // its text holds the provider's whole answer
		return nil, refuseAs(RefusedAgain, fmt.Errorf("the provider does not take the code: %.40q", refused.ErrorCode))
	case err != nil:
		return nil, refuseAs(RefusedAway, fmt.Errorf("redeem a code: %w", err))
	}
	raw, ok := issued.Extra("id_token").(string)
	if !ok {
		return nil, refuseAs(RefusedAgain, errors.New("the provider gives no ID token"))
	}
	token, err := found.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, refuseAs(RefusedAgain, err)
	}
	var by struct {
		Authorized string `json:"azp"`
	}
	switch err := token.Claims(&by); {
	case err != nil:
		return nil, refuseAs(RefusedAgain, errors.New("the ID token's azp is no text"))
	case by.Authorized != p.config.ClientID && (by.Authorized != "" || len(token.Audience) > 1):
		return nil, refuseAs(RefusedAgain, errors.New("the ID token was given to another client"))
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.Nonce)) != 1:
		return nil, refuseAs(RefusedAgain, errors.New("the ID token is of another sign-in"))
	}
	return token, nil
}

// lookUp returns what the provider says of itself, from its discovery document the first time.
func (p *Provider) lookUp(ctx context.Context) (*endpoints, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	// Others wait for this answer, too: it must not end with one reader's patience.
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.WithoutCancel(ctx), p.config.Client), providerTime)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, p.config.Issuer)
	if err != nil {
		return nil, refuseAs(RefusedAway, fmt.Errorf("look the provider up: %w", err))
	}
	var more struct {
		Algorithms  []string `json:"id_token_signing_alg_values_supported"`
		EndSession  string   `json:"end_session_endpoint"`
		NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, refuseAs(RefusedAway, errors.New("the provider's discovery document can't be read"))
	}
	algorithms := slices.DeleteFunc(slices.Clone(signingAlgorithms), func(a string) bool { return !slices.Contains(more.Algorithms, a) })
	if len(algorithms) == 0 {
		algorithms = []string{oidc.RS256} // what every provider must have
	}
	p.found = &endpoints{
		Config: oauth2.Config{
			ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, Endpoint: provider.Endpoint(), RedirectURL: p.config.RedirectURL,
			Scopes: append([]string{oidc.ScopeOpenID}, p.config.Scopes...),
		},
		verifier:   provider.Verifier(&oidc.Config{ClientID: p.config.ClientID, SupportedSigningAlgs: algorithms, Now: p.config.Clock}),
		endSession: more.EndSession, namesItself: more.NamesItself,
	}
	return p.found, nil
}

// EndSession is the provider's own page for signing out, empty if it has none or was not asked yet. No token stands in the address: it would
// name the person.
func (p *Provider) EndSession(lang string) string {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.found == nil || p.found.endSession == "" {
		return ""
	}
	u, err := url.Parse(p.found.endSession)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	query := u.Query()
	query.Set("client_id", p.config.ClientID)
	query.Set("post_logout_redirect_uri", strings.TrimSuffix(p.config.RedirectURL, CallbackPath)+"/"+lang+"/sign-in")
	u.RawQuery = query.Encode()
	return u.String()
}
