// Package hygiene keeps the rules of this repository as tests: who may import what, how long a function may be, what needs a
// comment, and that every example, configuration and command in the documentation works.
package hygiene
