// Package firewall looks at the web application firewall from outside: the real binary, raw sockets, and a backend that knows
// what has reached it.
package firewall
