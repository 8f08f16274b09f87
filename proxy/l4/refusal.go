package l4

// Refusal is why a flow is not let in, or ends before it reached a member.
type Refusal uint8

// The refusals.
const (
	NotRefused        Refusal = iota
	RefusedSecurity           // by a security group
	RefusedFlows              // limits.flows of the rule, or the process's
	RefusedClient             // limits.flowsPerClient, or udpFlowsPerClient
	RefusedRate               // limits.flowRate
	RefusedClientRate         // limits.flowRatePerClient
	RefusedNoMember           // nobody is well
	RefusedConnect            // no member could be connected to
	RefusedSNI                // no route for the server name, or no TLS at all
	RefusedHeader             // the client sent nothing that could be routed in time
	RefusedPort               // of a rule for every port: the one that was asked cannot be answered from, or too many are
	RefusedGone               // the client has reset the connection while its member was being connected
	RefusedStopping           // the process ends
	refusals
)

var refusalNames = [refusals]string{"", "security", "flows", "client_flows", "rate", "client_rate", "no_member", "connect", "sni", "header", "port", "gone", "stopping"}

// String is the refusal as metrics and logs call it.
func (r Refusal) String() string { return refusalNames[r] }

// Refusals are all of them.
func Refusals() []Refusal {
	var list []Refusal
	for r := RefusedSecurity; r < refusals; r++ {
		list = append(list, r)
	}
	return list
}
