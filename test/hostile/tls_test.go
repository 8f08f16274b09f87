package hostile

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// TestHostsStayWithTheirTLSSettings are rows 61 and 62: a connection made for one host cannot carry requests for a host with
// other settings.
func TestHostsStayWithTheirTLSSettings(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, c := range []struct {
		name, server, host string
		want               int
	}{
		{"the host itself", "shop.test", "shop.test", 200},
		{"the host itself, in capitals", "shop.test", "SHOP.Test", 200},
		{"the host itself, with a dot and a port", "shop.test", "shop.test.:443", 200},
		{"the strict host itself", "strict.test", "strict.test", 200},
		{"the strict host over another's connection", "shop.test", "strict.test", 421},
		{"in capitals", "shop.test", "STRICT.test", 421},
		{"with a dot", "shop.test", "strict.test.", 421},
		{"with a port", "shop.test", "strict.test:443", 421},
		{"in the target", "shop.test", "shop.test\r\nX: y", 421},
		{"another host over the strict one's", "strict.test", "shop.test", 421},
		{"a host nobody has", "shop.test", "nobody.test", 404},
		{"server name in capitals", "SHOP.TEST", "shop.test", 200},
		{"server name in capitals, strict host", "SHOP.TEST", "strict.test", 421},
	} {
		t.Run("F61 "+c.name, func(t *testing.T) {
			before := g.mark()
			target := "/hostile"
			if c.name == "in the target" {
				target = "https://strict.test/hostile"
			}
			client := g.dialTLS(t, c.server)
			client.Send(request("GET "+target+" HTTP/1.1", "Host: "+c.host))
			if r := client.ReadResponse("GET"); r.StatusCode != c.want {
				t.Errorf("answer is %q, want %d", r.Head, c.want)
			}
			got, _ := g.since(before)
			if c.want != 200 {
				g.untouched(t, "at once", before, false)
			} else if len(got) != 1 {
				t.Errorf("the backend got %s", describe(got))
			}
		})
	}
	t.Run("F62 tricks with the server name do not dodge the settings", func(t *testing.T) {
		for _, name := range []string{"strict.test", "STRICT.test", "strict.test."} {
			config := g.ca.ClientConfig(name)
			config.InsecureSkipVerify, config.MaxVersion = true, tls.VersionTLS12
			conn, err := tls.Dial("tcp", g.secure, config)
			if err == nil {
				conn.Close()
				t.Errorf("TLS 1.2 for %s", name)
			}
		}
	})
	t.Run("F61 resumption keeps to its host", func(t *testing.T) { g.resume(t) })
}

// resume takes a ticket of one host to another: what it leads to is bound to the name of this handshake.
func (g *gateway) resume(t *testing.T) {
	config := g.ca.ClientConfig("shop.test")
	config.ClientSessionCache = sharedCache{tls.NewLRUClientSessionCache(4)}
	config.MinVersion = tls.VersionTLS13
	for _, resumed := range []bool{false, true} {
		c := testkit.DialTLS(t, g.secure, config)
		c.Send(request("GET /hostile HTTP/1.1", "Host: shop.test"))
		c.ReadResponse("GET")
		if got := c.Conn.(*tls.Conn).ConnectionState().DidResume; got != resumed {
			t.Errorf("resumption is %v, want %v", got, resumed)
		}
	}
	config = config.Clone()
	config.ServerName = "strict.test"
	second := testkit.DialTLS(t, g.secure, config)
	second.Send(request("GET /hostile HTTP/1.1", "Host: shop.test"))
	if r := second.ReadResponse("GET"); r.StatusCode != 421 {
		t.Errorf("the host of the ticket is answered %q", r.Head)
	}
	if second.Conn.(*tls.Conn).ConnectionState().DidResume {
		t.Error("a ticket of one host was taken for another with other settings")
	}
}

// sharedCache offers every ticket to every host, as no honest client does.
type sharedCache struct{ tls.ClientSessionCache }

func (c sharedCache) Get(string) (*tls.ClientSessionState, bool) { return c.ClientSessionCache.Get("") }
func (c sharedCache) Put(_ string, s *tls.ClientSessionState)    { c.ClientSessionCache.Put("", s) }

// TestBackendsAreVerified is row 66: nothing is sent to, and nothing believed from, a backend that is not who it should be.
func TestBackendsAreVerified(t *testing.T) {
	t.Parallel()
	ca, other := testkit.NewCA(t), testkit.NewCA(t)
	expired := ca.Issue(testkit.Leaf{Names: []string{"backend.test"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)})
	settings := ", protocol: https, tls: {caFile: " + ca.File + ", serverName: backend.test}"
	for _, c := range []struct {
		name string
		cert *testkit.Cert
		want int
	}{
		{"right name", ca.Server("backend.test"), 200}, {"wrong name", ca.Server("other.test"), 502}, {"unknown authority", other.Server("backend.test"), 502},
		{"expired", expired, 502}, {"certificate of a client", ca.Issue(testkit.Leaf{Names: []string{"backend.test"}, Client: true}), 502},
	} {
		t.Run("F66 "+c.name, func(t *testing.T) {
			backend := testkit.StartBackend(t, testkit.BackendOptions{AllowMalformed: true, TLS: &tls.Config{Certificates: []tls.Certificate{c.cert.TLS}}}, testkit.Respond(200, "ok"))
			g := start(t, setup{backend: backend, settings: settings})
			if r := testkit.Get(t, g.plain, "a.test", "/secret"); r.StatusCode != c.want {
				t.Errorf("answer is %q, want %d", r.Head, c.want)
			}
			if n := backend.RequestCount(); (n > 0) != (c.want == 200) {
				t.Errorf("the backend got %d requests", n)
			}
		})
	}
	t.Run("F66 plain text before the handshake", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		g := start(t, setup{settings: settings, backend: &testkit.Backend{Addr: ln.Addr().String()}})
		heard := make(chan string, 1)
		go injector(ln, ca.Server("backend.test"), heard)
		r := testkit.Get(t, g.plain, "a.test", "/secret")
		if r.StatusCode != 502 || strings.Contains(string(r.Content), "injected") {
			t.Errorf("answer is %q %q, want 502", r.Head, r.Content)
		}
		if got := <-heard; strings.Contains(got, "/secret") {
			t.Errorf("the backend heard %q", got)
		}
	})
}

// injector says an HTTP answer before TLS begins.
func injector(ln net.Listener, cert *testkit.Cert, heard chan<- string) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninjected")
	secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert.TLS}})
	_ = conn.SetDeadline(time.Now().Add(soon))
	buf := make([]byte, 4096)
	n, _ := secure.Read(buf)
	heard <- string(buf[:n])
}

// proxyV2 is a PROXY header, version 2, for TCP over IPv4 with these TLVs.
func proxyV2(tlvs string) string {
	h := "\r\n\r\n\x00\r\nQUIT\n\x21\x11"
	body := "\xcb\x00\x71\x01\xcb\x00\x71\x02\x04\xd2\x00\x50" + tlvs
	return h + string(binary.BigEndian.AppendUint16(nil, uint16(len(body)))) + body
}

const proxyV1 = "PROXY TCP4 203.0.113.1 203.0.113.2 1234 80\r\n"

// TestProxyHeaders is row 67: bad ones, and those of strangers, end the connection without a byte.
func TestProxyHeaders(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	tlvs := "\x04\x00\x03abc\x01\x00\x02h2"
	for name, header := range map[string]string{"v1": proxyV1, "v2": proxyV2(""), "v2 with TLVs": proxyV2(tlvs), "v1 UNKNOWN": "PROXY UNKNOWN\r\n", "v2 LOCAL": "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"} {
		for _, send := range []func(*testkit.Client, string){whole, byByte} {
			t.Run("F67 "+name, func(t *testing.T) {
				want := "203.0.113.1"
				if strings.Contains(name, "UNKNOWN") || strings.Contains(name, "LOCAL") {
					want = loadBalancer
				}
				c := dialFrom(t, loadBalancer, g.proxied)
				send(c, header+get("X-Forwarded-For: 8.8.8.8"))
				if r := c.ReadResponse("GET"); r.StatusCode != 200 || g.backend.Last().Get("X-Forwarded-For") != want {
					t.Errorf("answer is %q, client %q, want %s", r.Head, g.backend.Last().Get("X-Forwarded-For"), want)
				}
			})
		}
	}
	for name, header := range badProxyHeaders() {
		t.Run("F67 bad: "+name, func(t *testing.T) {
			before := g.mark()
			for _, send := range []func(*testkit.Client, string){whole, byByte} {
				c := dialFrom(t, loadBalancer, g.proxied)
				send(c, header+smuggled)
				c.ExpectClosed(soon)
			}
			g.untouched(t, "at once", before, false)
		})
	}
	for name, header := range map[string]string{"v1": proxyV1, "v1 UNKNOWN": "PROXY UNKNOWN\r\n", "v2": proxyV2(tlvs)} {
		for where, addr := range map[string]string{"plain": g.plain, "proxied": g.proxied, "secure": g.secure, "hidden": g.hidden} {
			t.Run("F67 of a stranger: "+name+" to "+where, func(t *testing.T) {
				before := g.mark()
				c := dialFrom(t, stranger, addr)
				c.Send(header, smuggled)
				c.ExpectClosed(soon)
				g.untouched(t, "at once", before, false)
			})
		}
	}
	t.Run("F67 before TLS", func(t *testing.T) {
		c := g.tlsFrom(t, loadBalancer, g.hidden, proxyV1)
		c.Send(get())
		if r := c.ReadResponse("GET"); r.StatusCode != 200 || g.backend.Last().Get("X-Forwarded-For") != "203.0.113.1" {
			t.Errorf("answer is %q, the backend got %q", r.Head, g.backend.Last().Head)
		}
	})
	t.Run("F67 a stranger behind a trusted load balancer stays one", func(t *testing.T) {
		c := dialFrom(t, bothProxies, g.proxied)
		c.Send(proxyV1, get("X-Forwarded-For: 8.8.8.8", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test", "X-Real-IP: 8.8.8.8"))
		c.ReadResponse("GET")
		r := g.backend.Last()
		if r.Get("X-Forwarded-For") != "203.0.113.1" || r.Get("X-Forwarded-Proto") != "http" || r.Get("X-Forwarded-Host") != "a.test" || r.Get("X-Real-IP") != "" {
			t.Errorf("the backend got %q", r.Head)
		}
	})
}

func badProxyHeaders() map[string]string {
	v2 := []byte(proxyV2(""))
	with := func(at int, b byte) string {
		bad := append([]byte(nil), v2...)
		bad[at] = b
		return string(bad)
	}
	return map[string]string{
		"none": "", "v1 of 108 bytes": "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "v1 without an end": "PROXY TCP4 " + strings.Repeat("1", 200), "v1 in lower case": strings.ToLower(proxyV1),
		"v1 with LF": "PROXY TCP4 203.0.113.1 203.0.113.2 1234 80\n", "v1 with two spaces": "PROXY TCP4  203.0.113.1 203.0.113.2 1234 80\r\n", "v1 with an IPv6 address": "PROXY TCP4 ::1 ::1 1 2\r\n",
		"v1 with a name": "PROXY TCP4 a.test b.test 1 2\r\n", "v1 with a big port": "PROXY TCP4 203.0.113.1 203.0.113.2 65536 80\r\n", "v1 with a signed port": "PROXY TCP4 203.0.113.1 203.0.113.2 +1 80\r\n",
		"v1 with a port of zeros": "PROXY TCP4 203.0.113.1 203.0.113.2 0001 80\r\n", "v1 with octal": "PROXY TCP4 0203.0.113.1 203.0.113.2 1 80\r\n", "v1 UDP4": "PROXY UDP4 203.0.113.1 203.0.113.2 1 80\r\n", "v1 cut": "PROXY\r\n",
		"v2 of version 1": with(12, 0x11), "v2 of unknown command": with(12, 0x22), "v2 of UDP": with(13, 0x12), "v2 of unknown family": with(13, 0xff), "v2 too short for its addresses": with(15, 4) + "",
		"v2 over the maximum": with(14, 0xff), "v2 with a TLV that is too long": proxyV2("\x04\x00\x09abc"), "v2 with half a TLV": proxyV2("\x04\x00"), "v2 with a bad signature": with(11, 'X'),
	}
}
