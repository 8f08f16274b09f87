package http1

import "gatehouse/internal/httpmsg"

// StripHopByHop deletes what a message carries for this connection only (RFC
// 9110 7.6.1): the Connection fields and every field that they name, and those
// that are known to be hop by hop even if nobody names them. Transfer-Encoding
// and Expect go, too, because the writer states them anew.
//
// A Trailer announcement stays if the message is chunked, and Upgrade stays if
// keepUpgrade is set. Fields that a message means something else without
// (Host, Cookie, Authorization, Content-Length and the like) are not given up
// because somebody names them (row 41). A client can have its own
// X-Forwarded-For and X-Real-IP removed that way: call this first, and what
// the gateway adds is safe.
func StripHopByHop(f *httpmsg.Fields, keepUpgrade bool) {
	chunked := false
	for i := range f.Len() {
		id, live := f.IDAt(i)
		if !live {
			continue
		}
		switch id {
		case httpmsg.Connection:
			stripNamed(f, f.ValueAt(i))
			f.DeleteAt(i)
		case httpmsg.TransferEncoding:
			chunked = true
			f.DeleteAt(i)
		case httpmsg.Upgrade:
			if !keepUpgrade {
				f.DeleteAt(i)
			}
		case httpmsg.TE, httpmsg.KeepAlive, httpmsg.ProxyConnection, httpmsg.HTTP2Settings, httpmsg.Expect,
			httpmsg.ProxyAuthenticate, httpmsg.ProxyAuthorization:
			f.DeleteAt(i)
		}
	}
	if chunked {
		keepTrailer(f)
	} else {
		f.Delete(httpmsg.Trailer)
	}
}

// keepTrailer leaves in Trailer announcements only what may trail: the others
// are dropped when they come, and some servers refuse a message that announces
// them (row 14).
func keepTrailer(f *httpmsg.Fields) {
	for i := range f.Len() {
		if id, live := f.IDAt(i); id != httpmsg.Trailer || !live {
			continue
		}
		value, a := f.ValueAt(i), f.Arena()
		n, same := len(a), true
		for elem, rest, ok := httpmsg.NextElement(value); ok; elem, rest, ok = httpmsg.NextElement(rest) {
			if !isToken(elem) || !mayTrail(elem) {
				same = false
				continue
			}
			if len(a) > n {
				a = append(a, ", "...)
			}
			a = append(a, elem...)
		}
		switch {
		case same:
		case len(a) == n:
			f.DeleteAt(i)
		default:
			f.SetValueAt(i, f.Kept(a, n))
		}
	}
}

// stripNamed deletes the fields that a Connection value names. How many it
// may name was bounded by the parser.
func stripNamed(f *httpmsg.Fields, value []byte) {
	for elem, rest, ok := httpmsg.NextElement(value); ok; elem, rest, ok = httpmsg.NextElement(rest) {
		if !isProtected(elem) {
			f.DeleteName(elem)
		}
	}
}

// isProtected reports whether naming a field in Connection has no effect: on
// those that must reach the other side, and on those that StripHopByHop knows
// how to treat.
func isProtected(name []byte) bool {
	switch httpmsg.Known(name) {
	case httpmsg.Host, httpmsg.ContentLength, httpmsg.ContentType, httpmsg.ContentEncoding,
		httpmsg.Authorization, httpmsg.Cookie, httpmsg.SetCookie, httpmsg.Location, httpmsg.Date,
		httpmsg.Via, httpmsg.CDNLoop, httpmsg.MaxForwards,
		httpmsg.Connection, httpmsg.KeepAlive, httpmsg.TransferEncoding, httpmsg.TE,
		httpmsg.Trailer, httpmsg.Upgrade:
		return true
	}
	const content = "content-"
	if len(name) > len(content) && httpmsg.EqualFold(name[:len(content)], content) {
		return true
	}
	return httpmsg.EqualFold(name, "close") // the option, not a field
}
