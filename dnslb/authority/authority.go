// Package authority answers DNS queries for the zones and profiles of a
// configuration: what a query gets, from the bytes of one message to those of
// another.
//
// An [Authority] holds the [View] in use, which is swapped as a whole. A
// [Responder], of which every socket has one, reads the usual query by hand
// and writes its answer from what is prepared, without allocation; the unusual
// query goes through miekg/dns, and both ask the same resolve.
package authority

import (
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"gatehouse/dnslb"
	"gatehouse/dnslb/server"
	"gatehouse/dnslb/wire"
	"gatehouse/dnslb/zone"
	"gatehouse/internal/cidr"
)

// Authority answers queries from the view it was given last.
type Authority struct {
	state atomic.Pointer[state]
	made  atomic.Uint32 // responders

	// Log, if not nil, makes the query log of a responder: one of its own, or
	// one that many share and that has to be locked. It must not change once
	// there are responders.
	Log func(shared bool) QueryLogger
}

// View is everything that answers depend on but for the health of endpoints.
// It must not change once it is in use. The zero value of each field but Zones
// and Counters works.
type View struct {
	Zones    *zone.Set
	Counters *Counters

	// Signers sign zones; those that are not there are not signed.
	Signers map[*zone.Zone]Signer

	NSID    []byte // nil: none
	UDPSize int    // of responses over UDP at most; 0: 1232
	// ECSTrusted are the clients whose EDNS Client Subnet is believed; nil:
	// nobody's.
	ECSTrusted *cidr.Table[struct{}]

	Cookies *Cookies   // nil: cookies are not answered
	Limit   *RateLimit // nil: none

	Keys      map[string]Key          // TSIG keys by name with the final dot
	Transfers map[*zone.Zone][]string // names of keys that may transfer a zone
	TCPIdle   time.Duration           // what clients are told (RFC 7828); 0: nothing
}

// Signer signs RRsets: [dnssec.Signer] does.
type Signer interface {
	// Cached and SignCanonical return the packed RRSIG of an RRset in
	// canonical form, which they do not keep.
	Cached(canonical []byte) (rrsig []byte, ok bool)
	SignCanonical(canonical []byte) (rrsig []byte, err error)
	Denier
}

// QueryLogger takes what became of a query, if it wants it.
type QueryLogger interface {
	// Want tells whether the next query is to be logged.
	Want() bool
	// Put takes a query and its response, which it must not keep.
	Put(e *Event)
}

// Event is a query and what became of it.
type Event struct {
	Peer            *server.Peer
	Query, Response []byte
	Name            []byte // wire format, as it was asked
	Type, Class     uint16
	Rcode           int
	ECS             wire.ECS
	Scope           uint8
	DO              bool
	Profile         *dnslb.Profile    // nil: none
	Endpoints       []*dnslb.Endpoint // that were chosen
}

// state is what responders answer from: two things that belong together.
type state struct {
	view     *View
	snapshot *dnslb.Snapshot // nil: there are no profiles
}

// New returns an authority without a view: it refuses everything.
func New() *Authority {
	a := &Authority{}
	a.Use(&View{Zones: &zone.Set{}, Counters: NewCounters(nil)}, nil)
	return a
}

// Use puts a view to use, and the first snapshot of its profiles.
func (a *Authority) Use(v *View, s *dnslb.Snapshot) { a.state.Store(&state{v, s}) }

// Update puts a snapshot of the profiles of the view in use to use; one of
// other profiles is not taken.
func (a *Authority) Update(s *dnslb.Snapshot) {
	for {
		old := a.state.Load()
		if old.snapshot == nil || old.snapshot.Director() != s.Director() || a.state.CompareAndSwap(old, &state{old.view, s}) {
			return
		}
	}
}

// Snapshot is the one in use; nil: none.
func (a *Authority) Snapshot() *dnslb.Snapshot { return a.state.Load().snapshot }

// View is the one in use.
func (a *Authority) View() *View { return a.state.Load().view }

// Responder answers queries, one at a time.
type Responder struct {
	authority *Authority
	id        uint32
	random    *rand.Rand

	view     *View           // of the query in hand
	snapshot *dnslb.Snapshot // likewise
	counts   *shard          // of the view
	log      QueryLogger     // nil: none

	query     wire.Query
	chain     [maxChain]wire.Query // the names that CNAMEs lead to
	chainZone [maxChain]*zone.Zone
	chains    int
	client    dnslb.Client
	answer    dnslb.Answer
	cookie    [24]byte
	canon     []byte // an RRset to be signed
	packed    []byte // addresses and service bindings of this answer

	reply reply
	event Event
}

// NewResponder returns a responder for a socket, of which there are few.
func (a *Authority) NewResponder() server.Responder { return a.responder(false) }

// NewStreamResponder returns a responder for connections, of which there may
// be many.
func (a *Authority) NewStreamResponder() server.Responder { return a.responder(true) }

func (a *Authority) responder(shared bool) *Responder {
	r := &Responder{authority: a, id: a.made.Add(1), random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	if a.Log != nil {
		r.log = a.Log(shared)
	}
	return r
}

// reply is what is said to a query.
type reply struct {
	rcode   int
	aa      bool
	ede     int // an extended error; -1: none
	edeText string

	answers, authority, additional []wire.Record

	// scope is the length of the prefix of the client's address that the
	// answer holds for; 0: it holds for all.
	scope   int
	profile *dnslb.Profile
	zone    *zone.Zone
	code    outcome
	found   []byte // the name in the zones: a wildcard's is not the one asked for
	denied  denied // of a negative answer and a referral
}

func (r *reply) reset() {
	*r = reply{ede: -1, answers: r.answers[:0], authority: r.authority[:0], additional: r.additional[:0]}
}

// Respond answers one message (see [server.Responder]).
func (r *Responder) Respond(out, query []byte, from *server.Peer) []byte {
	start := len(out)
	r.begin()
	q := &r.query
	switch q.Parse(query) {
	case wire.Usual:
		out = r.usual(out, from)
	case wire.Malformed:
		r.reply.reset()
		r.reply.rcode = formErr
		switch r.judge(q, from) {
		case allowed:
			out = r.encode(out, q, from, r.limit(q, from))
		case slipped:
			out = r.encode(out, q, from, 0)
		}
	default:
		out = r.unusual(out, query, from)
	}
	if len(out) > start {
		r.finish(query, out[start:], from)
	}
	return out
}

// begin takes the view and the snapshot that go together.
func (r *Responder) begin() {
	now := r.authority.state.Load()
	r.view, r.snapshot = now.view, now.snapshot
	r.counts = r.view.Counters.shard(r.id)
	r.answer.Endpoints, r.chains, r.packed = nil, 0, r.packed[:0]
}

// usual answers the usual query.
func (r *Responder) usual(out []byte, from *server.Peer) []byte {
	q := &r.query
	r.reply.reset()
	r.decide(q, from)
	limit := r.limit(q, from)
	switch r.judge(q, from) {
	case dropped:
		return out
	case slipped:
		limit = 0 // truncated: a real client asks again over TCP
	default:
		r.signIfAsked(q)
	}
	return r.encode(out, q, from, limit)
}

// judge asks the rate limit what becomes of the reply, and counts.
func (r *Responder) judge(q *wire.Query, from *server.Peer) judgement {
	if from.Transport != server.UDP || r.view.Limit == nil || r.knownClient(q, from) {
		return allowed
	}
	j := r.view.Limit.judge(from, &r.reply, q)
	switch j {
	case dropped:
		r.counts.limited.Add(1)
	case slipped:
		r.counts.slipped.Add(1)
	}
	return j
}

// decide finds out what to say to a query that was read.
func (r *Responder) decide(q *wire.Query, from *server.Peer) {
	switch {
	case q.EDNS.Present && q.EDNS.Version > 0:
		r.reply.rcode = badVers
	case q.Class != classIN:
		r.refuse("only class IN is served")
	case q.Type == typeAXFR || q.Type == typeIXFR:
		r.refuse("a transfer needs TCP and a TSIG key that is allowed to")
	case q.Type == typeNXNAME:
		r.reply.rcode, r.reply.ede = formErr, edeInvalidQueryType
	case q.Type == typeOPT || q.Type == typeTSIG || q.Type == typeTKEY:
		r.reply.rcode = formErr
	default:
		r.resolve(q, r.clientOf(q, from))
	}
}

// signIfAsked signs the reply for a client that wants signatures: after the
// rate limit, since new signatures are dear.
func (r *Responder) signIfAsked(q *wire.Query) {
	if q.EDNS.Flags&wire.FlagDO != 0 {
		r.sign(q)
	}
}

func (r *Responder) refuse(why string) {
	r.reply.rcode, r.reply.ede, r.reply.edeText = refused, edeNotAuthoritative, why
}

// clientOf is the address that stands for the client: that of a subnet which
// a resolver we trust names, else the resolver's own. A source of no bits asks
// for the latter (RFC 7871 7.1.2).
func (r *Responder) clientOf(q *wire.Query, from *server.Peer) netip.Addr {
	if !q.EDNS.ECS.Present {
		return from.Addr.Addr()
	}
	if !r.trusted(from) {
		q.EDNS.ECS.Present = false // as if it were not there, in the response too
		return from.Addr.Addr()
	}
	if q.EDNS.ECS.Addr.IsValid() {
		return q.EDNS.ECS.Addr
	}
	return from.Addr.Addr()
}

func (r *Responder) trusted(from *server.Peer) bool {
	return r.view.ECSTrusted != nil && r.view.ECSTrusted.Contains(from.Addr.Addr())
}

// limit is how long a response may be.
func (r *Responder) limit(q *wire.Query, from *server.Peer) int {
	if from.Transport != server.UDP {
		return 65535
	}
	size := 512
	if q.EDNS.Present {
		size = max(size, int(q.EDNS.UDPSize))
	}
	return min(size, r.view.udpSize())
}

func (v *View) udpSize() int {
	if v.UDPSize == 0 {
		return 1232
	}
	return v.UDPSize
}

// encode writes the reply. What does not fit the limit is left out and said to
// be truncated.
func (r *Responder) encode(out []byte, q *wire.Query, from *server.Peer, limit int) []byte {
	start := len(out)
	p := &r.reply
	flags := q.Flags & (wire.FlagRD | wire.FlagCD)
	if p.aa {
		flags |= wire.FlagAA
	}
	opt := r.opt(q, from)
	if opt.PadTo > 0 {
		limit = min(limit, limit/opt.PadTo*opt.PadTo-4) // with the option's head
	}
	reserve := 0
	if q.EDNS.Present {
		reserve = opt.Len()
	}
	out = q.Header(out, flags, p.rcode)
	end := len(out)
	answers, authority, additional := len(p.answers), len(p.authority), len(p.additional)
	for _, section := range [...][]wire.Record{p.answers, p.authority, p.additional} {
		for i := range section {
			out = q.Append(out, &section[i])
			if len(out)-start+reserve > limit {
				out = out[:end]
				out[start+2] |= byte(wire.FlagTC >> 8)
				return r.close(out, start, q, &opt, 0, 0, 0)
			}
		}
	}
	if limit == 0 {
		out[start+2] |= byte(wire.FlagTC >> 8)
		answers, authority, additional, out = 0, 0, 0, out[:end]
	}
	return r.close(out, start, q, &opt, answers, authority, additional)
}

// close writes the OPT record and the counts.
func (r *Responder) close(out []byte, start int, q *wire.Query, opt *wire.OPT, answers, authority, additional int) []byte {
	if q.EDNS.Present {
		out = opt.Append(out, start)
		additional++
	}
	wire.Counts(out, start, answers, authority, additional)
	return out
}

// opt is the OPT record of the reply.
func (r *Responder) opt(q *wire.Query, from *server.Peer) wire.OPT {
	p := &r.reply
	o := wire.OPT{UDPSize: uint16(r.view.udpSize()), Rcode: p.rcode, EDE: p.ede, EDEText: p.edeText, Flags: q.EDNS.Flags & wire.FlagDO}
	if p.rcode == badVers {
		return o
	}
	if q.EDNS.Flags&wire.FlagDO != 0 && p.zone != nil && r.view.Signers[p.zone] != nil {
		o.Flags |= q.EDNS.Flags & wire.FlagCO
	}
	if q.EDNS.NSID {
		o.NSID = r.view.NSID
	}
	if q.EDNS.Cookie != nil && r.view.Cookies != nil {
		o.Cookie = r.view.Cookies.answer(r.cookie[:0], q.EDNS.Cookie, from)
	}
	if q.EDNS.ECS.Present && p.rcode != formErr {
		o.ECS = q.EDNS.ECS
		if q.EDNS.ECS.Source > 0 {
			o.Scope = uint8(p.scope)
		}
	}
	if from.Transport != server.UDP {
		if q.EDNS.Keepalive && r.view.TCPIdle > 0 {
			o.Keepalive = min(int(r.view.TCPIdle/(100*time.Millisecond)), 65535)
		}
		if q.EDNS.Padding && from.Transport != server.TCP {
			o.PadTo = padding
		}
	}
	return o
}

// padding is the block to whose multiples encrypted responses are padded (RFC
// 8467 4.1).
const padding = 468

// knownClient tells whether a query proves by its cookie that it comes from
// where it says.
func (r *Responder) knownClient(q *wire.Query, from *server.Peer) bool {
	return r.view.Cookies != nil && r.view.Cookies.valid(q.EDNS.Cookie, from)
}
