package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// finishPolicy fills in the defaults that depend on another key.
func finishPolicy(w *WAFPolicy) {
	r := &w.RuleSet
	if r.Version == "" {
		r.Version = r.Name.versions()[0]
	}
	if r.Paranoia == 0 {
		r.Paranoia = r.usualParanoia()
	}
	if r.DetectionParanoia == 0 {
		r.DetectionParanoia = r.Paranoia
	}
}

// versions are those there are of a rule set, the newest first.
func (n RuleSetName) versions() []string {
	switch n {
	case RuleSetAzureOWASP:
		return []string{"3.2"}
	case RuleSetMicrosoft:
		return []string{"2.2", "2.1"}
	}
	return []string{"4.25"}
}

// usualParanoia is how far the rules go that Azure has on: it knows no level
// and ships two of its sets with those of the second.
func (r *RuleSet) usualParanoia() int {
	if r.Name == RuleSetAzureOWASP || r.Name == RuleSetMicrosoft && r.Version == "2.1" {
		return 2
	}
	return 1
}

// What Azure allows, in a policy or in one entry of it. More is possible
// here, and worth a warning: a policy may have to go back there.
const (
	azureCustomRules   = 100
	azureExclusions    = 200
	azureExceptions    = 60
	azurePrefixes      = 600
	azureExceptionText = 10
	azureTextLength    = 256
)

func (c *checker) checkPolicies() {
	c.refer(&c.policies, "wafPolicy", c.g.WAFPolicy)
	for i := range c.g.WAFPolicies {
		w, path := &c.g.WAFPolicies[i], fmt.Sprintf("wafPolicies[%d]", i)
		c.checkRuleSet(path+".ruleSet", &w.RuleSet)
		c.checkRequestBody(path+".requestBody", &w.RequestBody)
		c.checkBlockResponse(path+".blockResponse", w.BlockResponse)
		c.checkScrubbing(path+".logScrubbing", w.LogScrubbing.Rules)
		c.checkCustomRules(path, w)
		c.checkChallenges(path, w)
		if c.has(path+".verifySample") && w.Acceleration != AccelerationVerify {
			c.warnf(path+".verifySample", "has no effect without acceleration: verify")
		}
	}
}

// azureLimit warns of more than Azure takes.
func (c *checker) azureLimit(path, what string, n, most int) {
	if n > most {
		c.warnf(path, "%d %s; Azure allows %d", n, what, most)
	}
}

func (c *checker) checkRuleSet(path string, r *RuleSet) {
	if versions := r.Name.versions(); !slices.Contains(versions, r.Version) && !c.failed(path+".version") && !c.failed(path+".name") {
		c.errorf(path+".version", "there is no version %s of %s; use %s", r.Version, r.Name, strings.Join(versions, " or "))
	}
	if r.DetectionParanoia < r.Paranoia && !c.failed(path+".paranoia") {
		c.errorf(path+".detectionParanoia", "is below paranoia, which is %d; what counts is logged as well", r.Paranoia)
	}
	c.checkOverrides(path+".overrides", r.Overrides)
	for i := range r.Exclusions {
		c.checkExclusion(fmt.Sprintf("%s.exclusions[%d]", path, i), &r.Exclusions[i])
	}
	for i := range r.Exceptions {
		c.checkException(fmt.Sprintf("%s.exceptions[%d]", path, i), &r.Exceptions[i])
	}
	c.azureLimit(path+".exclusions", "exclusions", len(r.Exclusions), azureExclusions)
	c.azureLimit(path+".exceptions", "exceptions", len(r.Exceptions), azureExceptions)
}

func (c *checker) checkOverrides(path string, overrides []RuleOverride) {
	type target struct {
		rule  int
		group string
	}
	seen := map[target]int{}
	for i, o := range overrides {
		at := fmt.Sprintf("%s[%d]", path, i)
		if c.failed(at) || c.failed(at+".rule") || c.failed(at+".group") {
			continue
		}
		c.checkOverride(at, o)
		t := target{o.Rule, strings.ToLower(o.Group)}
		if first, ok := seen[t]; ok && t != (target{}) {
			c.errorf(at, "overrides the same as overrides[%d]; keep one", first)
			continue
		}
		seen[t] = i
	}
}

func (c *checker) checkOverride(path string, o RuleOverride) {
	silent := o.State == OverrideStateKept && o.Action == OverrideActionKept
	switch {
	case c.failed(path + ".state"), c.failed(path + ".action"):
	case o.Rule != 0 && o.Group != "":
		c.errorf(path, "has a rule and a group; keep one")
	case o.Rule == 0 && o.Group == "":
		c.errorf(path, "overrides nothing; add rule or group")
	case silent:
		c.errorf(path, "changes nothing; add state or action")
	case o.State == OverrideEnabled && o.Action == OverrideOff:
		c.errorf(path, "state: enabled and action: off contradict each other; keep one")
	case o.State == OverrideDisabled && o.Action != OverrideActionKept && o.Action != OverrideOff:
		c.warnf(path+".action", "has no effect with state: disabled")
	}
}

// checkExclusion also empties the selector * that Azure writes for equalsAny.
func (c *checker) checkExclusion(path string, e *Exclusion) {
	if e.Operator == CompareEqualsAny && e.Selector == "*" {
		e.Selector = ""
	}
	c.checkSelector(path, e.Operator, e.Selector)
}

// checkSelector checks that there is a name to compare with, unless any will do.
func (c *checker) checkSelector(path string, op Comparison, selector string) {
	switch {
	case c.failed(path), c.failed(path + ".operator"), c.failed(path + ".selector"):
	case op == CompareEqualsAny && selector != "":
		c.errorf(path+".selector", "equalsAny takes every name; remove the selector, or write operator: equals")
	case op != CompareEqualsAny && selector == "":
		c.errorf(path, "selector is missing; add a name, or write operator: equalsAny")
	}
}

// checkException also reads the addresses of an exception for some.
func (c *checker) checkException(path string, e *Exception) {
	if c.failed(path) || c.failed(path+".variable") || c.failed(path+".operator") {
		return
	}
	if e.Variable == ExceptRemoteAddr && !c.has(path+".operator") {
		e.Operator = CompareIPMatch
	}
	switch {
	case e.Variable == ExceptRemoteAddr && e.Operator != CompareIPMatch:
		c.errorf(path+".operator", "remoteAddr is an address; write ipMatch")
	case e.Variable != ExceptRemoteAddr && e.Operator == CompareIPMatch:
		c.errorf(path+".operator", "ipMatch compares addresses; only remoteAddr is one")
	case e.Operator == CompareIPMatch:
		e.Prefixes = c.prefixes(path+".values", e.Values)
		c.azureLimit(path+".values", "addresses", len(e.Values), azurePrefixes)
	default:
		c.refuseEmpty(path+".values", e.Values)
		c.refuseControls(path+".values", e.Values)
		c.azureLimit(path+".values", "values", len(e.Values), azureExceptionText)
	}
	switch {
	case c.failed(path + ".selector"):
	case e.Variable == ExceptHeader && e.Selector == "":
		c.errorf(path, "selector is missing; add the name of a field")
	case e.Variable != ExceptHeader && e.Selector != "":
		c.errorf(path+".selector", "only requestHeader has one; remove it")
	}
}

// refuseEmpty refuses the empty text where it would be in everything, and an
// exception or a rule by mistake for all.
func (c *checker) refuseEmpty(path string, values []string) {
	for i, v := range values {
		if at := fmt.Sprintf("%s[%d]", path, i); v == "" && !c.failed(at) {
			c.errorf(at, "must not be empty: that is in every text")
		}
	}
}

// refuseControls refuses what no target and no field can have: these values
// are written into the rules, a line each.
func (c *checker) refuseControls(path string, values []string) {
	for i, v := range values {
		if strings.ContainsFunc(v, isControl) {
			c.errorf(fmt.Sprintf("%s[%d]", path, i), "must not have control characters")
		}
	}
}

// prefixes reads addresses and prefixes; those that are none are reported.
func (c *checker) prefixes(path string, values []string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(values))
	for i, v := range values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if c.failed(at) || c.full() {
			continue
		}
		p, err := parsePrefix(v)
		if err != nil {
			c.errorf(at, "%s", err)
			continue
		}
		out = append(out, p)
	}
	return out
}

// checkRequestBody also lowers a limit of inspection that nobody wrote to a
// smaller size of bodies.
func (c *checker) checkRequestBody(path string, b *RequestBody) {
	if !b.Enforce || b.InspectLimit <= b.MaxSize || c.failed(path) || c.failed(path+".maxSize") {
		return
	}
	if c.has(path + ".inspectLimit") {
		c.errorf(path+".inspectLimit", "is more than maxSize, %s, and no body is; lower it, or raise maxSize", sizeText(b.MaxSize))
		return
	}
	b.InspectLimit = b.MaxSize
}

func (c *checker) checkBlockResponse(path string, b BlockResponse) {
	hasBody := b.Body != "" || b.BodyFile != ""
	switch {
	case c.failed(path), c.failed(path + ".body"), c.failed(path + ".bodyFile"):
	case b.Body != "" && b.BodyFile != "":
		c.errorf(path, "has a body and a bodyFile; keep one")
	case hasBody && (b.Status == 204 || b.Status == 205 || b.Status == 304):
		c.errorf(path+".status", "an answer with status %d has no body; use another, or remove the body", b.Status)
	case !hasBody && c.has(path+".contentType"):
		c.warnf(path+".contentType", "has no effect without body or bodyFile")
	}
}

// checkScrubbing also writes out the operator of addresses: they have no name.
func (c *checker) checkScrubbing(path string, rules []ScrubRule) {
	for i := range rules {
		s, at := &rules[i], fmt.Sprintf("%s.rules[%d]", path, i)
		if s.Variable == ScrubClientIP && !c.has(at+".operator") {
			s.Operator = CompareEqualsAny
		}
		if s.Operator == CompareEqualsAny && s.Selector == "*" {
			s.Selector = ""
		}
		if s.Variable == ScrubClientIP && s.Operator == CompareEquals && !c.failed(at+".operator") {
			c.errorf(at+".operator", "an address has no name; write equalsAny")
			continue
		}
		if !c.failed(at + ".variable") {
			c.checkSelector(at, s.Operator, s.Selector)
		}
	}
}

// checkChallenges warns where solutions will not outlive the process.
func (c *checker) checkChallenges(path string, w *WAFPolicy) {
	challenges := w.BotRules.Enabled && (w.BotRules.Bad == BotJSChallenge || w.BotRules.Good == BotJSChallenge || w.BotRules.Unknown == BotJSChallenge)
	for _, r := range w.CustomRules {
		challenges = challenges || r.Enabled && r.Action == CustomJSChallenge
	}
	if challenges && w.JSChallenge.SecretFile == "" && !c.has(path+".jsChallenge.secretFile") {
		c.warnf(path, "without jsChallenge.secretFile several instances will not agree, and a restart challenges every client anew")
	}
}
