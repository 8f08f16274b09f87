package querylog

import (
	"strconv"

	"github.com/miekg/dns"
)

// Names of codes. What has none is written as RFC 3597 section 5 writes types.
var (
	typeNames  = dns.TypeToString
	classNames = dns.ClassToString
	rcodeNames = dns.RcodeToString
)

func appendNamed[K uint16 | int](dst []byte, names map[K]string, prefix string, code uint16) []byte {
	if name, ok := names[K(code)]; ok {
		return append(dst, name...)
	}
	return strconv.AppendUint(append(dst, prefix...), uint64(code), 10)
}
