// Package lifecycle starts, reloads, upgrades, drains and stops the real binary under load, and counts: a request that is
// lost, refused or cut while the configuration or the process changes is a failure, and so is what a change leaves behind.
//
// The counting clients never retry. A connection may be closed under them only after a response that said so.
package lifecycle
