//go:build linux

// Package balancers holds the configurations of the load balancers that are
// compared, and starts them. Each is tuned as its documentation advises; what
// was chosen and why is in the templates and in bench/l4/README.md.
package balancers

import (
	"net/netip"
	"os"
	"path/filepath"
)

// Protocol is what the rules of a Setup balance, as l4lb writes it.
type Protocol string

// The protocols.
const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
)

// Setup is what a configuration depends on besides the balancer.
type Setup struct {
	Dir      string // of the balancer's own, existing; absolute
	Admin    netip.AddrPort
	Protocol Protocol
	// Rules are where clients connect: one rule for each, all to the same
	// members. They are at the same address.
	Rules   []netip.AddrPort
	Members []netip.AddrPort
	// Bulk gives nginx the larger buffers that it wants for large transfers.
	Bulk     bool
	Workers  int // processes or threads
	MaxFiles uint64
	// Module is the file of nginx's stream module.
	Module string
}

// Address is that of all rules, for templates.
func (s Setup) Address() netip.Addr { return s.Rules[0].Addr() }

// Root tells whether we are: nginx's workers say then whom they run as.
func (s Setup) Root() bool { return os.Getuid() == 0 }

// File is the path of a file in the balancer's directory.
func (s Setup) File(name string) string { return filepath.Join(s.Dir, name) }
