package ws

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ForwardedAddress is a ClientAddress for servers behind proxies: the address
// of the TCP connection, unless that is one of trusted, which then tells in
// X-Forwarded-For whom it speaks for. The header is read from its end: each
// proxy appends whom it heard, so what stands before the first address that is
// not trusted is anybody's claim.
func ForwardedAddress(trusted []netip.Prefix) func(*http.Request) string {
	trusts := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return func(r *http.Request) string {
		address := remoteAddress(r)
		peer, ok := parseAddress(address)
		if !ok || !trusts(peer) {
			return address
		}
		headers := r.Header.Values("X-Forwarded-For")
		for _, header := range slices.Backward(headers) {
			for header != "" {
				i := strings.LastIndexByte(header, ',')
				claim, ok := parseAddress(strings.TrimSpace(header[i+1:]))
				if !ok {
					return peer.String() // whoever wrote this, believe the last good one
				}
				peer = claim
				if !trusts(peer) {
					return peer.String()
				}
				header = header[:max(i, 0)]
			}
		}
		return peer.String()
	}
}

// parseAddress reads an IP address, with a port or without.
func parseAddress(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

func remoteAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
