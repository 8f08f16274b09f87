package l7

import (
	"net"
	"testing"

	"gatehouse/config"
)

// BenchmarkOrdinaryRequest is a GET over kept connections through a whole gateway, with the access log and the metrics on and
// every other feature off. Client and backend are in the process, too: of the time about half is the gateway's.
func BenchmarkOrdinaryRequest(b *testing.B) {
	g := start(b, setup{targets: []config.Target{targetAt(plainOrigin(b)), targetAt(plainOrigin(b))}})
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ask := []byte("GET /path/to/a/thing?with=query HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n")
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(ask); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}
