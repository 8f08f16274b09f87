package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/health"
)

// GRPC calls grpc.health.v1.Health/Check over HTTP/2. Its two messages are so
// small that they are written and read here.
type GRPC struct {
	Network   string // "tcp" or "unix"
	Address   string // host:port, or the path of a socket
	Authority string
	Service   string // empty: the server as a whole
	// Dial connects; nil: like a [net.Dialer].
	Dial DialFunc
	// TLS, if not nil, is used as it is, and must ask for h2.
	TLS *tls.Config
}

// maxReply is how much of a reply is read.
const maxReply = 1 << 10

// Check implements [health.Checker].
func (g *GRPC) Check(ctx context.Context) error {
	conn, err := g.dial(ctx)
	if err != nil {
		return health.Failure(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	request := g.request()
	client, err := clientOn(ctx, conn, request.URL.Scheme)
	if err != nil {
		return health.Failure(err)
	}
	defer client.Close()
	response, err := client.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return health.Failure(err)
	}
	defer response.Body.Close()
	return judgeReply(response)
}

// clientOn makes a client of HTTP/2 on a connection. It is not the transport's
// RoundTrip that is used, which would dial and keep connections.
func clientOn(ctx context.Context, conn net.Conn, scheme string) (*http.ClientConn, error) {
	dial := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	t := &http.Transport{DialContext: dial, DialTLSContext: dial, Protocols: new(http.Protocols),
		DisableCompression: true, MaxResponseHeaderBytes: maxHead}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t.NewClientConn(ctx, scheme, "backend:0")
}

func (g *GRPC) dial(ctx context.Context) (net.Conn, error) {
	conn, err := g.Dial.dial(ctx, g.Network, g.Address)
	if err != nil || g.TLS == nil {
		return conn, err
	}
	secure := tls.Client(conn, g.TLS)
	if err = secure.HandshakeContext(ctx); err == nil && secure.ConnectionState().NegotiatedProtocol != "h2" {
		err = errors.New("the server does not agree to HTTP/2")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

func (g *GRPC) request() *http.Request {
	scheme := "http"
	if g.TLS != nil {
		scheme = "https"
	}
	u := &url.URL{Scheme: scheme, Host: g.Authority, Path: "/grpc.health.v1.Health/Check"}
	header := http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {userAgent}}
	return &http.Request{Method: http.MethodPost, URL: u, Host: g.Authority, Header: header, ContentLength: -1,
		Proto: "HTTP/2.0", ProtoMajor: 2, Body: io.NopCloser(bytes.NewReader(checkMessage(g.Service)))}
}

// checkMessage is a HealthCheckRequest behind its length: field 1 is a string.
func checkMessage(service string) []byte {
	var message []byte
	if service != "" {
		message = binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(service)))
		message = append(message, service...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// judgeReply reads the reply and the status behind it.
func judgeReply(r *http.Response) error {
	if r.StatusCode != http.StatusOK {
		return health.Refused(fmt.Sprintf("status %d is not 200", r.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReply+1))
	if err != nil {
		return errors.New("reading the reply: " + health.Reason(err))
	}
	if len(body) > maxReply {
		return fmt.Errorf("the reply is larger than %d KiB", maxReply>>10)
	}
	status := r.Header.Get("Grpc-Status") // where there is no reply
	if status == "" {
		status = r.Trailer.Get("Grpc-Status")
	}
	if status != "0" {
		return health.Refused(fmt.Sprintf("grpc-status is %s", known(grpcStatuses, status)))
	}
	serving, err := servingStatus(body)
	switch {
	case err != nil:
		return err
	case serving != 1:
		return health.Refused("status is " + known(servingStatuses, strconv.FormatUint(serving, 10)))
	}
	return nil
}

// servingStatuses are the values of HealthCheckResponse.ServingStatus, and
// grpcStatuses those of grpc-status that are seen here.
var (
	servingStatuses = map[string]string{"0": "UNKNOWN", "1": "SERVING", "2": "NOT_SERVING", "3": "SERVICE_UNKNOWN"}
	grpcStatuses    = map[string]string{"5": "5 (no such service)", "12": "12 (no health service)", "14": "14 (unavailable)", "": "missing"}
)

// known is a value with its name, if it has one.
func known(names map[string]string, value string) string {
	if name, ok := names[value]; ok {
		return name
	}
	return short(value)
}

// errReply is a reply that is none.
var errReply = errors.New("the reply is no HealthCheckResponse")

// servingStatus reads a HealthCheckResponse behind its length: field 1 is the
// status, zero if it is not there; others are skipped.
func servingStatus(body []byte) (status uint64, err error) {
	if len(body) < 5 || body[0] != 0 || uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-5) {
		return 0, errReply
	}
	for p := body[5:]; len(p) > 0; {
		tag, n := binary.Uvarint(p)
		if n <= 0 {
			return 0, errReply
		}
		p = p[n:]
		value, n := fieldValue(p, tag&7)
		if n < 0 {
			return 0, errReply
		}
		if p = p[n:]; tag == 1<<3 {
			status = value
		}
	}
	return status, nil
}

// fieldValue returns the value of a number, and how long a field of a wire type
// is; negative: it is none.
func fieldValue(p []byte, kind uint64) (value uint64, n int) {
	switch kind {
	case 0:
		if value, n = binary.Uvarint(p); n <= 0 {
			return 0, -1
		}
	case 1:
		n = 8
	case 2:
		size, m := binary.Uvarint(p)
		if m <= 0 || size > uint64(len(p)-m) {
			return 0, -1
		}
		n = m + int(size)
	case 5:
		n = 4
	default:
		return 0, -1
	}
	if n > len(p) {
		return 0, -1
	}
	return value, n
}
