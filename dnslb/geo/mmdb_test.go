package geo

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"testing"
)

// mmdb writes a file in MaxMind's format, as small as tests need it.
type mmdb struct {
	version uint64 // of IP
	bits    uint64 // of a record: 24, 28 or 32
	nodes   [][2]int
	data    []byte
	offsets map[string]int // of records, by their bytes
}

// What a record of the tree holds while it is built: a node's number, empty,
// or the offset of data below that.
const (
	emptyRecord = -1
	dataRecord  = -2
)

func newMMDB(version, bits uint64) *mmdb {
	return &mmdb{version: version, bits: bits, nodes: [][2]int{{emptyRecord, emptyRecord}}, offsets: map[string]int{}}
}

// add gives a network a record: a map, array, string or number.
func (m *mmdb) add(prefix string, record any) {
	encoded := string(encodeMMDB(nil, record))
	offset, ok := m.offsets[encoded]
	if !ok {
		offset = len(m.data)
		m.data = append(m.data, encoded...)
		m.offsets[encoded] = offset
	}
	m.point(prefix, dataRecord-offset)
}

// alias lets a network have the tree of IPv4.
func (m *mmdb) alias(prefix string) {
	node := 0
	for range 96 {
		node = m.nodes[node][0]
	}
	m.point(prefix, node)
}

// point sets the record of a network.
func (m *mmdb) point(prefix string, to int) {
	p := netip.MustParsePrefix(prefix)
	addr, bits := p.Addr().AsSlice(), p.Bits()
	if p.Addr().Is4() && m.version == 6 {
		addr, bits = append(make([]byte, 12), addr...), bits+96
	}
	node := 0
	for i := range bits - 1 {
		side := addr[i/8] >> (7 - i%8) & 1
		if m.nodes[node][side] < 0 {
			m.nodes = append(m.nodes, [2]int{m.nodes[node][side], m.nodes[node][side]})
			m.nodes[node][side] = len(m.nodes) - 1
		}
		node = m.nodes[node][side]
	}
	m.nodes[node][addr[(bits-1)/8]>>(7-(bits-1)%8)&1] = to
}

// file returns the bytes.
func (m *mmdb) file() []byte {
	var out []byte
	for _, n := range m.nodes {
		left, right := m.record(n[0]), m.record(n[1])
		switch m.bits {
		case 24:
			out = append(out, byte(left>>16), byte(left>>8), byte(left), byte(right>>16), byte(right>>8), byte(right))
		case 28:
			out = append(out, byte(left>>16), byte(left>>8), byte(left), byte(left>>24<<4|right>>24), byte(right>>16), byte(right>>8), byte(right))
		default:
			out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, uint32(left)), uint32(right))
		}
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, m.data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return encodeMMDB(out, map[string]any{
		"node_count": uint64(len(m.nodes)), "record_size": m.bits, "ip_version": m.version,
		"database_type": "Test-City", "languages": []any{"en"}, "description": map[string]any{"en": "a test"},
		"binary_format_major_version": uint64(2), "binary_format_minor_version": uint64(0), "build_epoch": uint64(1_800_000_000),
	})
}

func (m *mmdb) record(r int) int {
	switch {
	case r == emptyRecord:
		return len(m.nodes)
	case r <= dataRecord:
		return len(m.nodes) + 16 + dataRecord - r
	}
	return r
}

// encodeMMDB appends a value: its type in three bits and its size in five.
func encodeMMDB(out []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		if len(v) < 29 {
			return append(append(out, byte(2<<5|len(v))), v...)
		}
		return append(append(out, 2<<5|29, byte(len(v)-29)), v...)
	case uint64: // an extended type: 9
		return binary.BigEndian.AppendUint64(append(out, 8, 9-7), v)
	case []any: // an extended type: 11
		out = append(out, byte(len(v)), 11-7)
		for _, e := range v {
			out = encodeMMDB(out, e)
		}
	case map[string]any:
		out = append(out, byte(7<<5|len(v)))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = encodeMMDB(encodeMMDB(out, k), v[k])
		}
	}
	return out
}

// city is a record as MaxMind's databases of cities have it.
func city(country, subdivision string) map[string]any {
	r := map[string]any{
		"city":      map[string]any{"names": map[string]any{"en": "Somewhere"}},
		"continent": map[string]any{"code": "EU", "geoname_id": uint64(6255148)},
		"country":   map[string]any{"iso_code": country, "names": map[string]any{"en": "Some country"}},
		"location":  map[string]any{"time_zone": "Europe/Berlin"},
	}
	if subdivision != "" {
		r["subdivisions"] = []any{map[string]any{"iso_code": subdivision}, map[string]any{"iso_code": "ZZZ"}}
	}
	return r
}

// cities is a database of cities with all that real ones have: IPv4 in IPv6,
// aliases of it, networks within networks, private addresses.
func cities(bits uint64) *mmdb {
	m := newMMDB(6, bits)
	m.add("81.0.0.0/8", city("DE", ""))
	m.add("81.2.69.0/24", city("GB", "ENG"))
	m.add("216.160.83.56/29", city("US", "WA"))
	m.add("10.0.0.0/8", city("CH", "ZH"))
	m.add("2001:db8::/33", city("FR", "75"))
	m.add("2a02:d000::/20", city("SE", ""))
	m.add("2a02:d000:1::/128", city("NO", "03"))
	m.add("2a02:d000:2::/100", city("FI", "18"))
	m.alias("::ffff:0:0/96")
	m.alias("2002::/16")
	m.alias("2001::/32")
	return m
}

func decodeTest(t testing.TB, data []byte) *Database {
	t.Helper()
	d, err := decodeMaxMind(data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
