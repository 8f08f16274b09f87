package multiplex

import (
	"strconv"

	"gatehouse/internal/httpmsg"
)

// statusTexts are what responses say mostly.
var statusTexts = func() (t [600]string) {
	for i := 100; i < len(t); i++ {
		t[i] = strconv.Itoa(i)
	}
	return t
}()

// StatusText is a status as :status has it.
func StatusText(status int) string {
	if status < len(statusTexts) && status >= 100 {
		return statusTexts[status]
	}
	return strconv.Itoa(status)
}

// MayPass reports whether a field may be in a message (RFC 9113 8.2.2, RFC 9114
// 4.2).
func MayPass(id httpmsg.ID) bool {
	switch id {
	case httpmsg.Connection, httpmsg.KeepAlive, httpmsg.ProxyConnection, httpmsg.TransferEncoding, httpmsg.Upgrade:
		return false
	}
	return true
}

// Bodiless reports whether a response has no body whatever its fields say.
func Bodiless(req *httpmsg.Request, status int) bool {
	return req.Method == httpmsg.HEAD || status == 204 || status == 304
}

// AddLength adds the Content-Length of a response with a body of known length,
// unless it is there.
func AddLength(r *httpmsg.Response) {
	if (r.Body == httpmsg.BodyLength || r.Body == httpmsg.BodyNone) && r.Count(httpmsg.ContentLength) == 0 {
		r.Add(httpmsg.ContentLength, r.KeepString("content-length"), keepInt(&r.Fields, max(r.ContentLength, 0)))
	}
}

func keepInt(f *httpmsg.Fields, n int64) httpmsg.Span {
	a := f.Arena()
	from := len(a)
	return f.Kept(strconv.AppendInt(a, n, 10), from)
}
