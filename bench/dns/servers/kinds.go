//go:build linux

package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names lists the servers in the order of the tables.
func Names() []string { return []string{"trafficmgr", "gdnsd", "knot", "pdns"} }

// kind is how one of the servers is configured and started.
type kind struct {
	program string            // found by PATH and in the directories of sbin
	files   map[string]string // file in Setup.Dir: its template
	args    func(s Setup) []string
	version []string
	module  string // that must be there as well: a pattern of files
	from    string // where one gets it
	methods []Method
	keys    func(s Setup) []string // the command that makes keys for a signed zone; nil: none is needed
}

func kindOf(server string) (kind, error) {
	k, ok := map[string]kind{
		"trafficmgr": trafficmgr(), "gdnsd": gdnsd(), "knot": knot(), "pdns": pdns(),
	}[server]
	if !ok {
		return kind{}, fmt.Errorf("unknown server %q: want one of %v", server, Names())
	}
	return k, nil
}

func trafficmgr() kind {
	return kind{
		program: "bin/trafficmgr",
		files:   map[string]string{"trafficmgr.yaml": "trafficmgr.yaml.tmpl"},
		args:    func(s Setup) []string { return []string{"run", "-c", s.File("trafficmgr.yaml")} },
		version: []string{"version"},
		from:    "go build -o bin/trafficmgr ./cmd/trafficmgr",
		methods: []Method{Weighted, Priority, Geographic},
	}
}

func gdnsd() kind {
	return kind{
		program: "gdnsd",
		files:   map[string]string{"config": "gdnsd.config.tmpl", "zones/" + Zone: "gdnsd.zone.tmpl"},
		args:    func(s Setup) []string { return []string{"-c", s.Dir, "start"} },
		version: []string{"--version"},
		from:    "the Debian package gdnsd",
		methods: []Method{Weighted, Priority, Geographic},
	}
}

func knot() kind {
	return kind{
		program: "knotd",
		files: map[string]string{
			"knot.conf": "knot.conf.tmpl", "zone": "knot.zone.tmpl", "geoip.conf": "knot-geoip.conf.tmpl",
		},
		args:    func(s Setup) []string { return []string{"-c", s.File("knot.conf")} },
		version: []string{"--version"},
		module:  "/usr/lib/*/knot/modules-*/geoip.so",
		from:    "the Debian packages knot and knot-module-geoip",
		methods: []Method{Weighted, Geographic},
	}
}

func pdns() kind {
	return kind{
		program: "pdns_server",
		files:   map[string]string{"pdns.conf": "pdns.conf.tmpl", "zones.yaml": "pdns.yaml.tmpl"},
		args:    func(s Setup) []string { return []string{"--config-dir=" + s.Dir} },
		version: []string{"--version"},
		module:  "/usr/lib/*/pdns/libgeoipbackend.so",
		from:    "the Debian packages pdns-server and pdns-backend-geoip",
		methods: []Method{Weighted, Geographic},
		keys: func(s Setup) []string {
			return []string{"pdnsutil", "--config-dir=" + s.Dir, "add-zone-key", Zone, "ksk", "active", "ecdsa256"}
		},
	}
}

// Can tells whether a server has a routing method.
func Can(server string, m Method) bool {
	k, err := kindOf(server)
	return err == nil && slices.Contains(k.methods, m)
}

// errMissing says that a server is not installed.
var errMissing = errors.New("not installed")

// Find returns the path of a server's program.
func Find(server string) (string, error) {
	k, err := kindOf(server)
	if err != nil {
		return "", err
	}
	path := lookPath(k.program)
	if path != "" && k.module != "" {
		if found, _ := filepath.Glob(k.module); len(found) == 0 {
			path = ""
		}
	}
	if path == "" {
		return "", fmt.Errorf("%s: %w: it comes from %s", server, errMissing, k.from)
	}
	return filepath.Abs(path)
}

// lookPath finds a program, also where only root's PATH leads.
func lookPath(program string) string {
	for _, candidate := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// Version is what a server says of itself, in one line.
func Version(server string) string {
	k, err := kindOf(server)
	if err != nil {
		return "unknown"
	}
	path, err := Find(server)
	if err != nil {
		return "not installed"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Some of them write it and exit with 1 or more.
	text, _ := exec.CommandContext(ctx, path, k.version...).CombinedOutput()
	for line := range strings.Lines(string(text)) {
		if strings.ContainsAny(line, "0123456789") {
			return trimVersion(line)
		}
	}
	return "unknown"
}

// trimVersion takes the time of the log from a line, and what follows a
// full sentence.
func trimVersion(line string) string {
	if i := strings.Index(line, "PowerDNS"); i > 0 {
		line = line[i:]
	}
	line, _, _ = strings.Cut(line, " (C)")
	return strings.TrimSpace(line)
}

// moduleDir is the directory of PowerDNS's modules.
func moduleDir() string {
	found, _ := filepath.Glob("/usr/lib/*/pdns")
	if len(found) == 0 {
		return "/usr/lib/pdns"
	}
	return found[0]
}

// root tells whether we are: some servers say then whom they run as.
func root() bool { return os.Getuid() == 0 }
