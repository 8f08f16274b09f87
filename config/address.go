package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// listenAddress is host:port, :port, or a bare port.
func listenAddress() value[netip.AddrPort] {
	s := schema{"type": []string{"string", "integer"}}
	return parsed("an address such as :8080", s, parseListenAddress)
}

func parseListenAddress(text string) (netip.AddrPort, error) {
	host, port, err := splitListen(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), port), nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s is not an IP address; write one, such as 127.0.0.1:%d, or :%d for all", quote(host), port, port)
	}
	ip = ip.Unmap()
	if port == 0 && !ip.IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("port 0 (any free port) is for loopback addresses only; write a port of 1 to 65535")
	}
	return netip.AddrPortFrom(ip, port), nil
}

// splitListen splits host and port; the host is empty for :port and port.
func splitListen(text string) (host string, port uint16, err error) {
	bad := fmt.Errorf("must be host:port, :port or a port, such as 127.0.0.1:8080, :8080 or 8080, not %s", quote(text))
	colon := strings.LastIndexByte(text, ':')
	host, digits := "", text
	if colon >= 0 {
		host, digits = text[:colon], text[colon+1:]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok || !strings.Contains(inner, ":") {
			return "", 0, bad
		}
		host = inner
	} else if strings.Contains(host, ":") {
		return "", 0, unbracketed(text, host, digits, bad)
	}
	n, err := parsePort(digits)
	if err != nil {
		return "", 0, badPort(digits, bad)
	}
	if n == 0 && host == "" {
		return "", 0, fmt.Errorf("port 0 (any free port) is for loopback addresses only; write a port of 1 to 65535")
	}
	return host, n, nil
}

// unbracketed says how an IPv6 address is written; what is none is bad.
func unbracketed(text, host, digits string, bad error) error {
	port, noPort := parsePort(digits)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" && noPort == nil {
		return fmt.Errorf("an IPv6 address needs brackets: [%s]:%d", ip, port)
	}
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return fmt.Errorf("%s has no port; write [%s]:8080", ip, ip)
	}
	return bad
}

// badPort tells a port that is too large from what is none.
func badPort(digits string, bad error) error {
	if digits != "" && len(digits) < 20 && strings.Trim(digits, "0123456789") == "" && digits[0] != '0' {
		return fmt.Errorf("%s is not a port; use 1 to 65535", digits)
	}
	return bad
}

// parsePort takes digits only: no sign, no leading zero.
func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%s is not a port", quote(s))
	}
	return uint16(n), nil
}

// adminAddress is a loopback host:port, unix:/path, or off.
func (d *decoder) adminAddress(text string) (string, error) {
	if text == "off" {
		return text, nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return d.unixAddress(path)
	}
	a, err := parseListenAddress(text)
	if err != nil {
		return "", err
	}
	if !a.Addr().IsLoopback() {
		return "", fmt.Errorf("%s is not loopback; write 127.0.0.1:%d, unix:/path or off (metrics.address serves health and metrics on any address)", quote(text), a.Port())
	}
	return a.String(), nil
}

func (d *decoder) unixAddress(path string) (string, error) {
	path, err := d.unixPath(path)
	return "unix:" + path, err
}

// unixPath resolves the path of a socket. The kernel's sockaddr_un has room
// for 107 bytes and the final zero.
func (d *decoder) unixPath(path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("a unix socket needs a path: unix:/run/app.sock")
	}
	path = d.relative(path)
	if len(path) > 107 {
		return "", fmt.Errorf("the path of a unix socket is at most 107 bytes, not %d", len(path))
	}
	return path, nil
}

func adminAddressValue() value[string] {
	return addressText((*decoder).adminAddress)
}

func metricsAddressValue() value[string] {
	return addressText(func(_ *decoder, text string) (string, error) {
		if text == "off" || text == "" {
			return "", nil
		}
		a, err := parseListenAddress(text)
		return a.String(), err
	})
}

func addressText(parse func(*decoder, string) (string, error)) value[string] {
	s := schema{"type": []string{"string", "integer"}}
	return value[string]{schema: s, read: func(c cursor) (string, bool) {
		text, ok := c.scalar("an address")
		if !ok {
			return "", false
		}
		got, err := parse(c.d, text)
		if err != nil {
			c.errorf("%s", err)
		}
		return got, err == nil
	}}
}

// target is a backend: text, or a mapping with an address.
func target() value[Target] {
	long := object[Target]{fields: []field[Target]{
		targetAddress(),
		key("weight", func(t *Target) *int { return &t.Weight }, integer(1, 1000), "Share of the requests, relative to the other targets.").or("1"),
		key("priority", func(t *Target) *int { return &t.Priority }, integer(1, 1000), "Targets of the lowest number serve, those of others when too few of them are healthy.").or("1"),
	}}
	short := schema{"type": "string", "description": "IP address or host name with or without port, or unix:/path."}
	return value[Target]{
		schema: schema{"oneOf": []schema{short, long.schema()}},
		read: func(c cursor) (Target, bool) {
			t := Target{Weight: 1, Priority: 1}
			if c.node.Kind == yaml.MappingNode {
				ok := long.read(c, &t)
				return t, ok
			}
			return t, readTarget(c, &t)
		},
	}
}

func targetAddress() field[Target] {
	return field[Target]{
		name:   "address",
		doc:    "IP address or host name, with or without a port, or unix:/path.",
		must:   true,
		schema: schema{"type": "string"},
		read:   func(c cursor, into *Target) { readTarget(c, into) },
	}
}

func readTarget(c cursor, into *Target) bool {
	s, ok := text().read(c)
	if !ok {
		return false
	}
	t, err := c.d.parseTarget(s)
	if err != nil {
		c.errorf("%s", err)
		return false
	}
	t.Weight, t.Priority = into.Weight, into.Priority
	*into = t
	return true
}

func (d *decoder) parseTarget(text string) (Target, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path, err := d.unixPath(path)
		return Target{Unix: path}, err
	}
	if strings.Contains(text, "://") {
		return Target{}, fmt.Errorf("write the address without a scheme, host or host:port; the protocol is in the backend settings")
	}
	if strings.Contains(text, "/") {
		return Target{}, fmt.Errorf("write the address without a path, host or host:port; pathOverride of backend settings puts a path in front")
	}
	host, port, err := splitTarget(text)
	if err != nil {
		return Target{}, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return Target{Host: ip.Unmap().String(), Port: port}, nil
	}
	name, err := dnsName(host)
	return Target{Host: name, Port: port}, err
}

// splitTarget splits host and port; the port is 0 if there is none.
func splitTarget(text string) (host string, port int, err error) {
	bad := fmt.Errorf("must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not %s", quote(text))
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip.String(), 0, nil
	}
	host, digits, found := strings.Cut(text, ":")
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return "", 0, bad
		}
		host = text[1:end]
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return "", 0, bad
		}
		found = end+1 < len(text)
		if found && text[end+1] != ':' {
			return "", 0, bad
		}
		digits = strings.TrimPrefix(text[end+1:], ":")
	}
	if !found {
		return host, 0, nil
	}
	n, err := parsePort(digits)
	if err != nil || n == 0 {
		return "", 0, badPort(digits, bad)
	}
	return host, int(n), nil
}
