package sni

import (
	"net/netip"
	"strings"
)

const (
	maxName  = 253
	maxLabel = 63
)

// canonical is a server name in lower case, checked.
func canonical(raw []byte) (string, State) {
	name := lower(raw)
	switch {
	case isName(name):
		return name, Found
	case isAddress(name):
		return "", None
	}
	return "", Malformed
}

// lower is a text in lower case, ASCII only.
func lower(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	for _, c := range raw {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isName says whether a text in lower case is a host name (RFC 1123 section
// 2.1, and the underscore, which is in use), written without a dot at its end
// (RFC 6066 section 3). The last label is no number, or it would be read as
// an address.
func isName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return false
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

func isLabel(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}
