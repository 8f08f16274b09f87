package waf

import (
	"strings"
	"testing"

	"gatehouse/config"
)

// budget is a Memory of so many bytes.
type budget struct {
	most       int
	used, peak int
	asked      int
}

func (b *budget) Reserve(n int) bool {
	b.asked++
	if b.used+n > b.most {
		return false
	}
	b.used += n
	b.peak = max(b.peak, b.used)
	return true
}

func (b *budget) Release(n int) {
	b.used -= n
}

func detects(c *config.WAFPolicy) { c.Mode = config.WAFDetection }

func TestCopiesOfBodiesAreCounted(t *testing.T) {
	const short = "request body was inspected in part: there is no memory for more of it"
	long := func(first string) string { return first + strings.Repeat("a", 60<<10) }
	found := "rule 949110, score 20"
	for _, w := range []struct {
		name, body       string
		size             int // of its pieces
		memory           int
		peak             int
		outcome, message string
		partial          uint64
	}{
		{"a body", long("a=1&b="), 1000, 1 << 20, 64 << 10, "", "", 0},
		{"an attack", long(script + "&b="), 1000, 1 << 20, 64 << 10, "detected", found, 0},
		{"an attack in two pieces", script, len(script) / 2, 1 << 20, 8 << 10, "detected", found, 0},
		{"in one piece", script, len(script), 0, 0, "detected", found, 0},
		{"no memory", long("a=1&b="), 1000, 0, 0, "allowed", short, 1},
		{"no memory, an attack", long(script + "&b="), 1000, 0, 0, "detected", found, 1},
		{"no more memory", long("a=1&b="), 1000, 20 << 10, 16 << 10, "allowed", short, 1},
		{"no more memory, an attack", long(script + "&b="), 1000, 20 << 10, 16 << 10, "detected", found, 1},
		{"not more than is inspected", strings.Repeat("a", 150<<10), 1000, 1 << 20, 128 << 10, "", "", 1},
	} {
		t.Run(w.name, func(t *testing.T) {
			p, log := newPolicy(t, detects)
			m := &budget{most: w.memory}
			tx := p.Begin(Client{Addr: client.Addr, Proto: "HTTP/1.1", Memory: m})
			tx.Head(message(post("application/x-www-form-urlencoded", "")))
			for rest := w.body; rest != ""; {
				n := min(w.size, len(rest))
				if d := tx.Body([]byte(rest[:n]), n == len(rest)); d.Action != Pass {
					t.Fatalf("%+v", d)
				}
				rest = rest[n:]
			}
			if m.used != 0 || len(tx.seen) != 0 || tx.req.Body.Raw != "" || len(tx.req.Body.ArgsPost) != 0 {
				t.Errorf("%d bytes are counted once it is judged, %d kept", m.used, len(tx.seen))
			}
			tx.Done()
			if m.peak != w.peak || w.peak == 0 && m.asked > 1 {
				t.Errorf("%d bytes at most, want %d; asked %d times", m.peak, w.peak, m.asked)
			}
			if l := log.lastLine(t); l.Outcome != w.outcome || l.Message != w.message || l.PartialBody != (w.partial > 0 && w.outcome != "") {
				t.Errorf("logged %+v", l)
			}
			if n := p.Metrics.Partial.Load(); n != w.partial {
				t.Errorf("%d partial, want %d", n, w.partial)
			}
		})
	}
}

// What is kept is given back where the body never ends, and where the rules
// about the response may look at it still.
func TestCopiesAreGivenBack(t *testing.T) {
	for _, inspect := range []bool{false, true} {
		p, _ := newPolicy(t, func(c *config.WAFPolicy) { detects(c); c.ResponseBody.Inspect = inspect })
		m := &budget{most: 1 << 20}
		begin := func() *Transaction {
			tx := p.Begin(Client{Addr: client.Addr, Proto: "HTTP/1.1", Memory: m})
			tx.Head(message(post("application/x-www-form-urlencoded", "")))
			tx.Body([]byte("a=1&"), false)
			return tx
		}
		tx := begin()
		if m.used == 0 {
			t.Error("nothing is counted")
		}
		tx.Done()
		if m.used != 0 {
			t.Errorf("%d bytes are counted of a request that never ended", m.used)
		}
		tx = begin()
		tx.Body([]byte("b=1"), true)
		if (m.used > 0) != inspect || (tx.req.Body.Raw != "" || len(tx.req.Body.ArgsPost) > 0) != inspect {
			t.Errorf("responses inspected: %v; %d bytes are counted", inspect, m.used)
		}
		tx.ResponseHead(answer(204))
		if m.used != 0 {
			t.Errorf("%d bytes are counted once the response is judged", m.used)
		}
		tx.Done()
	}
}

// An early answer takes nothing away from the body that still comes in.
func TestAnEarlyAnswerLeavesTheCopy(t *testing.T) {
	p, log := newPolicy(t, func(c *config.WAFPolicy) { detects(c); c.ResponseBody.Inspect = true })
	tx := p.Begin(client)
	defer tx.Done()
	tx.Head(message(post("application/x-www-form-urlencoded", "")))
	tx.Body([]byte(script[:len(script)-5]), false)
	tx.ResponseHead(answer(204))
	tx.Body([]byte(script[len(script)-5:]), true)
	if l := log.lastLine(t); l.Outcome != "detected" {
		t.Errorf("logged %+v", l)
	}
}

func TestSlowUploadsStayWithinTheMemory(t *testing.T) {
	p, _ := newPolicy(t, detects)
	p.log = func(*Event) {}
	m := &budget{most: 256 << 10}
	uploads := make([]*Transaction, 20)
	for i := range uploads {
		uploads[i] = p.Begin(Client{Addr: client.Addr, Proto: "HTTP/1.1", Memory: m})
		uploads[i].Head(message(post("application/x-www-form-urlencoded", "")))
	}
	for range 100 {
		for _, tx := range uploads {
			if d := tx.Body([]byte(strings.Repeat("a", 1000)), false); d.Action != Pass {
				t.Errorf("%+v", d)
			}
		}
	}
	for _, tx := range uploads {
		tx.Body(nil, true)
		tx.Done()
	}
	if m.used != 0 || m.peak > m.most || m.peak < m.most/2 {
		t.Errorf("%d bytes at most, %d in the end", m.peak, m.used)
	}
	if p.Metrics.Partial.Load() == 0 || p.Metrics.Outcomes[Allowed].Load() != 20 {
		t.Errorf("%d partial, %d allowed", p.Metrics.Partial.Load(), p.Metrics.Outcomes[Allowed].Load())
	}
}
