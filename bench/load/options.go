//go:build linux

// Package load is the benchmark's load generator: it drives one proxy over
// loopback with prepared requests, checks every reply, and measures latency,
// throughput and the CPU time of the processes it is told to watch.
//
// In a closed loop each connection sends its next request when it has the
// reply to the last one: that finds the maximum. In an open loop requests are
// due at a fixed rate, and a latency counts from the moment the request was
// due, not from when a connection was free to send it, so that a stall is
// felt by all the requests it delays (no coordinated omission).
package load

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gatehouse/bench/traffic"
)

// Options say what to send where, and for how long.
type Options struct {
	Addr    netip.AddrPort // IPv4
	Path    string
	Host    string // Host field; "%d" in it is replaced by 0..Hosts-1
	Hosts   int    // number of hosts to go through; 0: one
	Body    int    // bytes of a POST body; 0: GET
	Traffic string // a kind of package traffic to go through, instead of Hosts and Body; empty: none
	Status  int    // expected status; 0: 200
	Length  int    // expected length of the reply body; AnyLength: whatever it is
	Gzip    bool   // ask for gzip, and expect it
	Conns   int    // concurrent connections
	Threads int    // event loops; 0: one

	// Message has WebSocket messages of so many bytes sent, instead of
	// requests, and expects them back; 0: HTTP.
	Message int

	// Streams are the requests that each connection has under way over HTTP/2
	// without TLS, by h2load; 0: HTTP/1.1, by this package.
	Streams int

	// QUIC is HTTP/3, with Streams requests under way on each connection.
	QUIC bool

	// PerRequest opens a connection for each request.
	PerRequest bool

	// Rate is the number of requests due per second (open loop); 0: closed
	// loop.
	Rate float64

	Warmup   time.Duration // before anything counts
	Duration time.Duration // what counts
	// AtLeast is how many replies have to count: with fewer the measured time
	// goes on, up to maxExtension. Not for open loops.
	AtLeast uint64

	TLS *TLSOptions // nil: plain HTTP

	// Watch names groups of processes whose CPU time is measured over
	// exactly the requests that count.
	Watch map[string][]int
}

// TLSOptions say how to speak TLS. Sessions are never resumed and no tickets
// are asked for.
type TLSOptions struct {
	ServerName string
	CertFile   string // the PEM file of the certificate that the server must present
	Hybrid     bool   // offer X25519MLKEM768 alone rather than X25519 alone
}

// AnyLength accepts reply bodies of every length.
const AnyLength = -1

// Result is what one run measured.
type Result struct {
	Requests   uint64           `json:"requests"` // checked replies within the measured time
	Total      uint64           `json:"total"`    // checked replies of the whole run
	Seconds    float64          `json:"seconds"`
	RPS        float64          `json:"rps"`
	P50        float64          `json:"p50_ms"`
	P99        float64          `json:"p99_ms"`
	Max        float64          `json:"max_ms"`
	Errors     map[string]int64 `json:"errors,omitempty"`     // over the whole run, warm-up included
	Reconnects int64            `json:"reconnects,omitempty"` // connections the proxy closed after a reply
	Unanswered int64            `json:"unanswered,omitempty"` // open loop: due but without a reply at the end
	CPU        map[string]int64 `json:"cpu_ns,omitempty"`     // by group of Options.Watch, and "load" itself
	CPUCount   uint64           `json:"cpu_requests"`         // the requests that CPU was spent on
	TLS        string           `json:"tls,omitempty"`        // version, suite and group agreed on
}

// Failed is the number of errors of all kinds, unanswered requests included.
func (r *Result) Failed() int64 {
	failed := r.Unanswered
	for _, n := range r.Errors {
		failed += n
	}
	return failed
}

// PerRequest is the CPU time that a watched group spent for each request, in
// microseconds.
func (r *Result) PerRequest(group string) float64 {
	if r.CPUCount == 0 {
		return 0
	}
	return float64(r.CPU[group]) / 1e3 / float64(r.CPUCount)
}

func (o *Options) check() error {
	switch {
	case !o.Addr.IsValid() || !o.Addr.Addr().Is4():
		return fmt.Errorf("address %v: want an IPv4 address and port", o.Addr)
	case !strings.HasPrefix(o.Path, "/"):
		return fmt.Errorf("path %q: want a leading slash", o.Path)
	case o.Conns < 1 || o.Conns > 10_000:
		return fmt.Errorf("%d connections: want 1 to 10000", o.Conns)
	case o.Duration <= 0 || o.Warmup < 0 || o.Duration+o.Warmup > 10*time.Minute:
		return errors.New("duration and warm-up: want more than 0 and at most 10m together")
	case o.Rate < 0 || o.Rate > 1e6:
		return fmt.Errorf("rate %v: want 0 to 1e6", o.Rate)
	case o.Rate > 0 && (o.PerRequest || o.AtLeast > 0):
		return errors.New("an open loop keeps its connections, and ends in time")
	case o.Body < 0 || o.Body > 1<<20:
		return fmt.Errorf("body of %d bytes: want 0 to 1 MiB", o.Body)
	case o.QUIC && (o.TLS == nil || o.PerRequest || o.Rate > 0 || o.Traffic != "" || o.Hosts > 1 || o.Body > 0):
		return errors.New("HTTP/3 is GET over TLS, on connections that are kept")
	case o.Streams > 0 && !o.QUIC && (o.PerRequest || o.Rate > 0 || o.TLS != nil || o.Traffic != "" || o.Hosts > 1):
		return errors.New("HTTP/2 is one kind of request on connections that are kept")
	case o.Message < 0 || o.Message > 1<<20 || o.Message > 0 && (o.Streams > 0 || o.Traffic != "" || o.PerRequest || o.TLS != nil || o.Gzip || o.Hosts > 1):
		return errors.New("WebSocket messages of up to 1 MiB are one kind, on connections that are kept, without TLS")
	case o.Gzip && (o.Streams > 0 || o.Traffic != ""):
		return errors.New("gzip is asked for over HTTP/1.1, by no traffic")
	case o.Traffic != "" && (o.PerRequest || o.Hosts > 1 || o.Body > 0):
		return errors.New("traffic is one host's, on connections that are kept, with bodies of its own")
	}
	return nil
}

// requests renders the requests to send: those of a kind of traffic, or one
// for each host.
func (o *Options) requests() ([][]byte, error) {
	if o.Traffic != "" {
		return traffic.Requests(o.Traffic, o.Host, o.Path)
	}
	if o.Message > 0 {
		return [][]byte{webSocketMessage(o.Message)}, nil
	}
	all := make([][]byte, max(1, o.Hosts))
	for i := range all {
		all[i] = o.request(strings.ReplaceAll(o.Host, "%d", fmt.Sprint(i)))
	}
	return all, nil
}

func (o *Options) request(host string) []byte {
	var b strings.Builder
	method := "GET"
	if o.Body > 0 {
		method = "POST"
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gatehouse-bench\r\nAccept: */*\r\n", method, o.Path, host)
	if o.Gzip {
		b.WriteString("Accept-Encoding: gzip\r\n")
	}
	if o.PerRequest {
		b.WriteString("Connection: close\r\n")
	}
	if o.Body > 0 {
		fmt.Fprintf(&b, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", o.Body)
	}
	b.WriteString("\r\n")
	b.WriteString(strings.Repeat("x", o.Body))
	return []byte(b.String())
}

// hostStride walks through all hosts in an order that no cache of the last
// few can profit from: it is prime and greater than any list we use, so every
// host comes up equally often.
const hostStride = 15_485_863
