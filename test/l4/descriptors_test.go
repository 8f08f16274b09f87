package l4

import (
	"net"
	"testing"

	"gatehouse/internal/testkit"
)

// Clients that take all the descriptors there are for flows take none of
// probes, of the operator and of reloads.
func TestClientsLeaveDescriptorsToOthers(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	b := prepare(t)
	b.files = 200
	b.write(l.fill(ordinary))
	b.run("run", "-c", b.file)
	b.becomes(l.members[0], "up")
	s := open(t, l.door())
	for range 300 {
		c, err := net.Dial("udp", l.door())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, soon, "refusals", func() bool { return b.metric(`gatehouse_l4_refused_total{reason="flows",rule="datagram"}`) > 0 })
	if s, err := dial(l.door()); err == nil {
		s.Close()
		t.Error("there is room for one more")
	}
	if n := b.metric(`process_open_fds`); n > 180 {
		t.Errorf("%v of 200 descriptors are open", n)
	}
	if status, text := b.reload(); status != 200 {
		t.Errorf("reload: %d %s", status, text)
	}
	probed := b.page("/backends")
	testkit.Eventually(t, soon, "the next probe", func() bool { return b.page("/backends") != probed })
	b.becomes(l.members[0], "up")
	if err := s.echo("still here"); err != nil {
		t.Error(err)
	}
}
