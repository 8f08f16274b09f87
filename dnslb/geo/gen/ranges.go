package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"strings"

	"gatehouse/dnslb/geo"
)

// span is a range of addresses, both included, and its country, "" if that has
// a code that is none (any more).
type span struct {
	first, last netip.Addr
	country     string
}

// readRanges reads lines of first address, last address and country, in the
// order of the first. Where lines overlap, the later one is right: in these
// tables it is the smaller range within a larger one, of which what remains
// has lines of its own. What is special is cut out; neighbours of the same
// country become one.
func readRanges(file string, special []span) ([]span, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := readLines(file, f)
	if err != nil {
		return nil, err
	}
	var spans []span
	var reach netip.Addr // the last address of all lines so far
	for i, s := range lines {
		if reach.Less(s.last) {
			reach = s.last
		}
		if i+1 < len(lines) {
			next := lines[i+1].first
			if s.last.Less(next) && s.last.Less(reach) && s.last.Next() != next {
				return nil, fmt.Errorf("%s: who has the addresses from %s on? a range around them goes on", file, s.last.Next())
			}
			if next == s.first {
				continue
			}
			if !s.last.Less(next) {
				s.last = next.Prev()
			}
		}
		for _, part := range cut(s, special) {
			spans = join(spans, part)
		}
	}
	return spans, nil
}

// readLines reads the lines of a file as they are.
func readLines(file string, from io.Reader) ([]span, error) {
	r := csv.NewReader(from)
	r.FieldsPerRecord = 3
	r.ReuseRecord = true
	var lines []span
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		s, err := parse(record)
		if n := len(lines); err == nil && n > 0 && s.first.Less(lines[n-1].first) {
			err = errors.New("not in ascending order")
		}
		if err != nil {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("%s:%d: %w", file, line, err)
		}
		lines = append(lines, s)
	}
}

func parse(record []string) (s span, err error) {
	if s.first, err = netip.ParseAddr(record[0]); err != nil {
		return s, err
	}
	if s.last, err = netip.ParseAddr(record[1]); err != nil {
		return s, err
	}
	if s.first.Is4() != s.last.Is4() || s.last.Less(s.first) {
		return s, fmt.Errorf("%s-%s is not a range", s.first, s.last)
	}
	if geo.Known(record[2]) {
		s.country = strings.Clone(record[2])
	} else {
		log.Printf("%s-%s: %q is not an ISO 3166-1 alpha-2 code, left out", s.first, s.last, record[2])
	}
	return s, nil
}

// cut returns what is left of a range without the special ones, which ascend.
func cut(s span, special []span) []span {
	var parts []span
	for _, x := range special {
		if x.last.Less(s.first) || s.last.Less(x.first) {
			continue
		}
		if s.first.Less(x.first) {
			parts = append(parts, span{s.first, x.first.Prev(), s.country})
		}
		if !x.last.Less(s.last) {
			return parts
		}
		s.first = x.last.Next()
	}
	return append(parts, s)
}

// join appends a range, or extends the last one by it.
func join(spans []span, s span) []span {
	if s.country == "" {
		return spans
	}
	if n := len(spans); n > 0 && spans[n-1].country == s.country && spans[n-1].last.Next() == s.first {
		spans[n-1].last = s.last
		return spans
	}
	return append(spans, s)
}
