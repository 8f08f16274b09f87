package config

import (
	"os"
	"testing"
)

func readBalancerDoc(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../docs/l4lb-configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryBalancerKeyIsDocumentedWithItsDefault(t *testing.T) {
	compareDoc(t, readBalancerDoc(t), sections(balancerSchema(t), "", "%s"))
}

func TestExamplesOfTheBalancersDocumentation(t *testing.T) {
	testExamples(t, readBalancerDoc(t), balancerSchema(t), ParseLoadBalancer)
}
