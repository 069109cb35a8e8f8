package schemas_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/schemas"
)

// judge asserts that a check accepts and refuses what it must.
func judge(t *testing.T, check func(string) bool, accepted, refused []string) {
	t.Helper()
	for _, s := range accepted {
		require.True(t, check(s), "%q", s)
	}
	for _, s := range refused {
		require.False(t, check(s), "%q", s)
	}
}

func TestValidEmail(t *testing.T) {
	t.Parallel()
	user64 := strings.Repeat("a", 64)
	label63 := strings.Repeat("b", 63)
	judge(t, schemas.ValidEmail,
		[]string{
			"noah@example.ca", "a@b", "first.last+tag@sub.example.co", "o'brien@example.ca", "!#$%&'*+-/=?^_`{|}~@example.ca",
			"zoë@example.ca", "用户@例子.广告", "अजय@डाटा.भारत", "квіточка@пошта.укр", "θσερ@εχαμπλε.ψομ", "Dörte@Sörensen.example.com",
			`"john doe"@example.ca`, `"a\"b\\c"@example.ca`, `"a@b"@example.ca`, "a@xn--fsqu00a.xn--0zwm56d", "A@EXAMPLE.CA",
			"a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", user64 + "@example.ca", "a@" + label63 + ".ca", "1@2.ca", "👍@example.ca",
		},
		[]string{
			"", "not-an-address", "@example.ca", "noah@", "@", "a@@b", "a@b@c", "a b@example.ca", " a@example.ca", "a@example.ca ",
			"a@exa mple.ca", ".a@example.ca", "a.@example.ca", "a..b@example.ca", "a@example..ca", "a@.ca", "a@example.ca.", "a@-b.ca",
			"a@b-.ca", "a@b_c.ca", "a\x00@example.ca", "a\n@example.ca", "a\u202e@example.ca", "a\u200b@example.ca", "a\u00a0b@example.ca",
			"a\u0085@example.ca", "a\ufffd@example.ca", "a\xff@example.ca", "a\ue000@example.ca", `"a"b@example.ca`, `"@example.ca`, `"a@example.ca`,
			`"a\"@example.ca`, "\"a\nb\"@example.ca", "\"a\x7f\"@example.ca", "a(b)@example.ca", "a,b@example.ca", "a;b@example.ca",
			"<a@example.ca>", "Noah <a@example.ca>", user64 + "a@example.ca", "é" + user64[:63] + "@example.ca", "a@" + label63 + "b.ca",
			"a@" + strings.Repeat("b.", 126) + "ca", "a@xn--zz--.ca", "a@\u202eexample.ca", "a@ex\u200bample.ca", "a@😀\x00.ca", "a@[1.2.3]", "a@[]",
			"a@[IPv6:zz]", "a@[IPv6:fe80::1%eth0]", "a@[2001:db8::1]", "a@ab--cd.ca", "a@" + strings.Repeat("é", 60) + ".ca",
		})
}

func TestValidPhone(t *testing.T) {
	t.Parallel()
	judge(t, schemas.ValidPhone,
		[]string{"+14165550100", "+1234567", "+123456789012345"},
		[]string{
			"", "+", "416-555-0100", "14165550100", "+123456", "+1234567890123456", "+0123456789", "+1416555010a", "+1 416 555 0100",
			" +14165550100", "+14165550100\n", "++1416555010", "+٣٤٣٤٣٤٣٤", "+1234567+",
		})
}

func TestValidDate(t *testing.T) {
	t.Parallel()
	judge(t, schemas.ValidDate,
		[]string{"2026-01-31", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"},
		[]string{
			"", "2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-01", "2026-01-00", "2026-1-1", "2026-01-01T00:00:00Z",
			"20260101", "2026/01/01", " 2026-01-01", "+026-01-01", "-026-01-01", "0000-01-01", "2026-01-0a", "２026-01-01",
		})
}

func TestValidUUID(t *testing.T) {
	t.Parallel()
	judge(t, schemas.ValidUUID,
		[]string{"6caf76a5-7035-48ae-8280-ad3729a6f2e7", "6CAF76A5-7035-48AE-8280-AD3729A6F2E7", "00000000-0000-0000-0000-000000000000"},
		[]string{
			"", "6caf76a5703548ae8280ad3729a6f2e7", "{6caf76a5-7035-48ae-8280-ad3729a6f2e7}", "urn:uuid:6caf76a5-7035-48ae-8280-ad3729a6f2e7",
			"6caf76a5-7035-48ae-8280-ad3729a6f2e", "6caf76a5-7035-48ae-8280-ad3729a6f2eg", "6caf76a57-035-48ae-8280-ad3729a6f2e7",
		})
}

func TestValidReference(t *testing.T) {
	t.Parallel()
	judge(t, schemas.ValidReference,
		[]string{"person-000000", " ", "~", strings.Repeat("x", 64)},
		[]string{"", strings.Repeat("x", 65), "é", "a\tb", "a\x7f", "a\x00"})
}

func TestParseInstant(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Time{
		"2026-01-05T15:30:14Z":              time.Date(2026, 1, 5, 15, 30, 14, 0, time.UTC),
		"2026-01-05T15:30:14.5Z":            time.Date(2026, 1, 5, 15, 30, 14, 500_000_000, time.UTC),
		"2026-01-05T15:30:14.123456789123Z": time.Date(2026, 1, 5, 15, 30, 14, 123_456_789, time.UTC),
		"2016-12-31T23:59:60Z":              time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC),
		"2026-01-05T00:00:00Z":              time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC),
	} {
		got, ok := schemas.ParseInstant(s)
		require.True(t, ok, s)
		require.True(t, want.Equal(got), s)
	}
	judge(t, func(s string) bool { _, ok := schemas.ParseInstant(s); return ok }, nil, []string{
		"", "2026-01-05", "2026-01-05T15:30:14", "2026-01-05T15:30:14+00:00", "2026-01-05T15:30Z", "2026-01-05 15:30:14Z",
		"2026-01-05t15:30:14z", "2026-01-05T15:30:14.Z", "2026-01-05T15:30:14,5Z", "2026-02-29T15:30:14Z", "2026-01-05T24:00:00Z",
		"2026-01-05T15:60:14Z", "2026-01-05T15:30:60Z", "2026-01-05T15:30:14ZZ", "2026-01-05T15:30:14.5xZ", "2026-01-05T1a:30:14Z",
	})
}
