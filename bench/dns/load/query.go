//go:build linux

package load

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

// Query is one of the questions that are asked in turn.
type Query struct {
	Name string // with or without the trailing dot
	Type string // "A", "AAAA", ...
}

// ReadQueries reads a file as dnsperf has it: a name and a type in each line.
func ReadQueries(path string) ([]Query, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Query
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("%s: %q: want a name and a type", path, lines.Text())
		}
		all = append(all, Query{Name: fields[0], Type: fields[1]})
	}
	if len(all) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("%s: no queries", path)
	}
	return all, lines.Err()
}

// WriteQueries writes a file that ReadQueries and dnsperf read.
func WriteQueries(path string, all []Query) error {
	var text strings.Builder
	for _, q := range all {
		fmt.Fprintf(&text, "%s %s\n", q.Name, q.Type)
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// packet is a query in wire format, without an ID; its EDNS Client Subnet, if
// it has one that varies, ends it.
type packet []byte

// subnetBytes is how much of an address a /24 sends.
const subnetBytes = 3

func pack(q Query, o *Options) (packet, error) {
	kind, ok := dns.StringToType[q.Type]
	if !ok {
		return nil, fmt.Errorf("unknown type %q", q.Type)
	}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), kind)
	m.RecursionDesired = false
	if o.DO || o.ECS != "" {
		m.SetEdns0(1232, o.DO)
	}
	if o.ECS != "" {
		option, err := o.subnet()
		if err != nil {
			return nil, err
		}
		m.Extra[0].(*dns.OPT).Option = []dns.EDNS0{option}
	}
	return m.Pack()
}

// subnet is the option of a query: that of ECS, or room for one that varies.
func (o *Options) subnet() (*dns.EDNS0_SUBNET, error) {
	prefix := netip.MustParsePrefix("198.51.100.0/24")
	if o.ECS != Varied {
		var err error
		if prefix, err = netip.ParsePrefix(o.ECS); err != nil || !prefix.Addr().Is4() || prefix.Bits() != 8*subnetBytes {
			return nil, fmt.Errorf("client subnet %q: want %q or an IPv4 /24", o.ECS, Varied)
		}
	}
	return &dns.EDNS0_SUBNET{
		Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(prefix.Bits()), Address: prefix.Addr().AsSlice(),
	}, nil
}

// subnets is a sequence of different public /24 networks: the numbers of 24
// bits in a scattered order, each once, less those that are no clients'.
type subnets uint32

// next returns the network as its three bytes.
func (s *subnets) next() [subnetBytes]byte {
	for {
		*s++
		// Multiplying by an odd number permutes the numbers modulo 2^24.
		var bytes [4]byte
		binary.BigEndian.PutUint32(bytes[:], uint32(*s)*0x9e3779b1)
		if first := bytes[1]; first != 0 && first != 10 && first != 127 && first < 224 {
			return [subnetBytes]byte(bytes[1:])
		}
	}
}
