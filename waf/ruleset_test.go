package waf

import (
	"slices"
	"testing"

	"gatehouse/config"
	"gatehouse/waf/variables"
)

// TestTheRuleSetsOwnExclusionsApply sends the value of an advertiser's cookie,
// which the Core Rule Set keeps from some rules, and the same in another one.
func TestTheRuleSetsOwnExclusionsApply(t *testing.T) {
	const value = `[["AKsRol96Mxyk9FqhFojBc6fQqh-bo-s0VYkniISe0wOz3NRAr90HMsu ZQ81FJitWrfPRF09u-aYlhT0PMzLHW-cwgE2c_bmkaerz5Ht3N2y-Tseg5C_ngXVXK2eHiHVfBdx8iAtcRpqNdws_RZwZarM8E0ONvOztHg=="]]`
	off := config.RuleOverride{Rule: 942421, State: config.OverrideDisabled}
	for _, tc := range []struct {
		name, cookie string
		overrides    []config.RuleOverride
		want         []int
	}{
		{"its cookie", "FCNEC", nil, nil},
		{"another", "FCNEK", nil, []int{942370, 942420, 942421}},
		{"one of the rules is off", "FCNEK", []config.RuleOverride{off}, []int{942370, 942420}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			policy := testPolicy(4)
			policy.RuleSet.Overrides = tc.overrides
			j, err := newJudge(policy)
			if err != nil {
				t.Fatal(err)
			}
			defer j.release()
			r := request("GET", "/", "HTTP/1.1", []variables.Pair{{Name: "Cookie", Value: tc.cookie + "=" + value}}, "")
			jm := verdict(t, j, r)
			got := slices.DeleteFunc(jm.ids(), func(id int) bool { return id < 942000 || id > 942999 })
			if !slices.Equal(got, tc.want) {
				t.Errorf("rules %v, want %v", got, tc.want)
			}
		})
	}
}
