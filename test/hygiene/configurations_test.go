package hygiene

import (
	"errors"
	"path"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"gatehouse/config"
)

func TestConfigurationsInDocumentsAreAccepted(t *testing.T) {
	checked := 0
	for _, b := range allBlocks(t) {
		if b.lang != "yaml" || b.file() != "" && !isConfiguration(b.file(), b.text) {
			continue
		}
		checked++
		if problem := configurationProblem(b.doc, b.text, b.info); problem != "" {
			t.Errorf("%s: %s", b, problem)
		}
	}
	t.Logf("%d blocks of configuration", checked)
}

// TestExampleFilesAreAccepted covers examples/ and deploy/: what people copy must work.
func TestExampleFilesAreAccepted(t *testing.T) {
	checked := 0
	for _, name := range files(t) {
		ext := path.Ext(name)
		if !strings.HasPrefix(name, "examples/") && !strings.HasPrefix(name, "deploy/") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		checked++
		kind := ""
		if !isConfiguration(name, string(read(t, name))) {
			kind = "other"
		}
		if problem := configurationProblem(name, string(read(t, name)), kind); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
	t.Logf("%d files", checked)
}

// isConfiguration tells our configurations from other YAML, such as a compose file: by the name compose.yaml, or for
// Kubernetes by the key that each of its objects has.
func isConfiguration(name, text string) bool {
	name = path.Base(name)
	return !strings.Contains(name, "compose") && !strings.Contains("\n"+text, "\napiVersion:") && strings.HasSuffix(name, ".yaml")
}

// configurationProblem says what is wrong with a piece of YAML of that kind (see block), or "".
func configurationProblem(file, text, kind string) string {
	if kind == "other" {
		var any any
		if err := yaml.Unmarshal([]byte(text), &any); err != nil {
			return err.Error()
		}
		return ""
	}
	warnings, err := parse(file, text)
	if kind == "fragment" {
		return strings.Join(apartFromNames(err), "\n")
	}
	if err != nil {
		return err.Error()
	}
	if len(warnings) > 0 {
		return "accepted with a warning: " + warnings[0].String()
	}
	return ""
}

// parse reads a configuration of the binary whose keys it has.
func parse(file, text string) (config.Warnings, error) {
	switch {
	case strings.Contains(path.Base(file), "trafficmgr") || directorKeys.MatchString(text):
		_, warnings, err := config.ParseTrafficManager(file, []byte(text))
		return warnings, err
	case strings.Contains(path.Base(file), "l4lb") || balancerKeys.MatchString(text):
		_, warnings, err := config.ParseLoadBalancer(file, []byte(text))
		return warnings, err
	}
	_, warnings, err := config.ParseGateway(file, []byte(text))
	return warnings, err
}

// directorKeys are those that only trafficmgr.yaml has at its top, balancerKeys those of l4lb.yaml.
var (
	directorKeys = regexp.MustCompile(`(?m)^(zones|profiles|listen|tsig):`)
	balancerKeys = regexp.MustCompile(`(?m)^(frontends|inboundNatRules|securityGroups|addressGroups|flowLog):`)
)

// apartFromNames drops the errors about names that another part of the configuration would define.
func apartFromNames(err error) (rest []string) {
	var all config.Errors
	if err == nil {
		return nil
	}
	if !errors.As(err, &all) {
		return []string{err.Error()}
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Message, "there is no ") {
			rest = append(rest, e.Error())
		}
	}
	return rest
}

func TestBadConfigurationsAreNoticed(t *testing.T) {
	tests := []struct {
		name, text, kind string
		want             bool // a problem
	}{
		{"unknown key", "listenrs: []\n", "", true},
		{"unknown key in a fragment", "listenrs: []\n", "fragment", true},
		{"missing name", "rules: [{name: a, listener: b, backendPool: c, backendSettings: d}]\n", "", true},
		{"missing name in a fragment", "rules: [{name: a, listener: b, backendPool: c, backendSettings: d}]\n", "fragment", false},
		{"other", "services: {a: 1}\n", "other", false},
		{"other, broken", "services: {a: 1\n", "other", true},
		{"no YAML", "a: [\n", "", true},
		{"traffic manager", "zones: [{name: a, file: b}]\nprofiles: [{name: w, zone: a, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}]}]\n", "", false},
		{"unknown key of a traffic manager", "zones: []\nprofils: []\n", "", true},
		{"load balancer", "frontends: [{name: a, address: 10.0.0.1}]\nbackendPools: [{name: b, members: [10.0.0.4]}]\nrules: [{name: c, frontend: a, protocol: tcp, frontendPort: 1, backendPool: b}]\n", "", false},
		{"fragment of a load balancer", "inboundNatRules: [{name: c, frontend: a, protocol: tcp, frontendPort: 1, backendPool: b}]\n", "fragment", false},
		{"unknown key of a load balancer", "frontends: []\nrulez: []\n", "fragment", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := configurationProblem("f.yaml", tt.text, tt.kind); (got != "") != tt.want {
				t.Errorf("problem %q", got)
			}
		})
	}
}

func TestConfigurationsAreReadByTheBinaryOfTheirFile(t *testing.T) {
	const text = "rules: [{name: a, frontend: b, protocol: tcp, frontendPort: 1, backendPool: c}]\n"
	for file, want := range map[string]bool{"docs/l4lb-configuration.md": true, "l4lb.yaml": true, "docs/configuration.md": false, "trafficmgr.yaml": false} {
		if problem := configurationProblem(file, text, "fragment"); (problem == "") != want {
			t.Errorf("%s: %q", file, problem)
		}
	}
}
