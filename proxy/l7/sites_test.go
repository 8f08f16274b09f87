package l7

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
)

// naiveFind is Sites.Find as its documentation has it: every host name of
// every listener is looked at.
func naiveFind(all []namedListener, host string) *Listener {
	var best *Listener
	var bestRank [3]int
	consider := func(l *Listener, kind, length int) {
		r := [3]int{l.Priority, kind, -length}
		if l.Priority == 0 {
			r[0] = 1 << 40
		}
		if best == nil || r[0] < bestRank[0] || r[0] == bestRank[0] && (r[1] < bestRank[1] || r[1] == bestRank[1] && r[2] < bestRank[2]) {
			best, bestRank = l, r
		}
	}
	for _, n := range all {
		if len(n.hosts) == 0 {
			consider(n.l, 2, 0)
		}
		for _, h := range n.hosts {
			switch ok, _ := path.Match(h, host); {
			case h == host:
				consider(n.l, 0, 0)
			case ok && strings.ContainsAny(h, "*?"):
				consider(n.l, 1, len(h))
			}
		}
	}
	return best
}

type namedListener struct {
	l     *Listener
	hosts []string
}

// Any set of listeners is looked up as a naive matcher would.
func TestSitesAgreeWithANaiveMatcher(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	labels := []string{"a", "b", "shop", "www", "xy"}
	name := func(wild bool) string {
		parts := make([]string, 1+r.IntN(4))
		for i := range parts {
			parts[i] = labels[r.IntN(len(labels))]
		}
		switch s := strings.Join(parts, "."); {
		case !wild || r.IntN(2) == 0:
			return s
		case r.IntN(3) > 0:
			return "*." + s
		case r.IntN(2) == 0:
			return s[:r.IntN(len(s))] + "*" + s[r.IntN(len(s)):]
		default:
			return "?" + s[1:]
		}
	}
	for round := range 400 {
		var all []namedListener
		sites := NewSites()
		for i := range 1 + r.IntN(12) {
			n := namedListener{l: &Listener{Name: fmt.Sprint(i)}}
			if r.IntN(2) == 0 {
				n.l.Priority = 1 + round*100 + i // unique
			}
			for range r.IntN(4) {
				n.hosts = append(n.hosts, name(true))
			}
			all = append(all, n)
			sites.Add(n.l, n.hosts)
		}
		for range 40 {
			host := name(false)
			got, want := sites.Find([]byte(host)), naiveFind(all, host)
			if got == want {
				continue
			}
			if got != nil && want != nil && got.Priority == 0 && want.Priority == 0 && sameRank(all, got, want, host) {
				continue // equally good: the first one added wins, as it happens
			}
			t.Fatalf("%q is taken by %+v, want %+v of %v", host, got, want, all)
		}
	}
}

// sameRank reports whether two listeners match a host equally well, which
// configurations do not allow.
func sameRank(all []namedListener, a, b *Listener, host string) bool {
	rankOf := func(l *Listener) (best [2]int) {
		best = [2]int{9, 0}
		for _, n := range all {
			if n.l != l {
				continue
			}
			if len(n.hosts) == 0 {
				best = min2(best, [2]int{2, 0})
			}
			for _, h := range n.hosts {
				if h == host {
					best = min2(best, [2]int{0, 0})
				} else if ok, _ := path.Match(h, host); ok {
					best = min2(best, [2]int{1, -len(h)})
				}
			}
		}
		return best
	}
	return rankOf(a) == rankOf(b)
}

func min2(a, b [2]int) [2]int {
	if b[0] < a[0] || b[0] == a[0] && b[1] < a[1] {
		return b
	}
	return a
}

func TestWildcardsOfHosts(t *testing.T) {
	for _, w := range []struct {
		pattern, host string
		want          bool
	}{
		{"*.shop.test", "www.shop.test", true},
		{"*.shop.test", "a.b.shop.test", true},
		{"*.shop.test", "shop.test", false},
		{"*.shop.test", "wwwshop.test", false},
		{"www?.shop.test", "www1.shop.test", true},
		{"www?.shop.test", "www.shop.test", false},
		{"*", "anything", true},
		{"a*b*c", "a.x.b.y.c", true},
		{"a*b*c", "a.x.c", false},
		{"*shop*", "my.shop.test", true},
	} {
		s := NewSites()
		s.Add(&Listener{}, []string{w.pattern})
		if got := s.Find([]byte(w.host)) != nil; got != w.want {
			t.Errorf("%q takes %q: %v", w.pattern, w.host, got)
		}
	}
}

func TestTheFirstListenerIsThatOfTheBestRule(t *testing.T) {
	s := NewSites()
	for _, l := range []*Listener{{Name: "none"}, {Name: "late", Priority: 20}, {Name: "early", Priority: 3}} {
		s.Add(l, []string{l.Name + ".test"})
	}
	if s.First().Name != "early" {
		t.Errorf("first is %q", s.First().Name)
	}
}

func benchmarkSites(b *testing.B, n int) {
	s := NewSites()
	for i := range n {
		s.Add(&Listener{Name: fmt.Sprint(i)}, []string{fmt.Sprintf("www%d.shop.test", i), fmt.Sprintf("*.tenant%d.test", i)})
	}
	host := fmt.Appendf(nil, "a.b.tenant%d.test", n/2)
	if s.Find(host).Name != fmt.Sprint(n/2) {
		b.Fatal("not found")
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Find(host)
	}
}

// benchmarkPatterns is benchmarkSites with wildcards of other kinds.
func benchmarkPatterns(b *testing.B, n int) {
	s := NewSites()
	for i := range n {
		s.Add(&Listener{Name: fmt.Sprint(i)}, []string{fmt.Sprintf("w%d-*.shop.test", i), fmt.Sprintf("*-x.tenant%d.test", i), fmt.Sprintf("?.other%d.test", i)})
	}
	host := fmt.Appendf(nil, "w%d-a.b.shop.test", n/2)
	if s.Find(host).Name != fmt.Sprint(n/2) {
		b.Fatal("not found")
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Find(host)
	}
}

func BenchmarkPatterns1(b *testing.B)     { benchmarkPatterns(b, 1) }
func BenchmarkPatterns10000(b *testing.B) { benchmarkPatterns(b, 10000) }

func BenchmarkSites1(b *testing.B)     { benchmarkSites(b, 1) }
func BenchmarkSites10000(b *testing.B) { benchmarkSites(b, 10000) }

// Finding a listener must not get slower with their number; ten times leaves
// room for the caches of a small machine.
func TestFindingAListenerDoesNotGrow(t *testing.T) {
	for name, bench := range map[string]func(*testing.B, int){"names": benchmarkSites, "patterns": benchmarkPatterns} {
		one := testing.Benchmark(func(b *testing.B) { bench(b, 1) })
		many := testing.Benchmark(func(b *testing.B) { bench(b, 10000) })
		t.Logf("%s: one listener: %d ns, 10000: %d ns", name, one.NsPerOp(), many.NsPerOp())
		if one.NsPerOp() > 0 && many.NsPerOp() > 10*one.NsPerOp() {
			t.Errorf("%s: one listener: %d ns, 10000: %d ns", name, one.NsPerOp(), many.NsPerOp())
		}
		if many.AllocsPerOp() > 0 {
			t.Errorf("%s: %d allocations", name, many.AllocsPerOp())
		}
	}
}

func TestPathMapsTakeTheFirstMatchInListedOrder(t *testing.T) {
	rest := &Target{PathRule: "rest"}
	m := NewPathMap(rest)
	for _, p := range []string{"/images/special/*", "/images/*", "/exact", "/pre*", "/images/never/*", "/"} {
		target := &Target{}
		target.SetPathRule(p)
		m.Add(p, nil, target)
	}
	for path, want := range map[string]string{
		"/images/special/x": "/images/special/*", "/images/a": "/images/*", "/IMAGES/a": "/images/*", "/images/": "/images/*", "/images": "rest",
		"/images/never/x": "/images/*", "/exact": "/exact", "/Exact": "/exact", "/exact/": "rest", "/prefix": "/pre*", "/pre": "/pre*",
		"/": "/", "/other": "rest", "*": "rest",
	} {
		got, ambiguous := m.Find(nil, []byte(path), false)
		if got.PathRule != want || ambiguous {
			t.Errorf("%s leads to %s, want %s; ambiguous: %t", path, got.PathRule, want, ambiguous)
		}
	}
}

// What Java servers take for another path must not get past the rules of that
// path; parameters that change nothing may stay.
func TestParametersDoNotChangeThePathRule(t *testing.T) {
	m := NewPathMap(&Target{})
	for _, p := range []string{"/admin/*", "/exact", "/pre*", "/shop/cart"} {
		m.Add(p, nil, &Target{})
	}
	for path, want := range map[string]bool{
		"/admin;x/y": true, "/admin;/y": true, "/ADMIN;a=b;c/y": true, "/admin%3Bx/y": true, "/exact;jsessionid=1": true,
		"/shop;a/cart;b": true, "/shop/cart;b": true, "/shop/cart%3B": true, "/p;re": false, "/other;x/y": false, "/admin/y;x": false, "/admin/y;x/z": false,
		"/admin/;x": false, "/pre;x/y": false, "/prefix;x": false, "/a;x/admin/y": false, "/shop;a/cart/x": false, "/shop;a/car": false, "/admin;x": false,
	} {
		if _, got := m.Find(nil, []byte(path), false); got != want {
			t.Errorf("%s is ambiguous: %t, want %t", path, got, want)
		}
	}
	path := []byte("/shop;a/cart;b")
	if n := testing.AllocsPerRun(100, func() { m.Find(nil, path, false) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
