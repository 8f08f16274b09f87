package dnssec

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// address returns an RRset of a name of its own.
func address(t testing.TB, i int) []dns.RR {
	return records(t, fmt.Sprintf("a%d.example.net. 60 A 192.0.2.1", i))
}

func mustSign(t testing.TB, s *Signer, rrset []dns.RR) *dns.RRSIG {
	t.Helper()
	sig, err := s.Sign(rrset)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	key := newTestSigner(t, Options{}).Key()
	tests := []struct {
		name, zone, want string
		options          Options
	}{
		{"another zone", "example.org", "the key is that of example.net.", Options{}},
		{"no zone", "", "not the name of a zone", Options{}},
		{"negative", exampleZone, "negative", Options{PerSecond: -1}},
		{"never fresh", exampleZone, "less than the validity", Options{Validity: 24 * time.Hour}},
		{"refreshed too late", exampleZone, "1h0m0s at least", Options{Refresh: time.Minute}},
		{"for ever", exampleZone, "ten years", Options{Validity: 20 * 365 * 24 * time.Hour}},
		{"without limit", exampleZone, "1e9", Options{PerSecond: 2e9}},
	}
	for _, tt := range tests {
		if _, err := NewSigner(key, tt.zone, tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestSignaturesAreRenewedThreeDaysBeforeTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rrset := newTestSigner(t, Options{}), address(t, 1)
		set, err := Canonical(nil, rrset)
		if err != nil {
			t.Fatal(err)
		}
		first, made := mustSign(t, s, rrset), time.Now()
		bytes := s.Stats().Bytes
		if got := made.Unix() - int64(first.Inception); got != 3600 {
			t.Errorf("valid since %d s ago", got)
		}
		end := time.Unix(int64(first.Expiration), 0)
		if left := end.Sub(made); left < 7*24*time.Hour || left >= 8*24*time.Hour {
			t.Errorf("valid for %v", left)
		}
		time.Sleep(time.Until(end) - 3*24*time.Hour - time.Second)
		if _, ok := s.Cached(set); !ok || mustSign(t, s, rrset).Signature != first.Signature {
			t.Error("renewed with more than three days left")
		}
		time.Sleep(time.Second)
		if _, ok := s.Cached(set); ok {
			t.Error("given from the cache when due for renewal")
		}
		second := mustSign(t, s, rrset)
		if second.Signature == first.Signature || s.Stats().Signed != 2 || s.Stats().Entries != 1 || s.Stats().Bytes != bytes {
			t.Errorf("not renewed: %+v", s.Stats())
		}
		verify(t, s, second, rrset)
		if !second.ValidityPeriod(time.Now()) {
			t.Error("not valid now")
		}
	})
}

func TestAClockThatWasSetBackHasNewSignatures(t *testing.T) {
	s, rrset := newTestSigner(t, Options{}), address(t, 1)
	set, _ := Canonical(nil, rrset)
	sig, err := s.make(set, time.Now().Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if now := time.Now().Unix(); sig.fresh(now) || sig.usable(now) {
		t.Error("a signature of the future is good now")
	}
}

func TestTheEndDependsOnTheNameAlone(t *testing.T) {
	now := time.Now()
	ends := map[int64]bool{}
	for i := range 50 {
		var end [2]uint32
		for j := range end {
			set, _ := Canonical(nil, address(t, i))
			sig, err := newTestSigner(t, Options{}).make(set, now)
			if err != nil {
				t.Fatal(err)
			}
			end[j] = sig.rr.Expiration
		}
		if end[0] != end[1] {
			t.Errorf("two signers end at %d and %d", end[0], end[1])
		}
		ends[int64(end[0])] = true
	}
	if len(ends) < 45 {
		t.Errorf("50 names end at %d times", len(ends))
	}
}

func TestWildcards(t *testing.T) {
	s := newTestSigner(t, Options{})
	wild := records(t, "*.apps.example.net. 60 A 192.0.2.1")
	a, b := records(t, "a.apps.example.net. 60 A 192.0.2.1"), records(t, "C.b.apps.example.net. 60 A 192.0.2.1")
	for _, rrset := range [][]dns.RR{a, b} {
		sig, err := s.SignWildcard(rrset, "*.apps.example.net.")
		if err != nil || sig.Labels != 3 || sig.Hdr.Name != rrset[0].Header().Name {
			t.Fatal(sig, err)
		}
		verify(t, s, sig, rrset)
	}
	verify(t, s, mustSign(t, s, wild), wild)
	if n := s.Stats().Signed; n != 1 {
		t.Errorf("%d signatures for one wildcard", n)
	}
	if sig := mustSign(t, s, a); sig.Labels != 4 {
		t.Errorf("as a name of its own: %d labels", sig.Labels)
	}
	for _, tt := range []struct{ name, wildcard string }{
		{"a.apps.example.net.", "apps.example.net."}, {"a.apps.example.net.", "*.web.example.net."},
		{"apps.example.net.", "*.apps.example.net."}, {"a.example.net.", "*.a..net."},
	} {
		if sig, err := s.SignWildcard(records(t, tt.name+" 60 A 192.0.2.1"), tt.wildcard); err == nil {
			t.Errorf("%s of %s: %v", tt.name, tt.wildcard, sig)
		}
	}
	if _, err := s.SignWildcard(nil, "*.example.net."); err == nil {
		t.Error("nothing is signed")
	}
}

func TestNewSignaturesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSigner(t, Options{PerSecond: 100}) // bursts of 10
		flood := func(n int, made func(i int) []dns.RR) (signed int) {
			for i := range n {
				if _, err := s.Sign(made(i)); err == nil {
					signed++
				} else if !errors.Is(err, ErrBusy) {
					t.Fatal(err)
				}
			}
			return signed
		}
		names := 0
		nowhere := func(int) []dns.RR {
			names++
			return []dns.RR{s.Nonexistent(fmt.Sprintf("n%d.example.net.", names), 60)}
		}
		if n := flood(50, nowhere); n != 7 {
			t.Errorf("%d denials in a burst, want 7 of 10", n)
		}
		if n := flood(50, func(i int) []dns.RR { return address(t, i) }); n != 3 {
			t.Errorf("%d others after that, want the 3 that are left", n)
		}
		if n := flood(50, func(int) []dns.RR { return address(t, 0) }); n != 50 {
			t.Errorf("%d of 50 of what is signed already", n)
		}
		time.Sleep(50 * time.Millisecond)
		if n := flood(50, func(i int) []dns.RR { return address(t, 100+i) }); n != 5 {
			t.Errorf("%d after 50 ms, want 5", n)
		}
		time.Sleep(time.Hour)
		if n := flood(50, func(i int) []dns.RR { return address(t, 200+i) }); n != 10 {
			t.Errorf("%d after an hour, want 10", n)
		}
		if st := s.Stats(); st.Signed != 25 || st.Refused != 50+50+50+50-25 {
			t.Errorf("%+v", st)
		}
	})
}

func TestASignatureStillGoodIsGivenWhenBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rrset := newTestSigner(t, Options{PerSecond: 1}), address(t, 1)
		old := mustSign(t, s, rrset)
		spend := func() { mustSign(t, s, address(t, int(time.Now().Unix()))) }
		time.Sleep(6 * 24 * time.Hour)
		spend()
		if got := mustSign(t, s, rrset); got.Signature != old.Signature {
			t.Error("renewed beyond the limit")
		}
		time.Sleep(time.Until(time.Unix(int64(old.Expiration), 0)) - time.Hour)
		spend()
		if got, err := s.Sign(rrset); !errors.Is(err, ErrBusy) {
			t.Errorf("%v %v: given with less than an hour left", got, err)
		}
	})
}

func TestOneSetIsSignedOnceForAllWhoWait(t *testing.T) {
	s, rrset := newTestSigner(t, Options{}), address(t, 1)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if _, err := s.Sign(rrset); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.Stats().Signed; n != 1 {
		t.Errorf("%d signatures", n)
	}
}

// With the signature in the making held up, so that all who come wait.
func TestWhoWaitsGetsTheSameResultOrError(t *testing.T) {
	for _, want := range []error{nil, ErrBusy} {
		synctest.Test(t, func(t *testing.T) {
			c, calls, sig := newCache(10, 1<<20), 0, &signature{until: 100, refresh: 100}
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					got, err := c.once(&digest{1}, 0, func() (*signature, error) {
						calls++
						time.Sleep(time.Second)
						return sig, want
					})
					if got != sig || err != want {
						t.Errorf("%v %v", got, err)
					}
				})
			}
			wg.Wait()
			if calls != 1 {
				t.Errorf("%d calls", calls)
			}
			if n, _ := c.size(); n != 1 && want == nil || n != 0 && want != nil {
				t.Errorf("%d kept with error %v", n, want)
			}
			if len(c.shards[0].flights) != 0 {
				t.Error("still in the making")
			}
		})
	}
}

func TestTheCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	for _, options := range []Options{
		{MaxEntries: 50}, {MaxBytes: 50 * (entryBytes + 140)}, {MaxEntries: 2048, MaxBytes: 16 * 3 * (entryBytes + 140)},
	} {
		s := newTestSigner(t, options)
		hot := mustSign(t, s, address(t, 0))
		for i := range 500 {
			mustSign(t, s, address(t, i+1))
			if mustSign(t, s, address(t, 0)).Signature != hot.Signature {
				t.Fatalf("%+v: lost what is used, after %d others", options, i+1)
			}
			st := s.Stats()
			if st.Entries > s.options.MaxEntries || st.Bytes > s.options.MaxBytes {
				t.Fatalf("%+v: %+v", options, st)
			}
		}
		st := s.Stats()
		if st.Entries < 30 || st.Evicted != 501-uint64(st.Entries) {
			t.Errorf("%+v: %+v", options, st)
		}
	}
}

func TestWithoutRoomNothingIsKept(t *testing.T) {
	s := newTestSigner(t, Options{MaxBytes: 10})
	if a, b := mustSign(t, s, address(t, 0)), mustSign(t, s, address(t, 0)); a.Signature == b.Signature || s.Stats().Entries != 0 {
		t.Errorf("%+v", s.Stats())
	}
}

func TestTheCacheIsSafeForConcurrentUse(t *testing.T) {
	s := newTestSigner(t, Options{MaxEntries: 20})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				rrset := address(t, (i*(g+1))%60)
				sig := mustSign(t, s, rrset)
				if err := sig.Verify(s.key.DNSKEY(60), rrset); i%50 == 0 && err != nil {
					t.Error(err)
				}
				sig.Hdr.Name = "changed." // it is the caller's
			}
		})
	}
	wg.Wait()
	if entries, _ := s.cache.size(); entries != 20 {
		t.Errorf("%d entries", entries)
	}
}

func TestPackedSignatures(t *testing.T) {
	s, rrset := newTestSigner(t, Options{}), records(t, "Www.example.net. 60 A 192.0.2.1", "Www.example.net. 60 A 192.0.2.2")
	set, err := Canonical(nil, rrset)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Cached(set); ok {
		t.Error("there before it was made")
	}
	packed, err := s.SignCanonical(set)
	if err != nil {
		t.Fatal(err)
	}
	again, ok := s.Cached(set)
	if !ok || string(again) != string(packed) {
		t.Errorf("%x %v, want %x", again, ok, packed)
	}
	rr, n, err := dns.UnpackRR(packed, 0)
	if err != nil || n != len(packed) {
		t.Fatal(rr, n, err)
	}
	want := mustSign(t, s, rrset)
	want.Hdr.Name = "www.example.net."
	if rr.String() != want.String() {
		t.Errorf("got  %v\nwant %v", rr, want)
	}
	if n := testing.AllocsPerRun(100, func() { again, ok = s.Cached(set) }); n != 0 || !ok {
		t.Errorf("%v allocations, %v", n, ok)
	}
}

func BenchmarkCached(b *testing.B) {
	s := newTestSigner(b, Options{})
	set, err := Canonical(nil, address(b, 1))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.SignCanonical(set); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := s.Cached(set); !ok {
				b.Error("lost")
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	s, rrset := newTestSigner(b, Options{}), address(b, 1)
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustSign(b, s, rrset)
		}
	})
	b.Run("anew", func(b *testing.B) {
		set, _ := Canonical(nil, rrset)
		s := newTestSigner(b, Options{PerSecond: 1e9})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.make(set, testTime); err != nil {
				b.Fatal(err)
			}
		}
	})
}
