package l7

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/http2"
)

// asksGRPC reports whether the request is one of gRPC, whose client takes no
// page for an answer. Over HTTP/1.1 there is none but gRPC-Web's.
func (f *flow) asksGRPC() bool {
	if f.findWeb() {
		return true
	}
	if f.proto != protoHTTP2 && f.proto != protoHTTP3 {
		return false
	}
	kind, _ := f.req.Get(httpmsg.ContentType)
	return isGRPC(kind)
}

const protoHTTP2 = "HTTP/2.0"

// isGRPC reports whether a Content-Type is gRPC's: application/grpc, with what
// its messages are written in behind a plus sign. gRPC-Web's is another.
func isGRPC(kind []byte) bool {
	_, ok := isOfType(kind, grpcType)
	return ok
}

// refuseGRPC answers with an error of gRPC's: a response that has its trailers
// in its head, whose status is always 200.
func (f *flow) refuseGRPC(status int) {
	r := f.startResponse(200)
	kind := grpcType
	if f.web.on {
		kind = f.web.contentType("+proto")
	}
	r.AddString("Content-Type", kind)
	r.AddString("Grpc-Status", strconv.Itoa(cmp.Or(f.grpcCode, grpcStatus(status))))
	r.AddString("Grpc-Message", strconv.Itoa(status)+" "+http1.ReasonPhrase(status))
	r.Body = httpmsg.BodyChunked // which is to say: no Content-Length
	f.answer(r, nil)
}

// grpcStatus is the status that a client of gRPC makes of one of HTTP (gRPC:
// HTTP to gRPC Status Code Mapping).
func grpcStatus(status int) int {
	switch status {
	case 400:
		return grpcInternal
	case 401:
		return grpcUnauthenticated
	case 403:
		return grpcPermissionDenied
	case 404:
		return grpcUnimplemented
	case 429, 502, 503, 504:
		return grpcUnavailable
	}
	return grpcUnknown
}

// Status codes of gRPC.
const (
	grpcCancelled         = 1
	grpcUnknown           = 2
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
)

// noteReset reports whether err is the backend's giving up the request by
// RST_STREAM, and notes what that is to a client of gRPC.
func (f *flow) noteReset(err error) bool {
	e, ok := errors.AsType[http2.ResetError](err)
	if !ok {
		return false
	}
	f.failure.reason = "no response: " + e.Error()
	f.grpcCode = f.grpcReset(e)
	return true
}

// grpcReset is the status that a reset stands for (gRPC over HTTP2: Errors). A
// server whose time for a call is over cancels it; that is no cancelling to its
// client.
func (f *flow) grpcReset(e http2.ResetError) int {
	const refused, cancel, calm, security = 0x7, 0x8, 0xb, 0xc
	switch e {
	case refused:
		return grpcUnavailable
	case cancel:
		if f.grpcLate() {
			return grpcDeadlineExceeded
		}
		return grpcCancelled
	case calm:
		return grpcResourceExhausted
	case security:
		return grpcPermissionDenied
	}
	return grpcInternal
}

// grpcLate reports whether the time is over that a call may take.
func (f *flow) grpcLate() bool {
	text, _ := f.req.Lookup("grpc-timeout")
	d, ok := grpcTimeout(text)
	return ok && stream.Now()-f.began >= int64(d)
}

// grpcTimeout reads a value of grpc-timeout: at most eight digits and a unit.
func grpcTimeout(text []byte) (d time.Duration, ok bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[:len(text)-1]), 10, 32)
	unit := grpcUnits[text[len(text)-1]]
	return time.Duration(n) * unit, err == nil && unit > 0
}

var grpcUnits = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second,
	'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
