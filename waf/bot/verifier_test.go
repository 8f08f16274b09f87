package bot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	googleAddr = netip.MustParseAddr("66.249.66.1")
	absent     = &net.DNSError{Err: "no such host", IsNotFound: true}
	broken     = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
)

// script is a resolver that says what it is told to.
type script struct {
	mu      sync.Mutex
	names   map[string][]string // by address; none: there are none
	addrs   map[string][]string // by name
	err     error               // of LookupAddr, instead
	forward error               // of LookupNetIP, instead
	slow    time.Duration       // each question takes so long, or until the context ends

	asked   int      // how often LookupAddr was called
	hosts   []string // what LookupNetIP was asked
	now     int      // questions under way
	mostNow int
}

func (s *script) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if n := s.names[addr]; n != nil {
		return n, nil
	}
	return nil, absent
}

func (s *script) LookupNetIP(ctx context.Context, network, host string) (all []netip.Addr, err error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, network+" "+host)
	if s.forward != nil {
		return nil, s.forward
	}
	for _, a := range s.addrs[host] {
		all = append(all, netip.MustParseAddr(a))
	}
	if all == nil {
		return nil, absent
	}
	return all, nil
}

func (s *script) wait(ctx context.Context) error {
	s.mu.Lock()
	s.now++
	s.mostNow = max(s.mostNow, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	if s.slow == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return &net.DNSError{Err: ctx.Err().Error(), IsTimeout: true}
	case <-time.After(s.slow):
		return nil
	}
}

func (s *script) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// google is a resolver that knows one address of Googlebot.
func google() *script {
	return &script{
		names: map[string][]string{"66.249.66.1": {"Crawl-66-249-66-1.Googlebot.com."}},
		addrs: map[string][]string{"crawl-66-249-66-1.googlebot.com.": {"66.249.66.1"}},
	}
}

// settled is the verdict when everything about an address is known. To be
// called in a bubble.
func settled(c *Classifier, agent, addr string) Verdict {
	c.Classify(agent, netip.MustParseAddr(addr))
	time.Sleep(time.Minute / 2)
	synctest.Wait()
	return c.Classify(agent, netip.MustParseAddr(addr))
}

func TestCrawlersAreVerifiedByTheirHostNames(t *testing.T) {
	const crawler6 = "2001:4860:4801:10::1"
	tests := []struct {
		name     string
		agent    string
		resolver *script
		addr     string
		want     string // id
	}{
		{"genuine", googlebot, google(), "66.249.66.1", searchEngine},
		{"genuine, IPv4 in IPv6", googlebot, google(), "::ffff:66.249.66.1", searchEngine},
		{"genuine, IPv6", googlebot, &script{names: map[string][]string{crawler6: {"c.googlebot.com."}},
			addrs: map[string][]string{"c.googlebot.com.": {"192.0.2.1", crawler6}}}, crawler6, searchEngine},
		{"genuine, second name", googlebot, &script{names: map[string][]string{"192.0.2.1": {"x.example.", "c.googlebot.com"}},
			addrs: map[string][]string{"c.googlebot.com.": {"192.0.2.1"}}}, "192.0.2.1", searchEngine},
		{"answers that are IPv4 in IPv6", googlebot, &script{names: map[string][]string{"192.0.2.1": {"c.google.com."}},
			addrs: map[string][]string{"c.google.com.": {"::ffff:192.0.2.1"}}}, "192.0.2.1", searchEngine},
		{"advertising", "AdsBot-Google (+http://www.google.com/adsbot.html)", google(), "66.249.66.1", advertising},
		{"no name", googlebot, &script{}, "192.0.2.1", "Bot100200"},
		{"a name of somebody else", googlebot, &script{names: map[string][]string{"192.0.2.1": {"host.example."}}}, "192.0.2.1", "Bot100200"},
		{"a name that begins well", googlebot, &script{names: map[string][]string{"192.0.2.1": {"crawl.googlebot.com.evil.example."}},
			addrs: map[string][]string{"crawl.googlebot.com.evil.example.": {"192.0.2.1"}}}, "192.0.2.1", "Bot100200"},
		{"a name that ends like it", googlebot, &script{names: map[string][]string{"192.0.2.1": {"crawl.evilgooglebot.com."}},
			addrs: map[string][]string{"crawl.evilgooglebot.com.": {"192.0.2.1"}}}, "192.0.2.1", "Bot100200"},
		{"the domain itself", googlebot, &script{names: map[string][]string{"192.0.2.1": {"googlebot.com."}},
			addrs: map[string][]string{"googlebot.com.": {"192.0.2.1"}}}, "192.0.2.1", "Bot100200"},
		{"a rented machine", googlebot, &script{names: map[string][]string{"192.0.2.1": {"1.2.0.192.bc.googleusercontent.com."}},
			addrs: map[string][]string{"1.2.0.192.bc.googleusercontent.com.": {"192.0.2.1"}}}, "192.0.2.1", "Bot100200"},
		{"a name that does not have the address", googlebot, &script{names: map[string][]string{"192.0.2.1": {"crawl-66-249-66-1.googlebot.com."}},
			addrs: google().addrs}, "192.0.2.1", "Bot100200"},
		{"a name that there is not", googlebot, &script{names: map[string][]string{"192.0.2.1": {"x.googlebot.com."}}}, "192.0.2.1", "Bot100200"},
		{"a name beyond those looked at", googlebot, &script{names: map[string][]string{"192.0.2.1": {"a.", "b.", "c.", "d.", "c.googlebot.com."}},
			addrs: map[string][]string{"c.googlebot.com.": {"192.0.2.1"}}}, "192.0.2.1", "Bot100200"},
		{"another's crawler", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", google(), "66.249.66.1", "Bot100200"},
		{"another's crawler, not strict", "LinkedInBot/1.0", google(), "66.249.66.1", "Bot300700"},
		{"no name, not strict", "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)", &script{}, "192.0.2.1", "Bot300700"},
		{"server fails", googlebot, &script{err: broken}, "192.0.2.1", "Bot300700"},
		{"an error of another kind", googlebot, &script{err: errors.New("refused")}, "192.0.2.1", "Bot300700"},
		{"server fails for the name", googlebot, &script{names: google().names, forward: broken}, "66.249.66.1", "Bot300700"},
		{"server does not answer", googlebot, &script{slow: time.Hour}, "192.0.2.1", "Bot300700"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{Resolver: tt.resolver})
				defer c.Close()
				first := c.Classify(tt.agent, netip.MustParseAddr(tt.addr))
				if !first.Pending || first.Class != Unknown || first.ID != "Bot300700" {
					t.Errorf("at first: %+v", first)
				}
				got := settled(c, tt.agent, tt.addr)
				if got.ID != tt.want || got.Pending || got.Reason == "" {
					t.Errorf("got %+v, want %s", got, tt.want)
				}
				want := map[byte]Class{'1': Bad, '2': Good, '3': Unknown}[tt.want[3]]
				if got.Class != want {
					t.Errorf("class %v, want %v", got.Class, want)
				}
			})
		})
	}
}

func TestOnlyNamesOfOperatorsAreLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{names: map[string][]string{"192.0.2.1": {"evil.example.", "c.googlebot.com"}}}
		c := New(Options{Resolver: s})
		defer c.Close()
		settled(c, googlebot, "192.0.2.1")
		if got := strings.Join(s.hosts, ", "); got != "ip4 c.googlebot.com." {
			t.Errorf("looked up %q", got)
		}
	})
}

func TestAnAddressIsLookedUpOnceUntilItIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := google()
		s.slow = time.Second
		c := New(Options{Resolver: s})
		defer c.Close()
		for range 100 {
			c.Classify(googlebot, googleAddr)
			c.Classify("bingbot/2.0", googleAddr)
		}
		time.Sleep(59 * time.Minute)
		c.Classify(googlebot, googleAddr)
		synctest.Wait()
		if s.asked != 1 {
			t.Errorf("asked %d times, want once", s.asked)
		}
		time.Sleep(2 * time.Minute)
		s.set(func() { s.names = nil })
		if got := c.Classify(googlebot, googleAddr); got.Class != Good {
			t.Errorf("while it is looked up again: %+v", got)
		}
		time.Sleep(3 * time.Second)
		if got := c.Classify(googlebot, googleAddr); s.asked != 2 || got.Class != Bad {
			t.Errorf("asked %d times, want twice; then %+v", s.asked, got)
		}
	})
}

func TestAFailureOfDNSUndoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := google()
		c := New(Options{Resolver: s})
		defer c.Close()
		settled(c, googlebot, "66.249.66.1")
		s.set(func() { s.err = broken })
		for range 23 {
			time.Sleep(time.Hour)
			if got := settled(c, googlebot, "66.249.66.1"); got.Class != Good {
				t.Fatalf("within a day: %+v", got)
			}
		}
		time.Sleep(time.Hour)
		if got := settled(c, googlebot, "66.249.66.1"); got.Class != Unknown || got.Pending {
			t.Errorf("after a day: %+v", got)
		}
		s.set(func() { s.err = nil })
		time.Sleep(time.Minute)
		if got := settled(c, googlebot, "66.249.66.1"); got.Class != Good {
			t.Errorf("a minute after DNS works again: %+v", got)
		}
	})
}

func TestLookUpsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{slow: time.Hour}
		c := New(Options{Resolver: s, Workers: 3, Size: 1000})
		defer c.Close()
		for i := range 20_000 {
			a := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x:%x", i>>16, i&0xffff))
			if got := c.Classify(googlebot, a); !got.Pending {
				t.Fatalf("address %d: %+v", i, got)
			}
			if i == 3 {
				synctest.Wait() // the workers have theirs before the queue is full
			}
		}
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.mostNow != 3 || len(c.verifier.queue) != 3*queued {
			t.Errorf("%d at a time and %d waiting, want 3 and %d", s.mostNow, len(c.verifier.queue), 3*queued)
		}
		if n := len(c.verifier.cache.at); n > 3+2*3*queued {
			t.Errorf("%d remembered that are not looked up", n)
		}
	})
}

func TestTheCacheIsBoundedAndKeepsWhoComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := google()
		c := New(Options{Resolver: s, Size: 100})
		defer c.Close()
		settled(c, googlebot, "66.249.66.1")
		for i := range 1000 {
			c.Classify(googlebot, netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)))
			if got := c.Classify(googlebot, googleAddr); got.Class != Good {
				t.Fatalf("forgotten after %d others", i)
			}
			synctest.Wait()
		}
		v := c.verifier
		if len(v.cache.at) != 100 || len(v.cache.slots) != 100 {
			t.Errorf("%d and %d remembered, want 100", len(v.cache.at), len(v.cache.slots))
		}
		for a, i := range v.cache.at {
			if v.cache.slots[i].addr != a {
				t.Errorf("%v is in the slot of %v", a, v.cache.slots[i].addr)
			}
		}
	})
}

func TestCloseWaitsForLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{slow: time.Hour}
		c := New(Options{Resolver: s, Timeout: time.Hour})
		for i := range 10 {
			c.Classify(googlebot, netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i)))
		}
		synctest.Wait()
		began := time.Now()
		c.Close()
		if s.now != 0 || time.Since(began) != 0 {
			t.Errorf("%d look-ups go on; it took %v", s.now, time.Since(began))
		}
		if got := c.Classify(googlebot, googleAddr); got.Class != Unknown || !got.Pending {
			t.Errorf("after Close: %+v", got)
		}
	}) // a goroutine that is left fails the bubble
}
