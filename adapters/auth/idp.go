package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"golang.org/x/oauth2"

	"github.com/tellonce/hub/domain/journal"
)

// SandboxPath begins the paths of the sandbox's identity provider.
const SandboxPath = "/sandbox-idp"

// Account is somebody whom one can be at the sandbox's identity provider.
type Account struct {
	ID       string // in the chooser's form
	Subject  string // sub
	Role     journal.Role
	Name     string
	Ministry string
}

// SandboxConfig says where the sandbox's identity provider stands.
type SandboxConfig struct {
	Sandbox  bool   // the log is a sandbox's; else there is no such provider
	Address  string // host:port on loopback on which the hub listens, or there is none either
	Accounts []Account
	Clock    func() time.Time
}

// Sandbox is an OpenID Connect provider without passwords, for a sandbox on this very machine: one chooses who to be, and everything after
// that is as with a real one. What is under way it keeps in memory. Safe for concurrent use.
type Sandbox struct {
	config  SandboxConfig
	origin  string
	client  oauth2.Config // the one client that it knows: this hub
	signing jws.SignOption
	keys    []byte // the JWKS
	mux     *http.ServeMux
	pending *lru.Cache[string, request] // by the id in the chooser's address
	codes   *lru.Cache[string, grant]   // by code
}

// request is an authorization request that waits for somebody to choose.
type request struct {
	redirect, state, nonce, challenge string
	acr                               int
	until                             time.Time
}

// grant is a code that was given out.
type grant struct {
	request
	account Account
	acr     int
	until   time.Time
}

const (
	maxPending  = 1024             // requests and codes under way
	requestTime = 15 * time.Minute // for which a request waits
	codeTime    = time.Minute      // for which a code is good
)

// NewSandbox makes a provider with a key of its own. It refuses to exist where the log is no sandbox, or where others than this machine
// could reach it.
func NewSandbox(config SandboxConfig) (*Sandbox, error) {
	if !config.Sandbox {
		return nil, errors.New("auth: the sandbox's identity provider is for sandboxes only, and this log is none")
	}
	if !onLoopback(config.Address) {
		return nil, errors.New("auth: the sandbox's identity provider stands on loopback only")
	}
	if config.Clock == nil {
		config.Clock = time.Now
	}
	s := &Sandbox{config: config, origin: "http://" + config.Address}
	s.client = oauth2.Config{ClientID: "tellonce", ClientSecret: rand.Text(), RedirectURL: s.origin + CallbackPath}
	if err := s.makeKey(); err != nil {
		return nil, err
	}
	var err error
	if s.pending, err = lru.New[string, request](maxPending); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if s.codes, err = lru.New[string, grant](maxPending); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("GET "+SandboxPath+"/.well-known/openid-configuration", s.discovery)
	s.mux.HandleFunc("GET "+SandboxPath+"/jwks", s.jwks)
	s.mux.HandleFunc("GET "+SandboxPath+"/authorize", s.authorize)
	s.mux.HandleFunc("POST "+SandboxPath+"/token", s.token)
	return s, nil
}

func (s *Sandbox) makeKey() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("auth: make the sandbox's key: %w", err)
	}
	key, err := jwk.Import(private)
	if err != nil {
		return fmt.Errorf("auth: make the sandbox's key: %w", err)
	}
	kid := rand.Text()
	headers, set := jws.NewHeaders(), jwk.NewSet()
	public, err := key.PublicKey()
	if err != nil {
		return fmt.Errorf("auth: make the sandbox's key: %w", err)
	}
	err = errors.Join(
		headers.Set(jws.KeyIDKey, kid), headers.Set(jws.TypeKey, tokenType),
		public.Set(jwk.KeyIDKey, kid), public.Set(jwk.AlgorithmKey, jwa.ES256()), public.Set(jwk.KeyUsageKey, "sig"), set.AddKey(public),
	)
	if err != nil {
		return fmt.Errorf("auth: make the sandbox's key: %w", err)
	}
	s.signing = jws.WithKey(jwa.ES256(), key, jws.WithProtectedHeaders(headers))
	s.keys, err = encode(set)
	return err
}

// Configure makes a configuration sign people in here.
func (s *Sandbox) Configure(config OIDCConfig) OIDCConfig {
	config.Issuer, config.RedirectURL = s.origin+SandboxPath, s.client.RedirectURL
	config.ClientID, config.ClientSecret = s.client.ClientID, s.client.ClientSecret
	return config
}

// Host is the host, with its port, at which the provider stands.
func (s *Sandbox) Host() string { return s.config.Address }

// ServeHTTP answers the provider's endpoints, to this machine's own names alone: a page of somewhere else that a name server sends here
// finds nothing.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !onLoopback(r.Host) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	s.mux.ServeHTTP(w, r)
}

func (s *Sandbox) discovery(w http.ResponseWriter, _ *http.Request) {
	at := func(path string) string { return s.origin + SandboxPath + path }
	reply(w, http.StatusOK, map[string]any{
		"issuer": at(""), "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"), "jwks_uri": at("/jwks"),
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "scopes_supported": []string{"openid", "profile"},
		"id_token_signing_alg_values_supported": []string{"ES256"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"acr_values_supported":                  []string{"1", "2"}, "ui_locales_supported": []string{"en-CA", "fr-CA"},
		"authorization_response_iss_parameter_supported": true,
		"claims_supported": []string{"sub", "name", "role", "ministry", "acr", "auth_time"},
	})
}

func (s *Sandbox) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.keys) // who is gone needs no keys
}

// authorize takes a request and sends the browser to the page on which one chooses.
func (s *Sandbox) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != s.client.ClientID || q.Get("redirect_uri") != s.client.RedirectURL {
		http.Error(w, "This is no request of this hub.", http.StatusBadRequest) // to send it on would be to send it anywhere
		return
	}
	waiting := request{
		redirect: q.Get("redirect_uri"), state: q.Get("state"), nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), acr: minACR,
		until: s.config.Clock().Add(requestTime),
	}
	switch {
	case q.Get("response_type") != "code", !slices.Contains(strings.Fields(q.Get("scope")), "openid"), waiting.state == "", waiting.nonce == "",
		waiting.challenge == "", q.Get("code_challenge_method") != "S256":
		http.Redirect(w, r, s.answer(waiting, "error", "invalid_request"), http.StatusSeeOther)
		return
	}
	if slices.Contains(strings.Fields(q.Get("acr_values")), "2") {
		waiting.acr = maxACR
	}
	id, lang := rand.Text(), "en"
	if strings.HasPrefix(q.Get("ui_locales"), "fr") {
		lang = "fr"
	}
	s.pending.Add(id, waiting)
	http.Redirect(w, r, s.origin+"/"+lang+SandboxPath+"/"+id, http.StatusSeeOther)
}

// answer is the address at which a request's client gets its answer.
func (s *Sandbox) answer(r request, name, value string) string {
	return r.redirect + "?" + url.Values{name: {value}, "state": {r.state}, "iss": {s.origin + SandboxPath}}.Encode()
}

// Asked is the level of log-in that a waiting request asks for; ok is false where none waits under this id (any more).
func (s *Sandbox) Asked(id string) (acr int, ok bool) {
	waiting, ok := s.pending.Get(id)
	return waiting.acr, ok && s.config.Clock().Before(waiting.until)
}

// Choose answers a waiting request as an account, with a level of log-in, and returns where the browser goes on; ok is false where no such
// request waits, or nobody has this account.
func (s *Sandbox) Choose(id, account string, acr int) (address string, ok bool) {
	at := slices.IndexFunc(s.config.Accounts, func(a Account) bool { return a.ID == account })
	if _, waits := s.Asked(id); !waits || at < 0 || acr < minACR || acr > maxACR {
		return "", false
	}
	waiting, _ := s.pending.Get(id)
	if !s.pending.Remove(id) { // it was answered a moment ago
		return "", false
	}
	code := rand.Text()
	s.codes.Add(code, grant{request: waiting, account: s.config.Accounts[at], acr: acr, until: s.config.Clock().Add(codeTime)})
	return s.answer(waiting, "code", code), true
}

// token gives an ID token for a code, once.
func (s *Sandbox) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, MaxToken)
	if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "authorization_code" {
		refuseGrant(w, "invalid_request")
		return
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != s.client.ClientID || !same(secret, s.client.ClientSecret) {
		refuseGrant(w, "invalid_client")
		return
	}
	g, known := s.codes.Get(r.PostForm.Get("code"))
	// Whoever removes it has it: a code that was redeemed, or shown here wrongly, is worth nothing any more.
	if !known || !s.codes.Remove(r.PostForm.Get("code")) || !s.config.Clock().Before(g.until) || r.PostForm.Get("redirect_uri") != g.redirect ||
		!same(oauth2.S256ChallengeFromVerifier(r.PostForm.Get("code_verifier")), g.challenge) {
		refuseGrant(w, "invalid_grant")
		return
	}
	token, err := s.idToken(g)
	if err != nil {
		refuseGrant(w, "server_error")
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"access_token": rand.Text(), "token_type": "Bearer", "expires_in": int(codeTime.Seconds()), "id_token": token, "scope": "openid profile",
	})
}

func (s *Sandbox) idToken(g grant) (string, error) {
	now := s.config.Clock()
	claims := map[string]any{
		"iss": s.origin + SandboxPath, "aud": s.client.ClientID, "sub": g.account.Subject, "nonce": g.nonce, "acr": fmt.Sprint(g.acr),
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(codeTime).Unix(), "name": g.account.Name, "role": g.account.Role,
	}
	if g.account.Ministry != "" {
		claims["ministry"] = g.account.Ministry
	}
	payload, err := encode(claims)
	if err != nil {
		return "", err
	}
	token, err := jws.Sign(payload, s.signing)
	if err != nil {
		return "", fmt.Errorf("auth: sign an ID token: %w", err)
	}
	return string(token), nil
}

func encode(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("auth: encode: %w", err)
	}
	return text, nil
}

// reply answers with an object. Who is gone needs no answer.
func reply(w http.ResponseWriter, status int, object map[string]any) {
	text, err := encode(object)
	if err != nil {
		status, text = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func refuseGrant(w http.ResponseWriter, code string) {
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	reply(w, status, map[string]any{"error": code})
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// onLoopback says whether a host, with or without a port, is this very machine by a name that no other can take.
func onLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}
