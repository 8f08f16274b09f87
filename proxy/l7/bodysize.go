package l7

import (
	"cmp"

	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/http1"
)

// errBodySize refuses a request body that is too long (RFC 9110 15.5.14).
var errBodySize = &http1.Error{Status: 413, Reason: "request body over maxBodySize", Info: "ERRORINFO_INVALID_REQUEST"}

// withinSize sets the bound on the request's body, and refuses one that says
// beforehand that it is longer: nothing of it is read.
func (f *flow) withinSize() bool {
	f.bodyRead, f.bodyMax = 0, int64(f.listener.MaxBodySize)
	if s := f.target.Settings; s != nil {
		f.bodyMax = cmp.Or(int64(s.MaxBodySize), f.bodyMax)
	}
	f.bodyMax = cmp.Or(f.bodyMax, int64(f.snap.Limits.MaxBodySize))
	if f.bodyMax == 0 || f.req.Body != httpmsg.BodyLength || f.req.ContentLength <= f.bodyMax {
		return true
	}
	f.clientFailed(errBodySize)
	return false
}

// countBody counts a piece of the request's body.
func (f *flow) countBody(n int) error {
	if f.bodyRead += int64(n); f.bodyMax > 0 && f.bodyRead > f.bodyMax {
		return errBodySize
	}
	return nil
}

// holdRequest is Exchange.HoldBody within the bound.
func (f *flow) holdRequest(most int, wait bool) (held []byte, whole bool, err error) {
	if held, whole, err = f.x.HoldBody(most, wait); err == nil {
		err = f.countBody(len(held))
	}
	return held, whole, err
}

// readRequest is Exchange.ReadBody within the bound.
func (f *flow) readRequest() ([]byte, error) {
	p, err := f.x.ReadBody()
	if err == nil {
		err = f.countBody(len(p))
	}
	return p, err
}
