package l7

import (
	"math/bits"
	"sync/atomic"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy"
)

// mirrorField marks a copy. The gateway drops it from requests of others, as
// all fields of its own.
const mirrorField = "X-AppGW-Mirror"

// Mirror gets copies of requests, whose responses nobody reads.
type Mirror struct {
	Pool     *proxy.Pool
	Settings *Settings
	Share    float64 // of the requests, 0 to 1
	MaxBody  int     // requests with longer bodies are not copied
	Counts   *MirrorCounts

	next atomic.Uint64
}

// MirrorCounts are what became of copies.
type MirrorCounts struct {
	Answered atomic.Uint64 // there was a response
	Failed   atomic.Uint64 // there was none
	TooLarge atomic.Uint64 // the body was longer than MaxBody
	NoMemory atomic.Uint64 // held bodies take all they may
	Dropped  atomic.Uint64 // too many were waiting, or the body did not come to its end
}

// takes decides whether the next request is copied: the share of them, spread
// evenly.
func (m *Mirror) takes() bool {
	const of = 1 << 32
	at, _ := bits.Mul64(m.next.Add(1)*golden, of)
	return float64(at) < m.Share*of
}

// copied is a copy of a request on its way to a mirror.
type copied struct {
	mirror    *Mirror
	req       httpmsg.Request
	body      held
	room      room
	key       uint64 // for balance: hash
	shard     uint32
	headBytes int // bound on the response's head
}

// mirrored reports whether the request is one to copy. Copies are not: what
// goes round in a circle ends here, or by Via.
func (f *flow) mirrored() bool {
	m := f.target.Mirror
	if m == nil || f.req.UpgradeTo.Len > 0 {
		return false
	}
	if _, is := f.req.Lookup(mirrorField); is {
		return false
	}
	return m.takes()
}

// copyRequest copies the head of the request and what there is of its body, and
// gives the copy away if that is all.
func (f *flow) copyRequest(l *load) {
	m := f.target.Mirror
	if f.req.Body == httpmsg.BodyLength && f.req.ContentLength > int64(m.MaxBody) {
		m.Counts.TooLarge.Add(1)
		return
	}
	c := &copied{mirror: m, room: f.room(), key: f.hashKeyOf(m.Pool), shard: f.shard, headBytes: f.snap.Limits.ResponseHeadBytes}
	cloneRequest(&c.req, f.req)
	c.putHost(f.hostForCopy())
	c.req.AddString(mirrorField, "1")
	f.copied = c
	f.copyBody(l.body)
	if l.whole {
		f.giveCopy()
	}
}

// hostForCopy is the Host of a copy as the mirror's settings have it: empty
// when the member decides.
func (f *flow) hostForCopy() string {
	s := f.target.Mirror.Settings
	switch {
	case s.PickHostFromBackend:
		return ""
	case s.host != "":
		return s.host
	case f.req.Authority.Len == 0:
		return "" // HTTP/1.0 without Host
	}
	return f.hostAndPort()
}

// putHost makes the Host field that.
func (c *copied) putHost(host string) {
	if host == "" {
		return
	}
	c.req.Delete(httpmsg.Host)
	c.req.Add(httpmsg.Host, c.req.KeepString("Host"), c.req.KeepString(host))
}

// copyBody adds a piece of the body to the copy, or gives the copy up.
func (f *flow) copyBody(p []byte) {
	c := f.copied
	if c == nil || len(p) == 0 {
		return
	}
	if len(c.body.bytes)+len(p) > c.mirror.MaxBody {
		c.mirror.Counts.TooLarge.Add(1)
	} else if c.body.add(&f.gw.held, p, &c.room) == nil {
		return
	} else {
		c.mirror.Counts.NoMemory.Add(1)
	}
	c.body.release(&f.gw.held)
	f.copied = nil
}

// giveCopy gives the copy, which is whole, to those that send it.
func (f *flow) giveCopy() {
	if c := f.copied; c != nil {
		f.copied = nil
		f.gw.mirrors.take(f.gw, c)
	}
}

// dropCopy gives up a copy whose body did not come to its end.
func (f *flow) dropCopy() {
	if c := f.copied; c != nil {
		f.copied = nil
		c.drop(f.gw)
	}
}

func (c *copied) drop(g *Gateway) {
	c.mirror.Counts.Dropped.Add(1)
	c.body.release(&g.held)
}

// cloneRequest copies a request into memory of its own.
func cloneRequest(dst, src *httpmsg.Request) {
	dst.Reset(nil)
	fields := dst.Fields
	*dst = *src
	dst.Fields = fields
	for _, s := range []*httpmsg.Span{&dst.MethodText, &dst.Target, &dst.RawPath, &dst.Query, &dst.Path, &dst.Authority, &dst.HostName} {
		*s = dst.Keep(src.Bytes(*s))
	}
	dst.UpgradeTo, dst.Expect100, dst.TETrailers = httpmsg.Span{}, false, false
	for i := range src.Len() {
		if id, name, value, ok := src.At(i); ok {
			n := dst.Keep(name)
			dst.Add(id, n, dst.Keep(value))
		}
	}
}

// deadline is until when a copy that is sent now must be answered and read.
func (m *Mirror) deadline() int64 { return stream.Now() + int64(m.Settings.RequestTimeout) }
