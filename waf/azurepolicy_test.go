package waf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/waf/azure"
)

// owasp32 is a rule set by the numbers of Azure's OWASP 3.2.
func owasp32(s *config.RuleSet) {
	s.Name, s.Version, s.Paranoia, s.DetectionParanoia = config.RuleSetAzureOWASP, "3.2", 2, 2
}

// A rule that the Core Rule Set has by another number is found by Azure's, in
// exclusions and in exceptions.
func TestAzureNumbersAreTranslated(t *testing.T) {
	oneGoroutine(t)
	const target = "/?q=/etc/passwd" // 932236 matches it, which stands for 932100
	j := judgeOf(t, owasp32)
	if got := judged(t, j, get(target)); !got.Blocked {
		t.Fatalf("without an exclusion: %s", got.String())
	}
	for name, change := range map[string]func(*config.RuleSet){
		"by numbers": func(s *config.RuleSet) {
			s.Exclusions = []config.Exclusion{{Variable: config.ExcludeArgValues, Operator: config.CompareEquals, Selector: "q", Rules: []int{932100, 932160, 930120}}}
		},
		"by groups": func(s *config.RuleSet) {
			s.Exclusions = []config.Exclusion{{Variable: config.ExcludeArgValues, Operator: config.CompareEquals, Selector: "q",
				Groups: []string{"REQUEST-932-APPLICATION-ATTACK-RCE", "REQUEST-930-APPLICATION-ATTACK-LFI"}}}
		},
	} {
		if got := judged(t, judgeOf(t, func(s *config.RuleSet) { owasp32(s); change(s) }), get(target)); got.Blocked {
			t.Errorf("%s: %s", name, got.String())
		}
	}
}

// moved is a rule of a set that the Core Rule Set has by another number only.
func moved(t *testing.T, set *azure.Set) (azureID int, ids []int) {
	t.Helper()
	for _, r := range set.Rules {
		n, err := strconv.Atoi(r.ID)
		if to, _, _ := set.CRS(r.ID); err == nil && r.Enabled && len(to) > 0 && !slices.Contains(to, n) {
			return n, to
		}
	}
	t.Fatal("no rule has moved")
	return 0, nil
}

func TestAzureNumbersNameTheRulesThatStandForThem(t *testing.T) {
	var s config.RuleSet
	owasp32(&s)
	azureID, ids := moved(t, azureSet(&s))
	s.Exceptions = []config.Exception{{Variable: config.ExceptRemoteAddr, Operator: config.CompareIPMatch,
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Rules: []int{azureID}}}
	var got []int
	for _, r := range newExceptions(&s)[0].rules {
		got = append(got, r.from)
	}
	if !slices.Equal(got, ids) {
		t.Errorf("an exception of %d is one of %v instead of %v", azureID, got, ids)
	}
	s.Exclusions = []config.Exclusion{{Variable: config.ExcludeArgValues, Operator: config.CompareEqualsAny, Rules: []int{azureID}}}
	var w ruleWriter
	w.exclusions(&s, nil)
	for _, id := range ids {
		if want := "SecRuleUpdateTargetById " + strconv.Itoa(id) + " "; !strings.Contains(w.b.String(), want) {
			t.Errorf("an exclusion of %d has no %q:\n%s", azureID, want, w.b.String())
		}
	}
}

// Every rule and group of every set can be excluded, also those that the
// policy does not have on.
func TestAllOfAnAzureSetCanBeExcluded(t *testing.T) {
	for _, set := range azure.Sets() {
		name, ok := map[string]config.RuleSetName{"OWASP": config.RuleSetAzureOWASP, "Microsoft_DefaultRuleSet": config.RuleSetMicrosoft}[set.Name]
		if !ok {
			continue
		}
		t.Run(set.Name+" "+set.Version, func(t *testing.T) {
			oneGoroutine(t)
			x := config.Exclusion{Variable: config.ExcludeArgValues, Operator: config.CompareEquals, Selector: "q"}
			for _, r := range set.Rules {
				if n, err := strconv.Atoi(r.ID); err == nil {
					x.Rules = append(x.Rules, n)
				}
				if !slices.Contains(x.Groups, r.Group) {
					x.Groups = append(x.Groups, r.Group)
				}
			}
			p, err := Compile(conf(func(c *config.WAFPolicy) {
				c.RuleSet.Name, c.RuleSet.Version, c.RuleSet.Exclusions = name, set.Version, []config.Exclusion{x}
			}), Options{})
			if err != nil {
				t.Fatal(err)
			}
			p.Close()
		})
	}
}

// A rule that is off can be named by an exclusion and by overrides.
func TestARuleThatIsOffCanBeNamed(t *testing.T) {
	oneGoroutine(t)
	j := judgeOf(t, func(s *config.RuleSet) {
		s.Exclusions = []config.Exclusion{{Variable: config.ExcludeArgValues, Operator: config.CompareEquals, Selector: "q", Rules: []int{942100}}}
		s.Overrides = []config.RuleOverride{{Rule: 942100, State: config.OverrideDisabled, Action: config.OverrideBlock}}
	})
	if got := judged(t, j, get(sqliQuery)); got.Blocked {
		t.Error(got.String())
	}
}

// State and action of an override both count.
func TestARuleIsEnabledToLogOrToBlock(t *testing.T) {
	oneGoroutine(t)
	for action, want := range map[config.OverrideAction]Judgement{
		config.OverrideLog:   {},
		config.OverrideBlock: {Blocked: true, RuleID: 920230, Score: 3},
	} {
		got := judged(t, judgeOf(t, func(s *config.RuleSet) {
			s.Overrides = []config.RuleOverride{{Rule: 920230, State: config.OverrideEnabled, Action: action}}
		}), get("/?q=%2525"))
		if !slices.Contains(got.ids(), 920230) || got.Blocked != want.Blocked || got.RuleID != want.RuleID || action == config.OverrideLog && got.Score != 0 {
			t.Errorf("%v: %s by %d", action, got.String(), got.RuleID)
		}
	}
}

// What a set has off stays off unless it is enabled: an action, or the default
// of another override, is no state.
func TestAnActionDoesNotEnable(t *testing.T) {
	var s config.RuleSet
	owasp32(&s)
	set := azureSet(&s)
	_, off := set.Split(nil)
	if len(off) == 0 {
		t.Fatal("nothing is off")
	}
	for _, action := range []config.OverrideAction{config.OverrideLog, config.OverrideBlock, config.OverrideAnomaly} {
		s.Overrides = []config.RuleOverride{{Rule: off[0], Action: action}}
		if !changesOf(&s)[off[0]].is(ruleOff) {
			t.Errorf("%v enables %d", action, off[0])
		}
	}
	s.Overrides = []config.RuleOverride{{Rule: off[0], State: config.OverrideEnabled}}
	if changesOf(&s)[off[0]].is(ruleOff) {
		t.Errorf("%d cannot be enabled", off[0])
	}
}
