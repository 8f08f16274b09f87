package proxy

import (
	"testing"
	"time"

	"gatehouse/config"
)

const ms = int64(time.Millisecond)

// loaded has a member work on as much as it may for some windows, each of
// whose responses takes what cost says for what is in flight.
func loaded(b *Backend, now *int64, windows int, cost func(inFlight int64) int64) {
	for range windows {
		n := int64(0)
		for b.Begin() && n < 10_000 {
			n++
		}
		for range max(n, adaptSamples) {
			b.Answered(*now, cost(n))
		}
		for range n {
			b.End()
		}
		*now += adaptWindow
	}
}

// worker answers in 10 ms as long as it has at most so many requests, and takes
// proportionally longer for more.
func worker(capacity int64) func(int64) int64 {
	return func(n int64) int64 { return 10 * ms * max(n, capacity) / capacity }
}

func adapting(t *testing.T, o config.Adaptive) (*Pool, *Backend) {
	opts := options("10.0.0.4")
	opts.Adaptive = o
	p := commit(t, opts, nil)
	return p, one(t, p, "10.0.0.4:80")
}

func TestAdaptiveLimitFindsTheCapacity(t *testing.T) {
	for _, tt := range []struct {
		name            string
		capacity        int64
		least, most     int
		fixed, min, max int
	}{
		{name: "more than at first", capacity: 100, least: 140, most: 230, min: 5, max: 1000},
		{name: "less than at first", capacity: 3, least: 3, most: 12, min: 3, max: 1000},
		{name: "not more than max", capacity: 100, least: 50, most: 50, min: 5, max: 50},
		{name: "not less than min", capacity: 1, least: 8, most: 8, min: 8, max: 50},
		{name: "not more than maxConnections", capacity: 100, least: 30, most: 30, fixed: 30, min: 5, max: 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options("10.0.0.4")
			o.MaxConnections, o.Adaptive = tt.fixed, config.Adaptive{Min: tt.min, Max: tt.max, Tolerance: 200}
			p := commit(t, o, nil)
			defer closePool(t, p)
			b, now := one(t, p, "10.0.0.4:80"), int64(1)
			b.adaptive.Load().baseline.Store(10 * ms)
			for i := range 40 {
				if loaded(b, &now, 1, worker(tt.capacity)); i < 30 {
					continue
				}
				if n := b.State().Limit; n < tt.least || n > tt.most {
					t.Errorf("limit %d, want %d to %d", n, tt.least, tt.most)
				}
			}
		})
	}
}

func TestAdaptiveLimitRisesOnlyWhenItIsUsed(t *testing.T) {
	p, b := adapting(t, config.Adaptive{Min: 5, Max: 100, Tolerance: 200})
	defer closePool(t, p)
	for now := range int64(1000) {
		b.Answered(now*adaptWindow/10, 10*ms)
	}
	if n := b.State().Limit; n != adaptStart {
		t.Errorf("limit %d of a member with nothing to do", n)
	}
}

// The failure modes: one response in a hundred that takes for ever is no
// overload; a member that is slower for good is not kept at the least.
func TestAdaptiveLimitIsNotFooled(t *testing.T) {
	p, b := adapting(t, config.Adaptive{Min: 5, Max: 100, Tolerance: 200})
	defer closePool(t, p)
	now, i := int64(1), 0
	loaded(b, &now, 60, func(int64) int64 {
		if i++; i%100 == 0 {
			return int64(20 * time.Second)
		}
		return 10 * ms
	})
	if n := b.State().Limit; n != 100 {
		t.Errorf("limit %d with few timeouts", n)
	}
	slower := func(int64) int64 { return 30 * ms }
	loaded(b, &now, 10, slower)
	if n := b.State().Limit; n > 20 {
		t.Errorf("limit %d of a member that has become slow", n)
	}
	loaded(b, &now, 60, slower)
	if n := b.State().Limit; n != 100 {
		t.Errorf("limit %d of one that has been so for a minute", n)
	}
}

func TestAdaptiveLimitOutlivesAReload(t *testing.T) {
	o := options("10.0.0.4")
	o.Adaptive, o.QueueLength = config.Adaptive{Min: 5, Max: 100, Tolerance: 200}, 1
	p := commit(t, o, nil)
	b, now := one(t, p, "10.0.0.4:80"), int64(1)
	loaded(b, &now, 30, worker(1000))
	p = commit(t, o, p)
	if n := b.State().Limit; n != 100 {
		t.Errorf("limit %d after a reload, want 100", n)
	}
	o.Adaptive.Max = 60
	p = commit(t, o, p)
	if n := b.State().Limit; n != 60 {
		t.Errorf("limit %d with a max of 60", n)
	}
	o.Adaptive = config.Adaptive{}
	p = commit(t, o, p)
	if n := b.State().Limit; n != 0 {
		t.Errorf("limit %d without one", n)
	}
	closePool(t, p)
}
