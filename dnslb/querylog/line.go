package querylog

import (
	"net/netip"
	"strconv"
	"time"
)

// stamp remembers the last second as text, in which most lines are.
type stamp struct {
	second int64
	text   []byte
}

func (s *stamp) append(dst []byte, t time.Time) []byte {
	if sec := t.Unix(); sec != s.second || s.text == nil {
		s.second, s.text = sec, t.UTC().AppendFormat(s.text[:0], "2006-01-02T15:04:05.")
	}
	dst = append(dst, s.text...)
	us := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+us/unit%10))
	}
	return append(dst, 'Z')
}

// appendLine appends a record as one line of JSON. What does not apply (no
// subnet, no profile, flags that are not set) is left out.
func appendLine(dst []byte, e *entry, s *stamp) []byte {
	dst = append(dst, `{"time":"`...)
	dst = s.append(dst, e.Time)
	dst = append(dst, `","client":"`...)
	dst = appendAddrPort(dst, e.Client)
	dst = append(dst, `","local":"`...)
	dst = appendAddrPort(dst, e.Local)
	dst = append(dst, `","transport":"`...)
	dst = appendText(dst, e.Transport)
	dst = append(dst, `","name":"`...)
	dst = appendName(dst, e.name[:e.nameLen])
	dst = append(dst, `","type":"`...)
	dst = appendNamed(dst, typeNames, "TYPE", e.Type)
	dst = append(dst, `","class":"`...)
	dst = appendNamed(dst, classNames, "CLASS", e.Class)
	dst = append(dst, `","rcode":"`...)
	dst = appendNamed(dst, rcodeNames, "RCODE", e.Rcode)
	dst = append(dst, `","size":`...)
	dst = strconv.AppendInt(dst, int64(e.Size), 10)
	dst = appendFlag(dst, "aa", e.AA)
	dst = appendFlag(dst, "tc", e.TC)
	dst = appendFlag(dst, "do", e.DO)
	if e.Subnet.IsValid() {
		dst = append(dst, `,"ecs":"`...)
		dst = e.Subnet.AppendTo(dst)
		dst = append(dst, `","scope":`...)
		dst = strconv.AppendUint(dst, uint64(e.Scope), 10)
	}
	dst = appendChoice(dst, e)
	dst = append(dst, `,"took_us":`...)
	dst = strconv.AppendInt(dst, e.Took.Microseconds(), 10)
	return append(dst, "}\n"...)
}

// appendChoice appends the profile and what it chose: the first endpoint, and
// all of them if there are several.
func appendChoice(dst []byte, e *entry) []byte {
	if e.Profile != "" {
		dst = append(dst, `,"profile":"`...)
		dst = append(appendText(dst, e.Profile), '"')
	}
	if e.endpointLen == 0 {
		return dst
	}
	dst = append(dst, `,"endpoint":"`...)
	dst = append(appendText(dst, e.endpoints[0]), '"')
	if e.endpointLen == 1 {
		return dst
	}
	dst = append(dst, `,"endpoints":[`...)
	for i, name := range e.endpoints[:e.endpointLen] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(appendText(dst, name), '"')
	}
	return append(dst, ']')
}

func appendFlag(dst []byte, name string, set bool) []byte {
	if !set {
		return dst
	}
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	return append(dst, `":true`...)
}

// appendAddrPort appends an address without its zone: an interface may have
// any name, quotes included.
func appendAddrPort(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()).AppendTo(dst)
}

// appendText appends a name of the configuration as the inside of a JSON
// string.
func appendText(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = append(dst, string(r)...)
		}
	}
	return dst
}
