package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
)

// demo is a balancer with members of its own.
type demo struct {
	listen, admin string
	port          int
	members       []string // addresses on loopback
	servers       []*http.Server
}

func newDemoCommand() *cobra.Command {
	d := &demo{members: []string{"127.0.0.21", "127.0.0.22", "127.0.0.23"}}
	show := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Balance over members of its own, and print what to try",
		Example: `  l4lb demo
  l4lb demo --listen 127.0.0.1:8071 --port 8072
  l4lb demo --print-config > l4lb.yaml   # to start from`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			text, err := d.yaml()
			if err != nil {
				return err
			}
			if show {
				_, err := io.WriteString(cmd.OutOrStdout(), text)
				return err
			}
			defer d.close()
			if err := d.prepare(); err != nil {
				return err
			}
			return serve(cmd.Context(), textSource("demo.yaml", text), func(*config.LoadBalancer) { d.guide(cmd.ErrOrStderr()) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&d.listen, "listen", "127.0.0.1:8070", "`address` to balance")
	f.IntVar(&d.port, "port", 8079, "`port` of the three members, at 127.0.0.21 to 127.0.0.23")
	f.StringVar(&d.admin, "admin", defaultAdmin, "admin `address`")
	f.BoolVar(&show, "print-config", false, "print the configuration instead of serving it")
	return cmd
}

func (d *demo) yaml() (string, error) {
	host, port, err := net.SplitHostPort(d.listen)
	if err != nil || host == "" {
		return "", fmt.Errorf("--listen %q: want an address and a port, such as 127.0.0.1:8070", d.listen)
	}
	return fmt.Sprintf(`# One port, balanced over three small servers.
admin: {address: %q}
frontends:
  - {name: public, address: %q}
backendPools:
  - name: web
    members: [%s, %s, %s]
    drain: 10s
probes:
  - {name: web, protocol: http, path: /healthz, interval: 1s, threshold: 2}
rules:
  - name: web
    frontend: public
    protocol: tcp
    frontendPort: %s
    backendPort: %d
    backendPool: web
    probe: web
`, d.admin, host, d.members[0], d.members[1], d.members[2], port, d.port), nil
}

// prepare starts the members.
func (d *demo) prepare() error {
	for i, m := range d.members {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", m, d.port))
		if err != nil {
			return fmt.Errorf("demo member %s: %w", m, command.ListenError(err))
		}
		s := &http.Server{Handler: demoHandler(fmt.Sprintf("member %d", i+1)), ReadHeaderTimeout: 10 * time.Second}
		d.servers = append(d.servers, s)
		go s.Serve(l)
	}
	return nil
}

// demoHandler is a small server whose health can be changed.
func demoHandler(name string) http.Handler {
	var down atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("POST /down", func(w http.ResponseWriter, _ *http.Request) {
		down.Store(true)
		fmt.Fprintln(w, name, "is down")
	})
	mux.HandleFunc("POST /up", func(w http.ResponseWriter, _ *http.Request) {
		down.Store(false)
		fmt.Fprintln(w, name, "is up")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "this is", name) })
	return mux
}

func (d *demo) close() {
	for _, s := range d.servers {
		s.Close()
	}
}

// guide prints what to try.
func (d *demo) guide(w io.Writer) {
	flip := fmt.Sprintf("curl -X POST http://%s:%d", d.members[0], d.port)
	fmt.Fprintf(w, `
The demo is running: %[1]s is balanced over three members, which are
probed each second. Try, in another terminal:

  curl http://%[1]s/                        again and again: one of the three each time
  %[2]s/down            flip the first; wait a second
  l4lb backends --admin %[3]s        who is well, and why not
  %[2]s/up              and back

  l4lb drain 127.0.0.22 --admin %[3]s   no new flows to the second
  l4lb undrain 127.0.0.22 --admin %[3]s
  l4lb explain --from 198.51.100.7:40000 --to %[1]s --admin %[3]s
  l4lb flows --admin %[3]s           the flows of the moment
  l4lb status --admin %[3]s
  curl http://%[3]s/metrics
  l4lb demo --print-config                      the configuration to start from

Ctrl-C stops.

`, d.listen, flip, d.admin)
}
