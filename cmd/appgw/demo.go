package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
	"gatehouse/internal/tlscert"
)

//go:embed demo.yaml.tmpl
var demoTemplate string

// demo is what the template is filled with.
type demo struct {
	HTTP, HTTPS, Admin, Log string
	Cert, Key               string
	Shop                    []string
	Images, Blog            string

	dir     string // holds the generated certificate
	servers []*http.Server
}

func newDemoCommand() *cobra.Command {
	d := &demo{}
	show := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve an embedded configuration with backends of its own, and print what to try",
		Example: `  appgw demo
  appgw demo --http 127.0.0.1:8000 --https 127.0.0.1:8400
  appgw demo --print-config > appgw.yaml   # to start from`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			if show {
				return d.printConfig(cmd.OutOrStdout())
			}
			defer d.close()
			if err := d.prepare(); err != nil {
				return err
			}
			text, err := d.yaml()
			if err != nil {
				return err
			}
			src := source{load: func() (*config.Gateway, config.Warnings, error) {
				conf, _, err := config.ParseGateway("demo.yaml", text) // warnings are for who can edit the file
				return conf, nil, err
			}}
			return serve(cmd.Context(), src, func(*config.Gateway) { d.guide(cmd.ErrOrStderr()) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&d.HTTP, "http", "127.0.0.1:8080", "address of the HTTP listeners")
	f.StringVar(&d.HTTPS, "https", "127.0.0.1:8443", "address of the HTTPS listener")
	f.StringVar(&d.Admin, "admin", defaultAdmin, "admin address")
	f.StringVar(&d.Log, "access-log", "stdout", "where the access log goes")
	f.BoolVar(&show, "print-config", false, "print the configuration instead of serving it")
	return cmd
}

// prepare starts the backends and makes the certificate.
func (d *demo) prepare() (err error) {
	if d.dir, err = os.MkdirTemp("", "appgw-demo-"); err != nil {
		return err
	}
	cert, key, err := tlscert.SelfSigned([]string{"shop.localhost", "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	d.Cert, d.Key = filepath.Join(d.dir, "shop.crt"), filepath.Join(d.dir, "shop.key")
	if err := os.WriteFile(d.Cert, cert, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(d.Key, key, 0o600); err != nil {
		return err
	}
	for _, name := range []string{"shop-1", "shop-2", "images", "blog"} {
		address, err := d.backend(name)
		if err != nil {
			return err
		}
		switch name {
		case "images":
			d.Images = address
		case "blog":
			d.Blog = address
		default:
			d.Shop = append(d.Shop, address)
		}
	}
	return nil
}

// backend starts a small application that says what it received.
func (d *demo) backend(name string) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.Encode(map[string]any{"backend": name, "method": r.Method, "host": r.Host, "url": r.URL.String(), "headers": r.Header})
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	d.servers = append(d.servers, s)
	go s.Serve(l)
	return l.Addr().String(), nil
}

func (d *demo) close() {
	for _, s := range d.servers {
		s.Close()
	}
	os.RemoveAll(d.dir)
}

// HTTPPort is for the redirect, which leads back to the HTTP listeners.
func (d *demo) HTTPPort() string { return port(d.HTTP) }

func port(address string) string {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return p
}

func (d *demo) yaml() ([]byte, error) {
	t, err := template.New("demo.yaml").Parse(demoTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, d)
	return b.Bytes(), err
}

// printConfig shows the configuration with example addresses.
func (d *demo) printConfig(w io.Writer) error {
	addr := netip.MustParseAddr("127.0.0.1")
	at := func(port uint16) string { return netip.AddrPortFrom(addr, port).String() }
	d.Cert, d.Key = "certs/shop.crt", "certs/shop.key"
	d.Shop, d.Images, d.Blog = []string{at(3001), at(3002)}, at(3003), at(3004)
	text, err := d.yaml()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// guide prints what to try.
func (d *demo) guide(w io.Writer) {
	h, s := port(d.HTTP), port(d.HTTPS)
	fmt.Fprintf(w, `
The demo is running: two hosts, a path map, cookie affinity, HTTPS and a web
application firewall in front of four small backends. Try, in another terminal:

  curl http://shop.localhost:%[1]s/                  the shop: two backends in turn, and a cookie
  curl -c jar -b jar http://shop.localhost:%[1]s/    twice: the cookie keeps you on one of them
  curl http://shop.localhost:%[1]s/images/logo.png   the path map sends this to another pool
  curl -i http://shop.localhost:%[1]s/old/post       a redirect
  curl http://blog.localhost:%[1]s/                  another host on the same port
  curl -k https://shop.localhost:%[2]s/              TLS offload
  curl -i http://nobody.localhost:%[1]s/             no such host: 404
  curl -i "http://shop.localhost:%[1]s/?q='+or+1=1--" the firewall stops SQL injection: 403
  curl -i http://shop.localhost:%[1]s/admin          and what a rule of the shop's own forbids: 403

  %-48[3]s the state of the backends
  %-48[4]s metrics
  appgw demo --print-config                        the configuration to start from

The access log and the firewall's follow. Ctrl-C stops.

`, h, s, "appgw backends --admin "+d.Admin, curlAdmin(d.Admin))
}

// curlAdmin is how to ask an admin address for metrics.
func curlAdmin(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "curl --unix-socket " + path + " http://localhost/metrics"
	}
	return "curl http://" + address + "/metrics"
}
