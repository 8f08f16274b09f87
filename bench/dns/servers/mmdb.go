//go:build linux

package servers

import (
	"bufio"
	"encoding/binary"
	"net/netip"
	"os"

	"gatehouse/dnslb/geo"
)

// databaseType is what country databases in this shape are called by the
// programs that look at it.
const databaseType = "GeoIP2-Country"

// WriteDatabase writes the built-in table of countries as a file in MaxMind's
// format, which all the servers read: so they all have the same data, and
// nothing has to be downloaded. Networks are whole /24 of IPv4.
func WriteDatabase(path string) error {
	t := &tree{}
	t.build(geo.Builtin())
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	t.write(w)
	if err := w.Flush(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// tree is a binary tree of networks. A branch is the number of a node, or a
// leaf: nobody, or minus the number of a country, from one.
type tree struct {
	nodes     [][2]int32
	countries []geo.Place
	numbers   map[string]int32
}

const (
	nobody   int32 = -1 << 30
	v4Prefix       = 96 // where IPv4 is in a tree of IPv6
	depth          = 24 // of the networks within IPv4
)

func (t *tree) build(d *geo.Database) {
	t.numbers = make(map[string]int32)
	for range v4Prefix {
		t.nodes = append(t.nodes, [2]int32{int32(len(t.nodes) + 1), nobody})
	}
	root := t.branch(d, 0, 0)
	t.nodes[v4Prefix-1][0] = root
}

// branch makes the tree of a network, and nothing but a leaf of one that is
// the same country everywhere. A node's number is known only after those
// below it: the parent refers to it.
func (t *tree) branch(d *geo.Database, network uint32, bits int) int32 {
	if bits == depth {
		return t.leaf(d, network)
	}
	at := len(t.nodes)
	t.nodes = append(t.nodes, [2]int32{})
	left := t.branch(d, network, bits+1)
	right := t.branch(d, network|1<<(31-bits), bits+1)
	if left == right && left < 0 {
		t.nodes = t.nodes[:at]
		return left
	}
	t.nodes[at] = [2]int32{left, right}
	return int32(at)
}

func (t *tree) leaf(d *geo.Database, network uint32) int32 {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], network)
	place := d.Lookup(netip.AddrFrom4(a))
	if place.Country == "" {
		return nobody
	}
	n, ok := t.numbers[place.Country]
	if !ok {
		t.countries = append(t.countries, place)
		n = -int32(len(t.countries))
		t.numbers[place.Country] = n
	}
	return n
}

// write writes the sections: tree, data, metadata.
func (t *tree) write(w *bufio.Writer) {
	var data encoder
	offsets := make([]int, len(t.countries))
	for i, place := range t.countries {
		offsets[i] = len(data)
		data.place(place)
	}
	for _, node := range t.nodes {
		for _, branch := range node {
			binary.Write(w, binary.BigEndian, t.record(branch, offsets))
		}
	}
	w.Write(make([]byte, 16))
	w.Write(data)
	w.WriteString("\xab\xcd\xefMaxMind.com")
	var meta encoder
	meta.meta(len(t.nodes))
	w.Write(meta)
}

// record is a branch as the file has it: a node, the number of nodes for
// nobody, or that and 16 and an offset in the data.
func (t *tree) record(branch int32, offsets []int) uint32 {
	switch {
	case branch == nobody:
		return uint32(len(t.nodes))
	case branch < 0:
		return uint32(len(t.nodes) + 16 + offsets[-branch-1])
	}
	return uint32(branch)
}

// encoder appends values of MaxMind's data format.
type encoder []byte

// The types of values.
const (
	typeText   = 2
	typeUint16 = 5
	typeUint32 = 6
	typeMap    = 7
	typeUint64 = 9
	typeArray  = 11
)

// maxShort is the largest size that the control byte itself has room for.
const maxShort = 28

func (e *encoder) head(kind, size int) {
	if kind > 7 {
		*e = append(*e, byte(size), byte(kind-7))
		return
	}
	*e = append(*e, byte(kind<<5|size))
}

func (e *encoder) text(s string) {
	s = s[:min(len(s), maxShort)]
	e.head(typeText, len(s))
	*e = append(*e, s...)
}

func (e *encoder) number(kind, size int, n uint64) {
	e.head(kind, size)
	var all [8]byte
	binary.BigEndian.PutUint64(all[:], n)
	*e = append(*e, all[8-size:]...)
}

func (e *encoder) place(p geo.Place) {
	e.head(typeMap, 2)
	e.text("continent")
	e.head(typeMap, 1)
	e.text("code")
	e.text(p.Continent)
	e.text("country")
	e.head(typeMap, 1)
	e.text("iso_code")
	e.text(p.Country)
}

func (e *encoder) meta(nodes int) {
	e.head(typeMap, 9)
	e.text("binary_format_major_version")
	e.number(typeUint16, 2, 2)
	e.text("binary_format_minor_version")
	e.number(typeUint16, 2, 0)
	e.text("build_epoch")
	e.number(typeUint64, 8, 1)
	e.text("database_type")
	e.text(databaseType)
	e.text("description")
	e.head(typeMap, 1)
	e.text("en")
	e.text("countries of the benchmark")
	e.text("ip_version")
	e.number(typeUint16, 2, 6)
	e.text("languages")
	e.head(typeArray, 1)
	e.text("en")
	e.text("node_count")
	e.number(typeUint32, 4, uint64(nodes))
	e.text("record_size")
	e.number(typeUint16, 2, 32)
}
