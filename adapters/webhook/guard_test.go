package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/tellonce/hub/domain/delivery"
)

// special are addresses that are not, or not only, a ministry's server on the internet.
var special = []string{
	"0.0.0.0", "0.1.2.3", // this network: Linux takes it for loopback
	"10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", // private
	"100.64.0.1", "100.100.100.200", // shared by a carrier; Alibaba's metadata
	"127.0.0.1", "127.1.2.3", "127.255.255.254", // loopback
	"169.254.0.1", "169.254.169.254", "169.254.170.2", // link-local: the clouds' metadata
	"168.63.129.16",            // Azure's platform
	"192.0.0.1", "192.0.0.192", // protocol assignments; Oracle's metadata
	"192.0.2.1", "198.51.100.1", "203.0.113.1", // documentation
	"192.31.196.1", "192.52.193.1", "192.175.48.1", // AS112, AMT
	"192.88.99.1",              // 6to4 relays
	"198.18.0.1", "198.19.0.1", // benchmarks
	"224.0.0.1", "239.255.255.250", // multicast
	"240.0.0.1", "255.255.255.255", // reserved, broadcast
	"::", "::1", // unspecified, loopback
	"::7f00:1",                                                      // IPv4-compatible
	"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", // IPv4-mapped
	"::ffff:0:127.0.0.1",                                    // IPv4-translated
	"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", // NAT64
	"100::1",                                                 // discard
	"2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:20::1", // Teredo, ORCHID
	"2001:db8::1", "3fff::1", // documentation
	"2002:7f00:1::", "2002:a9fe:a9fe::1", // 6to4
	"2620:4f:8000::1",          // AS112
	"fc00::1", "fd00:ec2::254", // unique local: AWS's metadata
	"fe80::1", "fe80::1%eth0", "2606:4700::1111%eth0", // link-local; with a zone
	"fec0::1", "ff02::1", "5f00::1", // site-local, multicast, segment routing
}

func TestNoSpecialAddressIsConnectedTo(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(special), 37)
	g, err := newGuard(false, nil)
	require.NoError(t, err)
	dial := func(g *guard, address, port string) error {
		network := "tcp4"
		if strings.Contains(address, ":") {
			network = "tcp6"
		}
		return g.control(network, net.JoinHostPort(address, port), nil)
	}
	for _, address := range special {
		require.ErrorIs(t, dial(g, address, "443"), errForbidden, address)
	}
	for _, address := range []string{"1.1.1.1", "8.8.8.8", "168.63.129.15", "2606:4700::1111", "2a00:1450:4001::1"} {
		require.NoError(t, dial(g, address, "443"), address)
		for port, ok := range map[string]bool{"443": true, "1024": true, "8443": true, "80": false, "22": false, "25": false, "1023": false, "0": false} {
			require.Equal(t, ok, dial(g, address, port) == nil, "%s port %s", address, port)
		}
	}
	require.ErrorIs(t, g.control("udp4", "1.1.1.1:443", nil), errForbidden)
	require.ErrorIs(t, g.control("tcp4", "nonsense", nil), errForbidden)

	// A sandbox with loopback has loopback and nothing more.
	g, err = newGuard(true, nil)
	require.NoError(t, err)
	for _, address := range special {
		ip := netip.MustParseAddr(address)
		require.Equal(t, ip.IsLoopback() && !ip.Is4In6(), dial(g, address, "8081") == nil, address)
	}
	// An operator's network is what they named and nothing more.
	g, err = newGuard(false, []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd12::/32")})
	require.NoError(t, err)
	require.NoError(t, dial(g, "10.20.1.1", "443"))
	require.NoError(t, dial(g, "fd12::1", "443"))
	require.Error(t, dial(g, "10.20.1.1", "22"))
	for _, address := range special {
		require.ErrorIs(t, dial(g, address, "443"), errForbidden, address)
	}
}

func TestOnlyPrivateNetworksCanBeAllowed(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"10.0.0.0/8": true, "10.1.2.0/24": true, "192.168.0.0/16": true, "100.64.1.0/24": true, "fd00::/8": true,
		"0.0.0.0/0": false, "10.0.0.0/7": false, "127.0.0.0/8": false, "169.254.0.0/16": false, "168.63.129.16/32": false, "::/0": false, "::1/128": false,
		"::ffff:10.0.0.0/104": false, "8.8.8.0/24": false,
	} {
		_, err := newGuard(false, []netip.Prefix{netip.MustParsePrefix(text)})
		require.Equal(t, ok, err == nil, text)
	}
}

func TestAddressesAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	strict, err := newGuard(false, nil)
	require.NoError(t, err)
	local, err := newGuard(true, nil)
	require.NoError(t, err)
	for text, c := range map[string]struct{ strict, local bool }{
		"https://hooks.example.ca/tellonce":                     {true, true},
		"https://hooks.example.ca:8443/t?source=hub":            {true, true},
		"https://hooks.example.ca.":                             {true, true},
		"https://xn--hpital-mwa.example.ca/":                    {true, true},
		"https://1.1.1.1/":                                      {true, true},
		"https://[2606:4700::1111]/":                            {true, true},
		"https://127.0.0.1:9000/":                               {false, true},
		"http://127.0.0.1:9000/":                                {false, true},
		"http://localhost:9000/":                                {false, true},
		"https://[::1]:9000/":                                   {false, true},
		"http://hooks.example.ca/":                              {false, false},
		"http://1.1.1.1/":                                       {false, false},
		"https://hooks.example.ca:80/":                          {false, true},
		"https://hooks.example.ca:0/":                           {false, false},
		"https://hooks.example.ca:65536/":                       {false, false},
		"https://user@hooks.example.ca/":                        {false, false},
		"https://user:pass@hooks.example.ca/":                   {false, false},
		"https://hooks.example.ca/#x":                           {false, false},
		"https://hooks.example.ca/#":                            {false, false},
		"ftp://hooks.example.ca/":                               {false, false},
		"hooks.example.ca/":                                     {false, false},
		"https:hooks.example.ca":                                {false, false},
		"https:///hook":                                         {false, false},
		"https://":                                              {false, false},
		"":                                                      {false, false},
		"https://intranet/":                                     {false, false},
		"https://localhost.:8443/":                              {false, true},
		"https://2130706433/":                                   {false, false}, // 127.0.0.1 in decimal
		"https://0x7f000001/":                                   {false, false},
		"https://0x7f.1/":                                       {false, false},
		"https://0177.0.0.1/":                                   {false, false},
		"https://127.1/":                                        {false, false},
		"https://127.0.0.1./":                                   {false, false},
		"https://169.254.169.254/latest/":                       {false, false},
		"https://10.0.0.1/":                                     {false, false},
		"https://[::ffff:127.0.0.1]/":                           {false, false},
		"https://[fe80::1%25eth0]/":                             {false, false},
		"https://[64:ff9b::7f00:1]/":                            {false, false},
		"https://①②⑦.⓪.⓪.①/":                                    {false, false}, // digits of another alphabet
		"https://hôpital.example.ca/":                           {false, false},
		"https://hooks.example.ca\\@127.0.0.1/":                 {false, false},
		"https://hooks example.ca/":                             {false, false},
		"https://hooks..example.ca/":                            {false, false},
		"https://" + strings.Repeat("a", 64) + ".ca":            {false, false},
		"https://hooks.example.ca/" + strings.Repeat("a", 2048): {false, false},
	} {
		_, err := strict.check(text)
		require.Equal(t, c.strict, err == nil, "%q: %v", text, err)
		_, err = local.check(text)
		require.Equal(t, c.local, err == nil, "in a sandbox %q: %v", text, err)
	}
}

// TestDNSRebinding: a name that answered with a public address when the endpoint was set, and answers with loopback now, leads nowhere.
func TestDNSRebinding(t *testing.T) {
	t.Parallel()
	var answers atomic.Int64
	resolver := nameServer(t, func() [4]byte { answers.Add(1); return [4]byte{127, 0, 0, 1} })
	hook := func(local bool) (*bundle, delivery.Outcome) {
		b := setupWith(t, answer(http.StatusOK), func(c *Config) { c.Loopback, c.Resolver = local, resolver }, func(s *tls.Config, a *authority) {
			s.Certificates = []tls.Certificate{a.issue(t, a.certificate.NotAfter, "hooks.example.ca")}
		})
		_, port, err := net.SplitHostPort(b.server.Listener.Addr().String())
		require.NoError(t, err)
		b.endpoint.URL = "https://hooks.example.ca:" + port + "/hook"
		return b, b.post(message(1))
	}
	b, outcome := hook(false)
	require.Equal(t, delivery.Outcome{Code: "address-forbidden", Down: true}, outcome)
	require.Empty(t, b.seen(), "no connection was made")
	require.Positive(t, answers.Load(), "the name was asked for")
	_, outcome = hook(true)
	require.Equal(t, delivery.Outcome{}, outcome, "the control: where loopback is allowed the same way leads there")
}

// A hub that is started again without the switches sends to nothing that they had allowed.
func TestSwitchesAreAskedEachTime(t *testing.T) {
	t.Parallel()
	b := setupWith(t, answer(http.StatusOK), func(c *Config) { c.Loopback = false }, func(*tls.Config, *authority) {})
	for _, url := range []string{b.server.URL, "http://127.0.0.1:9000/", "http://hooks.example.ca/"} {
		b.endpoint.URL = url
		require.Equal(t, delivery.Outcome{Code: "address-forbidden", Down: true}, b.post(message(1)))
	}
	require.Empty(t, b.seen())
}

// nameServer answers every question for an IPv4 address, over UDP on loopback, and has no IPv6 address for any name.
func nameServer(t *testing.T, address func() [4]byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-served })
	go func() {
		defer close(served)
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: address()},
				}}
			}
			if text, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(text, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}
