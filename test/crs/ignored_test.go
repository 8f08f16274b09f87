package crs

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v4"
)

// ignored is ignored.yaml.
type ignored []ignoredGroup

// ignoredGroup is tests that are ignored for one reason.
type ignoredGroup struct {
	Reason string   `yaml:"reason"`
	Tests  []string `yaml:"tests"`
}

func readIgnored(t *testing.T) (list ignored) {
	t.Helper()
	data, err := os.ReadFile("ignored.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// tests are the names of all tests that are ignored.
func (i ignored) tests() map[string]bool {
	names := map[string]bool{}
	for _, g := range i {
		for _, name := range g.Tests {
			names[name] = true
		}
	}
	return names
}
