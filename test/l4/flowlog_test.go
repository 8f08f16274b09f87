package l4

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// logged is a line of the flow log, as far as it matters here.
type logged struct {
	Records []struct {
		FlowLogVersion   int
		TargetResourceID string
		FlowRecords      struct {
			Flows []struct {
				ACLID      string
				FlowGroups []struct {
					Rule, Member string
					FlowTuples   []string
				}
			}
		}
	}
}

// tuples reads a flow log: the rule that was met, that of the security group,
// the member, and the fields of the tuple.
func tuples(t *testing.T, file string) (list [][]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var x logged
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, r := range x.Records {
			if r.FlowLogVersion != 4 {
				t.Errorf("version %d", r.FlowLogVersion)
			}
			for _, f := range r.FlowRecords.Flows {
				for _, g := range f.FlowGroups {
					for _, tuple := range g.FlowTuples {
						where := strings.TrimSpace(strings.Join([]string{r.TargetResourceID, f.ACLID, g.Rule, g.Member}, " "))
						list = append(list, slices.Concat([]string{where}, strings.Split(tuple, ",")))
					}
				}
			}
		}
	}
	return list
}

// The flow log has the begin of a connection, that it goes on, its end and
// what it carried, and what was denied.
func TestFlowLog(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	file := filepath.Join(t.TempDir(), "flows.json")
	start(t, l.guarded("true", "")+fmt.Sprintf("flowLog: {output: %s, interval: 1s}\n", file))
	s, err := dialFrom("127.0.0.5", l.door())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.echo("hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := dialFrom("127.0.0.9", l.door()); err == nil {
		t.Error("the scanner is let in")
	}
	const allowed, denied = "/rules/stream edge office a", "/rules/stream edge no-scanner"
	// found are the tuples of a state, from the client to the lab's door.
	found := func(where, client, state string) (list [][]string) {
		for _, x := range tuples(t, file) {
			if x[0] == where && x[2] == client && x[3] == l.front && x[5] == strconv.Itoa(l.port) && x[6] == "6" && x[7] == "I" && x[8] == state && x[9] == "NX" {
				list = append(list, x)
			}
		}
		return list
	}
	wait := func(where, client, state string) {
		t.Helper()
		testkit.Eventually(t, soon, state+" of "+where, func() bool { return len(found(where, client, state)) > 0 })
	}
	wait(allowed, "127.0.0.5", "B")
	wait(denied, "127.0.0.9", "D")
	wait(allowed, "127.0.0.5", "C")
	s.Close()
	wait(allowed, "127.0.0.5", "E")
	sent, received := 0, 0 // each C and E has what is new
	for _, x := range slices.Concat(found(allowed, "127.0.0.5", "C"), found(allowed, "127.0.0.5", "E")) {
		out, _ := strconv.Atoi(x[11])
		in, _ := strconv.Atoi(x[13])
		sent, received = sent+out, received+in
	}
	if sent != len("hello\n") || received != len("a\nhello\n") {
		t.Errorf("%d bytes sent and %d received: %v", sent, received, tuples(t, file))
	}
	if n := len(found(allowed, "127.0.0.5", "B")) + len(found(allowed, "127.0.0.5", "E")) + len(found(denied, "127.0.0.9", "D")); n != 3 {
		t.Errorf("%d tuples of B, E and D: %v", n, tuples(t, file))
	}
}
