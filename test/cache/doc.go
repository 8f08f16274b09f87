// Package cache asks the real appgw, built with the race detector, about its
// response cache: what clients get, what the operator sees and does, and what
// reloads leave.
package cache
