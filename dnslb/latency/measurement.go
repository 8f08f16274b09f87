package latency

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// What a file of measurements may have.
const (
	maxBytes   = 64 << 20
	maxLines   = 1_000_000
	maxLine    = 1024
	maxRTT     = 3000 // milliseconds: more is an outlier
	maxSamples = 1_000_000_000
)

// measurement is a line of the file.
type measurement struct {
	prefix  netip.Prefix
	region  Region
	rtt     float64 // milliseconds
	samples int
}

// readMeasurements reads lines of prefix,region,rttMs,samples, sorted by prefix
// and region. Empty lines, those that begin with # and a header are passed
// over. Anything else is an error with the number of its line.
func readMeasurements(r io.Reader) ([]measurement, error) {
	limited := &io.LimitedReader{R: r, N: maxBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	var all []measurement
	n := 0
	for lines.Scan() {
		if n++; n > maxLines {
			return nil, fmt.Errorf("latency table: more than %d lines", maxLines)
		}
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' || len(all) == 0 && isHeader(text) {
			continue
		}
		m, err := parseMeasurement(text)
		if err != nil {
			return nil, fmt.Errorf("latency table: line %d: %w", n, err)
		}
		all = append(all, m)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("latency table: more than %d bytes", maxBytes)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("latency table: line %d: %w", n+1, err)
	}
	return all, order(all)
}

func isHeader(text string) bool {
	first, _, _ := strings.Cut(text, ",")
	return strings.EqualFold(strings.TrimSpace(first), "prefix")
}

// order sorts measurements and refuses two of the same.
func order(all []measurement) error {
	slices.SortFunc(all, func(a, b measurement) int {
		return cmp.Or(comparePrefixes(a.prefix, b.prefix), cmp.Compare(a.region, b.region))
	})
	for i := 1; i < len(all); i++ {
		if all[i].prefix == all[i-1].prefix && all[i].region == all[i-1].region {
			return fmt.Errorf("latency table: %s to %s is there twice", all[i].prefix, all[i].region)
		}
	}
	return nil
}

// comparePrefixes has IPv4 first, and each prefix before those within it.
func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

func parseMeasurement(text string) (m measurement, err error) {
	fields := strings.Split(text, ",")
	if len(fields) != 4 {
		return m, fmt.Errorf("%d fields, want prefix,region,rttMs,samples", len(fields))
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	if m.prefix, err = parsePrefix(fields[0]); err != nil {
		return m, err
	}
	ok := false
	if m.region, ok = Find(fields[1]); !ok {
		return m, fmt.Errorf("no region %q", fields[1])
	}
	m.rtt, err = strconv.ParseFloat(fields[2], 64)
	if err != nil || !(m.rtt > 0 && m.rtt <= maxRTT) {
		return m, fmt.Errorf("rttMs %q: not a number of milliseconds up to %d", fields[2], maxRTT)
	}
	m.samples, err = strconv.Atoi(fields[3])
	if err != nil || m.samples < 1 || m.samples > maxSamples {
		return m, fmt.Errorf("samples %q: not a number from 1 to %d", fields[3], maxSamples)
	}
	return m, nil
}

var errHostBits = errors.New("not the first address of the prefix")

// parsePrefix makes an IPv4-mapped prefix the IPv4 one that it is.
func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("prefix %q: not an address and a length", text)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("prefix %s: %w", p, errHostBits)
	}
	if p.Addr().Is4In6() {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96), nil
	}
	return p, nil
}
