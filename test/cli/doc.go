// Package cli is only tests: every command and flag of appgw, as a person at a shell would use them, on the real binary.
package cli
