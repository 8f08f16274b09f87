package httpmsg

import (
	"bytes"
	"net/netip"
)

// maxForwarded is how many entries of X-Forwarded-For are walked through
// before the list is not believed any more.
const maxForwarded = 32

// ClientFromForwarded returns the address of the client that a request comes
// from: the peer, or what X-Forwarded-For says if the peer is trusted. The
// list is walked from its right end, where the nearest proxy wrote, through
// trusted addresses to the first that is not, or to its left end. An entry is
// an address, with a port if it likes and brackets around IPv6. If an entry on
// the way is anything else, or there are more than 32, the list is not
// believed and the client is the peer.
func ClientFromForwarded(f *Fields, peer netip.Addr, trusted func(netip.Addr) bool) netip.Addr {
	if !trusted(peer) {
		return peer
	}
	client, walked := peer, 0
	for i := len(f.list) - 1; i >= 0; i-- {
		if p := &f.list[i]; p.id != XForwardedFor || p.dead {
			continue
		}
		rest := f.ValueAt(i)
		for more := true; more; {
			var entry []byte
			entry, rest, more = lastElement(rest)
			if len(entry) == 0 {
				continue
			}
			addr, ok := parseForwarded(entry)
			if walked++; !ok || walked > maxForwarded {
				return peer
			}
			if !trusted(addr) {
				return addr
			}
			client = addr
		}
	}
	return client
}

// lastElement takes the last element off a comma-separated list.
func lastElement(list []byte) (elem, rest []byte, more bool) {
	if comma := bytes.LastIndexByte(list, ','); comma >= 0 {
		return TrimSpace(list[comma+1:]), list[:comma], true
	}
	return TrimSpace(list), nil, false
}

// parseForwarded reads an entry of X-Forwarded-For.
func parseForwarded(b []byte) (netip.Addr, bool) {
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || end+1 < len(b) && !isPort(b[end+1:]) {
			return netip.Addr{}, false
		}
		addr, ok := ParseAddr(b[1:end])
		return addr.Unmap(), ok && addr.Is6()
	}
	if colon := bytes.IndexByte(b, ':'); colon >= 0 && bytes.LastIndexByte(b, ':') == colon {
		if !isPort(b[colon:]) {
			return netip.Addr{}, false
		}
		b = b[:colon]
	}
	addr, ok := ParseAddr(b)
	return addr.Unmap(), ok
}

// isPort reports whether b is ":" and up to five digits.
func isPort(b []byte) bool {
	if b[0] != ':' || len(b) < 2 || len(b) > 6 {
		return false
	}
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// ParseAddr is netip.ParseAddr for bytes, without zones: it allocates nothing.
func ParseAddr(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') < 0 {
		v4, ok := parse4(b)
		if !ok {
			return netip.Addr{}, false
		}
		return netip.AddrFrom4(v4), true
	}
	v6, ok := parse6(b)
	if !ok {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(v6), true
}

// parse4 reads four decimal numbers without leading zeros.
func parse4(b []byte) (addr [4]byte, ok bool) {
	for i := range addr {
		if i > 0 {
			if len(b) == 0 || b[0] != '.' {
				return addr, false
			}
			b = b[1:]
		}
		n, v := 0, 0
		for n < len(b) && n < 3 && b[n] >= '0' && b[n] <= '9' {
			v = v*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || v > 255 || n > 1 && b[0] == '0' {
			return addr, false
		}
		addr[i], b = byte(v), b[n:]
	}
	return addr, len(b) == 0
}

// parse6 reads the text forms of RFC 4291 2.2.
func parse6(b []byte) (addr [16]byte, ok bool) {
	n, gap := 0, -1 // bytes so far; where "::" stands among them
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 && n < 16 {
		if v4, ok := parse4(b); ok && n <= 12 {
			n += copy(addr[n:], v4[:])
			b = nil
			break
		}
		size := group(b)
		if size == 0 {
			return addr, false
		}
		v := hexValue(b[:size])
		addr[n], addr[n+1] = byte(v>>8), byte(v)
		n += 2
		var double bool
		if b, double, ok = colons(b[size:]); !ok || double && gap >= 0 {
			return addr, false
		}
		if double {
			gap = n
		}
	}
	return spread(addr, n, gap, len(b) == 0)
}

// colons takes what separates a group from the next: nothing at the end, a
// colon, or two.
func colons(b []byte) (rest []byte, double, ok bool) {
	if len(b) == 0 {
		return b, false, true
	}
	if b[0] != ':' || len(b) == 1 {
		return nil, false, false
	}
	if b[1] == ':' {
		return b[2:], true, true
	}
	return b[1:], false, true
}

// spread moves the n bytes read so that the gap fills the address.
func spread(addr [16]byte, n, gap int, ended bool) ([16]byte, bool) {
	if gap < 0 || n == 16 {
		return addr, ended && gap < 0 && n == 16
	}
	tail := n - gap
	copy(addr[16-tail:], addr[gap:n])
	clear(addr[gap : 16-tail])
	return addr, ended
}

// group is the length of the one to four hexadecimal digits that b begins
// with; 0 if there are none, or more.
func group(b []byte) int {
	n := 0
	for n < len(b) && unhex[b[n]] >= 0 {
		n++
	}
	if n > 4 {
		return 0
	}
	return n
}

func hexValue(b []byte) (v uint16) {
	for _, c := range b {
		v = v<<4 | uint16(unhex[c])
	}
	return v
}

// unhex is the value of hexadecimal digits, -1 for every other byte.
var unhex = func() (t [256]int8) {
	for c := range t {
		switch {
		case '0' <= c && c <= '9':
			t[c] = int8(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			t[c] = int8(c|0x20-'a') + 10
		default:
			t[c] = -1
		}
	}
	return t
}()

// CookieValue returns the value of the first cookie of that name, as it was
// sent, quotes included, looking through every Cookie line. Cookie names are
// case-sensitive (RFC 6265 4.2).
func CookieValue(f *Fields, name string) ([]byte, bool) {
	for i := range f.list {
		p := &f.list[i]
		if p.id != Cookie || p.dead {
			continue
		}
		if value, ok := cookieIn(f.Bytes(p.value), name); ok {
			return value, true
		}
	}
	return nil, false
}

func cookieIn(line []byte, name string) ([]byte, bool) {
	for len(line) > 0 {
		pair := line
		if semi := bytes.IndexByte(line, ';'); semi >= 0 {
			pair, line = line[:semi], line[semi+1:]
		} else {
			line = nil
		}
		pair = TrimSpace(pair)
		if len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
			return pair[len(name)+1:], true
		}
	}
	return nil, false
}
