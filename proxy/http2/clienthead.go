package http2

import (
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/proxy/http1"
	"gatehouse/proxy/multiplex"
)

// headBlock is a field block of a backend's on its way in: HEADERS and what
// continues it.
type headBlock struct {
	id      uint32
	ends    bool // the stream
	bytes   int  // compressed
	size    int  // of the fields, each counted as RFC 9113 6.5.2 does
	fields  int
	why     string // what is wrong with it; empty: nothing
	status  int    // 0: none has come
	regular bool   // a field that is no pseudo-header has come
	length  int64  // by Content-Length; -1: none
	text    []byte // field lines
}

func (b *headBlock) begin(id uint32, ends bool) {
	text := b.text[:0]
	if cap(text) > maxIdleBuffer {
		text = nil
	}
	*b = headBlock{id: id, ends: ends, length: -1, text: text}
}

// fragment takes a piece of a field block. All of it is decoded, for the sake
// of those that follow; but there is an end to that.
func (c *ClientConn) fragment(p []byte, end bool) error {
	b := &c.head
	if b.bytes > 0 || len(p) == 0 {
		cost := int64(multiplex.CostUnknown)
		if len(p) == 0 && !end {
			cost += multiplex.CostEmpty
		}
		if err := c.spend(cost); err != nil {
			return err
		}
	}
	if b.bytes += len(p); b.bytes > 2*maxResponseHead {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if _, err := c.decoder.Write(p); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if b.size > 4*maxResponseHead {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm) // a bomb
	}
	if !end {
		return nil
	}
	if err := c.decoder.Close(); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	return c.complete()
}

// field takes one field of a block.
func (b *headBlock) field(f hpack.HeaderField) {
	b.size += len(f.Name) + len(f.Value) + 32
	b.fields++
	switch {
	case b.why != "":
	case b.size > maxResponseHead+32*maxResponseFields:
		b.why = "head too large"
	case b.fields > maxResponseFields:
		b.why = "too many fields"
	case f.Name == ":status":
		b.setStatus(f.Value)
	case !multiplex.ValidName(f.Name) || !multiplex.ValidValue(f.Value):
		b.why = "malformed field" // other pseudo-headers, too
	default:
		b.plain(f.Name, f.Value)
	}
}

// setStatus takes the pseudo-header (RFC 9113 8.3.2).
func (b *headBlock) setStatus(value string) {
	n, err := strconv.ParseUint(value, 10, 16)
	if b.regular || b.status != 0 || err != nil || len(value) != 3 || n < 100 || n > 599 || n == 101 {
		b.why = "bad :status"
		return
	}
	b.status = int(n)
}

// plain takes a field (RFC 9113 8.2).
func (b *headBlock) plain(name, value string) {
	b.regular = true
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te":
		b.why = "field of HTTP/1.1: " + name
		return
	case "content-length":
		n, err := strconv.ParseUint(value, 10, 62)
		if err != nil || b.length >= 0 && b.length != int64(n) {
			b.why = "bad content-length"
			return
		}
		b.length = int64(n)
	}
	b.text = multiplex.AppendLine(b.text, name, value)
}

// complete is the end of a block.
func (c *ClientConn) complete() error {
	b := &c.head
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.streams[b.id]
	if u == nil {
		return c.unknown(b.id)
	}
	u.received += int64(b.bytes)
	if why := u.takeBlock(b); why != "" {
		delete(c.streams, b.id)
		u.fail(invalid(why))
		c.out = appendReset(c.out, b.id, http2.ErrCodeProtocol)
		c.work.Signal()
	}
	return nil
}

// takeBlock takes a head or trailers; why is what is wrong with them. c.mu is
// held.
func (u *Upstream) takeBlock(b *headBlock) (why string) {
	final := b.status >= 200
	switch {
	case b.why != "":
		return b.why
	case u.theirEnd:
		return "fields behind the end"
	case u.answered:
		return u.takeTrailers(b)
	case b.status == 0:
		return "no :status"
	case !final && b.ends:
		return "informational response that ends the stream"
	case !final && u.heads >= maxInformational:
		return "too many informational responses"
	}
	u.heads++
	u.answered = final
	bodiless := u.isBodiless(b.status)
	if final {
		if u.length = b.length; bodiless {
			u.length = 0
		}
		if b.ends && u.length > 0 {
			return "body shorter than content-length"
		}
	}
	u.addHead(b, final && !bodiless)
	u.theirEnd = b.ends
	u.wakeReader()
	return ""
}

// maxInformational bounds the 1xx responses to one request (hostile-input row
// 75).
const maxInformational = 8

// addHead puts a head into the form of HTTP/1.1 for ReadHead. A body of unknown
// length is one of chunks, to all who look at it.
func (u *Upstream) addHead(b *headBlock, body bool) {
	h := u.pending
	h = append(h, "HTTP/1.1 "...)
	h = strconv.AppendInt(h, int64(b.status), 10)
	h = append(h, " \r\n"...)
	h = append(h, b.text...)
	if body && b.length < 0 && (!b.ends || multiplex.IsGRPC(b.text)) {
		h = append(h, "transfer-encoding: chunked\r\n"...)
	}
	h = append(h, "\r\n"...)
	u.ends = append(u.ends, len(h))
	u.pending = h
}

// takeTrailers ends a response with fields. c.mu is held.
func (u *Upstream) takeTrailers(b *headBlock) (why string) {
	switch {
	case !b.ends:
		return "a second head"
	case b.status != 0:
		return ":status in trailers"
	case len(b.text) > maxResponseTrailers || b.fields > multiplex.MaxTrailers*4:
		return "too many trailers"
	case u.length >= 0 && u.came != u.length:
		return "body shorter than content-length"
	}
	u.trailer = append(u.trailer[:0], b.text...)
	u.theirEnd = true
	u.wakeReader()
	return ""
}

// maxResponseTrailers bounds the trailers of a response: gRPC puts messages and
// details of errors there.
const maxResponseTrailers = 16 << 10

// invalid is the error of a response that is none.
func invalid(why string) error {
	return &http1.Error{Status: 502, Reason: "response: " + why, Info: "ERRORINFO_UPSTREAM_INVALID_RESPONSE"}
}
