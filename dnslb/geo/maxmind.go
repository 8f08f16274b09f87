package geo

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxFile bounds a file, and with it the work of reading it. The largest
// databases of cities have some 300 MB.
const maxFile = 1 << 30

// maxCopies is how many times a node of a file's tree may be reached on
// average. A tree of n nodes has n+1 networks, and files have the part that is
// IPv4 at up to four more places.
const maxCopies = 8

// Open reads a database in MaxMind's format: of countries or of cities, in the
// shape that MaxMind, DB-IP, IPinfo or ip-location-db give it. A network whose
// record has no country that is [Known] has no place.
//
// The whole file is read and turned into a table; nothing of it stays open, so
// it may be replaced or overwritten afterwards. For the time of reading a
// large one (200 MB: some seconds) its size is needed in memory.
func Open(path string) (*Database, error) {
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("geographic database: %w", err)
	}
	d, err := decodeMaxMind(data)
	if err != nil {
		return nil, fmt.Errorf("geographic database %s: %w", path, err)
	}
	return d, nil
}

// read reads a regular file of bounded size.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s: %d bytes, more than %d", path, info.Size(), maxFile)
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// decodeMaxMind turns the bytes of a file into a Database.
func decodeMaxMind(data []byte) (*Database, error) {
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	f := flattener{places: []Place{{}}, numbers: map[Place]uint16{{}: 0}, records: map[uintptr]uint16{}}
	if err := f.all(reader); err != nil {
		return nil, err
	}
	c := &content{places: f.places, v4: f.v4.finish(), v6: f.v6.finish()}
	if len(c.places) == 1 {
		return nil, errors.New("no network has a country: not a database of countries or cities")
	}
	m := reader.Metadata
	built := time.Unix(int64(min(uint64(m.BuildEpoch), math.MaxUint32)), 0).UTC()
	return newDatabase(oneLine(m.DatabaseType)+" of "+built.Format(time.DateOnly), c), nil
}

// flattener makes tables of the networks of a file.
type flattener struct {
	v4, v6  ranges
	places  []Place
	numbers map[Place]uint16
	records map[uintptr]uint16 // places by the offset of the record
}

// all adds all networks. Those without data and the copies of IPv4 are asked
// for and passed over, because otherwise a malicious tree could make the
// reader walk without end and without a word.
func (f *flattener) all(reader *maxminddb.Reader) error {
	left := (uint64(reader.Metadata.NodeCount) + 1) * maxCopies
	for network := range reader.Networks(maxminddb.IncludeNetworksWithoutData(), maxminddb.IncludeAliasedNetworks()) {
		if left == 0 {
			return errors.New("too many networks for its size: the tree is none")
		}
		left--
		if err := network.Err(); err != nil {
			return err
		}
		if !network.Found() || isAlias(network.Prefix()) {
			continue
		}
		if err := f.add(network); err != nil {
			return fmt.Errorf("network %s: %w", network.Prefix(), err)
		}
	}
	return nil
}

// isAlias tells a network that some files have as a copy of one of IPv4.
func isAlias(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return false
	}
	for _, a := range aliases {
		if a.Bits() <= p.Bits() && a.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// aliases are IPv4-mapped, Teredo, 6to4 and translated (NAT64) addresses.
var aliases = [...]netip.Prefix{
	netip.MustParsePrefix("::ffff:0:0/96"),
	netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("64:ff9b::/96"),
}

func (f *flattener) add(network maxminddb.Result) error {
	number, ok := f.records[network.Offset()]
	if !ok {
		p, err := placeOf(network)
		if err != nil {
			return err
		}
		if number, err = f.number(p); err != nil {
			return err
		}
		f.records[network.Offset()] = number
	}
	prefix := network.Prefix()
	first, last := bounds(prefix)
	if prefix.Addr().Is4() {
		return f.v4.add(first, last, number)
	}
	if !prefix.Contains(netip.IPv6Unspecified()) {
		return f.v6.add(first, last, number)
	}
	// The network takes in all of IPv4, which is at ::/96 of the tree.
	if err := f.v4.add(address{}, address{math.MaxUint64, math.MaxUint64}, number); err != nil {
		return err
	}
	return f.v6.add(first, last, number)
}

// number of a place.
func (f *flattener) number(p Place) (uint16, error) {
	n, ok := f.numbers[p]
	if !ok {
		if len(f.places) > math.MaxUint16 {
			return 0, fmt.Errorf("more than %d places", math.MaxUint16)
		}
		n = uint16(len(f.places))
		f.numbers[p] = n
		f.places = append(f.places, p)
	}
	return n, nil
}

// bounds of a network, as tables have addresses.
func bounds(p netip.Prefix) (first, last address) {
	if p.Addr().Is4() {
		first.high = split4(p.Addr())
		return first, first.fill(p.Bits())
	}
	first.high, first.low = split(p.Addr())
	return first, first.fill(p.Bits())
}

// fill sets all bits behind the first n.
func (a address) fill(n int) address {
	const all = math.MaxUint64
	if n < 64 {
		return address{a.high | all>>n, all}
	}
	return address{a.high, a.low | all>>(n-64)}
}

// placeOf reads a record, in any of the shapes there are:
//
//	{country: {iso_code}, continent: {code}, subdivisions: [{iso_code}]}   MaxMind, DB-IP
//	{country_code, continent_code}                                        ip-location-db, IPinfo
//	{country, continent}                                                  IPinfo, older
func placeOf(r maxminddb.Result) (Place, error) {
	country, err := text(r, "country", "iso_code")
	if err != nil {
		return Place{}, err
	}
	if country != "" {
		subdivision, err := text(r, "subdivisions", 0, "iso_code")
		return place(country, "", subdivision), err
	}
	for _, flat := range [][2]string{{"country_code", "continent_code"}, {"country", "continent"}} {
		country, err1 := text(r, flat[0])
		region, err2 := text(r, flat[1])
		if p := place(country, region, ""); p != (Place{}) || err1 != nil || err2 != nil {
			return p, errors.Join(err1, err2)
		}
	}
	region, err := text(r, "continent", "code")
	return place("", region, ""), err
}

// text reads one string of a record: "" where there is none of that path, or
// where something else is there.
func text(r maxminddb.Result, path ...any) (string, error) {
	var s string
	err := r.DecodePath(&s, path...)
	if corrupt, ok := errors.AsType[maxminddb.InvalidDatabaseError](err); ok {
		return "", corrupt
	}
	if err != nil {
		return "", nil // another shape
	}
	return s, nil
}
