// Command gen makes the built-in database of countries from the tables of the
// npm package @ip-location-db/geo-whois-asn-country:
//
//	npm pack @ip-location-db/geo-whois-asn-country && tar xzf ip-location-db-*.tgz
//	go run ./dnslb/geo/gen -in package -out dnslb/geo/countries.bin
//
// The output depends on nothing but the input. dnslb/geo/DATA.md says which
// version is in the repository.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"gatehouse/dnslb/geo"
)

func main() {
	in := flag.String("in", "", "`directory` of the unpacked npm package")
	out := flag.String("out", "countries.bin", "`file` to write")
	flag.Parse()
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	if err := run(*in, *out); err != nil {
		log.Fatal(err)
	}
}

// largest is what the embedded database may weigh.
const largest = 4 << 20

// run reads the package in directory in and writes the database to out.
func run(in, out string) error {
	data, err := compile(in)
	if err != nil {
		return err
	}
	if len(data) > largest {
		return fmt.Errorf("the database has %d bytes, more than %d", len(data), largest)
	}
	if _, err := geo.Decode(data); err != nil {
		return fmt.Errorf("the result is not readable: %w", err)
	}
	if err := os.WriteFile(out, data, 0o644); err != nil {
		return err
	}
	log.Printf("%s: %d bytes", out, len(data))
	return nil
}

// compile reads the package in a directory and returns the compact database.
func compile(dir string) ([]byte, error) {
	description, err := describe(filepath.Join(dir, "package.json"))
	if err != nil {
		return nil, err
	}
	v4, err := readRanges(filepath.Join(dir, "geo-whois-asn-country-ipv4.csv"), special4)
	if err != nil {
		return nil, err
	}
	v6, err := readRanges(filepath.Join(dir, "geo-whois-asn-country-ipv6.csv"), special6)
	if err != nil {
		return nil, err
	}
	return encode(description, v4, v6), nil
}

// describe returns name and version of an npm package.
func describe(packageJSON string) (string, error) {
	data, err := os.ReadFile(packageJSON)
	if err != nil {
		return "", err
	}
	var p struct{ Name, Version string }
	if err := json.Unmarshal(data, &p); err != nil {
		return "", fmt.Errorf("%s: %w", packageJSON, err)
	}
	if cmp.Or(p.Name, p.Version) == "" {
		return "", fmt.Errorf("%s: no name and no version", packageJSON)
	}
	return p.Name + " " + p.Version, nil
}
