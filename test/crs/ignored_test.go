package crs

import (
	"os"
	"slices"
	"testing"

	"go.yaml.in/yaml/v4"
)

// ignored is ignored.yaml.
type ignored struct {
	Refused []ignoredGroup `yaml:"refused"`
	Scored  []ignoredGroup `yaml:"scored"`
}

// ignoredGroup is tests that are ignored for one reason.
type ignoredGroup struct {
	Status int      `yaml:"status"` // what the gateway answers
	Reason string   `yaml:"reason"`
	Tests  []string `yaml:"tests"`
}

func readIgnored(t *testing.T) *ignored {
	t.Helper()
	data, err := os.ReadFile("ignored.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list ignored
	if err := yaml.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return &list
}

// groups are all groups.
func (i *ignored) groups() []ignoredGroup { return slices.Concat(i.Refused, i.Scored) }

// tests are the names of all tests that are ignored.
func (i *ignored) tests() map[string]bool {
	names := map[string]bool{}
	for _, g := range i.groups() {
		for _, name := range g.Tests {
			names[name] = true
		}
	}
	return names
}
