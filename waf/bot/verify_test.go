package bot

import (
	"net/netip"
	"testing"
)

func TestVerifyAsksOnceAndAnswers(t *testing.T) {
	for _, w := range []struct{ name, addr, id string }{
		{"the true one", googleAddr.String(), searchEngine},
		{"a false one", "192.0.2.66", "Bot100200"},
	} {
		t.Run(w.name, func(t *testing.T) {
			names := google()
			c := classifier(t, Options{Resolver: names, Offline: true})
			addr := netip.MustParseAddr(w.addr)
			if v := c.Classify(googlebot, addr); !v.Pending || v.Class != Unknown {
				t.Errorf("without Verify: %+v", v)
			}
			if names.asked != 0 {
				t.Error("it asked name servers although it is offline")
			}
			for range 2 {
				if v := c.Verify(t.Context(), googlebot, addr); v.ID != w.id || v.Pending {
					t.Errorf("got %+v, want %s", v, w.id)
				}
			}
			if names.asked != 1 {
				t.Errorf("asked %d times", names.asked)
			}
		})
	}
	c := classifier(t, Options{Resolver: &script{err: broken}, Offline: true})
	if v := c.Verify(t.Context(), googlebot, googleAddr); v.Pending || v.Class != Unknown || v.Reason == "" {
		t.Errorf("when name servers fail: %+v", v)
	}
}
