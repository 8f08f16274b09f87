package proxy

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/config"
)

func TestServerErrorsInARowEject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options("10.0.0.4", "10.0.0.5")
		o.Ejection = config.Ejection{ServerErrors: 3, Time: 10 * time.Second, MaxTime: time.Minute, MaxShare: 50}
		p := commit(t, o, nil)
		defer closePool(t, p)
		b, c := one(t, p, "10.0.0.4:80"), one(t, p, "10.0.0.5:80")
		fail := func(b *Backend, n int) {
			for range n {
				b.Failed("Bad Gateway")
			}
		}
		fail(b, 2)
		b.Succeeded()
		fail(b, 2)
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80") // never three in a row
		fail(b, 1)
		wantServing(t, p, "10.0.0.5:80")
		if s := b.State(); s.State != Ejected || s.Ejections != 1 || s.Reason != "3 requests in a row failed, the last: Bad Gateway" {
			t.Errorf("%+v", s)
		}
		b.ConnectFailed(syscall.ECONNREFUSED) // a probe's or another request's
		b.ConnectOK()
		b.Succeeded() // of a request that was sent before
		wantServing(t, p, "10.0.0.5:80")
		fail(c, 10) // the share that may be out is
		wantServing(t, p, "10.0.0.5:80")
		c.Succeeded()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
	})
}

func TestEjectionsInARowGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options("10.0.0.4", "10.0.0.5")
		o.Ejection = config.Ejection{ServerErrors: 1, Time: 10 * time.Second, MaxTime: 35 * time.Second}
		p := commit(t, o, nil)
		b := one(t, p, "10.0.0.4:80")
		out := func() time.Duration {
			b.Failed("timeout")
			from := time.Now()
			for b.State().State == Ejected && time.Since(from) < time.Hour {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			return time.Since(from)
		}
		var got []time.Duration
		for range 2 {
			got = append(got, out())
		}
		p = commit(t, o, p) // a reload knows
		for range 2 {
			got = append(got, out())
		}
		time.Sleep(35 * time.Second) // in use for as long as it was out
		got = append(got, out())
		if want := "[10s 20s 35s 35s 10s]"; fmt.Sprint(got) != want {
			t.Errorf("out for %v, want %s", got, want)
		}
		closePool(t, p)
	})
}

// The failure mode: what fails everywhere is no member's fault. All that may be
// out are, and whoever is left is used; all, if all are out.
func TestAllMembersThatAnswerErrors(t *testing.T) {
	for share, want := range map[int]string{100: "10.0.0.4:80 10.0.0.5:80", 50: "10.0.0.5:80"} {
		o := options("10.0.0.4", "10.0.0.5")
		o.Ejection = config.Ejection{ServerErrors: 2, Time: time.Hour, MaxShare: share}
		p := commit(t, o, nil)
		for range 5 {
			for _, b := range p.live.order {
				b.Failed("Internal Server Error")
			}
		}
		wantServing(t, p, strings.Fields(want)...)
		closePool(t, p)
	}
}
