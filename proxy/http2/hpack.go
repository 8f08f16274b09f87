package http2

import (
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/httpmsg"
)

// appendField appends a field as HPACK has it without a dynamic table: as one
// of the static table, or as a literal that nobody is to index (RFC 7541 6.1,
// 6.2.2).
func appendField(dst []byte, name, value string) []byte {
	if i := staticField(name, value); i != 0 {
		return append(dst, 0x80|i)
	}
	return appendLiteral(dst, staticNames[name], name, value)
}

// appendLiteral appends a literal whose name has an index, or 0.
func appendLiteral(dst []byte, index byte, name, value string) []byte {
	dst = appendInt(dst, 0, 4, uint64(index))
	if index == 0 {
		dst = appendString(dst, name)
	}
	return appendString(dst, value)
}

// knownNames are the indices of fields that have an ID, by that.
var knownNames = func() (t [256]byte) {
	for id := range t {
		t[id] = staticNames[httpmsg.ID(id).String()]
	}
	return t
}()

// appendString appends a string literal (RFC 7541 5.2): the shorter way.
func appendString(dst []byte, s string) []byte {
	if n := hpack.HuffmanEncodeLength(s); n < uint64(len(s)) {
		return hpack.AppendHuffmanString(appendInt(dst, 0x80, 7, n), s)
	}
	return append(appendInt(dst, 0, 7, uint64(len(s))), s...)
}

// appendInt appends an integer behind the high bits of a byte (RFC 7541 5.1).
func appendInt(dst []byte, high byte, bits uint, n uint64) []byte {
	most := uint64(1)<<bits - 1
	if n < most {
		return append(dst, high|byte(n))
	}
	dst = append(dst, high|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, 0x80|byte(n))
	}
	return append(dst, byte(n))
}

// staticField is the index of a field in the static table; 0: it is not there.
// Only those that are sent are looked for (RFC 7541 appendix A).
func staticField(name, value string) byte {
	switch name {
	case ":status":
		return statusIndex(value)
	case ":method":
		switch value {
		case "GET":
			return 2
		case "POST":
			return 3
		}
	case ":path":
		if value == "/" {
			return 4
		}
	case ":scheme":
		switch value {
		case "http":
			return 6
		case "https":
			return 7
		}
	}
	return 0
}

func statusIndex(value string) byte {
	switch value {
	case "200":
		return 8
	case "204":
		return 9
	case "206":
		return 10
	case "304":
		return 11
	case "400":
		return 12
	case "404":
		return 13
	case "500":
		return 14
	}
	return 0
}

// staticNames are the names of the static table, each with its first index
// (RFC 7541 appendix A).
var staticNames = map[string]byte{
	":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, ":status": 8,
	"accept-charset": 15, "accept-encoding": 16, "accept-language": 17, "accept-ranges": 18, "accept": 19,
	"access-control-allow-origin": 20, "age": 21, "allow": 22, "authorization": 23, "cache-control": 24,
	"content-disposition": 25, "content-encoding": 26, "content-language": 27, "content-length": 28,
	"content-location": 29, "content-range": 30, "content-type": 31, "cookie": 32, "date": 33, "etag": 34,
	"expect": 35, "expires": 36, "from": 37, "host": 38, "if-match": 39, "if-modified-since": 40,
	"if-none-match": 41, "if-range": 42, "if-unmodified-since": 43, "last-modified": 44, "link": 45,
	"location": 46, "max-forwards": 47, "proxy-authenticate": 48, "proxy-authorization": 49, "range": 50,
	"referer": 51, "refresh": 52, "retry-after": 53, "server": 54, "set-cookie": 55,
	"strict-transport-security": 56, "transfer-encoding": 57, "user-agent": 58, "vary": 59, "via": 60,
	"www-authenticate": 61,
}
