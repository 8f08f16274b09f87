//go:build linux

package load

import (
	"bytes"
	"errors"
	"strconv"
)

// The ways in which a reply can fail its check.
var (
	errMalformed = errors.New("malformed reply")
	errUnframed  = errors.New("reply without Content-Length")
	errStatus    = errors.New("wrong status")
	errLength    = errors.New("wrong length")
	errEncoding  = errors.New("wrong encoding")
	errExtra     = errors.New("bytes after the reply")
	errLongHead  = errors.New("reply head too long")
	errTimeout   = errors.New("no reply in time")
)

// replyHead is what the generator needs to know of a reply.
type replyHead struct {
	status int
	length int
	close  bool

	chunked bool // length is 0
	gzip    bool // the body's encoding
}

// expectation is what a reply must be.
type expectation struct {
	status, length int
	gzip           bool // then it may be chunked as well
}

func (o *Options) expectation() expectation {
	e := expectation{o.Status, o.Length, o.Gzip}
	if e.status == 0 {
		e.status = 200
	}
	return e
}

// check compares a reply with what was expected.
func (e expectation) check(head replyHead) error {
	switch {
	case head.status != e.status:
		return errStatus
	case head.gzip != e.gzip:
		return errEncoding
	case head.chunked && !e.gzip:
		return errUnframed
	case e.length != AnyLength && head.length != e.length:
		return errLength
	}
	return nil
}

var headEnd = []byte("\r\n\r\n")

// parseReply reads the head of a reply. size is the head's length in p, or 0
// while it is incomplete.
func parseReply(p []byte) (head replyHead, size int, err error) {
	end := bytes.Index(p, headEnd)
	if end < 0 {
		return head, 0, nil
	}
	head.status, err = parseStatus(p[:end+2])
	if err != nil {
		return head, 0, err
	}
	head.length = -1
	if err := head.fields(p[:end+2]); err != nil {
		return head, 0, err
	}
	switch {
	case head.length < 0 && !head.chunked:
		return head, 0, errUnframed
	case head.length >= 0 && head.chunked:
		return head, 0, errMalformed
	}
	head.length = max(head.length, 0)
	return head, end + len(headEnd), nil
}

func parseStatus(p []byte) (int, error) {
	const prefix = "HTTP/1.1 "
	if len(p) < len(prefix)+4 || string(p[:len(prefix)]) != prefix {
		return 0, errMalformed
	}
	status := 0
	for _, c := range p[len(prefix) : len(prefix)+3] {
		if c < '0' || c > '9' {
			return 0, errMalformed
		}
		status = status*10 + int(c-'0')
	}
	if after := p[len(prefix)+3]; status < 100 || after != ' ' && after != '\r' {
		return 0, errMalformed
	}
	return status, nil
}

// fields walks the lines after the status line, each ended by CRLF. A line
// with a lone LF or CR, or one that continues the line before, is refused:
// others might see different fields in it.
func (h *replyHead) fields(p []byte) error {
	status, rest, _ := bytes.Cut(p, headEnd[:2])
	if !oneLine(status) {
		return errMalformed
	}
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, headEnd[:2])
		if !oneLine(line) || len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			return errMalformed
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := h.field(name, value); err != nil {
			return err
		}
	}
	return nil
}

func oneLine(p []byte) bool {
	return bytes.IndexByte(p, '\n') < 0 && bytes.IndexByte(p, '\r') < 0
}

func (h *replyHead) field(name, value []byte) error {
	switch len(name) {
	case len("connection"):
		if bytes.EqualFold(name, []byte("connection")) {
			h.close = h.close || bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	case len("content-length"):
		if bytes.EqualFold(name, []byte("content-length")) {
			return h.setLength(string(bytes.TrimSpace(value)))
		}
	case len("transfer-encoding"):
		if bytes.EqualFold(name, []byte("transfer-encoding")) {
			if h.chunked = bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked")); !h.chunked {
				return errUnframed
			}
		}
	case len("content-encoding"):
		if bytes.EqualFold(name, []byte("content-encoding")) {
			h.gzip = string(bytes.TrimSpace(value)) == "gzip"
		}
	}
	return nil
}

func (h *replyHead) setLength(value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || h.length >= 0 && h.length != int(n) {
		return errMalformed
	}
	h.length = int(n)
	return nil
}
