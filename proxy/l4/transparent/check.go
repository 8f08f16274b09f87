package transparent

import (
	"fmt"
	"net/netip"
	"slices"
)

// Problem is why connections from the client's address would fail.
type Problem struct {
	What string
	Mend string // the command that would; empty: none does
}

// String is what is wrong and what to try.
func (p Problem) String() string {
	if p.Mend == "" {
		return p.What
	}
	return p.What + "; try: " + p.Mend
}

// Table is the routing table of the commands that Check proposes.
const Table = 100

// Check looks for what keeps answers of members from coming back, in the
// network namespace of the calling thread. It asks the kernel about the way
// to each member, and changes nothing. That members route back through here
// it cannot see.
func Check(members []netip.Addr) []Problem {
	var problems []Problem
	if err := allowed(); err != nil {
		problems = append(problems, Problem{fmt.Sprintf("the process may not connect from other addresses: %v", err),
			"setcap cap_net_bind_service,cap_net_admin+ep $(command -v l4lb)"})
	}
	for _, f := range families {
		problems = append(problems, f.check(members)...)
	}
	return problems
}

func (f *family) check(members []netip.Addr) []Problem {
	members = slices.DeleteFunc(slices.Clone(members), func(a netip.Addr) bool { return a.Is4() != f.is4 })
	if len(members) == 0 {
		return nil
	}
	k, err := openKernel()
	if err != nil {
		return []Problem{{What: fmt.Sprintf("netlink: %v", err)}}
	}
	defer k.close()
	c := checker{family: f, kernel: k, tables: map[uint32]bool{}, seen: map[string]bool{}}
	if c.rules, err = k.rules(f.number); err != nil {
		return []Problem{{What: fmt.Sprintf("rules of %s: %v", f.name, err)}}
	}
	for _, m := range members {
		c.member(m)
	}
	return c.problems
}

// family is IPv4 or IPv6, with what commands have for it.
type family struct {
	name, ip, all string
	number        uint8
	is4           bool
}

var families = []*family{
	{name: "IPv4", ip: "ip", all: "0.0.0.0/0", number: 2, is4: true},
	{name: "IPv6", ip: "ip -6", all: "::/0", number: 10},
}

// checker collects the problems of one family.
type checker struct {
	*family
	kernel   *kernel
	rules    []rule
	tables   map[uint32]bool // those asked about: whether they have a local route
	seen     map[string]bool // interfaces
	problems []Problem
}

func (c *checker) add(mend, format string, args ...any) {
	c.problems = append(c.problems, Problem{fmt.Sprintf(format, args...), mend})
}

func (c *checker) member(m netip.Addr) {
	device, err := c.kernel.deviceTo(m)
	switch {
	case err != nil:
		c.add("", "there is no route to member %s: %v", m, err)
	case device == "lo":
		c.add("", "member %s is on this machine: its answers to clients do not come back; use proxyProtocol", m)
	case !c.seen[device]:
		c.seen[device] = true
		c.device(device)
	}
}

// device checks what becomes of answers that come in by an interface.
func (c *checker) device(name string) {
	table := uint32(0) // of a rule for this, without a local route
	for _, r := range c.rules {
		if !r.leads(name) {
			continue
		}
		ok, err := c.hasLocalRoute(r.table)
		switch {
		case err != nil:
			c.add("", "routes of table %d: %v", r.table, err)
			return
		case ok:
			return
		case r.device == name || r.table == Table: // else it may be there for something else
			table = r.table
		}
	}
	if table == 0 {
		table = Table
		c.add(fmt.Sprintf("%s rule add iif %s lookup %d", c.ip, name, table),
			"no %s rule has answers that come in by %s looked up in a table with a local route, neither by the interface nor by a mark", c.name, name)
	}
	if ok, err := c.hasLocalRoute(table); !ok && err == nil {
		c.addRoute(table)
	}
}

// addRoute says that a table has no local route, once.
func (c *checker) addRoute(table uint32) {
	p := Problem{fmt.Sprintf("table %d has no local %s route, so that answers from members would be forwarded or dropped", table, c.name),
		fmt.Sprintf("%s route add local %s dev lo table %d", c.ip, c.all, table)}
	if !slices.Contains(c.problems, p) {
		c.problems = append(c.problems, p)
	}
}

func (c *checker) hasLocalRoute(table uint32) (bool, error) {
	if ok, known := c.tables[table]; known {
		return ok, nil
	}
	ok, err := c.kernel.hasLocalRoute(c.number, table)
	if err == nil {
		c.tables[table] = ok
	}
	return ok, err
}
