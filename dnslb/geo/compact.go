package geo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode"
)

// Magic begins a compact database, the form of the embedded one. All numbers
// are varints as in encoding/binary:
//
//	Magic
//	length and text of the description
//	number of countries, then two letters for each; they count from 1
//	IPv4: number of entries, then the entries in ascending order
//	IPv6: the same
//	CRC-32 (IEEE) of all that, four bytes, big endian
//
// An entry says where a range begins that reaches up to the next entry, and
// its country, 0 for none. An IPv4 entry is the distance of its start from
// that of the entry before (from zero for the first), and the country. An
// IPv6 entry begins with twice the distance of the high 64 bits of its start,
// plus one if the low 64 bits are not zero; these follow in that case; then
// comes the country.
//
// The package gen below this one writes it.
const Magic = "geo\x00v1\r\n"

var errCorrupt = errors.New("corrupt or truncated compact database")

// Decode reads a database in compact form; see [Magic]. It does not keep data.
func Decode(data []byte) (*Database, error) {
	if len(data) < len(Magic)+4 || string(data[:len(Magic)]) != Magic {
		return nil, errors.New("not a compact database")
	}
	body, sum := data[:len(data)-4], binary.BigEndian.Uint32(data[len(data)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return nil, errCorrupt
	}
	d := decoder{rest: body[len(Magic):]}
	description := oneLine(string(d.take(d.number())))
	c := &content{places: d.countries()}
	c.v4 = d.table(len(c.places), d.start4)
	c.v6 = d.table(len(c.places), d.start6)
	switch {
	case d.err == nil && len(d.rest) > 0:
		return nil, fmt.Errorf("compact database: %d bytes too many", len(d.rest))
	case d.err != nil:
		return nil, d.err
	}
	return newDatabase(description, c), nil
}

// decoder reads from rest. After an error it reads zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail() {
	d.rest = nil
	if d.err == nil {
		d.err = errCorrupt
	}
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

// countries reads the list of places, with the unknown one at its head.
func (d *decoder) countries() []Place {
	n := d.number()
	if n > 26*26 {
		d.fail()
		return nil
	}
	letters := d.take(2 * n)
	places := make([]Place, 1, n+1)
	for i := 0; i < len(letters); i += 2 {
		p := place(string(letters[i:i+2]), "", "")
		if p.Country == "" {
			d.fail()
		}
		places = append(places, p)
	}
	return places
}

// table reads the entries of one family; start reads where the next begins.
func (d *decoder) table(places int, start func(before address) (address, bool)) table {
	n := d.number()
	if n > uint64(len(d.rest))/2 { // an entry has at least two bytes
		d.fail()
	}
	var r ranges
	var at address
	for i := uint64(0); i < n && d.err == nil; i++ {
		next, ok := start(at)
		country := d.number()
		if !ok || i > 0 && !at.less(next) || country >= uint64(places) {
			d.fail()
			break
		}
		at = next
		if i == 0 && at != (address{}) {
			r.begin(address{}, 0)
		}
		r.begin(at, uint16(country))
	}
	r.ended = true // the last entry reaches the end of the address space
	return r.finish()
}

func (d *decoder) start4(before address) (address, bool) {
	n := d.number()
	return address{high: before.high + n<<32}, n < 1<<32 && before.high>>32+n < 1<<32
}

func (d *decoder) start6(before address) (address, bool) {
	n := d.number()
	at := address{high: before.high + n/2}
	ok := at.high >= before.high
	if n%2 == 1 {
		at.low = d.number()
	}
	return at, ok
}

// oneLine makes a text of a file fit for a log: printable, in one line, short.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), 200)])
}
