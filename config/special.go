package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// The values that only one or two keys have.

func forwardedFor() value[ForwardedFor] {
	return oneOf(
		choice[ForwardedFor]{word: "ip", v: ForwardedForIP},
		choice[ForwardedFor]{word: "azure", v: ForwardedForAzure},
	)
}

// logOutput is stdout, stderr or a file.
func logOutput() value[string] {
	v := text()
	return value[string]{schema: v.schema, read: func(c cursor) (string, bool) {
		s, ok := v.read(c)
		switch {
		case !ok:
			return "", false
		case s == "":
			c.errorf("must be stdout, stderr or a file; to have no log, write format: off")
			return "", false
		case s == "stdout" || s == "stderr":
			return s, true
		}
		return c.d.relative(s), true
	}}
}

// needed refuses the empty text.
func needed(v value[string]) value[string] {
	return value[string]{schema: schema{"type": "string", "minLength": 1}, read: func(c cursor) (string, bool) {
		s, ok := v.read(c)
		if ok && s == "" {
			c.errorf("must not be empty; write the path of a file")
			return "", false
		}
		return s, ok
	}}
}

// emptyOr lets a key say with "" what it says by not being there.
func emptyOr(v value[string]) value[string] {
	s := schema{}
	for k, x := range v.schema {
		s[k] = x
	}
	if p, ok := s["pattern"].(string); ok {
		s["pattern"] = "^$|" + p
	}
	return value[string]{schema: s, read: func(c cursor) (string, bool) {
		if c.node.Kind == yaml.ScalarNode && c.node.Value == "" && c.node.Tag == "!!str" {
			return "", true
		}
		return v.read(c)
	}}
}

// errorPages is a mapping of status codes to files.
func errorPages() value[map[int]string] {
	s := schema{"type": "object", "additionalProperties": false,
		"patternProperties": map[string]any{"^[45][0-9][0-9]$": schema{"type": "string", "minLength": 1}}}
	return value[map[int]string]{schema: s, read: func(c cursor) (map[int]string, bool) {
		entries, ok := c.mapping()
		if !ok {
			return nil, false
		}
		pages := make(map[int]string, len(entries))
		// In the order of the file, not of a map: so are the errors.
		for i := 0; i+1 < len(c.node.Content); i += 2 {
			k, v := c.node.Content[i], c.node.Content[i+1]
			if k.Kind != yaml.ScalarNode || entries[k.Value].value != v {
				continue // reported by mapping
			}
			readErrorPage(c.key(printable(k.Value), entry{k, v}), k.Value, pages)
		}
		return pages, true
	}}
}

func readErrorPage(c cursor, code string, pages map[int]string) {
	status, err := strconv.Atoi(code)
	if err != nil || status < 400 || status > 599 || strconv.Itoa(status) != code {
		c.errorf("%s is not a status of an error; use 400 to 599", quote(code))
	}
	if page, ok := needed(file()).read(c); ok {
		pages[status] = page
	}
}

func hostNameValue() value[string] { return textThat(schema{"maxLength": 254}, hostPattern) }

func dnsNameValue() value[string] { return textThat(schema{"maxLength": 254}, dnsName) }

// grpcService is a full name of gRPC's: a package and a service.
func grpcService() value[string] {
	return textThat(schema{"maxLength": 255, "pattern": `^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`}, func(s string) (string, error) {
		for part := range strings.SplitSeq(s, ".") {
			if part == "" || strings.Trim(part, identifier) != "" || '0' <= part[0] && part[0] <= '9' {
				return "", fmt.Errorf("must be a package and a service, such as helloworld.Greeter, not %s", quote(s))
			}
		}
		if len(s) > 255 {
			return "", fmt.Errorf("has %d characters, more than 255", len(s))
		}
		return s, nil
	})
}

// identifier are the characters of names in Protocol Buffers.
const identifier = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

// backendHost is a Host field: a name or address, with or without a port.
func backendHost() value[string] {
	return textThat(schema{"maxLength": 260}, func(s string) (string, error) {
		if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() {
			return "", fmt.Errorf("write an IPv6 address in brackets: [%s]", ip)
		}
		host, port, err := splitTarget(s)
		if err != nil {
			return "", fmt.Errorf("must be a host name with or without a port, such as app.example, not %s", quote(s))
		}
		ip, err := netip.ParseAddr(host)
		if err != nil {
			if host, err = dnsName(host); err != nil {
				return "", err
			}
		} else if ip.Is6() {
			host = "[" + ip.String() + "]"
		}
		if port != 0 {
			host += ":" + strconv.Itoa(port)
		}
		return host, nil
	})
}

// cookieName is a token (RFC 6265 4.1.1).
func cookieName() value[string] {
	return textThat(schema{"minLength": 1, "maxLength": 64}, func(s string) (string, error) {
		return s, checkToken("a cookie's name", s)
	})
}

// retriesObject reads on, a list of words, into one boolean for each.
func retriesObject() object[Retries] {
	word := oneOf(choice[string]{word: "connectFailure", v: "connectFailure"}, choice[string]{word: "timeout", v: "timeout"}, choice[string]{word: "reset", v: "reset"})
	list := listOf(word, 0)
	on := field[Retries]{
		name:   "on",
		doc:    "What may be retried: connectFailure, and of idempotent requests whose body is still held timeout (no response head in time) and reset (the connection was closed before a response). An empty list: nothing.",
		schema: list.schema,
		read: func(c cursor, into *Retries) {
			words, _ := list.read(c)
			for _, w := range words {
				into.OnConnectFailure = into.OnConnectFailure || w == "connectFailure"
				into.OnTimeout = into.OnTimeout || w == "timeout"
				into.OnReset = into.OnReset || w == "reset"
			}
		},
	}
	return object[Retries]{fields: []field[Retries]{
		on.or("[connectFailure]"),
		key("onStatus", func(r *Retries) *[]int { return &r.OnStatus }, listOf(integer(400, 599), 0), "Status codes of responses after which another member is asked, such as [502, 503, 504]; of idempotent requests whose body is still held.").or("[]"),
		key("attempts", func(r *Retries) *int { return &r.Attempts }, integer(0, 5), "Further attempts; 0: none.").or("1"),
		key("budget", func(r *Retries) *int { return &r.Budget }, percent(0), "How much of the requests in flight to a pool may be retries, beside three that always may; over: no retry. 100%: no limit.").or("20%"),
		key("perTryTimeout", func(r *Retries) *time.Duration { return &r.PerTry }, duration(0, day), "How long an attempt may take until its response head while another may follow; then requestTimeout is for all of them together. 0s: requestTimeout for each.").or("0s"),
		key("backoff", func(r *Retries) *time.Duration { return &r.Backoff }, duration(0, 10*time.Second), "Pause before the second attempt, by chance between half of it and all; twice as long before each further one. 0s: none.").or("0s"),
	}}
}

// clientAuthObject describes mutual TLS.
func clientAuthObject() object[ClientAuth] {
	mode := oneOf(
		choice[ClientAuthMode]{word: "off", v: ClientAuthOff},
		choice[ClientAuthMode]{word: "strict", v: ClientAuthStrict},
		choice[ClientAuthMode]{word: "passthrough", v: ClientAuthPassthrough},
	)
	forward := oneOf(
		choice[ClientCertForward]{word: "off", v: ForwardNothing},
		choice[ClientCertForward]{word: "rfc9440", v: ForwardRFC9440},
		choice[ClientCertForward]{word: "fields", v: ForwardFields},
	)
	return object[ClientAuth]{fields: []field[ClientAuth]{
		key("mode", func(a *ClientAuth) *ClientAuthMode { return &a.Mode }, mode, "Whether clients must have a certificate: off does not ask for one, strict demands a good one in the handshake, passthrough takes any or none.").or("off"),
		key("caFile", func(a *ClientAuth) *string { return &a.CAFile }, file(), "PEM file of the root CAs of clients, and of intermediate ones that clients need not send; watched and reloaded."),
		key("crlFile", func(a *ClientAuth) *string { return &a.CRLFile }, file(), "PEM or DER file of revocation lists, one for each CA that issues; watched and reloaded; empty: revocation is not checked."),
		key("ocsp", func(a *ClientAuth) *ClientOCSP { return &a.OCSP }, clientOCSP(), "Whether a responder is asked about the certificate: on refuses whom it cannot be asked about, soft lets them in.").or("off"),
		key("ocspURL", func(a *ClientAuth) *string { return &a.OCSPURL }, emptyOr(responderURL()), "The responder to ask; empty: that of the certificate."),
		key("verifyIssuerDN", func(a *ClientAuth) *bool { return &a.VerifyIssuerDN }, boolean(), "Whether the issuer must be the lowest CA of the longest chain in caFile.").or("false"),
		key("forward", func(a *ClientAuth) *ClientCertForward { return &a.Forward }, forward, "How backends are told of the certificate: off, rfc9440 (Client-Cert, of a certificate that was verified), fields (X-Client-Cert-*, with the result).").or("off"),
	}}
}

// noClientAuthField accepts mode off only; its CA file is then of no use, and
// harmless.
func noClientAuthField() field[ListenerTLS] {
	type clientAuth struct{ mode, caFile string }
	o := object[clientAuth]{fields: []field[clientAuth]{
		key("mode", func(a *clientAuth) *string { return &a.mode }, oneOf(
			choice[string]{word: "off", v: "off"},
			choice[string]{word: "strict", reserved: true},
			choice[string]{word: "passthrough", reserved: true},
		), "Whether clients must have a certificate. Only off in this version.").or("off"),
		key("caFile", func(a *clientAuth) *string { return &a.caFile }, emptyOnly(), "PEM file of the CAs of clients. Only empty in this version."),
	}}
	return field[ListenerTLS]{name: "clientAuth", doc: "Certificates of clients.", schema: o.schema(), read: func(c cursor, _ *ListenerTLS) {
		var a clientAuth
		o.read(c, &a)
	}}
}

func emptyOnly() value[string] {
	return value[string]{schema: schema{"const": ""}, read: func(c cursor) (string, bool) {
		s, ok := text().read(c)
		if ok && s != "" {
			c.errorf(notAvailable)
		}
		return "", ok
	}}
}

// statusRange is a code, 200, or a range of them, 200-399.
func statusRange() value[StatusRange] {
	s := schema{"type": []string{"integer", "string"}, "minimum": 100, "maximum": 599, "pattern": "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$"}
	return parsed("a status such as 200 or 200-399", s, func(text string) (StatusRange, error) {
		low, high, isRange := strings.Cut(text, "-")
		if !isRange {
			high = low
		}
		from, ok1 := statusCode(low)
		to, ok2 := statusCode(high)
		if !ok1 || !ok2 || from > to {
			return StatusRange{}, fmt.Errorf("must be a status of 100 to 599 or a range of them such as 200-399, not %s", quote(text))
		}
		return StatusRange{From: from, To: to}, nil
	})
}

func statusCode(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && len(s) == 3 && n >= 100 && n <= 599
}

// bodyMatch is bounded as in Azure: probes keep that much of an answer.
func bodyMatch() value[string] { return boundedText(4090) }

const maxPath = 1024

// sloppy are characters that a path may not have by RFC 3986, and that
// clients send all the same: a path rule can name them.
const sloppy = "\"<>^{|}`"

// checkPath checks what paths of all keys have in common: they begin with a
// slash and are what a request line can carry (RFC 3986 3.3).
//
// The characters of and are allowed beside them.
func checkPath(s, and string) error {
	if !strings.HasPrefix(s, "/") {
		return fmt.Errorf("must begin with /, not %s", quote(s))
	}
	if len(s) > maxPath {
		return fmt.Errorf("must be at most %d bytes, not %d", maxPath, len(s))
	}
	for i := range len(s) {
		b := s[i]
		switch {
		case b == '%' && !isEscape(s[i:]):
			return fmt.Errorf("%s has a %% without two hexadecimal digits; write %%25 for the character itself", quote(s))
		case b <= ' ' || b >= 0x7f || b == '\\' || strings.IndexByte(sloppy, b) >= 0 && strings.IndexByte(and, b) < 0:
			return fmt.Errorf("%s has a character that a path cannot have; percent-encode it: %%%02X", quote(s), b)
		case strings.IndexByte("?#*", b) >= 0 && strings.IndexByte(and, b) < 0:
			return fmt.Errorf("%s must not have %c", quote(s), b)
		}
	}
	return nil
}

func isEscape(s string) bool {
	return len(s) >= 3 && isHex(s[1]) && isHex(s[2])
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

func absolutePath() value[string] {
	return textThat(schema{"pattern": "^/", "maxLength": maxPath}, func(s string) (string, error) { return s, checkPath(s, "") })
}

func probePath() value[string] {
	return textThat(schema{"pattern": "^/", "maxLength": maxPath}, func(s string) (string, error) { return s, checkPath(s, "?*") })
}

// pathPattern is a path of a path rule: Azure allows * at the very end only.
// It is compared with the canonical path, so a pattern that no canonical
// path can match is refused here rather than never met.
func pathPattern() value[string] {
	return textThat(schema{"pattern": `^/[^?#*;]*\*?$`, "maxLength": maxPath}, func(s string) (string, error) {
		if strings.Contains(s, ";") || strings.Contains(strings.ToUpper(s), "%3B") {
			return "", fmt.Errorf("%s has a parameter (;), which path rules take no account of; leave it out", quote(s))
		}
		if err := checkPath(strings.TrimSuffix(s, "*"), sloppy); err != nil {
			if strings.Contains(strings.TrimSuffix(s, "*"), "*") {
				return "", fmt.Errorf("%s has a * that is not at its very end; only /images/* is possible", quote(s))
			}
			return "", err
		}
		for seg := range strings.SplitSeq(s, "/") {
			if dots := strings.ReplaceAll(strings.ToLower(seg), "%2e", "."); dots == "." || dots == ".." {
				return "", fmt.Errorf("%s has a %s segment; paths are compared without them", quote(s), dots)
			}
		}
		return s, checkEscapes(s)
	})
}

// checkEscapes refuses an escape of a character that needs none: the
// canonical path has the character itself (RFC 3986 6.2.2.2).
func checkEscapes(s string) error {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if isAlnum(rune(n)) || strings.ContainsRune("-._~", rune(n)) {
			return fmt.Errorf("%s escapes a character that needs no escape; write %c for %s", quote(s), rune(n), s[i:i+3])
		}
	}
	return nil
}

// absoluteURL is the target of a redirect. The request's path and query are
// appended to it, so it has no query of its own, and no fragment.
func absoluteURL() value[string] {
	return textThat(schema{"pattern": "^https?://", "maxLength": 2048}, func(s string) (string, error) {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || len(s) > 2048 {
			return "", fmt.Errorf("must be a URL such as https://shop.example/, not %s", quote(s))
		}
		if u.User != nil {
			return "", errors.New("must not have a user and password")
		}
		if strings.ContainsAny(s, "?#") {
			return "", errors.New("must not have a query or fragment; includeQuery appends the request's query")
		}
		if err := checkURLHost(u); err != nil {
			return "", err
		}
		// The text itself, not u's path: that one has been escaped for us.
		_, path, _ := strings.Cut(s[len(u.Scheme+"://"):], "/")
		return s, checkPath("/"+path, "*")
	})
}

func checkURLHost(u *url.URL) error {
	if p := u.Port(); p != "" {
		if n, err := parsePort(p); err != nil || n == 0 {
			return fmt.Errorf("%s is not a port; use 1 to 65535", quote(p))
		}
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil
	}
	_, err := dnsName(u.Hostname())
	return err
}
