package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fails runs a command that must end with an exit code, and returns what it says on stderr.
func (p *place) fails(code int, args ...string) string {
	p.t.Helper()
	out, errs, got := p.try(nil, args...)
	require.Equal(p.t, code, got, "%v: %s", args, errs)
	require.Empty(p.t, out, "stdout carries data only")
	return errs
}

// agreementFile writes a sample agreement, edited.
func (p *place) agreementFile(name string, edit ...string) string {
	p.t.Helper()
	text, err := os.ReadFile(samples + "agreements/" + name + ".yaml")
	require.NoError(p.t, err)
	edited := strings.NewReplacer(edit...).Replace(string(text))
	require.True(p.t, len(edit) == 0 || edited != string(text))
	file := filepath.Join(p.t.TempDir(), name+".yaml")
	require.NoError(p.t, os.WriteFile(file, []byte(edited), 0o600))
	return file
}

// states are the versions of `agreement list --all`: id@version state.
func (p *place) states() []string {
	p.t.Helper()
	var out []string
	for _, one := range objects(p.t, p.run("agreement", "list", "--all")) {
		out = append(out, one["id"].(string)+"@"+string(rune('0'+int(one["version"].(float64))))+" "+one["state"].(string))
	}
	return out
}

// TestAgreementsUnderFourEyes walks an agreement's life through the program, on a log that is no sandbox.
func TestAgreementsUnderFourEyes(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.run("init")
		one, library := p.agreementFile("outdoors-card"), p.agreementFile("library-membership")
		require.Contains(t, p.fails(2, "agreement", "propose", one), "--as NAME")
		require.Contains(t, p.fails(2, "agreement", "propose", "--as", "Dominique"), "takes files")
		proposed := objects(t, p.run("agreement", "propose", one, library, "--as", "Dominique"))
		require.Len(t, proposed, 2)
		require.Equal(t, "proposed", proposed[0]["state"])
		require.NotContains(t, proposed[0], "replaces")
		require.Empty(t, objects(t, p.run("agreement", "list")))
		require.Equal(t, []string{"library-membership@1 proposed", "outdoors-card@1 proposed"}, p.states())

		require.Contains(t, p.fails(1, "agreement", "approve", "outdoors-card@1", "--as", "dominique"), "same-person: Two different people are needed")
		require.Contains(t, p.fails(2, "agreement", "approve", "outdoors-card", "--as", "Robin"), "no agreement with its version")
		require.Contains(t, p.fails(2, "agreement", "approve", "outdoors-card@1"), "--as NAME")
		require.Contains(t, p.fails(1, "agreement", "approve", "outdoors-card@2", "--as", "Robin"), `unknown-version at "/version"`)
		require.Contains(t, p.fails(1, "agreement", "approve", "fishing@1", "--as", "Robin"), `unknown-version at "/id"`)
		require.Equal(t, "approved", objects(t, p.run("agreement", "approve", "outdoors-card@1", "--as", "Robin"))[0]["state"])
		require.Contains(t, p.fails(1, "agreement", "approve", "outdoors-card@1", "--as", "Robin"), "already-approved")
		require.Len(t, objects(t, p.run("agreement", "list")), 1)

		// The next version: what is wider asks anew, what is narrower applies at once.
		two := p.agreementFile("outdoors-card", "version: 1", "version: 2", "street", "country", "min_age: 12", "min_age: 10")
		changed := objects(t, p.run("agreement", "propose", two, "--as", "Dominique"))[0]
		require.Equal(t, []any{1.0, true, true, true}, []any{changed["replaces"], changed["wider"], changed["narrower"], changed["asks_anew"]})
		require.Contains(t, changed["changes"], "No longer shared of “Address”: Street.")
		out, errs, code := p.try(nil, "agreement", "propose", two, "--as", "Dominique", "--output", "text")
		require.Equal(t, 0, code, errs)
		require.Contains(t, out, "outdoors-card@2 proposed; compared with version 1:\n  More is shared of “Address”: Country.\n  No longer shared")
		require.Contains(t, out, "\n  People who agreed are asked anew")
		p.run("agreement", "approve", "outdoors-card@2", "--as", "Robin")
		require.Equal(t, []string{"library-membership@1 proposed", "outdoors-card@1 replaced", "outdoors-card@2 approved"}, p.states())
		require.Contains(t, p.fails(1, "agreement", "propose", p.agreementFile("outdoors-card", "version: 1", "version: 2"), "--as", "Dominique"), "with other content")

		// Files that are wrong say where, and nothing is proposed.
		three := p.agreementFile("outdoors-card", "version: 1", "version: 3")
		broken := p.agreementFile("outdoors-card", "version: 1", "version: 3", "street", "shoe_size")
		require.Regexp(t, `outdoors-card.yaml:\d+:\d+: address-changed has no field "shoe_size"`, p.fails(1, "agreement", "propose", three, broken, "--as", "Dominique"))
		require.Len(t, p.states(), 3)

		// A version whose validity has not begun is the rule already.
		later := p.agreementFile("outdoors-card", "version: 1", "version: 3", "from: 2026-01-01", "from: 2999-01-01")
		p.run("agreement", "propose", later, "--as", "Dominique")
		_, errs, code = p.try(nil, "agreement", "approve", "outdoors-card@3", "--as", "Robin")
		require.Equal(t, 0, code)
		require.Contains(t, errs, "Nothing is shared under outdoors-card until 2999-01-01")

		require.Contains(t, p.fails(2, "agreement", "end", "outdoors-card", "--as", "Robin"), "add --yes")
		require.Contains(t, p.fails(1, "agreement", "end", "outdoors-card", "--on", "2999-01-01", "--yes", "--as", "Robin"), `end-date at "/date"`)
		require.Contains(t, p.fails(1, "agreement", "end", "fishing", "--yes", "--as", "Robin"), "unknown-version")
		for _, one := range objects(t, p.run("agreement", "end", "outdoors-card", "--yes", "--as", "Robin")) {
			require.Equal(t, "ended", one["state"])
			require.Regexp(t, `^20\d\d-\d\d-\d\d$`, one["ended_on"])
		}
		require.Empty(t, objects(t, p.run("agreement", "list")))
		require.Contains(t, p.fails(1, "agreement", "end", "outdoors-card", "--yes", "--as", "Robin"), "agreement-ended")
	})
}

// TestASandboxsAgreements: it approves what is loaded by itself, needs no names, and yet knows four eyes where names are given.
func TestASandboxsAgreements(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	require.Len(t, p.states(), 9)
	two := p.agreementFile("outdoors-card", "version: 1", "version: 2")
	p.run("agreement", "propose", two, "--as", "Dominique")
	p.fails(1, "agreement", "approve", "outdoors-card@2", "--as", "Dominique")
	out, _, code := p.try(nil, "agreement", "approve", "outdoors-card@2", "--output", "text")
	require.Equal(t, 0, code)
	require.Equal(t, "outdoors-card@2 approved; the same rules as version 1\n", out)
	require.Len(t, objects(t, p.run("agreement", "list")), 9)
}
