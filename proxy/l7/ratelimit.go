package l7

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/gcra"
	"gatehouse/proxy/l7/rewrite"
)

// RateLimit is a compiled rate limit; what names it counts together.
type RateLimit struct {
	Limiter *gcra.Limiter

	conf   config.ClientRateLimit
	label  string // the name as a structured field has it
	policy string // its member of RateLimit-Policy
	over   string // the reason of a refusal
	dry    string // the reason where none is refused
}

// NewRateLimit compiles a rate limit. It goes on counting where old is, the
// limit that had its name before a reload; nil: there was none. One with
// another key begins anew.
func NewRateLimit(c config.ClientRateLimit, old *RateLimit) *RateLimit {
	label := strconv.Quote(c.Name) // a name has no character that would be escaped
	l := &RateLimit{conf: c, label: label, over: "rate limit " + c.Name, dry: "over rate limit " + c.Name + ", which refuses nothing (dryRun)"}
	l.policy = fmt.Sprintf("%s;q=%d;w=%d", label, c.Requests, seconds(c.Per))
	var before *gcra.Limiter
	if old != nil && old.conf.Key == c.Key && old.conf.IPv6Bits == c.IPv6Bits {
		before = old.Limiter
	}
	l.Limiter = gcra.Keep(before, gcra.Settings{Requests: c.Requests, Per: c.Per, Burst: c.Burst, Keys: c.Keys, DryRun: c.DryRun})
	return l
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// quota is what a rate limit said of the request.
type quota struct {
	limit  *RateLimit
	answer gcra.Answer
}

// withinRates asks the rate limits of the listener and the target; false when
// one of them refused the request. Those that were asked before have counted
// it all the same.
func (f *flow) withinRates() bool {
	if len(f.listener.RateLimits)+len(f.target.RateLimits) == 0 {
		return true
	}
	return f.askLimits(f.listener.RateLimits, nil) && f.askLimits(f.target.RateLimits, f.listener.RateLimits)
}

// withinRatesBeyond asks the limits of the target that a rewrite has led to, but
// for those that were asked already.
func (f *flow) withinRatesBeyond(came *Target) bool {
	for _, l := range f.target.RateLimits {
		if !slices.Contains(came.RateLimits, l) && !slices.Contains(f.listener.RateLimits, l) && !f.askLimit(l) {
			return false
		}
	}
	return true
}

// askLimits asks limits but for those that were asked already: a request counts
// once, also where its listener and its rule name the same limit.
func (f *flow) askLimits(limits, asked []*RateLimit) bool {
	for _, l := range limits {
		if !slices.Contains(asked, l) && !f.askLimit(l) {
			return false
		}
	}
	return true
}

func (f *flow) askLimit(l *RateLimit) bool {
	a := l.Limiter.Allow(f.limitKey(l), stream.Now())
	if l.conf.Headers || !a.OK {
		f.quotas = append(f.quotas, quota{l, a})
	}
	switch {
	case !a.OK:
		f.refuse(429, l.over, "")
		return false
	case a.Over:
		f.rec.Reason = l.dry
	}
	return true
}

// limitKey is whose requests count together with this one. What strangers say
// of themselves in the fields of proxies is nothing to go by.
func (f *flow) limitKey(l *RateLimit) gcra.Key {
	switch k := &l.conf.Key; k.On {
	case config.LimitByPath:
		return l.Limiter.Text(f.req.Bytes(f.req.Path))
	case config.LimitByListener:
		return l.Limiter.Name(f.listener.Name)
	case config.LimitByHeader:
		if value := f.fieldToLimit(k.Name); len(value) > 0 {
			return l.Limiter.Text(value)
		}
	case config.LimitByCookie:
		if value, _ := httpmsg.CookieValue(&f.req.Fields, k.Name); len(value) > 0 {
			return l.Limiter.Text(value)
		}
	}
	return l.Limiter.Address(f.client.Addr.Addr(), l.conf.IPv6Bits)
}

// fieldToLimit is the first line of a field that is to be believed.
func (f *flow) fieldToLimit(name string) []byte {
	for i := range f.req.Len() {
		id, n, value, ok := f.req.At(i)
		if ok && httpmsg.EqualFold(n, name) && !rewrite.Hidden(id, n, f.trusted) {
			return value
		}
	}
	return nil
}

// addQuotas tells the client what is left of its rate limits, in the fields of
// draft-ietf-httpapi-ratelimit-headers, and when to come back if it was refused
// (RFC 9110 10.2.3). A backend's own fields of these names stay beside them:
// they are lists.
func (f *flow) addQuotas(r *httpmsg.Response) {
	if len(f.quotas) == 0 {
		return
	}
	r.Add(httpmsg.Other, r.KeepString("RateLimit-Policy"), f.quotaList(r, appendPolicy))
	r.Add(httpmsg.Other, r.KeepString("RateLimit"), f.quotaList(r, appendQuota))
	last := f.quotas[len(f.quotas)-1]
	if last.answer.OK {
		return
	}
	r.AddString("Retry-After", strconv.FormatInt(max(seconds(last.answer.Wait), 1), 10))
}

// quotaList is a list with a member for each limit.
func (f *flow) quotaList(r *httpmsg.Response, member func([]byte, *quota) []byte) httpmsg.Span {
	a := r.Arena()
	n := len(a)
	for i := range f.quotas {
		if i > 0 {
			a = append(a, ", "...)
		}
		a = member(a, &f.quotas[i])
	}
	return r.Kept(a, n)
}

func appendPolicy(a []byte, q *quota) []byte { return append(a, q.limit.policy...) }

// appendQuota appends how many requests are left and in how many seconds there
// are more: all of them, or one if none is left.
func appendQuota(a []byte, q *quota) []byte {
	a = append(append(a, q.limit.label...), ";r="...)
	a = strconv.AppendInt(a, int64(q.answer.Remaining), 10)
	more := q.answer.Reset
	if q.answer.Remaining == 0 {
		more = q.answer.Wait
	}
	return strconv.AppendInt(append(a, ";t="...), seconds(more), 10)
}
