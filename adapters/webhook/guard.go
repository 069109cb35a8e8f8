package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// errForbidden is what a connection to an address fails with that no endpoint may have.
var errForbidden = errors.New("webhook: no endpoint may have this address")

var (
	// Azure's platform, which the list of special addresses does not hold: a public address that is another machine on every machine.
	azure = netip.MustParsePrefix("168.63.129.16/32")

	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	// private are the only special addresses that an operator may allow.
	private = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"),
	}
)

const (
	httpsPort      = 443
	firstUserPort  = 1024
	maxURL         = 2048
	schemeHTTPS    = "https"
	schemeHTTP     = "http"
	localhost      = "localhost"
	addressMissing = "must be an https address with a host name, such as https://hooks.example.ca/tellonce"
)

// guard judges where an endpoint may be.
type guard struct {
	guardian *ssrf.Guardian
	sandbox  bool // with loopback: any port there, and plain http
}

// newGuard allows public addresses, and the networks that the operator names; with local, also loopback.
func newGuard(local bool, networks []netip.Prefix) (*guard, error) {
	var v4, v6 []netip.Prefix
	allow := func(p netip.Prefix) {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	for _, network := range networks {
		if !within(network, private) {
			return nil, fmt.Errorf("webhook: %s is no part of a private network: only 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 and "+
				"fc00::/7 can be allowed", network)
		}
		allow(network.Masked())
	}
	if local {
		for _, network := range loopback {
			allow(network)
		}
	}
	return &guard{sandbox: local, guardian: ssrf.New(
		ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azure), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...),
	)}, nil
}

func within(network netip.Prefix, wider []netip.Prefix) bool {
	for _, w := range wider {
		if w.Bits() <= network.Bits() && w.Contains(network.Addr()) {
			return true
		}
	}
	return false
}

// control is net.Dialer's: it sees the very address that is connected to, after DNS. A name that resolves to another address than when the
// endpoint was set is judged anew.
func (g *guard) control(network, address string, _ syscall.RawConn) error {
	if err := g.guardian.Safe(network, address, nil); err != nil {
		return fmt.Errorf("%w: %w", errForbidden, err)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil || !g.port(to.Port()) {
		return errForbidden
	}
	return nil
}

// port: the ports below 1024 belong to the system's services, of which 443 alone speaks HTTPS.
func (g *guard) port(port uint16) bool {
	return g.sandbox || port == httpsPort || port >= firstUserPort
}

// check judges an endpoint's address as it is written. What its name resolves to is control's to judge.
func (g *guard) check(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, fmt.Errorf("must have at most %d characters", maxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || (u.Scheme != schemeHTTPS && u.Scheme != schemeHTTP):
		return nil, errors.New(addressMissing)
	case u.User != nil:
		return nil, errors.New("must hold no user and no password: the address stands on the log")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New("must hold no fragment")
	case u.Scheme == schemeHTTP && (!g.sandbox || !isLoopback(u.Hostname())):
		return nil, errors.New("must begin with https://")
	}
	if err := g.checkHost(u.Hostname()); err != nil {
		return nil, err
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 || !g.port(uint16(port)) {
			return nil, errors.New("must have port 443, or one from 1024 on")
		}
	}
	return u, nil
}

// checkHost takes a DNS name, or an address in its one plain spelling: some resolvers read 2130706433, 0177.0.0.1 and 0x7f.1 as addresses.
func (g *guard) checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" || g.guardian.SafeAddr(ip) != nil {
			return errors.New("must not be an address inside a network")
		}
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if !isLabel(label) {
			return errors.New("must have a host name of ASCII letters, digits and hyphens (an international name in its xn-- form)")
		}
	}
	last := labels[len(labels)-1]
	if last[0] >= '0' && last[0] <= '9' {
		return errors.New("must spell an address as four decimal numbers")
	}
	if len(labels) == 1 && (last != localhost || !g.sandbox) {
		return errors.New("must have a full host name")
	}
	return nil
}

// isLabel says whether a text is one label of a host name. Underscores are not of the standard, and of some names.
func isLabel(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == localhost || (err == nil && ip.IsLoopback())
}
