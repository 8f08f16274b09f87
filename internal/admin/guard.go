package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// refuse returns why a request is not answered, or "".
//
// A page of another site can make the operator's browser send requests here:
// directly, or under a name of its own that it lets resolve to 127.0.0.1 (DNS
// rebinding), and then it can read the answers too. A browser tells on it in
// Host, Origin and Sec-Fetch-Site. The read-only server is for everybody
// under any name, and has nothing that one could change.
func (s *Server) refuse(r *http.Request) string {
	if s.public {
		return ""
	}
	if !s.isOwnHost(r.Host) {
		return "Host names another server"
	}
	if origins, ok := r.Header["Origin"]; ok {
		if len(origins) != 1 || !strings.EqualFold(origins[0], "http://"+r.Host) {
			return "Origin is another site"
		}
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		// same-site is no better than cross-site: for a browser every port of
		// localhost is the same site.
		if site != "same-origin" && site != "none" {
			return "requested by another site"
		}
	}
	return ""
}

// isOwnHost tells whether Host is a name of this server that nobody else can
// give to an address of theirs: a loopback address, localhost, or the name
// that was configured. The port is left open, for tunnels.
func (s *Server) isOwnHost(host string) bool {
	name := hostname(host)
	if strings.EqualFold(name, "localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return s.network == "tcp" && name != "" && strings.EqualFold(name, hostname(s.address))
}

// hostname returns host without port and brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
