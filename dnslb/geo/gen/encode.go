package main

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"slices"

	"gatehouse/dnslb/geo"
)

// encode writes the compact form that [geo.Magic] describes.
func encode(description string, v4, v6 []span) []byte {
	list, numbers := countries(v4, v6)
	out := []byte(geo.Magic)
	out = binary.AppendUvarint(out, uint64(len(description)))
	out = append(out, description...)
	out = binary.AppendUvarint(out, uint64(len(list)))
	for _, country := range list {
		out = append(out, country...)
	}
	out = encode4(out, entries(v4, numbers))
	out = encode6(out, entries(v6, numbers))
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
}

// countries lists the countries by the number of their ranges, so that the
// frequent ones get numbers of one byte, and numbers them from 1.
func countries(tables ...[]span) (list []string, numbers map[string]uint64) {
	count := map[string]int{}
	for _, table := range tables {
		for _, s := range table {
			count[s.country]++
		}
	}
	for country := range count {
		list = append(list, country)
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	numbers = map[string]uint64{}
	for i, country := range list {
		numbers[country] = uint64(i + 1)
	}
	return list, numbers
}

// entry says what holds from an address on.
type entry struct {
	start   netip.Addr
	country uint64
}

// entries are the beginnings of the ranges and of the gaps between them.
func entries(table []span, numbers map[string]uint64) []entry {
	var list []entry
	for i, s := range table {
		list = append(list, entry{s.first, numbers[s.country]})
		next := s.last.Next()
		if next.IsValid() && (i+1 == len(table) || table[i+1].first != next) {
			list = append(list, entry{next, 0})
		}
	}
	return list
}

func encode4(out []byte, list []entry) []byte {
	out = binary.AppendUvarint(out, uint64(len(list)))
	var before uint64
	for _, e := range list {
		b := e.start.As4()
		at := uint64(binary.BigEndian.Uint32(b[:]))
		out = binary.AppendUvarint(out, at-before)
		out = binary.AppendUvarint(out, e.country)
		before = at
	}
	return out
}

func encode6(out []byte, list []entry) []byte {
	out = binary.AppendUvarint(out, uint64(len(list)))
	var before uint64
	for _, e := range list {
		b := e.start.As16()
		high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
		// Global unicast addresses begin with 001: doubling keeps within 64 bits.
		if low == 0 {
			out = binary.AppendUvarint(out, (high-before)*2)
		} else {
			out = binary.AppendUvarint(out, (high-before)*2+1)
			out = binary.AppendUvarint(out, low)
		}
		out = binary.AppendUvarint(out, e.country)
		before = high
	}
	return out
}
