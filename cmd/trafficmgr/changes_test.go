package main

import (
	"fmt"
	"testing"

	"gatehouse/dnslb"
	"gatehouse/internal/testkit"
)

// What an old watch has noted when its configuration goes is about endpoints
// whose numbers mean others now, or nothing.
func TestNotesOfOldWatchesChangeNothing(t *testing.T) {
	testkit.NoLeak(t)
	listen := fmt.Sprintf("listen: [{address: %q}]\n", testkit.FreeAddr(t))
	s := start(t, listen+answers+second)
	old := s.running()
	s.changes.endpoint(old, 1) // before the reload, and not looked at yet
	s.reload(listen + answers)
	s.changes.endpoint(old, 0)
	s.changes.endpoint(old, 1) // and after it
	before := s.authority.Snapshot()
	s.changes.apply()
	r := s.running()
	if after := s.authority.Snapshot(); after.Director() != r.director || after.State(r.director.Endpoints[0]) != before.State(r.director.Endpoints[0]) {
		t.Errorf("state %v, before %v", after.State(r.director.Endpoints[0]), before.State(r.director.Endpoints[0]))
	}
}

// A note of the configuration in use is not lost to those of an old one.
func TestNotesOfBothConfigurations(t *testing.T) {
	testkit.NoLeak(t)
	listen := fmt.Sprintf("listen: [{address: %q}]\n", testkit.FreeAddr(t))
	s := start(t, listen+answers+second)
	old := s.running()
	s.reload(listen + answers)
	if err := s.turn("www/one", dnslb.SwitchedOff); err != nil {
		t.Fatal(err)
	}
	s.changes.endpoint(old, 1)
	s.changes.apply()
	if state := s.authority.Snapshot().State(s.running().director.Endpoints[0]); state != dnslb.Disabled {
		t.Errorf("the endpoint is %v after it was switched off", state)
	}
}
