package querylog

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 4, 5, 6, 7, 8_009_000, time.UTC)

// sample returns a record with everything in it.
func sample() Record {
	return Record{
		Time: start, Took: 42_500 * time.Nanosecond,
		Client: netip.MustParseAddrPort("192.0.2.7:5353"), Local: netip.MustParseAddrPort("[2001:db8::1]:53"),
		Transport: "udp", Name: []byte("\x03www\x02tm\x07example\x00"), Type: 1, Class: 1,
		Rcode: 0, Size: 61, AA: true, DO: true,
		Subnet: netip.MustParsePrefix("203.0.113.0/24"), Scope: 20,
		Profile: "www", Endpoints: []string{"west"},
		Query: []byte("the query"), Response: []byte("the response"),
	}
}

// memory is an output that keeps what it gets; held makes it take nothing.
type memory struct {
	mu     sync.Mutex
	text   []byte
	closed bool
	held   chan struct{} // if not nil, a write waits until it is closed
	err    error         // if not nil, a write loses all
}

func (m *memory) WriteLines(lines []byte) (int, error) {
	if m.held != nil {
		<-m.held
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return countLines(lines), m.err
	}
	m.text = append(m.text, lines...)
	return 0, nil
}

func countLines(b []byte) (n int) {
	for _, c := range b {
		if c == '\n' {
			n++
		}
	}
	return n
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.text)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// closeLog closes within a bound.
func closeLog(t *testing.T, l *Logger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatalf("Close: %v", err)
	}
}
