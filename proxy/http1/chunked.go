package http1

import (
	"bytes"

	"gatehouse/internal/httpmsg"
)

// Bounds of a chunked body's framing.
const (
	maxSizeDigits    = 16
	maxSizeLine      = 256 // with extensions and CRLF
	maxTrailer       = 4 << 10
	maxTrailerFields = 16
	maxChunkExcess   = 16 << 10 // see sizeLineDone
)

var (
	errChunkSize    = &Error{400, "bad chunk size", infoRequest}
	errChunkExt     = &Error{400, "bad chunk extension", infoRequest}
	errChunkLine    = &Error{400, "chunk size line too long", infoRequest}
	errChunkBreak   = &Error{400, "bad line end in chunked body", infoRequest}
	errChunkExcess  = &Error{400, "chunked body is mostly framing", infoRequest}
	errTrailerSize  = &Error{400, "trailer section too large", infoRequest}
	errTrailerField = &Error{400, "bad trailer field", infoRequest}
)

// ChunkReader takes a chunked body (RFC 9112 7.1) out of its framing, piece by
// piece as it arrives. Chunk extensions are checked and dropped; trailer
// fields are kept for Trailers. Its zero value is ready for a body.
type ChunkReader struct {
	state   chunkState
	digits  uint8
	fields  uint8 // trailer fields so far
	line    int   // bytes of the size line so far
	excess  int   // framing in excess of what data justifies
	left    uint64
	lineAt  int    // where the current trailer line begins in trailer
	trailer []byte // the trailer section
	err     error
}

// chunkState is what is expected next.
type chunkState uint8

const (
	sizeDigit     chunkState = iota // of the chunk size
	extName                         // goes on
	extNameStart                    // white space or a name
	extNameSpace                    // white space, "=" or ";"
	extValueStart                   // white space, a token or a quoted string
	extValue                        // goes on
	extValueSpace                   // white space or ";"
	extQuoted                       // within a quoted string
	extEscaped                      // behind a backslash in it
	extQuotedEnd                    // behind it
	sizeLF
	chunkData
	dataCR
	dataLF
	inTrailer
	bodyEnd
	broken
)

// Reset readies c for another body.
func (c *ChunkReader) Reset() { *c = ChunkReader{trailer: c.trailer[:0]} }

// Next takes what it can from src: n bytes, whose last len(data) are a piece
// of the body (data is a part of src). It takes at least one byte of a src
// that is not empty, unless the body is done. done is true behind the final
// CRLF of the trailer section. An error is final.
func (c *ChunkReader) Next(src []byte) (data []byte, n int, done bool, err error) {
	for n < len(src) && c.state < bodyEnd {
		switch c.state {
		case chunkData:
			k := int(min(uint64(len(src)-n), c.left))
			if c.left -= uint64(k); c.left == 0 {
				c.state = dataCR
			}
			return src[n : n+k], n + k, false, nil
		case inTrailer:
			n += c.takeTrailer(src[n:])
		default:
			c.step(src[n])
			n++
		}
	}
	return nil, n, c.state == bodyEnd, c.err
}

func (c *ChunkReader) fail(err error) {
	c.err = err
	c.state = broken
}

// step takes a byte of a size line or of the line end behind a chunk's data.
func (c *ChunkReader) step(b byte) {
	if c.line++; c.line > maxSizeLine {
		c.fail(errChunkLine)
		return
	}
	switch c.state {
	case sizeDigit:
		c.sizeDigit(b)
	case sizeLF:
		if c.expect(b, '\n') {
			c.sizeLineDone()
		}
	case dataCR:
		if c.expect(b, '\r') {
			c.state = dataLF
		}
	case dataLF:
		if c.expect(b, '\n') {
			c.state, c.line, c.digits = sizeDigit, 0, 0
		}
	default:
		c.extension(b)
	}
}

// expect fails on any byte but the one of a line end that must come.
func (c *ChunkReader) expect(b, want byte) bool {
	if b != want {
		c.fail(errChunkBreak)
	}
	return b == want
}

// sizeDigit takes a byte of the chunk size, or the one behind it.
func (c *ChunkReader) sizeDigit(b byte) {
	switch {
	case class[b]&hexDig != 0:
		if c.digits++; c.digits > maxSizeDigits || c.left >= 1<<59 {
			c.fail(errChunkSize) // too long, or the size would not fit int64
			return
		}
		c.left = c.left<<4 | uint64(unhex(b))
	case c.digits == 0:
		c.fail(errChunkSize)
	case b == '\r':
		c.state = sizeLF
	case b == ';':
		c.state = extNameStart
	default:
		c.fail(errChunkSize)
	}
}

// unhex is the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return (c | 0x20) - 'a' + 10
}

// sizeLineDone takes a complete size line. Like net/http (CVE-2023-39326) it
// allows 16 bytes of framing per chunk and two per byte of data, so that no
// one can make us read much more than the body.
func (c *ChunkReader) sizeLineDone() {
	framing := c.line
	c.state, c.line = chunkData, 0
	if c.left == 0 {
		c.state = inTrailer
		return
	}
	data := int(min(c.left, maxChunkExcess)) // more makes no difference
	if c.excess = max(c.excess+framing-16-2*data, 0); c.excess > maxChunkExcess {
		c.fail(errChunkExcess)
	}
}

// extension takes a byte of the chunk extensions:
//
//	*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
//
// save that no white space is allowed in front of the first ";": that is the
// size's place, where other parsers differ.
func (c *ChunkReader) extension(b byte) {
	var next chunkState
	if c.state < extValueStart {
		next = c.extensionName(b)
	} else {
		next = c.extensionValue(b)
	}
	if next == broken {
		c.fail(errChunkExt)
		return
	}
	c.state = next
}

func (c *ChunkReader) extensionName(b byte) chunkState {
	switch c.state {
	case extNameStart:
		return pick(b, extNameStart, extName, broken)
	case extName:
		return pick(b, extNameSpace, extName, extEnd(b, extValueStart))
	}
	if b == '\r' {
		return broken // white space belongs in front of "=" and ";" only
	}
	return pick(b, extNameSpace, broken, extEnd(b, extValueStart))
}

func (c *ChunkReader) extensionValue(b byte) chunkState {
	switch c.state {
	case extValueStart:
		if b == '"' {
			return extQuoted
		}
		return pick(b, extValueStart, extValue, broken)
	case extValue:
		return pick(b, extValueSpace, extValue, extEnd(b, broken))
	case extValueSpace:
		if b == ';' {
			return extNameStart
		}
		return pick(b, extValueSpace, broken, broken)
	case extQuotedEnd:
		return pick(b, extValueSpace, broken, extEnd(b, broken))
	}
	return quoted(b, c.state == extEscaped)
}

// pick chooses a state by the kind of byte.
func pick(b byte, space, tchar, other chunkState) chunkState {
	switch {
	case b == ' ' || b == '\t':
		return space
	case class[b]&token != 0:
		return tchar
	}
	return other
}

// extEnd is what follows a complete name or value.
func extEnd(b byte, equals chunkState) chunkState {
	switch b {
	case ';':
		return extNameStart
	case '\r':
		return sizeLF
	case '=':
		return equals
	}
	return broken
}

// quoted is what follows a byte of a quoted string (RFC 9110 5.6.4).
func quoted(b byte, escaped bool) chunkState {
	switch {
	case class[b]&text == 0:
		return broken
	case escaped:
		return extQuoted
	case b == '"':
		return extQuotedEnd
	case b == '\\':
		return extEscaped
	}
	return extQuoted
}

// takeTrailer takes bytes of the trailer section up to the end of a line.
func (c *ChunkReader) takeTrailer(src []byte) int {
	n := bytes.IndexByte(src, '\n') + 1
	complete := n > 0
	if !complete {
		n = len(src)
	}
	if len(c.trailer)+n > maxTrailer {
		c.fail(errTrailerSize)
		return n
	}
	if k := len(c.trailer); k > c.lineAt && c.trailer[k-1] == '\r' && src[0] != '\n' {
		c.fail(errChunkBreak)
		return n
	}
	c.trailer = append(c.trailer, src[:n]...)
	if complete {
		c.trailerLine()
	} else if cr := bytes.IndexByte(src, '\r'); cr >= 0 && cr < n-1 {
		c.fail(errChunkBreak)
	}
	return n
}

// trailerLine checks the line that was just completed.
func (c *ChunkReader) trailerLine() {
	line := c.trailer[c.lineAt:]
	if len(line) == 2 && line[0] == '\r' {
		c.state = bodyEnd
		return
	}
	if _, why := fieldLine(line, 0); why != fine {
		c.fail(errTrailerField)
		return
	}
	if c.fields++; c.fields > maxTrailerFields {
		c.fail(errTrailerSize)
		return
	}
	c.lineAt = len(c.trailer)
}

// Trailers adds to dst the trailer fields of the body that may be forwarded:
// those named in announced, the value of the Trailer field, except fields that
// framing, routing, authentication or the content's meaning depend on (RFC
// 9110 6.5.1; row 14). Call it once the body is done.
func (c *ChunkReader) Trailers(dst *httpmsg.Fields, announced []byte) {
	if c.state != bodyEnd {
		return
	}
	AddTrailers(dst, c.trailer[:c.lineAt], announced)
}

// AddTrailers adds to dst those of the field lines in section that may be
// forwarded as trailers: see [ChunkReader.Trailers].
func AddTrailers(dst *httpmsg.Fields, section, announced []byte) {
	addTrailers(dst, section, func(name []byte) bool { return listed(announced, name) })
}

// AddUnannounced is AddTrailers for a protocol that announces none, such as
// gRPC.
func AddUnannounced(dst *httpmsg.Fields, section []byte) {
	addTrailers(dst, section, func([]byte) bool { return true })
}

func addTrailers(dst *httpmsg.Fields, section []byte, wanted func(name []byte) bool) {
	for i := 0; i < len(section); {
		l, why := fieldLine(section, i)
		if why != fine {
			return // cannot be: each line was checked
		}
		name := section[i:l.nameEnd]
		if wanted(name) && mayTrail(name) {
			dst.Add(httpmsg.Known(name), dst.Keep(name), dst.Keep(section[l.value:l.valueEnd]))
		}
		i = l.next
	}
}

// hasTrailers reports whether any trailer field has come.
func (c *ChunkReader) hasTrailers() bool { return c.lineAt > 0 }

// listed reports whether a comma-separated list has name, in any case.
func listed(list, name []byte) bool {
	for elem, rest, ok := httpmsg.NextElement(list); ok; elem, rest, ok = httpmsg.NextElement(rest) {
		if httpmsg.EqualFoldBytes(elem, name) {
			return true
		}
	}
	return false
}

// neverTrail are the names, and name beginnings, that are dropped from
// trailers besides the fields that httpmsg knows, and those by which proxies
// vouch for a request: none of those may trail.
var neverTrail = [...]string{
	// Request modifiers and conditions, response control data.
	"age", "cache-control", "early-data", "expires", "if-", "pragma", "range", "retry-after", "vary", "warning",
	// Authentication, cookies, what a browser's or a backend's trust hangs on.
	"access-control-", "cookie2", "proxy-", "sec-", "set-cookie2", "strict-transport-security", "www-authenticate",
	// The content's meaning.
	"content-",
	// Names of ours, of other proxies, of servers behind us.
	"client-cert", "client-cert-chain", "x-arr-clientcert", "x-client-cert", "x-client-cert-",
	"x-accel-", "x-appgw-", "x-envoy-", "x-http-", "x-real-", "x-rewrite-", "x-sendfile",
}

// mayTrail reports whether a field may be forwarded in a trailer section.
func mayTrail(name []byte) bool {
	if httpmsg.Known(name) != httpmsg.Other || httpmsg.Vouches(name) {
		return false
	}
	for _, never := range neverTrail {
		if len(name) >= len(never) && httpmsg.EqualFold(name[:len(never)], never) &&
			(len(name) == len(never) || never[len(never)-1] == '-') {
			return false
		}
	}
	return true
}

// AppendChunkHead appends the size line of a chunk of n bytes. The data and a
// CRLF follow it.
func AppendChunkHead(dst []byte, n int) []byte {
	const digits = "0123456789abcdef"
	shift := 0
	for shift < 60 && n>>(shift+4) != 0 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&0xf])
	}
	return append(dst, "\r\n"...)
}
