package l7

import (
	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy"
	"gatehouse/proxy/balance"
	"gatehouse/proxy/http1"
)

// hashKey is what balance: hash picks a member by. The request is as members
// get it, but for its Host; without the field or cookie it goes by the client.
func (f *flow) hashKey() uint64 { return f.hashKeyOf(f.target.Pool) }

func (f *flow) hashKeyOf(p *proxy.Pool) uint64 {
	k := p.HashKey()
	if k == nil {
		return 0
	}
	if k.On == config.HashURI {
		return balance.Mix(balance.Sum(f.req.Bytes(f.req.Path), 0), balance.Sum(f.req.Bytes(f.req.Query), 0))
	}
	if value := f.hashed(k); len(value) > 0 {
		return balance.Sum(value, 0)
	}
	client := f.client.Addr.Addr()
	if !client.IsValid() {
		return 0
	}
	addr := client.As16()
	return balance.Sum(addr[:], 0)
}

// hashed is the field or cookie that is hashed; empty if there is none.
func (f *flow) hashed(k *config.HashKey) (value []byte) {
	switch k.On {
	case config.HashHeader:
		value, _ = f.req.Lookup(k.Name)
	case config.HashCookie:
		value, _ = httpmsg.CookieValue(&f.req.Fields, k.Name)
	}
	return value
}

// backendAnswered tells the member how long its response took. A status by
// which a gateway says that it has nobody to ask is no answer: it often comes
// at once, and must not draw requests.
func (f *flow) backendAnswered() {
	s := f.rec.BackendStatus
	if s >= 500 {
		f.backend.Failed(http1.ReasonPhrase(s))
	} else {
		f.backend.Succeeded()
	}
	if s >= 502 && s <= 504 {
		f.backendTookLong()
		return
	}
	if f.upload != nil {
		return // the client's pace, or ours
	}
	took := f.answered - f.connected
	if !f.rec.Reused {
		took += f.rec.Tc
	}
	f.backend.Answered(f.answered, took)
}

// connectionFailed tells the member that a connection brought no answer, unless
// it was a kept one, which members may close at any time.
func (f *flow) connectionFailed(err error) {
	if !f.rec.Reused {
		f.backendFailedToAnswer(shortError(err))
	}
}

// backendFailedToAnswer tells the member of a request that it got and did not
// answer.
func (f *flow) backendFailedToAnswer(why string) {
	f.backend.Failed(why)
	f.backendTookLong()
}

// backendTookLong tells the member of a failure, which counts as a response
// that took as long as one may.
func (f *flow) backendTookLong() {
	f.backend.Answered(stream.Now(), int64(f.target.Settings.RequestTimeout))
}
