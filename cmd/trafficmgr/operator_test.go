package main

import (
	"fmt"
	"slices"
	"testing"

	"gatehouse/internal/daemon"
	"gatehouse/internal/testkit"
)

// Who compares two looks at the status sees what has changed and nothing else.
func TestStatusListsListenersInOrder(t *testing.T) {
	testkit.NoLeak(t)
	listen := ""
	for range 4 {
		listen += fmt.Sprintf("  - {address: %q}\n", testkit.FreeAddr(t))
	}
	s := start(t, "listen:\n"+listen+answers)
	if list := s.status(&daemon.Reloader{}).Listen; len(list) != 8 || !slices.IsSorted(list) {
		t.Errorf("%q", list)
	}
}
