package waf

import (
	"bytes"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/waf/variables"
)

// TestNoLineIsLongerThanTheLogTakes logs a rule that has matched much, every
// byte of which is written in six.
func TestNoLineIsLongerThanTheLogTakes(t *testing.T) {
	const longest = 40 << 10 // of a line, in the log
	odd := strings.Repeat("\x01", 4*maxLogged)
	m := Match{RuleID: 942100, Message: odd, Data: odd}
	for range 100 {
		m.Values = append(m.Values, Value{Variable: odd, Text: odd})
	}
	e := &Event{Request: &variables.Request{Target: odd, Host: odd, Method: odd}, Matches: []Match{m}}
	lines := bytes.SplitAfter(e.AppendLines(nil, &config.LogScrubbing{}), []byte("\n"))
	if len(lines) != 3 || len(lines[2]) != 0 {
		t.Fatalf("%d lines, want that of the rule and that of the outcome", len(lines)-1)
	}
	for _, l := range lines {
		if len(l) > longest {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
	if !bytes.Contains(lines[0], []byte("matchVariableValue")) {
		t.Error("nothing of what was found is logged")
	}
}
