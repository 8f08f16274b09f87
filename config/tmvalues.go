package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// The values that only trafficmgr.yaml has.

// seconds is a duration that DNS can carry as a TTL.
func seconds(least, most time.Duration) value[time.Duration] {
	v := duration(least, most)
	return value[time.Duration]{schema: v.schema, read: func(c cursor) (time.Duration, bool) {
		d, ok := v.read(c)
		if ok && d%time.Second != 0 {
			c.errorf("must be whole seconds, as TTLs are, not %s", quote(c.node.Value))
			return 0, false
		}
		return d, ok
	}}
}

// kept is text in lower case that names something: one that check refuses is
// reported and kept, so that references to it are not reported as well.
func kept(most int, check func(string) error) value[string] {
	return value[string]{schema: schema{"type": "string", "minLength": 1, "maxLength": most}, read: func(c cursor) (string, bool) {
		s, ok := text().read(c)
		s = strings.ToLower(s)
		if !ok {
			return s, false
		}
		if err := check(s); err != nil {
			c.errorf("%s", err)
			return s, true
		}
		return strings.TrimSuffix(s, "."), true
	}}
}

func isDNSName(s string) error {
	_, err := dnsName(s)
	return err
}

func zoneName() value[string] { return kept(254, isDNSName) }

// nameServer is a host name; addresses are a common mistake.
func nameServer() value[string] {
	return textThat(schema{"maxLength": 254}, func(s string) (string, error) {
		if _, err := netip.ParseAddr(s); err == nil {
			return "", fmt.Errorf("%s is an address; NS records have host names, such as ns1.tm.example", s)
		}
		return dnsName(s)
	})
}

func tsigName() value[string] { return kept(254, isDNSName) }

// lowerName refers to a zone or a profile.
func lowerName() value[string] {
	v := text()
	return value[string]{schema: v.schema, read: func(c cursor) (string, bool) {
		s, ok := v.read(c)
		return strings.TrimSuffix(strings.ToLower(s), "."), ok
	}}
}

func profileName() value[string] {
	return kept(253, func(s string) error {
		if s == "@" {
			return nil
		}
		if strings.HasSuffix(s, ".") {
			return fmt.Errorf("%s ends with a dot; write the labels under the zone only", quote(s))
		}
		for label := range strings.SplitSeq(s, ".") {
			if err := checkLabel(label, "_"); err != nil {
				return fmt.Errorf("%s is not a name in a zone: %w", quote(s), err)
			}
		}
		return nil
	})
}

// hostmasterName is a mail address as a name. One whose local part has a dot
// cannot be written.
func hostmasterName() value[string] {
	return textThat(schema{"maxLength": 254}, func(s string) (string, error) {
		if local, domain, ok := strings.Cut(s, "@"); ok {
			return "", fmt.Errorf("is a name, not a mail address; write %s", quote(local+"."+domain))
		}
		return dnsName(s)
	})
}

func serialNumber() value[uint32] {
	v := integer(0, 1<<32-1)
	return value[uint32]{schema: v.schema, read: func(c cursor) (uint32, bool) {
		n, ok := v.read(c)
		return uint32(n), ok
	}}
}

// builtinOrFile is a file, or empty for the word builtin.
func builtinOrFile() value[string] { return geoDatabase() }

func nsidText() value[string] {
	const most = 64
	return textThat(schema{"maxLength": most}, func(s string) (string, error) {
		if len(s) > most {
			return "", fmt.Errorf("must be at most %d bytes, not %d", most, len(s))
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "", errors.New("must be printable ASCII")
		}
		return s, nil
	})
}

// dnstapOutput is a file or unix:/path.
func dnstapOutput() value[string] {
	v := text()
	return value[string]{schema: v.schema, read: func(c cursor) (string, bool) {
		s, ok := v.read(c)
		path, isUnix := strings.CutPrefix(s, "unix:")
		switch {
		case !ok || s == "":
			return "", ok
		case !isUnix:
			return c.d.relative(s), true
		}
		address, err := c.d.unixAddress(path)
		if err != nil {
			c.errorf("%s", err)
		}
		return address, err == nil
	}}
}

// probeHeaders is a mapping of names to values, in the order of the file.
func probeHeaders() value[[]Header] {
	const most = 8
	s := schema{"type": "object", "additionalProperties": false, "maxProperties": most,
		"patternProperties": map[string]any{"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$": schema{"type": "string", "maxLength": maxHeaderValue}}}
	return value[[]Header]{schema: s, read: func(c cursor) ([]Header, bool) {
		entries, ok := c.mapping()
		if !ok {
			return nil, false
		}
		if len(entries) > most {
			c.errorf("must have at most %d entries, not %d", most, len(entries))
			return nil, false
		}
		var list []Header
		for i := 0; i+1 < len(c.node.Content); i += 2 {
			k, v := c.node.Content[i], c.node.Content[i+1]
			if k.Kind == yaml.ScalarNode && entries[k.Value].value == v {
				list = readHeader(c.key(printable(k.Value), entry{k, v}), k.Value, list)
			}
		}
		return list, true
	}}
}

const maxHeaderValue = 1024

func readHeader(c cursor, name string, list []Header) []Header {
	v, ok := text().read(c)
	if !ok {
		return list
	}
	err := checkHeader(name, v)
	for _, h := range list {
		if strings.EqualFold(h.Name, name) {
			err = fmt.Errorf("is there already as %s; remove one", h.Name)
		}
	}
	if err != nil {
		c.errorf("%s", err)
		return list
	}
	return append(list, Header{Name: name, Value: v})
}

// checkHeader accepts what a request can carry (RFC 9110 5.5 and 5.6.2).
func checkHeader(name, v string) error {
	const tokens = "!#$%&'*+-.^_`|~"
	notToken := func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune(tokens, r) }
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "connection", "upgrade", "trailer", "te", "expect":
		return errors.New("is about the connection or a body, which the prober sees to; remove it")
	case "host":
		_, _, err := splitTarget(v)
		if err != nil || strings.ContainsFunc(v, func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("-._:[]", r) }) {
			return fmt.Errorf("must be a host name with or without a port, such as www.example, not %s", quote(v))
		}
		return nil
	}
	switch {
	case name == "" || len(name) > 128 || strings.ContainsFunc(name, notToken):
		return errors.New("is no name of a header field; use letters, digits and -")
	case len(v) > maxHeaderValue:
		return fmt.Errorf("must be at most %d bytes, not %d", maxHeaderValue, len(v))
	case strings.ContainsFunc(v, func(r rune) bool { return isControl(r) && r != '\t' }):
		return errors.New("must not have control characters")
	case v != strings.Trim(v, " \t"):
		return errors.New("must not begin or end with a blank")
	}
	return nil
}

// endpointTarget reads an address or a host name.
func endpointTarget() field[Endpoint] {
	return field[Endpoint]{
		name:   "target",
		doc:    "An IP address or a host name.",
		schema: schema{"type": "string", "maxLength": 254},
		read: func(c cursor, into *Endpoint) {
			s, ok := text().read(c)
			if !ok {
				return
			}
			var err error
			if into.Address, into.Host, err = parseEndpointTarget(s); err != nil {
				c.errorf("%s", err)
			}
		},
	}
}

func parseEndpointTarget(s string) (netip.Addr, string, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		switch {
		case a.Zone() != "":
			return netip.Addr{}, "", fmt.Errorf("%s has a zone, which DNS cannot carry", quote(s))
		case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return netip.Addr{}, "", fmt.Errorf("%s is not the address of one machine", a)
		}
		return a, "", nil
	}
	if strings.Contains(s, "/") {
		return netip.Addr{}, "", fmt.Errorf("write an address or a host name without scheme or path, not %s; monitor.protocol and monitor.path say how it is probed", quote(s))
	}
	if host, port, err := splitTarget(s); err == nil && (port != 0 || strings.HasPrefix(s, "[")) {
		return netip.Addr{}, "", fmt.Errorf("DNS answers have no port; write %s, and monitor.port for the port of probes", strings.Trim(quote(host), `"`))
	}
	host, err := dnsName(s)
	return netip.Addr{}, host, err
}

// geoCode is a region of the hierarchy, in any case.
func geoCode() value[string] {
	return textThat(schema{"maxLength": 16}, func(s string) (string, error) {
		code := strings.ToUpper(s)
		if KnownRegion(code) {
			return code, nil
		}
		if near, ok := nearestRegion(code); ok {
			return "", fmt.Errorf("%s is no region of the hierarchy; did you mean %s?", quote(s), near)
		}
		return "", fmt.Errorf("%s is no region of the hierarchy; write WORLD, a grouping such as GEO-EU, a country such as DE, or a state such as US-CA", quote(s))
	})
}

func azureLocation() value[string] {
	return textThat(schema{"maxLength": 64}, func(s string) (string, error) {
		if name, ok := KnownAzureRegion(s); ok {
			return name, nil
		}
		if near, ok := nearestAzureRegion(s); ok {
			return "", fmt.Errorf("%s is no Azure region with known round-trip times; did you mean %s?", quote(s), near)
		}
		return "", fmt.Errorf("%s is no Azure region with known round-trip times; write one such as West Europe or westus2", quote(s))
	})
}

// addressRange is a prefix, an address, or first-last.
func addressRange() value[AddressRange] {
	s := schema{"type": "string", "description": "A prefix such as 10.0.0.0/8, one address, or a range such as 10.0.0.1-10.0.0.9."}
	return parsed("a prefix or a range of addresses", s, parseAddressRange)
}

func parseAddressRange(text string) (AddressRange, error) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		p, err := parsePrefix(text)
		if err != nil {
			return AddressRange{}, err
		}
		return AddressRange{First: p.Addr(), Last: lastOf(p)}, nil
	}
	first, err1 := netip.ParseAddr(strings.TrimSpace(low))
	last, err2 := netip.ParseAddr(strings.TrimSpace(high))
	first, last = first.Unmap(), last.Unmap()
	switch {
	case err1 != nil || err2 != nil || first.Zone() != "" || last.Zone() != "":
		return AddressRange{}, fmt.Errorf("must be a prefix such as 10.0.0.0/8, an address, or a range such as 10.0.0.1-10.0.0.9, not %s", quote(text))
	case first.BitLen() != last.BitLen():
		return AddressRange{}, fmt.Errorf("%s begins in one address family and ends in the other", quote(text))
	case last.Less(first):
		return AddressRange{}, fmt.Errorf("%s ends before it begins; write %s-%s", quote(text), last, first)
	}
	return AddressRange{First: first, Last: last}, nil
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for i := range bytes {
		switch used := p.Bits() - 8*i; {
		case used <= 0:
			bytes[i] = 0xff
		case used < 8:
			bytes[i] |= 0xff >> used
		}
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}
