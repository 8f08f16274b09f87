package secgroup

import (
	"fmt"
	"testing"

	"gatehouse/config"
)

func TestExplainSaysWhyRulesDidNotMatch(t *testing.T) {
	near := config.AddressMatch{Prefixes: prefixes("10.0.0.0/8")}
	low := []config.PortRange{{First: 1, Last: 9}}
	g := Compile(config.SecurityGroup{Rules: []config.SecurityRule{
		{Name: "e", Priority: 105, Source: anybody, Destination: anybody, DestinationPorts: low},
		{Name: "d", Priority: 104, Source: anybody, Destination: near},
		{Name: "c", Priority: 103, Source: anybody, Destination: anybody, SourcePorts: low},
		{Name: "b", Priority: 102, Source: near, Destination: anybody},
		{Name: "a", Priority: 101, Protocol: config.SecurityUDP, Source: anybody, Destination: anybody},
		{Name: "f", Priority: 106, Protocol: config.SecurityUDP, Source: near, Destination: near, SourcePorts: low, DestinationPorts: low},
		{Name: "g", Priority: 107, Allow: true, Protocol: config.SecurityTCP, Source: anybody, Destination: anybody},
	}}, nil)
	want := []string{"a: protocol", "b: source", "c: source port", "d: destination", "e: destination port",
		"f: protocol, source, source port, destination, destination port", "g: "}
	steps := g.Explain(packet("8.8.8.8:1000", "[::ffff:9.9.9.9]:443"))
	if len(steps) != len(want) {
		t.Fatalf("%d steps, want %d", len(steps), len(want))
	}
	for i, s := range steps {
		if got := s.Rule.Name + ": " + s.Miss.String(); got != want[i] || s.Omitted != 0 {
			t.Errorf("step %d: %q, %d omitted; want %q", i, got, s.Omitted, want[i])
		}
	}
}

func TestExplainIsBounded(t *testing.T) {
	for _, tt := range []struct{ rules, steps, omitted int }{
		{MaxSteps - 3, MaxSteps, 0}, // and the three default ones
		{MaxSteps - 2, MaxSteps, 1},
		{5000, MaxSteps, 5000 + 3 - MaxSteps},
	} {
		t.Run(fmt.Sprint(tt.rules), func(t *testing.T) {
			g := Compile(distinct(tt.rules, 1), nil)
			p := packet("8.8.8.8:1", "9.9.9.9:60000")
			steps := g.Explain(p)
			last := steps[len(steps)-1]
			if len(steps) != tt.steps || last.Omitted != tt.omitted || last.Rule != g.Decide(p).Rule || last.Miss != 0 {
				t.Errorf("%d steps, %d omitted, last %s; want %d, %d", len(steps), last.Omitted, last.Rule.Name, tt.steps, tt.omitted)
			}
			if steps[MaxSteps-2].Omitted != 0 || steps[0].Rule.Name != "r0" {
				t.Errorf("first %+v", steps[0])
			}
		})
	}
}
