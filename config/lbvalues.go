package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// The values of l4lb.yaml that no other file has.

// within makes a key of a part of T a key of T.
func within[T, P any](f field[P], part func(*T) *P) field[T] {
	return field[T]{name: f.name, doc: f.doc, def: f.def, must: f.must, schema: f.schema,
		read: func(c cursor, into *T) { f.read(c, part(into)) }}
}

// one is a value where a list of one would do.
func one[V any](v value[V]) value[[]V] {
	return value[[]V]{schema: v.schema, read: func(c cursor) ([]V, bool) {
		got, ok := v.read(c)
		return []V{got}, ok
	}}
}

// outputOrOff reads off, stdout, stderr or a file.
func outputOrOff[T any](at func(*T) (output *string, enabled *bool)) field[T] {
	return field[T]{
		name:   "output",
		doc:    "stdout, stderr, or a file, which is reopened on SIGUSR1; off: no log.",
		def:    "off",
		schema: text().schema,
		read: func(c cursor, into *T) {
			if c.node.Kind == yaml.ScalarNode && c.node.Value == "off" {
				return
			}
			if c.node.Kind == yaml.ScalarNode && c.node.Value == "" && c.node.Tag == "!!str" {
				c.errorf("must be stdout, stderr, a file or off")
				return
			}
			output, enabled := at(into)
			*output, *enabled = logOutput().read(c)
		},
	}
}

// inboundOnly is a key that can say one thing only on this plane.
func inboundOnly[T any]() field[T] {
	v := oneOf(choice[bool]{word: "inbound", v: true}, choice[bool]{word: "outbound", reserved: true})
	return field[T]{name: "direction", doc: "inbound; outbound needs plane: ebpf, which is not available in this version.", def: "inbound",
		schema: v.schema, read: func(c cursor, _ *T) { v.read(c) }}
}

// seedNumber is any number of 64 bits.
func seedNumber() value[uint64] {
	return value[uint64]{schema: schema{"type": "integer", "minimum": 0}, read: func(c cursor) (uint64, bool) {
		text, ok := c.scalar("a whole number")
		if !ok {
			return 0, false
		}
		n, err := strconv.ParseUint(text, 10, 64)
		switch {
		case err != nil:
			c.errorf("must be a whole number of 0 to 18446744073709551615, not %s", quote(text))
		case c.node.Tag == "!!str":
			c.errorf("must be a whole number; write it without quotes: %d", n)
		default:
			return n, true
		}
		return 0, false
	}}
}

// nameOf is a reference that is never empty. What was refused is empty, and
// draws no second error where it stands in a list.
func nameOf(kind string) value[string] {
	return value[string]{schema: schema{"type": "string", "minLength": 1}, read: func(c cursor) (string, bool) {
		s, ok := text().read(c)
		switch {
		case !ok:
			return "", false
		case s == "":
			c.errorf("must not be empty; write the name of a %s", kind)
		}
		return s, s != ""
	}}
}

// serverName is a name that TLS clients ask for, or *. and such a name.
func serverName() value[string] {
	return textThat(schema{"maxLength": 256}, func(s string) (string, error) {
		suffix, wild := strings.CutPrefix(s, "*.")
		name, err := dnsName(suffix)
		switch {
		case s == "*":
			return "", errors.New("the connections that no name matches go to backendPool of the rule; name that pool there instead of *")
		case strings.ContainsAny(suffix, "*?"):
			return "", fmt.Errorf("%s has a wildcard that is not one label in front; write a name, or *.app.example", quote(s))
		case err != nil:
			return "", err
		case wild && len(name) > 251:
			return "", fmt.Errorf("%s is longer than a host name can be", quote(s))
		case wild:
			return "*." + name, nil
		}
		return name, nil
	})
}

// frontendAddresses adds to the frontend's addresses: address and addresses
// do the same.
func frontendAddresses(name, doc string, v value[[]netip.Addr]) field[L4Frontend] {
	return field[L4Frontend]{name: name, doc: doc, schema: v.schema, read: func(c cursor, into *L4Frontend) {
		list, _ := v.read(c)
		into.Addresses = append(into.Addresses, list...)
	}}
}

func frontendAddress() value[netip.Addr] {
	return parsed("an IP address", schema{"type": "string"}, func(text string) (netip.Addr, error) {
		a, err := parsePlainAddress(text)
		if err == nil && a.IsUnspecified() {
			return a, nil
		}
		return a, cmp.Or(err, ofOneMachine(a))
	})
}

// plainAddress is an IP address without a port and a zone.
func plainAddress() value[netip.Addr] {
	return parsed("an IP address", schema{"type": "string"}, func(text string) (netip.Addr, error) {
		a, err := parsePlainAddress(text)
		return a, cmp.Or(err, ofOneMachine(a))
	})
}

// ofOneMachine refuses addresses of none and of many; what could not be
// parsed is not its matter.
func ofOneMachine(a netip.Addr) error {
	if a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fmt.Errorf("%s is not the address of one machine", a)
	}
	return nil
}

func parsePlainAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		if _, err := netip.ParseAddrPort(text); err == nil {
			return a, fmt.Errorf("write the address alone, without a port, not %s", quote(text))
		}
		return a, fmt.Errorf("must be an IP address such as 203.0.113.10 or 2001:db8::1, not %s", quote(text))
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%s has a zone; write the address without it", quote(text))
	}
	return a.Unmap(), nil
}

// l4Member is a member: text, or a mapping with address.
func l4Member() value[L4Member] {
	long := l4MemberObject()
	short := schema{"type": "string", "description": "IP address or host name with or without a port."}
	return value[L4Member]{
		schema: schema{"oneOf": []schema{short, long.schema()}},
		read: func(c cursor) (L4Member, bool) {
			m := L4Member{Weight: 1, Pos: pos(c.node)}
			var ok bool
			if c.node.Kind == yaml.MappingNode {
				ok = long.read(c, &m)
			} else {
				ok = readMember(c, &m)
			}
			return m, ok
		},
	}
}

func memberAddress() field[L4Member] {
	return field[L4Member]{
		name:   "address",
		doc:    "IP address or host name, with or without a port, which replaces the port of rules.",
		must:   true,
		schema: schema{"type": "string", "maxLength": 260},
		read:   func(c cursor, into *L4Member) { readMember(c, into) },
	}
}

// readMember reads an address; the name is that unless another is set.
func readMember(c cursor, m *L4Member) bool {
	s, ok := text().read(c)
	if !ok {
		return false
	}
	err := parseMember(s, m)
	if err != nil {
		c.errorf("%s", err)
	}
	return err == nil
}

func parseMember(s string, m *L4Member) error {
	if strings.Contains(s, "/") || strings.HasPrefix(s, "unix:") {
		return fmt.Errorf("must be an address or a host name with or without a port, such as 10.0.0.4 or db.internal:5432, not %s", quote(s))
	}
	host, port, err := splitTarget(s)
	if err != nil {
		return err
	}
	m.Port = port
	if _, err := netip.ParseAddr(host); err == nil {
		a, err := parsePlainAddress(host)
		m.Address = a
		return cmp.Or(err, ofOneMachine(a))
	}
	m.Host, err = dnsName(host)
	return err
}

// probesField adds to the probes of a rule: probe and probes do the same.
func probesField(name, doc string, v value[[]string]) field[L4Rule] {
	return field[L4Rule]{name: name, doc: doc, schema: v.schema, read: func(c cursor, into *L4Rule) {
		list, _ := v.read(c)
		into.Probes = append(into.Probes, list...)
	}}
}

// portsField sets the ports of an inbound NAT rule.
func portsField(name, doc string, v value[PortRange]) field[InboundNATRule] {
	return field[InboundNATRule]{name: name, doc: doc, schema: v.schema, read: func(c cursor, into *InboundNATRule) {
		if r, ok := v.read(c); ok {
			into.Ports = r
		}
	}}
}

// onePort is a range of one.
func onePort() value[PortRange] {
	v := integer(1, 65535)
	return value[PortRange]{schema: v.schema, read: func(c cursor) (PortRange, bool) {
		n, ok := v.read(c)
		return PortRange{n, n}, ok
	}}
}

func portRange() value[PortRange] {
	s := schema{"type": []string{"string", "integer"}, "minimum": 1, "maximum": 65535, "pattern": "^[0-9]+(-[0-9]+)?$"}
	return parsed("a range of ports such as 50000-50099", s, parsePortRange)
}

func parsePortRange(text string) (PortRange, error) {
	bad := fmt.Errorf("must be a port of 1 to 65535 or a range of them such as 50000-50099, not %s", quote(text))
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, err1 := parsePort(low)
	last, err2 := parsePort(high)
	switch {
	case err1 != nil || err2 != nil || first == 0 || last == 0:
		return PortRange{}, bad
	case last < first:
		return PortRange{}, fmt.Errorf("%s ends before it begins; write %d-%d", quote(text), last, first)
	}
	return PortRange{int(first), int(last)}, nil
}

// isStar tells whether a value is * alone.
func isStar(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Value == "*" }

// portsMatch is *, which is none, or one or several ports and ranges.
func portsMatch() value[[]PortRange] {
	several := upTo(1000, listOf(portOrStar(), 1))
	return value[[]PortRange]{schema: schema{"oneOf": []schema{{"const": "*"}, portRange().schema, several.schema}},
		read: func(c cursor) ([]PortRange, bool) {
			if c.node.Kind != yaml.SequenceNode {
				got, ok := one(portOrStar()).read(c)
				return dropStar(got), ok
			}
			got, ok := several.read(c)
			if len(got) > 1 && slices.ContainsFunc(c.node.Content, isStar) {
				c.d.warnf(c.path, "* is every port; the rest of the list has no effect")
			}
			return dropStar(got), ok
		}}
}

// portOrStar is a range of ports, or * for every port: the zero range.
func portOrStar() value[PortRange] {
	v := portRange()
	return value[PortRange]{schema: schema{"oneOf": []schema{{"const": "*"}, v.schema}}, read: func(c cursor) (PortRange, bool) {
		if isStar(c.node) {
			return PortRange{}, true
		}
		return v.read(c)
	}}
}

// dropStar makes none of a list that has every port.
func dropStar(list []PortRange) []PortRange {
	if slices.Contains(list, PortRange{}) {
		return nil
	}
	return list
}

// maxMatched is Azure's limit for the addresses of one group.
const maxMatched = 4000

// addressMatch is *, or a list of prefixes, addresses and names of groups.
func addressMatch() value[AddressMatch] {
	word := value[string]{schema: schema{"type": "string", "minLength": 1}, read: text().read}
	several := upTo(maxMatched, listOf(word, 1))
	return value[AddressMatch]{schema: schema{"oneOf": []schema{word.schema, several.schema}},
		read: func(c cursor) (AddressMatch, bool) {
			list := one(word)
			if c.node.Kind == yaml.SequenceNode {
				list = several
			}
			words, ok := list.read(c)
			if !ok {
				return AddressMatch{}, false
			}
			return readAddressMatch(c, words), true
		}}
}

// readAddressMatch keeps what is right beside what is wrong: groups that do not
// exist are reported as well.
func readAddressMatch(c cursor, words []string) (m AddressMatch) {
	for i, w := range words {
		at := c
		if c.node.Kind == yaml.SequenceNode {
			at = c.item(i, c.node.Content[i])
		}
		if c.d.failed(at.path) {
			continue // no text, and reported
		}
		if err := m.add(w); err != nil {
			at.errorf("%s", err)
		}
	}
	return m
}

// add adds what one word stands for.
func (m *AddressMatch) add(word string) error {
	p, err := parsePrefix(word)
	_, badBits := netip.ParsePrefix(word)
	switch {
	case word == "*":
		m.Any = true
	case err == nil:
		m.Prefixes = append(m.Prefixes, p)
	case badBits == nil:
		return err // which says what to write
	case wellNamed(word, 128) && !looksLikeAddress(word):
		m.Groups = append(m.Groups, word)
	default:
		return fmt.Errorf("must be a prefix such as 10.0.0.0/8, an address, the name of an address group, or *, not %s", quote(word))
	}
	return nil
}

// looksLikeAddress tells a mistyped address from a name.
func looksLikeAddress(s string) bool {
	return strings.Trim(s, "0123456789./") == "" || strings.Contains(s, ":")
}
