package config

import "time"

// The keys of custom rules.

func customRuleObject() object[CustomRule] {
	return object[CustomRule]{at: func(r *CustomRule, p Pos) { r.Pos = p }, fields: []field[CustomRule]{
		key("name", func(r *CustomRule) *string { return &r.Name }, name(), "For logs and metrics.").required(),
		key("priority", func(r *CustomRule) *int { return &r.Priority }, integer(1, 1000), "1 is looked at first; unique in the policy.").required(),
		key("enabled", func(r *CustomRule) *bool { return &r.Enabled }, boolean(), "Whether it is looked at.").or("true"),
		key("type", func(r *CustomRule) *CustomRuleType { return &r.Type }, wordsOf[CustomRuleType](), "match, or rateLimit: acts only on what is over rate.").or("match"),
		key("match", func(r *CustomRule) *[]MatchCondition { return &r.Match }, upTo(100, listOf(conditionObject().value(), 1)), "Conditions; all of them must hold.").required(),
		key("rate", func(r *CustomRule) *RateLimit { return &r.Rate }, rateObject().value(), "How many matching requests pass, with type: rateLimit."),
		key("action", func(r *CustomRule) *CustomAction { return &r.Action }, wordsOf[CustomAction](), "allow and block end the matter, managed rules included; log goes on; jsChallenge goes on with clients that have solved it.").required(),
	}}
}

func conditionObject() object[MatchCondition] {
	return object[MatchCondition]{at: func(m *MatchCondition, p Pos) { m.Pos = p }, fields: []field[MatchCondition]{
		key("variable", func(m *MatchCondition) *MatchVariable { return &m.Variable }, wordsOf[MatchVariable](), "What is looked at.").required(),
		key("selector", func(m *MatchCondition) *string { return &m.Selector }, selectorText(), "The name of an argument, a field or a cookie, of postArgs, requestHeaders and requestCookies; none: any of them."),
		key("operator", func(m *MatchCondition) *MatchOperator { return &m.Operator }, wordsOf[MatchOperator](), "How it is compared.").required(),
		key("negate", func(m *MatchCondition) *bool { return &m.Negate }, boolean(), "Turn it round: none of the values matches.").or("false"),
		key("values", func(m *MatchCondition) *[]string { return &m.Values }, valueList(0), "What it is compared with; one is enough. None with any."),
		key("transforms", func(m *MatchCondition) *[]Transform { return &m.Transforms }, upTo(20, listOf(wordsOf[Transform](), 0)), "Changes made before comparing, in this order."),
	}}
}

func rateObject() object[RateLimit] {
	return object[RateLimit]{fields: []field[RateLimit]{
		key("requests", func(r *RateLimit) *int { return &r.Requests }, integer(1, 1_000_000_000), "How many pass within the window.").required(),
		key("per", func(r *RateLimit) *time.Duration { return &r.Per }, duration(time.Second, day), "The window, which slides.").or("1m"),
		key("groupBy", func(r *RateLimit) *RateGroup { return &r.GroupBy }, wordsOf[RateGroup](), "What has a count of its own: a client's address (IPv6: its /64), an address in X-Forwarded-For, the country of either, or none: all count together.").or("clientAddr"),
	}}
}
