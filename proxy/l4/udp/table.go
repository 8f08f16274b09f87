package udp

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/balance"
)

// key is what a flow of a door is known by: its client and what that asked,
// where it may have been several things: the address on a door that is bound
// to every one, the port on a door of every port, which is not bound to every
// address. All of it is as the kernel writes it.
type key struct {
	client, local [16]byte // local: the address, or else the port, that was asked
	scope         uint32   // of a link-local client
	port          uint16
	family        uint16
}

// clientKey is the key of a client.
func clientKey(name *unix.RawSockaddrInet6) (k key) {
	k.family = name.Family
	if name.Family == unix.AF_INET {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		copy(k.client[:], in4.Addr[:])
		k.port = in4.Port
		return k
	}
	k.client, k.port, k.scope = name.Addr, name.Port, name.Scope_id
	return k
}

// setLocal adds the address that was asked.
func (k *key) setLocal(a *arrival) {
	switch {
	case a.info == nil:
	case a.level == unix.IPPROTO_IP:
		copy(k.local[:], a.info[4:8])
	default:
		copy(k.local[:], a.info[:16])
	}
}

// setAsked adds the port that was asked.
func (k *key) setAsked(port uint16) { binary.BigEndian.PutUint16(k.local[:], port) }

// asked is the port that setAsked added.
func (k *key) asked() uint16 { return binary.BigEndian.Uint16(k.local[:]) }

// shard is where the flow of a key is.
func (k *key) shard() uint64 {
	c, l := k.client[:], k.local[:]
	h := binary.NativeEndian.Uint64(c) ^ binary.NativeEndian.Uint64(c[8:])<<1 ^ binary.NativeEndian.Uint64(l)<<2
	return balance.Mix(h^binary.NativeEndian.Uint64(l[8:]), uint64(k.port)) % tableShards
}

const tableShards = 64

// table has the flows of a door, whichever of its sockets their datagrams come
// to: that changes when the number of sockets does.
type table struct {
	shards [tableShards]tableShard
	count  atomic.Int64
}

type tableShard struct {
	mu    sync.Mutex
	flows map[key]*flow
	_     [48]byte
}

func (t *table) get(k *key) *flow {
	s := &t.shards[k.shard()]
	s.mu.Lock()
	f := s.flows[*k]
	s.mu.Unlock()
	return f
}

// put enters a flow. The shard must be locked.
func (t *table) put(s *tableShard, f *flow) {
	if s.flows == nil {
		s.flows = map[key]*flow{}
	}
	s.flows[f.key] = f
	t.count.Add(1)
}

// drop removes a flow, if it is there. The shard must be locked.
func (t *table) drop(s *tableShard, f *flow) {
	if s.flows[f.key] == f {
		delete(s.flows, f.key)
		t.count.Add(-1)
	}
}

// all are the flows at the moment.
func (t *table) all() []*flow {
	var list []*flow
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, f := range s.flows {
			list = append(list, f)
		}
		s.mu.Unlock()
	}
	return list
}
