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
	requests atomic.Int64 // begun
	probes   atomic.Int64 // of those, for /probe
	inFlight atomic.Int64
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
	o.requests.Add(1)
	if r.URL.Path == "/probe" {
		o.probes.Add(1)
		if o.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	o.inFlight.Add(1)
	defer o.inFlight.Add(-1)
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // the gateway gave up
	}
	kind, arg, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	number, _ := strconv.Atoi(arg)
	switch kind {
	case "bytes":
		w.Header().Set("Content-Length", arg)
		_, _ = io.WriteString(w, testkit.Pattern(number))
		return
	case "slow":
		time.Sleep(time.Duration(number) * time.Millisecond)
	case "held":
		select {
		case <-o.release:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, said(r.Method, r.URL.Path, n))
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
