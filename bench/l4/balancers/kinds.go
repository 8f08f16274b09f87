//go:build linux

package balancers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Names lists the balancers in the order of the tables.
func Names() []string { return []string{"l4lb", "haproxy", "nginx"} }

// DefaultModule is where Debian puts nginx's stream module.
const DefaultModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// Programs are the paths of what is started. Those that are not set are
// looked for where they usually are.
type Programs struct {
	Paths  map[string]string // by name of the balancer
	Module string            // nginx's stream module; if empty, DefaultModule
}

// StreamModule is the file of nginx's stream module.
func (p Programs) StreamModule() string {
	if p.Module == "" {
		return DefaultModule
	}
	return p.Module
}

// kind is how one of the balancers is configured and started.
type kind struct {
	program string // found by PATH and in the directories of sbin
	file    string // of Setup.Dir; its template has the same name
	args    func(s Setup) []string
	version []string
	module  bool   // it needs the stream module
	from    string // where one gets it
	udp     bool   // it balances datagrams as well
}

func kindOf(balancer string) (kind, error) {
	k, ok := map[string]kind{
		"l4lb": {
			program: "bin/l4lb", file: "l4lb.yaml", udp: true,
			args:    func(s Setup) []string { return []string{"run", "-c", s.File("l4lb.yaml")} },
			version: []string{"version"},
			from:    "go build -o bin/l4lb ./cmd/l4lb",
		},
		"haproxy": {
			program: "haproxy", file: "haproxy.cfg",
			args:    func(s Setup) []string { return []string{"-db", "-f", s.File("haproxy.cfg")} },
			version: []string{"-v"},
			from:    "the Debian package haproxy",
		},
		"nginx": {
			program: "nginx", file: "nginx.conf", udp: true, module: true,
			args: func(s Setup) []string {
				return []string{"-p", s.Dir, "-c", s.File("nginx.conf"), "-e", s.File("error.log")}
			},
			version: []string{"-v"},
			from:    "the Debian packages nginx and libnginx-mod-stream",
		},
	}[balancer]
	if !ok {
		return kind{}, fmt.Errorf("unknown balancer %q: want one of %v", balancer, Names())
	}
	return k, nil
}

// Can tells whether a balancer has a protocol.
func Can(balancer string, p Protocol) bool {
	k, err := kindOf(balancer)
	return err == nil && (p == TCP || k.udp)
}

// errMissing says that a balancer is not installed.
var errMissing = errors.New("not installed")

// Find returns the path of a balancer's program.
func (p Programs) Find(balancer string) (string, error) {
	k, err := kindOf(balancer)
	if err != nil {
		return "", err
	}
	path := lookPath(k.program, p.Paths[balancer])
	if k.module {
		if _, err := os.Stat(p.StreamModule()); err != nil {
			path = ""
		}
	}
	if path == "" {
		return "", fmt.Errorf("%s: %w: it comes from %s", balancer, errMissing, k.from)
	}
	return filepath.Abs(path)
}

// lookPath finds a program, also where only root's PATH leads; given is
// instead of it, if it is not empty.
func lookPath(program, given string) string {
	candidates := []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program}
	if given != "" {
		candidates = []string{given}
	}
	for _, candidate := range candidates {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// Version is what a balancer says of itself, in one line.
func (p Programs) Version(balancer string) string {
	k, err := kindOf(balancer)
	if err != nil {
		return "unknown"
	}
	path, err := p.Find(balancer)
	if err != nil {
		return "not installed"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, path, k.version...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}
