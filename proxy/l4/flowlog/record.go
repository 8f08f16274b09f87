package flowlog

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/proxy/l4"
)

// The keys of a record, as Azure has them. targetResourceID is the rule's
// path, and member stands beside rule: Azure has no such key.
type record struct {
	Time        string      `json:"time"`
	Version     int         `json:"flowLogVersion"`
	Category    string      `json:"category"`
	Target      string      `json:"targetResourceID"`
	Operation   string      `json:"operationName"`
	FlowRecords flowRecords `json:"flowRecords"`
}

type flowRecords struct {
	Flows []flows `json:"flows"`
}

type flows struct {
	ACL    string      `json:"aclID"` // the security group
	Groups []flowGroup `json:"flowGroups"`
}

type flowGroup struct {
	Rule   string   `json:"rule"` // of the security group
	Member string   `json:"member,omitempty"`
	Tuples []string `json:"flowTuples"`
}

const (
	flowEvent = "FlowLogFlowEvent"
	// unguarded is the aclID and the rule of a frontend without a security
	// group.
	unguarded = "unspecified"
	// unencrypted is what Azure writes of traffic that its network does not
	// encrypt.
	unencrypted = "NX"
)

// groupKey is what tuples of one flowGroup have in common.
type groupKey struct{ target, acl, rule, member string }

// pending are tuples that are not written yet.
type pending struct {
	groups map[groupKey][]string
	tuples int
}

func (p *pending) add(k groupKey, tuple string) {
	if p.groups == nil {
		p.groups = map[groupKey][]string{}
	}
	p.groups[k] = append(p.groups[k], tuple)
	p.tuples++
}

// take returns the records as lines, one for each rule, and how many.
func (p *pending) take() (lines []byte, n int) {
	keys := make([]groupKey, 0, len(p.groups))
	for k := range p.groups {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b groupKey) int {
		return strings.Compare(a.target+"\x00"+a.acl+"\x00"+a.rule+"\x00"+a.member, b.target+"\x00"+b.acl+"\x00"+b.rule+"\x00"+b.member)
	})
	for len(keys) > 0 {
		target := keys[0].target
		r := record{Time: time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"), Version: 4, Category: flowEvent, Target: target, Operation: flowEvent}
		for len(keys) > 0 && keys[0].target == target {
			r.add(keys[0], p.groups[keys[0]])
			keys = keys[1:]
		}
		line, err := json.Marshal(map[string][]record{"records": {r}})
		if err != nil {
			panic("flowlog: " + err.Error()) // strings and numbers: it cannot be
		}
		lines, n = append(append(lines, line...), '\n'), n+1
	}
	clear(p.groups)
	p.tuples = 0
	return lines, n
}

func (r *record) add(k groupKey, tuples []string) {
	all := &r.FlowRecords.Flows
	if n := len(*all); n == 0 || (*all)[n-1].ACL != k.acl {
		*all = append(*all, flows{ACL: k.acl})
	}
	last := &(*all)[len(*all)-1]
	last.Groups = append(last.Groups, flowGroup{Rule: k.rule, Member: k.member, Tuples: tuples})
}

// add enters a tuple of a flow that was let in.
func (l *Log) add(at time.Time, t l4.Tuple, r *l4.Rule, f *l4.Flow, state byte, n counts) {
	k := l.key(r, &t)
	k.member = f.Member.Name
	l.pending.add(k, tupleText(at, &t, state, n))
}

// addDenied enters a tuple of a flow that was not. Of one that a security
// group denied, the rule is the group's; of any other it is refused and why.
func (l *Log) addDenied(e event) {
	k := l.key(e.rule, &e.tuple)
	if e.why != l4.RefusedSecurity {
		k.rule = "refused_" + e.why.String()
	}
	l.pending.add(k, tupleText(e.at, &e.tuple, 'D', counts{}))
}

// key is the record and the group of a tuple.
func (l *Log) key(r *l4.Rule, t *l4.Tuple) groupKey {
	k := groupKey{target: "/rules/" + r.Name, acl: unguarded, rule: unguarded}
	if r.NAT {
		k.target = "/inboundNatRules/" + r.Name
	}
	if l.o.Guard != nil {
		if name, g := l.o.Guard(r.Frontend); g != nil {
			k.acl = name
			_, k.rule = g.Decide(t)
		}
	}
	return k
}

// tupleText is a tuple of version 4: milliseconds, addresses, ports, IANA
// protocol, direction, state, encryption, packets and bytes to the member and
// from it. Those of B and D are empty.
func tupleText(at time.Time, t *l4.Tuple, state byte, n counts) string {
	b := make([]byte, 0, 128)
	b = strconv.AppendInt(b, at.UnixMilli(), 10)
	b = append(t.Client.Addr().AppendTo(append(b, ',')), ',')
	b = append(t.Frontend.Addr().AppendTo(b), ',')
	b = append(strconv.AppendUint(b, uint64(t.Client.Port()), 10), ',')
	b = append(strconv.AppendUint(b, uint64(t.Frontend.Port()), 10), ',')
	b = append(strconv.AppendUint(b, uint64(t.Protocol), 10), ',', 'I', ',', state, ',')
	b = append(b, unencrypted...)
	if state == 'B' || state == 'D' {
		return string(append(b, ",,,,"...))
	}
	for _, x := range [...]uint64{n.sentPackets, n.sent, n.receivedPackets, n.received} {
		b = strconv.AppendUint(append(b, ','), x, 10)
	}
	return string(b)
}
