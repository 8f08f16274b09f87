// Package transparent connects to members from the client's own address
// (IP_TRANSPARENT), and checks what this takes of the machine.
//
// Three things must hold here, and one on the members:
//
//   - the process may do it: CAP_NET_ADMIN (CAP_NET_RAW would do too);
//   - answers of members, which are for addresses of others, are routed by a
//     table of their own: a rule, by the interface that they come in by or by a
//     mark that a firewall puts on them;
//   - that table has a local route, so that they are delivered here;
//   - the members' way to the client leads through this machine. Nothing here
//     can tell whether it does.
//
// docs/l4lb-transparent.md has the commands, which a test runs.
package transparent
