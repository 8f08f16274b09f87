package lifecycle

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// origin is a backend that can take many requests without remembering them; testkit.Backend keeps every byte.
//
//	/bytes/N  N bytes of testkit.Pattern
//	/slow/MS  an answer after that many milliseconds
//	others    method, path and length of the request body in a line
type origin struct {
	addr     string
	requests atomic.Int64  // begun, probes apart
	inFlight atomic.Int64  // not answered yet
	sick     atomic.Bool   // probes are answered with 503
	release  chan struct{} // closed: requests for /held are answered
}

func newOrigin(t *testing.T) *origin {
	o := &origin{release: make(chan struct{})}
	s := httptest.NewUnstartedServer(http.HandlerFunc(o.serve))
	s.Config.ReadHeaderTimeout = time.Minute
	s.Start()
	o.addr = strings.TrimPrefix(s.URL, "http://")
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return o
}

func (o *origin) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/probe" {
		if o.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	o.requests.Add(1)
	if answer, ok := o.answer(w, r); ok {
		_, _ = io.WriteString(w, answer)
	}
}

// answer is what a request is answered with, which is not in flight any more then: the gateway may be done with it at once. ok is
// false if nobody waits for it.
func (o *origin) answer(w http.ResponseWriter, r *http.Request) (text string, ok bool) {
	o.inFlight.Add(1)
	defer o.inFlight.Add(-1)
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return "", false // the gateway gave up
	}
	kind, arg, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	number, _ := strconv.Atoi(arg)
	switch kind {
	case "bytes":
		w.Header().Set("Content-Length", arg)
		return testkit.Pattern(number), true
	case "slow":
		time.Sleep(time.Duration(number) * time.Millisecond)
	case "held":
		select {
		case <-o.release:
		case <-r.Context().Done():
			return "", false
		}
	}
	return said(r.Method, r.URL.Path, n), true
}

// said is what an origin answers.
func said(method, path string, length int64) string {
	return fmt.Sprintf("%s %s %d\n", method, path, length)
}

// occupy binds a loopback address for the test's time.
func occupy(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
