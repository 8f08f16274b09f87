// Package examples is only tests: each directory of examples/ served by the real binary, with backends on the ports that it
// names, and asked for what it promises.
package examples
