package cache

import (
	"sync/atomic"

	"gatehouse/internal/httpmsg"
)

// Entry is a stored response, or the mark that there is none to be stored. It
// does not change; who has got one from a Cache releases it.
type Entry struct {
	key   string
	extra string
	vary  []selecting

	pass bool // a mark: requests for it do not wait for each other

	status  int
	head    []byte // field lines, ready to be sent
	fields  []field
	content *content // nil for a mark

	etag     []byte // a piece of head
	modified []byte // Last-Modified, the same

	received, initialAge, lifetime   int64
	whileRevalidate, ifError         int64
	noCache, mustRevalidate, sMaxAge bool

	size int64 // without the content
	home *Cache
	refs atomic.Int32 // users, and one while it is in the cache
	freq atomic.Int32 // uses, as far as eviction counts them

	// Its place in a queue, which the lock of its shard guards.
	next, prev *Entry
	in         *queue
	ghost      uint64 // hash of its URI
}

// field is a line of the head.
type field struct {
	name, value, line httpmsg.Span
	id                httpmsg.ID
}

// content is a body, which the updates of an entry share.
type content struct {
	bytes []byte
	refs  atomic.Int32 // entries
}

// Sizes that are counted for what an entry takes beside its text.
const (
	entryBytes    = 512 // the entry, its content, its part of the maps
	fieldBytes    = 40
	selectedBytes = 32
)

// measure counts what an entry takes, without its content.
func (e *Entry) measure() {
	n := entryBytes + len(e.key) + len(e.extra) + len(e.head) + fieldBytes*len(e.fields)
	for i := range e.vary {
		n += selectedBytes + len(e.vary[i].name) + len(e.vary[i].value)
	}
	e.size = int64(n)
}

// Pass reports whether the entry is only the mark that the last response could
// not be stored.
func (e *Entry) Pass() bool { return e.pass }

// Status and Body are those of the response; the body must not be changed.
func (e *Entry) Status() int { return e.status }

// Body is the whole of it.
func (e *Entry) Body() []byte { return e.content.bytes }

// ETag and LastModified are the validators; nil if there is none.
func (e *Entry) ETag() []byte { return e.etag }

// LastModified is the field as it came.
func (e *Entry) LastModified() []byte { return e.modified }

// Release ends the use of an entry, and counts it off when it was the last.
func (e *Entry) Release() {
	if e.refs.Add(-1) > 0 {
		return
	}
	n := e.size
	if c := e.content; c != nil && c.refs.Add(-1) == 0 {
		n += int64(len(c.bytes))
	}
	e.home.used.Add(-n)
}

// Fill makes r the response as it was stored, without a reason phrase. Its text
// is that of the entry.
func (e *Entry) Fill(r *httpmsg.Response) {
	r.Reset(e.head)
	r.Status, r.Body, r.ContentLength = e.status, httpmsg.BodyLength, int64(len(e.content.bytes))
	for i := range e.fields {
		f := &e.fields[i]
		r.Parsed(f.name, f.value, f.line, f.id)
	}
}

// keep makes the head of an entry: the fields of a response but for those of
// one connection (RFC 9111 3.1), cookies, and what its directives name.
func (e *Entry) keep(f *httpmsg.Fields, d *Directives) {
	for i := range f.Len() {
		id, name, value, ok := f.At(i)
		if ok && !isKeptOut(id, name) && !d.Names(string(name)) && !namedByConnection(f, id, name) {
			e.add(id, name, value)
		}
	}
}

// add appends a field.
func (e *Entry) add(id httpmsg.ID, name, value []byte) {
	from := int32(len(e.head))
	e.head = append(append(append(append(e.head, name...), ": "...), value...), "\r\n"...)
	n := int32(len(name))
	e.fields = append(e.fields, field{id: id,
		name:  httpmsg.Span{Off: from, Len: n},
		value: httpmsg.Span{Off: from + n + 2, Len: int32(len(value))},
		line:  httpmsg.Span{Off: from, Len: int32(len(e.head)) - from}})
}

// finish finds the validators once the head is whole.
func (e *Entry) finish() {
	head, list := make([]byte, len(e.head)), make([]field, len(e.fields)) // no more than is counted
	copy(head, e.head)
	copy(list, e.fields)
	e.head, e.fields = head, list
	for i := range e.fields {
		f := &e.fields[i]
		name, value := e.text(f.name), e.text(f.value)
		switch {
		case f.id != httpmsg.Other:
		case e.etag == nil && httpmsg.EqualFold(name, "etag") && isETag(value):
			e.etag = value
		case e.modified == nil && httpmsg.EqualFold(name, "last-modified"):
			if _, ok := ParseDate(value); ok {
				e.modified = value
			}
		}
	}
	e.measure()
}

func (e *Entry) text(s httpmsg.Span) []byte { return e.head[s.Off : s.Off+s.Len] }

// isKeptOut reports whether a field is never stored: Age is made anew for each
// use, and a cookie is for one client.
func isKeptOut(id httpmsg.ID, name []byte) bool {
	switch id {
	case httpmsg.Connection, httpmsg.TransferEncoding, httpmsg.TE, httpmsg.Trailer, httpmsg.Upgrade, httpmsg.KeepAlive,
		httpmsg.ProxyConnection, httpmsg.ProxyAuthenticate, httpmsg.ProxyAuthorization, httpmsg.SetCookie:
		return true
	case httpmsg.Other:
		return httpmsg.EqualFold(name, "age") || httpmsg.EqualFold(name, "proxy-authentication-info") || httpmsg.EqualFold(name, "set-cookie2")
	}
	return false
}

// namedByConnection reports whether the response's Connection says that a
// field is for one hop only.
func namedByConnection(f *httpmsg.Fields, id httpmsg.ID, name []byte) bool {
	if id != httpmsg.Other {
		return false // those that matter are known, and protected
	}
	for i := range f.Len() {
		is, live := f.IDAt(i)
		if !live || is != httpmsg.Connection {
			continue
		}
		for elem, rest, ok := httpmsg.NextElement(f.ValueAt(i)); ok; elem, rest, ok = httpmsg.NextElement(rest) {
			if httpmsg.EqualFoldBytes(elem, name) {
				return true
			}
		}
	}
	return false
}

// Again is the entry once more, for somebody else to release. The caller has
// got it from the cache, and not released it yet.
func (e *Entry) Again() *Entry {
	e.refs.Add(1)
	return e
}
