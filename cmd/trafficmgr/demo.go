package main

import (
	"bytes"
	_ "embed" // for the configuration
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
)

//go:embed demo.yaml.tmpl
var demoTemplate string

// demo is what the template is filled with.
type demo struct {
	Listen, Admin string
	Port          int
	Endpoints     []demoEndpoint

	servers []*http.Server
}

type demoEndpoint struct {
	Name, Address, Region, Geo string
	Weight                     int
}

func newDemoCommand() *cobra.Command {
	d := &demo{Endpoints: []demoEndpoint{
		{"west", "127.0.0.11", "West US", "WORLD", 1},
		{"europe", "127.0.0.12", "West Europe", "GEO-EU", 2},
		{"asia", "127.0.0.13", "Japan East", "GEO-AS", 3},
	}}
	show := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve an embedded zone with endpoints of its own, and print what to try",
		Example: `  trafficmgr demo
  trafficmgr demo --listen 127.0.0.1:8053 --port 8081
  trafficmgr demo --print-config > trafficmgr.yaml   # to start from`,
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
			return serve(cmd.Context(), textSource("demo.yaml", text), func(*config.TrafficManager) { d.guide(cmd.ErrOrStderr()) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&d.Listen, "listen", "127.0.0.1:5353", "`address` to answer on")
	f.IntVar(&d.Port, "port", 5380, "`port` of the three endpoints, at 127.0.0.11 to 127.0.0.13")
	f.StringVar(&d.Admin, "admin", defaultAdmin, "admin `address`")
	f.BoolVar(&show, "print-config", false, "print the configuration instead of serving it")
	return cmd
}

func (d *demo) yaml() (string, error) {
	t, err := template.New("demo.yaml").Parse(demoTemplate)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, d)
	return b.String(), err
}

// prepare starts the endpoints.
func (d *demo) prepare() error {
	for _, e := range d.Endpoints {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", e.Address, d.Port))
		if err != nil {
			return fmt.Errorf("demo endpoint %s: %w", e.Name, command.ListenError(err))
		}
		s := &http.Server{Handler: demoHandler(e.Name), ReadHeaderTimeout: 10 * time.Second}
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
	host, port, err := net.SplitHostPort(d.Listen)
	if err != nil || host == "" {
		host = "127.0.0.1"
	}
	dig := fmt.Sprintf("dig @%s -p %s +short", host, port)
	flip := fmt.Sprintf("curl -X POST http://%s:%d", d.Endpoints[0].Address, d.Port)
	fmt.Fprintf(w, `
The demo is running: four names of lab.test, led to the same three endpoints,
which are probed each second. Try, in another terminal:

  %[1]s www.lab.test                        failover: the first endpoint, 127.0.0.11
  %[2]s/down            flip it; wait two seconds
  %[1]s www.lab.test                        the second, 127.0.0.12
  %[2]s/up              and back

  %[1]s weighted.lab.test                   again and again: 1, 2 and 3 in 6
  %[1]s near.lab.test +subnet=133.11.0.0/16  a client in Japan: 127.0.0.13
  %[1]s geo.lab.test +subnet=193.0.0.0/21    a client in the Netherlands: 127.0.0.12

  trafficmgr endpoints --admin %[3]s                the state of the endpoints
  trafficmgr explain --admin %[3]s --name geo.lab.test --client 193.0.0.1
  trafficmgr disable www/west --admin %[3]s         take one out by hand
  curl http://%[3]s/metrics                         metrics
  trafficmgr demo --print-config                            the configuration to start from

Ctrl-C stops.

`, dig, flip, d.Admin)
}
