package firewall

import (
	"os/exec"
	"strings"
	"testing"
)

// check runs appgw check on a configuration.
func (g *gateway) check(config string) (ok bool, output string) {
	g.t.Helper()
	g.write("appgw.yaml", g.fill(config))
	cmd := exec.CommandContext(g.t.Context(), g.binary, "check", "-c", "appgw.yaml")
	cmd.Dir = g.dir
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

func TestCheck(t *testing.T) {
	g := prepare(t, nil)
	tests := []struct {
		name, policy string // the policy's keys, each line indented by four
		ok           bool
		want         []string // in the output
	}{
		{"good", "    mode: detection\n", true, nil},
		{"Azure's OWASP", "    ruleSet: {name: OWASP, version: \"3.2\"}\n", true, []string{"warning", "wafPolicies"}},
		{"Microsoft's", "    ruleSet: {name: Microsoft_DefaultRuleSet, version: \"2.1\"}\n", true, []string{"warning", "wafPolicies"}},
		{"challenge without a secret", "    customRules: [{name: a, priority: 1, match: [{variable: requestUri, operator: any}], action: jsChallenge}]\n", true, []string{"warning", "secretFile"}},
		{"unknown key", "    mode: detection\n    ruleset: {}\n", false, []string{"appgw.yaml:13:", "ruleset"}},
		{"bad mode", "    mode: prevent\n", false, []string{"appgw.yaml:12:", "prevention"}},
		{"bad expression", "    customRules:\n      - {name: a, priority: 1, match: [{variable: requestUri, operator: regex, values: [\"(\"]}], action: block}\n", false, []string{"appgw.yaml:13:", "values"}},
		{"priority twice", "    customRules:\n      - {name: a, priority: 1, match: [{variable: requestUri, operator: any}], action: block}\n      - {name: b, priority: 1, match: [{variable: requestUri, operator: any}], action: block}\n", false, []string{"appgw.yaml:14:", "priority"}},
		{"unknown rule", "    ruleSet:\n      overrides:\n        - {rule: 123456789, action: log}\n", false, []string{"123456789"}},
		{"missing page", "    blockResponse: {bodyFile: nowhere.html}\n", false, []string{"appgw.yaml:", "nowhere.html"}},
		{"challenge with a secret", "    jsChallenge: {secretFile: appgw.yaml}\n    customRules: [{name: a, priority: 1, match: [{variable: requestUri, operator: any}], action: jsChallenge}]\n", true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g.t = t
			ok, out := g.check(site + tt.policy)
			if ok != tt.ok {
				t.Errorf("accepted %v, want %v:\n%s", ok, tt.ok, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
			if tt.ok && len(tt.want) == 0 && strings.Contains(out, "warning") {
				t.Errorf("a warning:\n%s", out)
			}
		})
	}
	t.Run("unknown policy", func(t *testing.T) {
		g.t = t
		if ok, out := g.check(strings.Replace(site, "wafPolicy: shop", "wafPolicy: shoop", 1)); ok || !strings.Contains(out, "appgw.yaml:7:") || !strings.Contains(out, "shoop") {
			t.Errorf("%v:\n%s", ok, out)
		}
	})
}
