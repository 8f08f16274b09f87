//go:build linux

package peers

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// Firewall is how a system looks for attacks.
type Firewall uint8

// The ways to do it. All have the same rules and settings.
const (
	NoFirewall  Firewall = iota
	Indexed              // appgw as it comes: Coraza is asked when its index has a candidate
	Plain                // appgw with Coraza alone
	ModSecurity          // nginx with Debian's module
)

// On says whether it does so at all.
func (f Firewall) On() bool { return f != NoFirewall }

// Acceleration is appgw's word for it.
func (f Firewall) Acceleration() string {
	if f == Indexed {
		return "on"
	}
	return "off"
}

// Module is the file of nginx's module.
func (f Firewall) Module() string { return modSecurityModule }

const (
	modSecurityModule  = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so"
	modSecurityPackage = "libnginx-mod-http-modsecurity"
)

// guard is a firewall and the system that it is a part of.
type guard struct {
	base string
	kind Firewall
}

// firewalls are the systems with a firewall.
func firewalls() map[string]guard {
	return map[string]guard{
		"appgw-waf":         {"appgw", Indexed},
		"appgw-plain":       {"appgw", Plain},
		"nginx-modsecurity": {"nginx", ModSecurity},
	}
}

// WithFirewall lists the systems with a firewall in the order of the tables.
func WithFirewall() []string { return []string{"appgw-waf", "appgw-plain", "nginx-modsecurity"} }

// Base is the system that one with a firewall is without it, and that is the
// same program; of all others it is the system itself.
func Base(system string) string {
	if f, ok := firewalls()[system]; ok {
		return f.base
	}
	return system
}

// guarded is the kind with the firewall of a system, if it has one.
func (k kind) guarded(system string) kind {
	k.firewall = firewalls()[system].kind
	switch k.firewall {
	case Indexed, Plain:
		k.logs += "; what is blocked, to another file"
	case ModSecurity:
		k.files = maps.Clone(k.files)
		k.files["modsecurity.conf"] = "modsecurity.conf.tmpl"
		k.rules, k.module = true, modSecurityModule
		k.logs += "; what is blocked, to the error log"
	}
	return k
}

// coreRules are the files of the Core Rule Set that is built into appgw, by
// name.
func coreRules() (map[string][]byte, error) {
	names, err := fs.Glob(coreruleset.FS, "@owasp_crs/*")
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, name := range names {
		text, err := fs.ReadFile(coreruleset.FS, name)
		if err != nil {
			return nil, err
		}
		files[path.Base(name)] = withActions(text)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no Core Rule Set %s", names)
	}
	return files, nil
}

// withActions gives those links of chains an action that have none: the parser
// of ModSecurity 3.0.9 wants one. t:none changes nothing.
func withActions(rules []byte) []byte {
	const bare = `SecRule TX:EARLY_BLOCKING "@eq 1"`
	return bytes.ReplaceAll(rules, []byte(bare+"\n"), []byte(bare+` "t:none"`+"\n"))
}
