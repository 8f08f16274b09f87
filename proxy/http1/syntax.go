package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"gatehouse/internal/httpmsg"
)

// Limits bound a message head. A limit of zero is none.
type Limits struct {
	HeadBytes int // start line, fields and the empty line: 431 beyond
	Fields    int // field lines: 431 beyond
	URLBytes  int // request target: 414 beyond
}

// Error says why a message was refused. Errors of this package are fixed
// values: refusing costs no memory.
type Error struct {
	Status int    // the status to answer with; 502 for what a backend sent
	Reason string // for the log
	Info   string // Azure's error_info of the access log
}

// Error is the reason.
func (e *Error) Error() string { return e.Reason }

// Values of Azure's error_info (azure-application-gateway.md 7.1).
const (
	infoMethod   = "ERRORINFO_INVALID_METHOD"
	infoTrace    = "ERRORINFO_INVALID_METHOD_TRACE"
	infoRequest  = "ERRORINFO_INVALID_REQUEST"
	infoVersion  = "ERRORINFO_INVALID_VERSION"
	info09       = "ERRORINFO_INVALID_09_METHOD"
	infoHost     = "ERRORINFO_INVALID_HOST"
	infoNoHost   = "ERRORINFO_HTTP_NO_HOST_HEADER"
	infoLength   = "ERRORINFO_INVALID_CONTENT_LENGTH"
	infoURI      = "ERRORINFO_REQUEST_URI_INVALID"
	infoHeader   = "ERRORINFO_INVALID_HEADER"
	infoUpstream = "ERRORINFO_UPSTREAM_INVALID_RESPONSE"
)

var (
	errNotHTTP   = &Error{400, "head does not begin with a start line", infoRequest}
	errBareBreak = &Error{400, "bare CR or LF in head", infoHeader}
)

// fault is what can be wrong with field lines and framing in either
// direction; requestErrors and responseErrors give it a status.
type fault uint8

const (
	fine fault = iota
	badHead
	tooLong
	tooMany
	badName
	folded
	badValue
	manyOptions
	badCoding
	unknownCoding
	manyCodings
	oldCoding
	codingAndLength
	badLength
	manyLengths
)

var requestErrors = [...]*Error{
	badHead:         {400, "not one head with CRLF line ends", infoHeader},
	tooLong:         {431, "head too large", infoHeader},
	tooMany:         {431, "too many fields", infoHeader},
	badName:         {400, "bad field name", infoHeader},
	folded:          {400, "folded field line", infoHeader},
	badValue:        {400, "control character in field value", infoHeader},
	manyOptions:     {400, "too many connection options", infoHeader},
	badCoding:       {400, "bad Transfer-Encoding", infoHeader},
	unknownCoding:   {501, "unsupported transfer coding", infoHeader},
	manyCodings:     {400, "more than one Transfer-Encoding", infoHeader},
	oldCoding:       {400, "Transfer-Encoding in HTTP/1.0", infoHeader},
	codingAndLength: {400, "both Transfer-Encoding and Content-Length", infoLength},
	badLength:       {400, "bad Content-Length", infoLength},
	manyLengths:     {400, "more than one Content-Length", infoLength},
}

// ErrTooManyFields refuses a request head with more fields than the limit.
var ErrTooManyFields = requestErrors[tooMany]

// responseErrors are the same faults in a backend's response.
var responseErrors = func() (t [len(requestErrors)]*Error) {
	for i, e := range requestErrors {
		if e != nil {
			t[i] = &Error{502, "response: " + e.Reason, infoUpstream}
		}
	}
	t[tooLong] = errBigResponse
	return t
}()

// Classes of bytes (RFC 9110 5.6.2, 5.5).
const (
	token  = 1 << iota // tchar
	text               // HTAB, SP, VCHAR, obs-text: a byte of a field value
	digit              // 0-9
	hexDig             // 0-9 a-f A-F
	host               // of a host name: letters, digits, "-", ".", "_"
	upper              // A-Z
)

var class = func() (t [256]byte) {
	for c := range t {
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= text
		}
	}
	set := func(bytes string, bit byte) {
		for i := range len(bytes) {
			t[bytes[i]] |= bit
		}
	}
	const capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const alnum = "0123456789abcdefghijklmnopqrstuvwxyz" + capitals
	set(alnum+"!#$%&'*+-.^_`|~", token)
	set("0123456789", digit)
	set("0123456789abcdefABCDEF", hexDig)
	set(alnum+"-._", host)
	set(capitals, upper)
	return t
}()

// HeadEnd looks for the end of the head that begins at buf[0]. end is the
// index behind its empty line, or 0 while the head is incomplete; then next is
// where to go on from when more has arrived, so that a head costs linear time
// however it dribbles in. A line that does not end in CRLF is an error as soon
// as it is seen, and so is a first byte that no start line begins with. An
// empty line before a request (RFC 9112 2.2) is for the caller to skip, before
// from is other than 0; a single CR in an otherwise empty buffer is awaited.
func HeadEnd(buf []byte, from int) (end, next int, err error) {
	if from == 0 && len(buf) > 0 && class[buf[0]]&token == 0 {
		if len(buf) == 1 && buf[0] == '\r' {
			return 0, 0, nil
		}
		return 0, 0, errNotHTTP
	}
	i := from
	for {
		k := bytes.IndexByte(buf[i:], '\n')
		if k < 0 {
			break
		}
		k += i
		if k == 0 || buf[k-1] != '\r' {
			return 0, 0, errBareBreak
		}
		if k >= 2 && buf[k-2] == '\n' {
			return k + 1, k + 1, nil
		}
		i = k + 1
	}
	switch k := bytes.IndexByte(buf[i:], '\r'); {
	case k < 0:
		return 0, len(buf), nil
	case i+k == len(buf)-1:
		return 0, len(buf) - 1, nil
	}
	return 0, 0, errBareBreak
}

// Eight bytes at a time: the highest bit of each byte that is looked for is
// set in the mask, and possibly of bytes behind the first, so only the first
// is believed.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// textEnd returns the index of the first byte at or behind i that cannot be
// in a field value; len(b) if there is none.
func textEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		m := ((x-0x20*ones)&^x | (del-ones)&^del) & highs
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && class[b[i]]&text != 0 {
		i++
	}
	return i
}

// targetEnd returns the index of the first byte at or behind i that cannot be
// in a request target: controls, SP, "#", DEL and all above.
func targetEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del, hash := x^0x7f*ones, x^'#'*ones
		m := ((x-0x21*ones)&^x | (del-ones)&^del | (hash-ones)&^hash | x) & highs
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] > ' ' && b[i] < 0x7f && b[i] != '#' {
		i++
	}
	return i
}

func tokenEnd(b []byte, i int) int {
	for i < len(b) && class[b[i]]&token != 0 {
		i++
	}
	return i
}

// isToken reports whether b is a token (RFC 9110 5.6.2).
func isToken(b []byte) bool { return len(b) > 0 && tokenEnd(b, 0) == len(b) }

// line is where the parts of a field line are.
type line struct {
	nameEnd, value, valueEnd, next int
}

// fieldLine takes the field line at head[i:] apart. The last byte of head
// must be LF.
func fieldLine(head []byte, i int) (l line, why fault) {
	l.nameEnd = tokenEnd(head, i)
	if l.nameEnd == i || head[l.nameEnd] != ':' {
		if head[i] == ' ' || head[i] == '\t' {
			return l, folded
		}
		return l, badName
	}
	v := l.nameEnd + 1
	for head[v] == ' ' || head[v] == '\t' {
		v++
	}
	end := textEnd(head, v)
	if head[end] != '\r' || head[end+1] != '\n' {
		return l, badValue
	}
	l.value, l.next = v, end+2
	for end > v && (head[end-1] == ' ' || head[end-1] == '\t') {
		end--
	}
	l.valueEnd = end
	return l, fine
}

// wholeHead reports whether head may be one head: that it ends with an empty
// line lets everything below look one byte ahead.
func wholeHead(head []byte, lim *Limits) fault {
	n := len(head)
	if n < 4 || binary.LittleEndian.Uint32(head[n-4:]) != '\r'|'\n'<<8|'\r'<<16|'\n'<<24 {
		return badHead
	}
	if lim.HeadBytes > 0 && n > lim.HeadBytes {
		return tooLong
	}
	return fine
}

// framing is what parsing the fields found out about framing and connection
// management: how many lines of each kind there are, and where the last is.
type framing struct {
	hosts, lengths, codings, expects, connections, upgrades, tes int
	host, length, coding, expect, upgrade                        int
}

// parseFields adds the field lines of head from i on to f.
func (p *framing) parseFields(f *httpmsg.Fields, head []byte, i, max int) fault {
	for head[i] != '\r' {
		l, why := fieldLine(head, i)
		if why != fine {
			return why
		}
		if max > 0 && f.Len() >= max {
			return tooMany
		}
		id := httpmsg.Known(head[i:l.nameEnd])
		if id != httpmsg.Other && id <= httpmsg.Expect {
			p.note(id, f.Len())
		}
		f.Parsed(span(i, l.nameEnd), span(l.value, l.valueEnd), span(i, l.next), id)
		i = l.next
	}
	if i != len(head)-2 {
		return badHead
	}
	return fine
}

func span(from, to int) httpmsg.Span { return httpmsg.Span{Off: int32(from), Len: int32(to - from)} }

// note counts a field.
func (p *framing) note(id httpmsg.ID, at int) {
	switch id {
	case httpmsg.Host:
		p.hosts++
		p.host = at
	case httpmsg.ContentLength:
		p.lengths++
		p.length = at
	case httpmsg.TransferEncoding:
		p.codings++
		p.coding = at
	case httpmsg.Expect:
		p.expects++
		p.expect = at
	case httpmsg.Upgrade:
		p.upgrades++
		p.upgrade = at
	case httpmsg.Connection:
		p.connections++
	case httpmsg.TE:
		p.tes++
	}
}

// body decides how the body is framed (RFC 9112 6.3), as far as both
// directions agree: anything ambiguous is refused, also where the RFC would
// let a recipient choose (hostile-input rows 1 to 6).
func (p *framing) body(f *httpmsg.Fields, minor uint8) (kind httpmsg.BodyKind, length int64, why fault) {
	switch {
	case p.codings == 0 && p.lengths == 0:
		return httpmsg.BodyNone, 0, fine
	case p.codings > 0 && p.lengths > 0:
		return 0, 0, codingAndLength
	case p.codings > 1:
		return 0, 0, manyCodings
	case p.lengths > 1:
		return 0, 0, manyLengths
	case p.codings == 1:
		return httpmsg.BodyChunked, 0, coding(f.ValueAt(p.coding), minor)
	}
	value := f.ValueAt(p.length)
	length, ok := parseLength(value)
	if !ok {
		return 0, 0, badLength
	}
	f.RestateAt(p.length)
	if len(value) > 1 && value[0] == '0' {
		setLength(f, p.length, length)
	}
	return httpmsg.BodyLength, length, fine
}

// coding judges a Transfer-Encoding value: only chunked by itself is
// understood (RFC 9112 6.1 and 7).
func coding(value []byte, minor uint8) fault {
	if minor == 0 {
		return oldCoding
	}
	if httpmsg.EqualFold(value, "chunked") {
		return fine
	}
	first, _, _ := httpmsg.NextElement(value)
	for _, known := range [...]string{"gzip", "x-gzip", "deflate", "compress", "x-compress"} {
		if httpmsg.EqualFold(first, known) {
			return unknownCoding
		}
	}
	return badCoding
}

// parseLength reads a Content-Length: digits only, below 2^63 (row 3).
func parseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var u uint64 // 19 digits fit
	for _, c := range b {
		if class[c]&digit == 0 {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	return int64(u), u < 1<<63
}

// maxOptions bounds what a Connection field may name, since each option is
// looked for among all fields.
const maxOptions = 32

// options is what the Connection fields say that matters here.
type options struct {
	close, keepAlive, upgrade bool
}

func (p *framing) options(f *httpmsg.Fields) (o options, why fault) {
	if p.connections == 0 {
		return o, fine
	}
	n := 0
	for i := range f.Len() {
		if id, _ := f.IDAt(i); id != httpmsg.Connection {
			continue
		}
		for elem, rest, ok := httpmsg.NextElement(f.ValueAt(i)); ok; elem, rest, ok = httpmsg.NextElement(rest) {
			if n++; n > maxOptions {
				return o, manyOptions
			}
			o.set(elem)
		}
	}
	return o, fine
}

func (o *options) set(name []byte) {
	switch len(name) {
	case len("close"):
		o.close = o.close || httpmsg.EqualFold(name, "close")
	case len("upgrade"):
		o.upgrade = o.upgrade || httpmsg.EqualFold(name, "upgrade")
	case len("keep-alive"):
		o.keepAlive = o.keepAlive || httpmsg.EqualFold(name, "keep-alive")
	}
}
