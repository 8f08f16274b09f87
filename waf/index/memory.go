package index

import (
	"hash/maphash"
	"sync/atomic"
)

// Most values of requests have been seen before: fields of browsers, names,
// cookies, paths. What was found out about one holds for the next of the same
// text, since the first links of rules look at one value at a time.

const (
	memorySlots = 4096 // values remembered
	memoryText  = 512  // bytes of a value that is remembered
)

// memory is what an index has found out about values. It is safe for
// concurrent use, and never larger than some 3 MB.
type memory struct {
	seed  maphash.Seed
	slots [memorySlots]atomic.Pointer[memo]
	once  [4 * memorySlots]atomic.Uint32 // values seen once, by a part of their hash
}

// memo is what is known of a value: the rules whose first link it matches.
type memo struct {
	from    collection
	name    string
	text    string
	touched []uint16
}

func newMemory() *memory { return &memory{seed: maphash.MakeSeed()} }

func (m *memory) hash(from collection, name, text string) uint64 {
	h := maphash.String(m.seed, text) + uint64(from)*0x9e3779b97f4a7c15
	if name != "" {
		h ^= maphash.String(m.seed, name) * 0xff51afd7ed558ccd
	}
	return h
}

// find returns what is known of a value, nil for nothing.
func (m *memory) find(hash uint64, from collection, name, text string) *memo {
	e := m.slots[hash%memorySlots].Load()
	if e != nil && e.from == from && e.text == text && e.name == name {
		return e
	}
	return nil
}

// keep remembers a value that comes for the second time; values that come
// once would push out the others.
func (m *memory) keep(hash uint64, from collection, name, text string, touched []uint16) {
	mark := &m.once[hash%uint64(len(m.once))]
	if part := uint32(hash >> 32); mark.Load() != part {
		mark.Store(part)
		return
	}
	// One piece of memory of its own: the texts are pieces of a whole head.
	both := string(append(append(make([]byte, 0, len(name)+len(text)), name...), text...))
	m.slots[hash%memorySlots].Store(&memo{from, both[:len(name)], both[len(name):], append([]uint16(nil), touched...)})
}
