package waf

import (
	"gatehouse/config"
	"gatehouse/waf/custom"
)

// customRule is a custom rule of a configuration as package custom has it.
func customRule(c *config.CustomRule) custom.Rule {
	r := custom.Rule{Name: c.Name, Priority: c.Priority, Disabled: !c.Enabled, RateLimit: c.Type == config.RateLimitRule, Action: customActions[c.Action]}
	for i := range c.Match {
		m := &c.Match[i]
		r.Conditions = append(r.Conditions, custom.Condition{
			Variables: []custom.Source{{Variable: customVariables[m.Variable], Selector: m.Selector}},
			Operator:  customOperators[m.Operator], Negate: m.Negate, Values: m.Values, Transforms: customTransforms(m.Transforms),
		})
	}
	return r
}

func customTransforms(list []config.Transform) (out []custom.Transform) {
	for _, t := range list {
		out = append(out, transforms[t])
	}
	return out
}

// The words of the configuration as package custom has them.
var (
	customActions = map[config.CustomAction]custom.Action{config.CustomAllow: custom.Allow, config.CustomBlock: custom.Block,
		config.CustomLog: custom.Log, config.CustomJSChallenge: custom.JSChallenge}
	customVariables = map[config.MatchVariable]custom.Variable{config.MatchRemoteAddr: custom.RemoteAddr, config.MatchSocketAddr: custom.SocketAddr,
		config.MatchMethod: custom.RequestMethod, config.MatchQueryString: custom.QueryString, config.MatchPostArgs: custom.PostArgs,
		config.MatchURI: custom.RequestURI, config.MatchHeaders: custom.RequestHeaders, config.MatchBody: custom.RequestBody, config.MatchCookies: custom.RequestCookies}
	customOperators = map[config.MatchOperator]custom.Operator{config.OperatorIPMatch: custom.IPMatch, config.OperatorGeoMatch: custom.GeoMatch,
		config.OperatorAny: custom.Any, config.OperatorEqual: custom.Equal, config.OperatorContains: custom.Contains,
		config.OperatorLessThan: custom.LessThan, config.OperatorLessThanOrEqual: custom.LessThanOrEqual, config.OperatorGreaterThan: custom.GreaterThan,
		config.OperatorGreaterThanOrEqual: custom.GreaterThanOrEqual, config.OperatorBeginsWith: custom.BeginsWith, config.OperatorEndsWith: custom.EndsWith,
		config.OperatorRegex: custom.Regex}
	transforms = map[config.Transform]custom.Transform{config.TransformLowercase: custom.Lowercase, config.TransformUppercase: custom.Uppercase,
		config.TransformTrim: custom.Trim, config.TransformURLDecode: custom.URLDecode, config.TransformURLEncode: custom.URLEncode,
		config.TransformRemoveNulls: custom.RemoveNulls, config.TransformHTMLEntityDecode: custom.HTMLEntityDecode}
)
