package sni

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// wire is a connection that reads its pieces, one a call, and keeps what is
// written.
type wire struct {
	pieces  [][]byte
	written bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error) {
	for len(w.pieces) > 0 && len(w.pieces[0]) == 0 {
		w.pieces = w.pieces[1:]
	}
	if len(w.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.pieces[0])
	w.pieces[0] = w.pieces[0][n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error)      { return w.written.Write(p) }
func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (w *wire) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// helloOf is what a client of crypto/tls sends first.
func helloOf(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	w := &wire{}
	if err := tls.Client(w, c).Handshake(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return w.written.Bytes()
}

// clients are the first bytes of several of them, by what is special.
func clients(t testing.TB) map[string][]byte {
	old := &tls.Config{ServerName: "old.example", MaxVersion: tls.VersionTLS12, MinVersion: tls.VersionTLS12}
	return map[string][]byte{
		"usual":    helloOf(t, &tls.Config{ServerName: "www.example"}),
		"TLS 1.2":  helloOf(t, old),
		"ALPN":     helloOf(t, &tls.Config{ServerName: "Shop.EXAMPLE", NextProtos: []string{"h2", "http/1.1"}}),
		"small":    helloOf(t, &tls.Config{ServerName: "a", CurvePreferences: []tls.CurveID{tls.X25519}, MinVersion: tls.VersionTLS13}),
		"no name":  helloOf(t, &tls.Config{ServerName: "192.0.2.1", InsecureSkipVerify: true}),
		"ECH":      helloOf(t, &tls.Config{ServerName: "secret.example", EncryptedClientHelloConfigList: echConfigs(t, "public.example")}),
		"ten ALPN": helloOf(t, &tls.Config{ServerName: "x.y.z.example", NextProtos: bytesOf(200)}),
	}
}

func bytesOf(n int) (list []string) {
	for range n {
		list = append(list, "protocol/1")
	}
	return list
}

// echConfigs is a list of one ECHConfig (RFC 9849 section 4).
func echConfigs(t testing.TB, public string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte{7, 0, 0x20} // identifier, DHKEM(X25519)
	body = append(body, with16(string(key.PublicKey().Bytes()))...)
	body = append(body, with16("\x00\x01\x00\x01")...) // HKDF-SHA256, AES-128-GCM
	body = append(body, 0)
	body = append(body, with8(public)...)
	body = append(body, with16("")...)
	return []byte(with16("\xfe\x0d" + with16(string(body))))
}

func with8(s string) string { return string([]byte{byte(len(s))}) + s }

func with16(s string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s
}

// seen is the server name that a server of crypto/tls reads.
func seen(pieces ...[]byte) (name string, called bool) {
	w := &wire{pieces: pieces}
	s := tls.Server(w, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, called = h.ServerName, true
		return nil, errors.New("seen enough")
	}})
	_ = s.Handshake() // fails by design
	return name, called
}

// reframed is a ClientHello of one record in several, cut where told.
func reframed(b []byte, cuts ...int) (out []byte) {
	body := b[recordHead:]
	from := 0
	for _, to := range append(cuts, len(body)) {
		out = append(out, b[:3]...)
		out = binary.BigEndian.AppendUint16(out, uint16(to-from))
		out = append(out, body[from:to]...)
		from = to
	}
	return out
}
