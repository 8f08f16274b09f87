package grpc

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// frame is a message as gRPC and gRPC-Web have it.
func frame(t *testing.T, m proto.Message) []byte {
	t.Helper()
	p, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(p))), p...)
}

// fetch has a page's client make a call, over HTTP/1.1 and with bytes that no
// library has made, and returns the messages and the trailers.
func (l *lab) fetch(t *testing.T, method, kind string, body []byte) (r *http.Response, messages [][]byte, trailers string) {
	t.Helper()
	c, err := net.Dial("tcp", l.front)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(soon))
	fmt.Fprintf(c, "POST /grpc.testing.TestService/%s HTTP/1.1\r\nHost: shop.test\r\nContent-Type: %s\r\nX-Grpc-Web: 1\r\nContent-Length: %d\r\n\r\n%s",
		method, kind, len(body), body)
	if r, err = http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), kind) {
		t.Errorf("the response to %s is %s", kind, r.Header.Get("Content-Type"))
	}
	if strings.Contains(kind, "-text") {
		all = decode(t, string(all))
	}
	messages, trailers = frames(t, all)
	return r, messages, trailers
}

// decode decodes texts of base64 that follow one another.
func decode(t *testing.T, text string) (all []byte) {
	t.Helper()
	for ; text != ""; text = text[min(4, len(text)):] {
		p, err := base64.StdEncoding.DecodeString(text[:min(4, len(text))])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p...)
	}
	return all
}

// frames takes a body apart.
func frames(t *testing.T, body []byte) (messages [][]byte, trailers string) {
	t.Helper()
	for len(body) > 0 {
		if len(body) < 5 || uint32(len(body)-5) < binary.BigEndian.Uint32(body[1:]) || trailers != "" {
			t.Fatalf("no frame: %q", body)
		}
		n := 5 + binary.BigEndian.Uint32(body[1:])
		if body[0] == 0x80 {
			trailers = string(body[5:n])
		} else {
			messages = append(messages, body[5:n])
		}
		body = body[n:]
	}
	return messages, trailers
}

func TestGRPCWeb(t *testing.T) {
	l := begin(t, false)
	for _, kind := range []string{"application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text"} {
		t.Run(kind, func(t *testing.T) {
			write := func(m proto.Message) []byte {
				if p := frame(t, m); !strings.Contains(kind, "-text") {
					return p
				} else {
					return []byte(base64.StdEncoding.EncodeToString(p[:4]) + base64.StdEncoding.EncodeToString(p[4:]))
				}
			}
			l.webUnary(t, kind, write)
			l.webStream(t, kind, write)
			l.webErrors(t, kind, write)
		})
	}
}

func (l *lab) webUnary(t *testing.T, kind string, write func(proto.Message) []byte) {
	for _, size := range []int{0, 10, 271828} {
		q := &testpb.SimpleRequest{ResponseSize: int32(size), Payload: &testpb.Payload{Body: make([]byte, size)}}
		_, messages, trailers := l.fetch(t, "UnaryCall", kind, write(q))
		var got testpb.SimpleResponse
		if len(messages) != 1 || proto.Unmarshal(messages[0], &got) != nil || len(got.GetPayload().GetBody()) != size || !strings.Contains(trailers, "grpc-status: 0\r\n") {
			t.Errorf("of %d bytes: %d messages, %d bytes, trailers %q", size, len(messages), len(got.GetPayload().GetBody()), trailers)
		}
	}
}

func (l *lab) webStream(t *testing.T, kind string, write func(proto.Message) []byte) {
	q := &testpb.StreamingOutputCallRequest{}
	sizes := []int32{31415, 9, 2653, 58979}
	for _, n := range sizes {
		q.ResponseParameters = append(q.ResponseParameters, &testpb.ResponseParameters{Size: n, IntervalUs: 2000})
	}
	_, messages, trailers := l.fetch(t, "StreamingOutputCall", kind, write(q))
	if len(messages) != len(sizes) || !strings.Contains(trailers, "grpc-status: 0\r\n") {
		t.Fatalf("%d messages, trailers %q", len(messages), trailers)
	}
	for i, m := range messages {
		var got testpb.StreamingOutputCallResponse
		if err := proto.Unmarshal(m, &got); err != nil || len(got.GetPayload().GetBody()) != int(sizes[i]) {
			t.Errorf("message %d has %d bytes: %v", i, len(got.GetPayload().GetBody()), err)
		}
	}
}

// An error comes in the head, behind no message, or in the trailers.
func (l *lab) webErrors(t *testing.T, kind string, write func(proto.Message) []byte) {
	failed := &testpb.EchoStatus{Code: 2, Message: "test status message"}
	r, messages, trailers := l.fetch(t, "UnaryCall", kind, write(&testpb.SimpleRequest{ResponseStatus: failed}))
	if r.StatusCode != 200 || len(messages) > 0 || r.Header.Get("Grpc-Status") != "2" && !strings.Contains(trailers, "grpc-status: 2\r\ngrpc-message: test status message\r\n") {
		t.Errorf("a call that failed: %v %d %q", r.Header, len(messages), trailers)
	}
	if r, _, trailers = l.fetch(t, "NoSuchCall", kind, write(&testpb.Empty{})); r.Header.Get("Grpc-Status") != "12" && !strings.Contains(trailers, "grpc-status: 12\r\n") {
		t.Errorf("a call that nobody knows: %v %q", r.Header, trailers)
	}
}
