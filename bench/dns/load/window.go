//go:build linux

package load

import (
	"encoding/binary"
	"fmt"
	"time"

	web "gatehouse/bench/load"

	"github.com/miekg/dns"
)

// headerSize is that of a DNS message.
const headerSize = 12

// sweepEach is how often lost queries are looked for.
const sweepEach = 50 * time.Millisecond

// slot is a query that may be outstanding.
type slot struct {
	query  []byte
	sent   time.Time
	turn   uint8 // part of the ID: a late answer is not taken for the next one
	waits  bool
	counts bool // was sent within the time that counts
}

// window keeps one socket's queries outstanding. It belongs to one goroutine.
type window struct {
	o          *Options
	wire       wire
	packets    []packet
	next       int // of packets
	subnets    subnets
	slots      []slot
	free       []int
	sending    [][]byte
	sweep      time.Time // when to look for lost ones
	from, till time.Time // what counts

	latencies web.Histogram
	rcodes    [16]uint64
	answered  uint64
	lost      uint64
	stray     uint64
	empty     uint64
}

func newWindow(o *Options, packets []packet, number int) (*window, error) {
	w := &window{o: o, packets: packets, slots: make([]slot, o.Window)}
	// Sockets begin in different places.
	w.next = number * len(packets) / o.Sockets
	w.subnets = subnets(number) * (1 << 24 / subnets(o.Sockets))
	for i := range w.slots {
		w.free = append(w.free, i)
	}
	var err error
	w.wire, err = dial(o)
	return w, err
}

// run sends until the time is over, and waits then for what is outstanding.
func (w *window) run(from, till time.Time) error {
	w.from, w.till = from, till
	defer w.wire.Close()
	for {
		now := time.Now()
		if now.Before(till) {
			if err := w.fill(now); err != nil {
				return fmt.Errorf("sending: %w", err)
			}
		} else if len(w.free) == len(w.slots) {
			return nil
		}
		if err := w.wire.receive(now.Add(sweepEach), w.take); err != nil {
			return fmt.Errorf("receiving: %w", err)
		}
		w.giveUp()
	}
}

// fill sends a query for each free slot.
func (w *window) fill(now time.Time) error {
	w.sending = w.sending[:0]
	for _, i := range w.free {
		w.sending = append(w.sending, w.prepare(i, now))
	}
	w.free = w.free[:0]
	return w.wire.send(w.sending)
}

func (w *window) prepare(i int, now time.Time) []byte {
	s := &w.slots[i]
	s.query = append(s.query[:0], w.packets[w.next]...)
	w.next = (w.next + 1) % len(w.packets)
	s.turn++
	s.query[0], s.query[1] = s.turn, byte(i)
	if w.o.ECS == Varied {
		network := w.subnets.next()
		copy(s.query[len(s.query)-subnetBytes:], network[:])
	}
	s.sent, s.waits, s.counts = now, true, !now.Before(w.from)
	return s.query
}

// take counts an answer.
func (w *window) take(m []byte) {
	if len(m) < headerSize || int(m[1]) >= len(w.slots) {
		w.stray++
		return
	}
	s := &w.slots[m[1]]
	if !s.waits || s.turn != m[0] || m[2]&0x80 == 0 {
		w.stray++
		return
	}
	s.waits = false
	w.free = append(w.free, int(m[1]))
	now := time.Now()
	if now.Before(w.from) || !now.Before(w.till) {
		return
	}
	w.answered++
	w.latencies.Record(now.Sub(s.sent))
	rcode := int(m[3] & 0xf)
	w.rcodes[rcode]++
	if rcode == dns.RcodeSuccess && binary.BigEndian.Uint16(m[6:]) == 0 {
		w.empty++
	}
}

// giveUp counts the lost ones.
func (w *window) giveUp() {
	now := time.Now()
	if now.Before(w.sweep) {
		return
	}
	w.sweep = now.Add(sweepEach)
	for i := range w.slots {
		s := &w.slots[i]
		if !s.waits || now.Sub(s.sent) < w.o.Timeout {
			continue
		}
		s.waits = false
		w.free = append(w.free, i)
		if s.counts {
			w.lost++
		}
	}
}
