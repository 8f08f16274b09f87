package dns

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// door is a way into a server.
type door struct{ network, address string } // udp, tcp, dot or doh

// startDoors runs a configuration behind one door of each kind.
func startDoors(t *testing.T, text string) (*process, []door) {
	t.Helper()
	cert := testkit.NewCA(t).Server("dns.lab.test")
	p := &process{admin: testkit.FreeAddr(t), address: testkit.FreeAddr(t)}
	dot, doh := testkit.FreeAddr(t), testkit.FreeAddr(t)
	files := fmt.Sprintf("tls: {certificates: [{certFile: %q, keyFile: %q}]}", cert.CertFile, cert.KeyFile)
	p.file = testkit.Config(t, fmt.Sprintf(`
admin: {address: %q}
listen:
  - {address: %q}
  - {address: %q, protocols: [dot], %s}
  - {address: %q, protocols: [doh], %s}
`, p.admin, p.address, dot, files, doh, files)+text)
	p.Process = testkit.Run(t, trafficmgr, "run", "-c", p.file)
	p.WaitReady("http://"+p.admin+"/readyz", 20*time.Second)
	return p, []door{{"udp", p.address}, {"tcp", p.address}, {"dot", dot}, {"doh", doh}}
}

// anyone is a client of a server whose certificate is not at issue.
func anyone() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// exchange sends the bytes of a message through the door and returns those of
// the response.
func (d door) exchange(t *testing.T, msg []byte) []byte {
	t.Helper()
	switch d.network {
	case "dot":
		return d.overTLS(t, msg)
	case "doh":
		return d.overHTTPS(t, msg)
	}
	return exchange(t, d.network, d.address, msg)
}

func (d door) overTLS(t *testing.T, msg []byte) []byte {
	t.Helper()
	c, err := tls.Dial("tcp", d.address, anyone())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)); err != nil {
		t.Fatal(err)
	}
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatalf("no response: %v", err)
	}
	out := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (d door) overHTTPS(t *testing.T, msg []byte) []byte {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: anyone(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Post("https://"+d.address+"/dns-query", "application/dns-message", bytes.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(io.LimitReader(resp.Body, 65535))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	return out
}

// ask sends a message and returns the response, of which nothing may be left
// unread.
func (d door) ask(t *testing.T, msg []byte) *dns.Msg {
	t.Helper()
	out := d.exchange(t, msg)
	m := new(dns.Msg)
	if err := m.Unpack(out); err != nil {
		t.Fatalf("%s: %v in %x", d.network, err, out)
	}
	if !bytes.Equal(out[:2], msg[:2]) || !m.Response {
		t.Fatalf("%s: not a response to %x: %x", d.network, msg, out)
	}
	return m
}
