package transparent

import "golang.org/x/sys/unix"

// Attributes of rules, by linux/fib_rules.h.
const (
	fraIIFName  = 3
	fraPriority = 6
	fraFWMark   = 10
)

const (
	ruleToTable  = 1      // FR_ACT_TO_TBL
	ruleInverted = 1 << 1 // FIB_RULE_INVERT
	// mainPriority is that of the rule for the main table, behind which
	// another says nothing where there is a default route.
	mainPriority = 32766
)

// rule is a policy routing rule: what is looked up in which table.
type rule struct {
	table    uint32
	priority uint32
	device   string // that packets come in by; empty: any
	mark     uint32
	action   uint8
	flags    uint32
}

// rules are those of a family, in their order.
func (k *kernel) rules(family uint8) (list []rule, err error) {
	err = k.ask(&message{family: family}, unix.RTM_GETRULE, unix.NLM_F_DUMP, func(m *message) {
		r := rule{table: m.tableOf(), device: m.text(fraIIFName), action: m.kind, flags: m.flags}
		r.priority, _ = m.number(fraPriority)
		r.mark, _ = m.number(fraFWMark)
		list = append(list, r)
	})
	return list, err
}

// leads tells whether a rule is there for answers that come in by an
// interface: it names the interface, or a mark, which is taken to be put on
// them.
func (r *rule) leads(device string) bool {
	if r.action != ruleToTable || r.flags&ruleInverted != 0 || r.priority >= mainPriority {
		return false
	}
	return r.device == device || r.device == "" && r.mark != 0
}
