package cache

import (
	"bytes"

	"gatehouse/internal/httpmsg"
)

// Confirms reports whether a 304 is about this entry: a strong validator in it
// must be the entry's (RFC 9111 4.3.4).
func (e *Entry) Confirms(r *httpmsg.Response) bool {
	tag, ok := r.Lookup("etag")
	return !ok || e.etag == nil || weaklyEqual(tag, e.etag)
}

// Renewed makes a new entry of a stored one and the head of a response that
// validated it, and puts it into the cache (RFC 9111 3.2). Nil if the new head
// says that it must not be stored, or there is no room; the old one is not
// there any more then. The result must be released.
func (c *Cache) Renewed(old *Entry, q *Query, asked *Asked, r *httpmsg.Response, p *Policy, t *Times, since uint32) *Entry {
	merged := merge(old, r)
	s := read(&merged.Fields)
	lifetime, ok := s.storable(asked, old.status, p, t)
	e := &Entry{home: c, key: old.key, extra: old.extra, vary: old.vary, status: old.status, content: old.content}
	e.refs.Store(2) // the cache's, and the caller's
	if _, varies := r.Lookup("vary"); varies {
		e.vary = selected(&merged.Fields, q.Fields)
	}
	e.keep(&merged.Fields, &s.cc)
	e.age(&s, p, t, lifetime)
	e.finish()
	if !ok || len(e.vary) > maxVary || !c.reserve(e.size) {
		c.Forget(old)
		return nil
	}
	e.content.refs.Add(1)
	e.freq.Store(old.freq.Load())
	c.put(e, since) // what was invalidated meanwhile serves those who asked before
	c.Forget(old)   // unless it has been replaced
	return e
}

// merge is the stored response with the fields of a newer head, except those
// that say what the body is (RFC 9111 3.2).
func merge(old *Entry, r *httpmsg.Response) *httpmsg.Response {
	m := &httpmsg.Response{}
	old.Fill(m)
	stored := m.Len()
	for i := range r.Len() {
		id, name, value, ok := r.At(i)
		if !ok || describesBody(id, name) {
			continue
		}
		for j := range stored {
			if _, is, _, live := m.At(j); live && httpmsg.EqualFoldBytes(is, name) {
				m.DeleteAt(j)
			}
		}
		m.Add(id, m.Keep(name), m.Keep(value))
	}
	return m
}

func describesBody(id httpmsg.ID, name []byte) bool {
	switch id {
	case httpmsg.ContentLength, httpmsg.ContentEncoding, httpmsg.ContentType, httpmsg.TransferEncoding:
		return true
	}
	return httpmsg.EqualFold(name, "content-range")
}

// SameAs reports whether the head of a response to HEAD can be that of a stored
// response to GET (RFC 9111 4.3.5).
func (e *Entry) SameAs(r *httpmsg.Response) bool {
	if n := r.ContentLength; n >= 0 && n != int64(len(e.content.bytes)) {
		return false
	}
	if tag, ok := r.Lookup("etag"); ok && !bytes.Equal(tag, e.etag) {
		return false
	}
	modified, ok := r.Lookup("last-modified")
	return !ok || bytes.Equal(modified, e.modified)
}
