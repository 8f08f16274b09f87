package compression

import (
	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// fit reports whether a response may be encoded, by its status and fields:
// None if so.
func (p *Policy) fit(r *httpmsg.Response) Reason {
	switch {
	case r.Status < 200, r.Status == 204, r.Status == 205, r.Status == 206, r.Status == 226, r.Status == 304:
		return Status
	}
	kinds := 0
	for i := range r.Len() {
		id, name, value, ok := r.At(i)
		switch {
		case !ok:
		case id == httpmsg.ContentEncoding:
			if len(value) > 0 && !httpmsg.EqualFold(value, "identity") {
				return Encoded
			}
		case id == httpmsg.ContentType:
			if kinds++; kinds > 1 || !p.takes(value) {
				return Type
			}
		case id == httpmsg.Other:
			if why := forbids(name, value); why != None {
				return why
			}
		}
	}
	if kinds == 0 {
		return Type
	}
	return None
}

// forbids reports whether a field keeps a response from being encoded.
func forbids(name, value []byte) Reason {
	switch len(name) {
	case len("cache-control"):
		switch {
		case httpmsg.EqualFold(name, "cache-control") && httpmsg.HasToken(value, "no-transform"):
			return NoTransform
		case httpmsg.EqualFold(name, "content-range"):
			return Status
		}
	case len("digest"):
		if httpmsg.EqualFold(name, "digest") { // RFC 3230
			return Integrity
		}
	case len("content-md5"), len("content-digest"), len("signature"):
		if covers(name) {
			return Integrity
		}
	}
	return None
}

// covers reports whether a field, of a head or of trailers, vouches for the
// bytes of a body: RFC 9530, RFC 9421 and those before them.
func covers(name []byte) bool {
	for _, n := range [...]string{"digest", "repr-digest", "content-digest", "content-md5", "signature"} {
		if httpmsg.EqualFold(name, n) {
			return true
		}
	}
	return false
}

// DropDigests deletes the trailer fields that are not true any more of a body
// that was encoded.
func DropDigests(f *httpmsg.Fields) {
	for i := range f.Len() {
		if _, name, _, ok := f.At(i); ok && covers(name) {
			f.DeleteAt(i)
		}
	}
}

// vary says that another client may get something else (RFC 9110 12.5.5).
func vary(f *httpmsg.Fields) {
	if !has(f, "vary", "accept-encoding") && !has(f, "vary", "*") {
		f.AddString("Vary", "Accept-Encoding")
	}
}

// mark makes a head that of an encoded body. Ranges of it cannot be asked for,
// and its entity tag is a weak one: its bytes are not the backend's (RFC 9110
// 8.8.1).
func mark(f *httpmsg.Fields, coding config.ContentCoding) {
	f.Delete(httpmsg.ContentLength)
	f.Delete(httpmsg.ContentEncoding) // empty, or identity
	f.DeleteName([]byte("accept-ranges"))
	weaken(f)
	f.AddString("Content-Encoding", codings[coding].token)
}

// weaken makes the entity tag weak. What is no entity tag is dropped.
func weaken(f *httpmsg.Fields) {
	for i := range f.Len() {
		id, name, value, ok := f.At(i)
		if !ok || id != httpmsg.Other || !httpmsg.EqualFold(name, "etag") {
			continue
		}
		switch {
		case len(value) > 2 && value[0] == 'W' && value[1] == '/':
		case len(value) < 2 || value[0] != '"':
			f.DeleteAt(i)
		default:
			a := f.Arena()
			from := len(a)
			f.SetValueAt(i, f.Kept(append(append(a, "W/"...), value...), from))
		}
	}
}

// revalidated makes the head of a 304 agree with that of the response which
// it confirms (RFC 9110 15.4.5). Whether that was encoded is not known; a weak
// entity tag confirms either.
func revalidated(w Want, r *httpmsg.Response) {
	vary(&r.Fields)
	if w.coding != config.CodingNone && !w.noTransform {
		weaken(&r.Fields)
	}
}
