package crs

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// backend answers POST /reflect with what its body asks for, and everything
// else with 200.
type backend struct {
	addr string
	// received is how many bytes have arrived, of requests however odd.
	received atomic.Int64
}

// answer is what the tests of response rules ask for.
type answer struct {
	Status      int               `json:"status"`
	Headers     map[string]string `json:"headers"`
	Body        string            `json:"body"`
	EncodedBody string            `json:"encodedBody"`
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	server := httptest.NewUnstartedServer(b)
	server.Listener = countingListener{server.Listener, &b.received}
	server.Start()
	t.Cleanup(server.Close)
	b.addr = server.Listener.Addr().String()
	return b
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	if r.Method != http.MethodPost || r.URL.Path != "/reflect" || err != nil {
		return
	}
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	body := []byte(a.Body)
	if a.EncodedBody != "" {
		if body, err = base64.StdEncoding.DecodeString(a.EncodedBody); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	_, _ = w.Write(body)
}

// countingListener counts what its connections read.
type countingListener struct {
	net.Listener
	received *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.received}, nil
}

type countingConn struct {
	net.Conn
	received *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}
