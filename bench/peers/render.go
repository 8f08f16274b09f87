//go:build linux

// Package peers holds the configurations of the proxies that are compared,
// and starts them. Each is tuned as its documentation advises for this job;
// what was chosen and why is in the templates and in bench/README.md.
package peers

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"text/template"
)

//go:embed templates
var templates embed.FS

// Setup is what a configuration depends on besides the proxy.
type Setup struct {
	Dir       string // of the proxy's own, existing; absolute
	HTTP      netip.AddrPort
	HTTPS     netip.AddrPort // of the single host; unused with many
	H2        netip.AddrPort // HTTP/2 without TLS; likewise
	H3        netip.AddrPort // HTTP/3, by those WithQUIC; likewise
	Admin     netip.AddrPort
	Origin    netip.AddrPort
	HostNames []string
	Single    bool   // one host, on HTTP and HTTPS
	Logs      bool   // write an access log
	Format    string // of appgw's access log
	Splice    bool   // HAProxy moves large bodies through pipes, as appgw does
	Forwarded bool   // peers add X-Forwarded-* as appgw (and Caddy) always do
	Cert, Key string
	Workers   int // processes or threads
	MaxFiles  uint64
	Root      bool // running as root: nginx's workers must say who they are

	// Cache keeps responses for an hour, whatever they say, in the systems
	// of WithCache.
	Cache bool

	// Firewall is how the system looks for attacks, which its name says:
	// Render sets it.
	Firewall Firewall
	// Responses has the firewall look at responses, too.
	Responses bool
	// Compress has JSON compressed with gzip, at level 1.
	Compress bool
	// WebSocket has connections upgraded, where that has to be said.
	WebSocket bool
}

// Log is where the access log goes. HAProxy's is its standard output.
func (s Setup) Log() string { return filepath.Join(s.Dir, "access.log") }

// FirewallLog is where the firewall's log goes, if it has one of its own.
func (s Setup) FirewallLog() string { return filepath.Join(s.Dir, "firewall.log") }

// Names lists the systems in the order of the tables, those with a firewall
// at the end.
func Names() []string { return append(Proxies(), WithFirewall()...) }

// WithQUIC lists those that have HTTP/3: Debian builds nginx and HAProxy without.
func WithQUIC() []string { return []string{"appgw", "caddy"} }

// Proxies lists the systems without a firewall.
func Proxies() []string { return []string{"appgw", "nginx", "haproxy", "caddy"} }

// WithCache lists the systems that keep responses of 10 KiB as they come.
func WithCache() []string { return []string{"appgw", "nginx"} }

// kind is how one of the systems is configured and started.
type kind struct {
	program string            // default; found by PATH
	files   map[string]string // file in Setup.Dir: its template
	args    func(dir string) []string
	version []string
	workers bool // each worker is a process of its own
	bothPEM bool // certificate and key in one file
	logs    string

	firewall Firewall
	rules    bool   // the Core Rule Set, as files
	module   string // file that must be there as well, of module's package
}

func kindOf(system string) (kind, error) {
	kinds := map[string]kind{
		"appgw": {
			program: "bin/appgw",
			files:   map[string]string{"appgw.yaml": "appgw.yaml.tmpl"},
			args:    func(dir string) []string { return []string{"run", "-c", dir + "/appgw.yaml"} },
			version: []string{"version"},
			logs:    "a line for each request to a file, written by a goroutine of its own from bounded buffers",
		},
		"nginx": {
			program: "nginx",
			files:   map[string]string{"nginx.conf": "nginx.conf.tmpl"},
			args: func(dir string) []string {
				return []string{"-p", dir, "-c", dir + "/nginx.conf", "-e", dir + "/error.log"}
			},
			version: []string{"-v"},
			workers: true,
			logs:    "combined format to a file, buffered (64k, flushed each second)",
		},
		"haproxy": {
			program: "haproxy",
			files:   map[string]string{"haproxy.cfg": "haproxy.cfg.tmpl", "hosts.map": "hosts.map.tmpl"},
			args:    func(dir string) []string { return []string{"-db", "-f", dir + "/haproxy.cfg"} },
			version: []string{"-v"},
			bothPEM: true,
			logs:    "option httplog to standard output, which is a file: a write for each request",
		},
		"caddy": {
			program: "caddy",
			files:   map[string]string{"Caddyfile": "Caddyfile.tmpl"},
			args: func(dir string) []string {
				return []string{"run", "--config", dir + "/Caddyfile", "--adapter", "caddyfile"}
			},
			version: []string{"version"},
			logs:    "JSON lines to a file, a write for each request",
		},
	}
	k, ok := kinds[Base(system)]
	if !ok {
		return kind{}, fmt.Errorf("unknown system %q: want one of %v", system, Names())
	}
	return k.guarded(system), nil
}

// LogStyle says in a line what a system's access log is.
func LogStyle(system string) string {
	k, err := kindOf(system)
	if err != nil {
		return ""
	}
	return k.logs
}

// Render returns the files of a system's configuration by name.
func Render(system string, s Setup) (map[string][]byte, error) {
	k, err := kindOf(system)
	if err != nil {
		return nil, err
	}
	s.Firewall = k.firewall
	files := make(map[string][]byte)
	if k.rules {
		if files, err = coreRules(); err != nil {
			return nil, err
		}
	}
	for name, source := range k.files {
		parsed, err := template.ParseFS(templates, "templates/"+source)
		if err != nil {
			return nil, err
		}
		var text bytes.Buffer
		if err := parsed.Execute(&text, s); err != nil {
			return nil, err
		}
		files[name] = text.Bytes()
	}
	if k.bothPEM && s.Single {
		if files["both.pem"], err = concatenate(s.Cert, s.Key); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func concatenate(paths ...string) ([]byte, error) {
	var all [][]byte
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return slices.Concat(all...), nil
}

// HostNames are the names of n hosts; the load generator makes the same from
// HostPattern.
func HostNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(HostPattern, i)
	}
	return names
}

const (
	// HostPattern is the name of one of many hosts.
	HostPattern = "h%d.bench.test"
	// SingleHost is the name of the only one.
	SingleHost = "bench.test"
)
