// Package operator is only tests: what the real binary tells the people who run it, in its access log, its metrics, its own
// log and at its admin address, held against traffic of which everything is known.
package operator
