package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/domain/journal"
)

// TestAnyProvider: one that is not ours, with its own claims, roles and levels.
func TestAnyProvider(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	hub := p.relying(nil)
	roles := func(names ...any) object { return object{"roles": names} }
	resident := journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: ann.String(), Citizen: ann, Source: "crm", ACR: 1}
	strong := resident
	strong.ACR = 2
	for name, c := range map[string]struct {
		claims object
		want   journal.Actor
		shown  string
	}{
		"a resident without any role": {nil, resident, "Ann"},
		"roles that mean nothing":     {object{"realm_access": roles("offline_access", "x")}, resident, "Ann"},
		"a resident by role":          {object{"realm_access": object{"roles": "TO_RES"}}, resident, "Ann"},
		"two factors":                 {object{"acr": "urn:gov:loa2"}, strong, "Ann"},
		"two factors, the better":     {object{"acr": "urn:gov:loa3"}, strong, "Ann"},
		"another level":               {object{"acr": "2"}, resident, "Ann"},
		"no name":                     {object{"given": nil}, resident, ""},
		"a name with controls":        {object{"given": "A\x00n\u202en\n"}, resident, "Ann"},
		"a clerk": {
			object{"realm_access": roles("x", "TO_CLERK", "TO_CLERK"), "upn": "c.clerk@gov.example"},
			journal.Actor{Kind: journal.ActorClerk, Role: journal.RoleClerk, ID: "c.clerk@gov.example", Source: "crm", ACR: 1}, "Ann",
		},
		"a ministry's developer": {
			object{"realm_access": roles("TO_MIN"), "https://gov.example/ministry": "moh", "acr": "urn:gov:loa3"},
			journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: "moh", Ministry: "moh", Source: "crm", ACR: 2}, "Ann",
		},
		"several audiences": {object{"aud": []string{"other", "hub"}, "azp": "hub"}, resident, "Ann"},
	} {
		s := p.begin(hub, 1, c.claims)
		actor, shown, err := s.finish()
		require.NoError(t, err, name)
		require.True(t, actor == c.want, name)
		require.Equal(t, c.shown, shown, name)
	}
	require.Contains(t, p.asked, "hub", "the client proved who it is")
}

// TestWhatIsAsked: PKCE, state and nonce of each sign-in's own, and no more than that is needed.
func TestWhatIsAsked(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	hub := p.relying(nil)
	seen := map[string]bool{}
	for _, acr := range []int{1, 2, 1} {
		s := p.begin(hub, acr, nil)
		require.Equal(t, []string{"code"}, s.asked["response_type"])
		require.Equal(t, "hub", s.asked.Get("client_id"))
		require.Equal(t, "https://tellonce.example/sign-in/callback", s.asked.Get("redirect_uri"))
		require.Equal(t, "openid profile", s.asked.Get("scope"))
		require.Equal(t, "S256", s.asked.Get("code_challenge_method"))
		require.Equal(t, "fr-CA fr", s.asked.Get("ui_locales"))
		require.Equal(t, map[int]string{1: "", 2: "urn:gov:loa3 urn:gov:loa2"}[acr], s.asked.Get("acr_values"))
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			value := s.asked.Get(name)
			require.GreaterOrEqual(t, len(value), 26, "128 bits")
			require.False(t, seen[value])
			seen[value] = true
			require.NotContains(t, s.secret, value)
		}
		for _, values := range s.asked {
			require.NotContains(t, values[0], "s3cret")
			require.NotEqual(t, s.asked.Get("code_challenge"), oauth2.S256ChallengeFromVerifier(values[0]), "the verifier stays here")
		}
	}
}

// TestAnswersThatAreRefused: each differs by one fault from one that is taken.
func TestAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	hub := p.relying(nil)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	sign := func(sign func(object) string) func(*signIn) {
		return func(*signIn) { p.change(func() { p.sign = sign }) }
	}
	usual := p.sign
	for name, c := range map[string]struct {
		claims object
		fault  func(*signIn)
		text   string
	}{
		"another nonce":                 {object{"nonce": "x"}, nil, "another sign-in"},
		"no nonce":                      {object{"nonce": nil}, nil, "another sign-in"},
		"another state":                 {nil, func(s *signIn) { s.answer.Set("state", "x") }, "no sign-in that this browser began"},
		"no state":                      {nil, func(s *signIn) { s.answer.Del("state") }, "no sign-in that this browser began"},
		"no secret":                     {nil, func(s *signIn) { s.secret = "" }, "no sign-in that this browser began"},
		"a secret of another browser's": {nil, func(s *signIn) { s.secret = p.begin(hub, 1, nil).secret }, "no sign-in that this browser began"},
		"a secret of another hub's": {nil, func(s *signIn) {
			other := p.relying(func(c *auth.OIDCConfig) { c.Key = [32]byte{2} })
			_, s.secret, _ = other.Begin(context.Background(), "fr", 1, "/fr/me")
		}, "no sign-in that this browser began"},
		"a code of another sign-in": {nil, func(s *signIn) { s.answer.Set("code", p.begin(hub, 1, nil).answer.Get("code")) }, "invalid_grant"},
		"no such code":              {nil, func(s *signIn) { s.answer.Set("code", "x") }, "invalid_grant"},
		"a code that was redeemed": {nil, func(s *signIn) {
			_, _, err := s.finish()
			require.NoError(t, err)
		}, "invalid_grant"},
		"no code":                        {nil, func(s *signIn) { s.answer.Del("code") }, "error"},
		"another provider's":             {nil, func(s *signIn) { s.answer.Set("iss", "https://evil.example") }, "another provider"},
		"expired":                        {object{"exp": time.Now().Add(-time.Second).Unix()}, nil, "expired"},
		"no expiry":                      {object{"exp": nil}, nil, "expired"},
		"another audience":               {object{"aud": "other"}, nil, "audience"},
		"no audience":                    {object{"aud": nil}, nil, "audience"},
		"several audiences, for nobody":  {object{"aud": []string{"hub", "other"}}, nil, "another client"},
		"several audiences, for another": {object{"aud": []string{"hub", "other"}, "azp": "other"}, nil, "another client"},
		"one audience, for another":      {object{"azp": "other"}, nil, "another client"},
		"another issuer":                 {object{"iss": "https://evil.example"}, nil, "different provider"},
		"no issuer":                      {object{"iss": nil}, nil, "different provider"},
		"no ID token": {nil, func(s *signIn) {
			p.change(func() { p.codes[s.answer.Get("code")] = code{challenge: s.asked.Get("code_challenge")} })
		}, "no ID token"},
		"not a token":                    {nil, sign(func(object) string { return canary }), "malformed"},
		"alg none":                       {nil, sign(unsigned), "malformed"},
		"alg none, with a signature":     {nil, sign(func(c object) string { return unsigned(c) + "AAAA" }), "malformed"},
		"HS256 with the client's secret": {nil, sign(func(c object) string { return signed(t, jwa.HS256(), []byte("s3cret"), c) }), "malformed"},
		"PS256, which it does not name":  {nil, sign(func(c object) string { return signed(t, jwa.PS256(), p.key, c) }), "malformed"},
		"a stranger's signature":         {nil, sign(func(c object) string { return signed(t, jwa.RS256(), stranger, c) }), "signature"},
	} {
		p.change(func() { p.sign = usual })
		s := p.begin(hub, 1, c.claims)
		if c.fault != nil {
			c.fault(s)
		}
		s.refused(auth.RefusedAgain, c.text, name)
	}
	p.change(func() { p.sign = usual })
	_, _, err = p.begin(hub, 1, nil).finish()
	require.NoError(t, err, "else the refusals prove nothing")
}

// TestASignInTakesAQuarterOfAnHourAtMost.
func TestASignInTakesAQuarterOfAnHourAtMost(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	now := time.Now()
	p.now = func() time.Time { return now }
	hub := p.relying(nil)
	s := p.begin(hub, 1, object{"exp": now.Add(time.Hour).Unix()})
	now = now.Add(15 * time.Minute)
	s.refused(auth.RefusedAgain, "no sign-in that this browser began", "late")
	now = now.Add(-time.Second)
	_, _, err := s.finish()
	require.NoError(t, err)
}

// TestWhomTheHubDoesNotKnow.
func TestWhomTheHubDoesNotKnow(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	hub := p.relying(nil)
	long := string(make([]byte, 300))
	for name, claims := range map[string]object{
		"nobody's reference":        {"person_ref": canary},
		"no reference":              {"person_ref": nil},
		"an empty reference":        {"person_ref": ""},
		"a reference in figures":    {"person_ref": 1},
		"a long reference":          {"person_ref": long},
		"two roles":                 {"realm_access": object{"roles": []string{"TO_CLERK", "TO_OFFICER"}}, "upn": canary},
		"two roles, one a resident": {"realm_access": object{"roles": []string{"TO_RES", "TO_OFFICER"}}, "upn": canary},
		"a clerk without a name":    {"realm_access": object{"roles": "TO_CLERK"}},
		"a clerk with a long name":  {"realm_access": object{"roles": "TO_CLERK"}, "upn": long},
		"a clerk with controls":     {"realm_access": object{"roles": "TO_CLERK"}, "upn": "a\nb"},
		"a ministry without an id":  {"realm_access": object{"roles": "TO_MIN"}},
		"our own name of a role":    {"realm_access": object{"roles": "officer"}, "upn": "o", "person_ref": nil},
	} {
		p.begin(hub, 1, claims).refused(auth.RefusedUnknown, "", name)
	}
}

// TestAnswersWithoutACode: somebody who did not want to, and what went wrong at the provider's.
func TestAnswersWithoutACode(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	hub := p.relying(nil)
	for says, why := range map[string]string{
		"access_denied": auth.RefusedDeclined, "login_required": auth.RefusedDeclined, "server_error": auth.RefusedAgain,
		"unmet_authentication_requirements": auth.RefusedAgain, canary: auth.RefusedAgain,
	} {
		s := p.begin(hub, 1, nil)
		s.answer = url.Values{"error": {says}, "error_description": {canary}, "state": {s.asked.Get("state")}}
		if says == canary { // what stands in the address is cut and quoted, but is the provider's word for the operator
			_, _, err := s.finish()
			require.Error(t, err)
			continue
		}
		s.refused(why, "", says)
	}
}

// TestAProviderThatIsAway keeps nobody from starting, and is found when it is back.
func TestAProviderThatIsAway(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	p.change(func() { p.down = true })
	hub := p.relying(nil)
	_, _, err := hub.Begin(context.Background(), "en", 1, "")
	var refusal *auth.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, auth.RefusedAway, refusal.Refusal())
	require.Empty(t, hub.EndSession("en"))
	p.change(func() { p.down = false })
	s := p.begin(hub, 1, nil)
	p.server.Close()
	s.refused(auth.RefusedAway, "", "gone in between")
}

// TestAProviderThatNamesItself (RFC 9207) must do so in each answer.
func TestAProviderThatNamesItself(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	p.discovery["authorization_response_iss_parameter_supported"] = true
	hub := p.relying(nil)
	s := p.begin(hub, 1, nil)
	s.refused(auth.RefusedAgain, "another provider", "no iss")
	s.answer.Set("iss", p.server.URL)
	_, _, err := s.finish()
	require.NoError(t, err)
}

// TestSignOutAtTheProvider leads there without a token in the address: it would name the person.
func TestSignOutAtTheProvider(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	p.discovery["end_session_endpoint"] = p.server.URL + "/out?x=1"
	hub := p.relying(nil)
	p.begin(hub, 1, nil)
	u, err := url.Parse(hub.EndSession("fr"))
	require.NoError(t, err)
	require.Equal(t, url.Values{"x": {"1"}, "client_id": {"hub"}, "post_logout_redirect_uri": {"https://tellonce.example/fr/sign-in"}}, u.Query())
}

func TestProvidersThatCantBe(t *testing.T) {
	t.Parallel()
	good := auth.OIDCConfig{
		Issuer: "https://id.example/realms/gov", ClientID: "hub", RedirectURL: "https://tellonce.example/sign-in/callback",
		Citizen: func(context.Context, string, string) (uuid.UUID, error) { return uuid.Nil, nil },
	}
	_, err := auth.NewProvider(good)
	require.NoError(t, err)
	for name, change := range map[string]func(*auth.OIDCConfig){
		"no issuer":          func(c *auth.OIDCConfig) { c.Issuer = "" },
		"http":               func(c *auth.OIDCConfig) { c.Issuer = "http://id.example" },
		"a trick":            func(c *auth.OIDCConfig) { c.Issuer = "http://localhost.evil.example" },
		"a query":            func(c *auth.OIDCConfig) { c.Issuer += "?x" },
		"no client":          func(c *auth.OIDCConfig) { c.ClientID = "" },
		"no way back":        func(c *auth.OIDCConfig) { c.RedirectURL = "" },
		"a way back by http": func(c *auth.OIDCConfig) { c.RedirectURL = "http://tellonce.example/sign-in/callback" },
		"nobody to ask":      func(c *auth.OIDCConfig) { c.Citizen = nil },
	} {
		bad := good
		change(&bad)
		_, err := auth.NewProvider(bad)
		require.Error(t, err, name)
	}
	for _, loopback := range []string{"http://127.0.0.1:1/x", "http://[::1]:1", "http://localhost"} {
		local := good
		local.Issuer = loopback
		_, err := auth.NewProvider(local)
		require.NoError(t, err, loopback)
	}
}

// TestAStoreThatIsAwayIsNoRefusal: that a resident can't be looked up does not make them unknown.
func TestAStoreThatIsAwayIsNoRefusal(t *testing.T) {
	t.Parallel()
	p := newTiny(t)
	hub := p.relying(func(c *auth.OIDCConfig) {
		c.Citizen = func(context.Context, string, string) (uuid.UUID, error) { return uuid.Nil, http.ErrServerClosed }
	})
	_, _, err := p.begin(hub, 1, nil).finish()
	require.ErrorIs(t, err, http.ErrServerClosed)
	var refusal *auth.Refusal
	require.NotErrorAs(t, err, &refusal)
}
