package waf

import (
	"gatehouse/config"
	"gatehouse/waf/bot"
)

// bots asks what a client says it is, and does what the policy wants done
// with programs of that class (Azure: Microsoft_BotManagerRuleSet).
func (t *Transaction) bots() (d Decision, final bool) {
	conf := &t.p.conf.BotRules
	if !conf.Enabled || t.p.classifier == nil {
		return Decision{}, false
	}
	agent, _ := t.req.Header("user-agent")
	v := t.p.classifier.Classify(agent, t.client.Addr.Addr())
	status := t.p.blocked
	if v.Pending {
		status = 503 // soon it is known who it is: a genuine crawler comes back
	}
	switch action := botAction(conf, v.Class); {
	case v.ID == "" || action == config.BotAllow || action == config.BotOff:
		return Decision{}, false
	case action == config.BotLog:
		t.hits = append(t.hits, CustomMatch{Rule: v.ID, Action: "log", Why: []string{v.Name + ": " + v.Reason}})
		return Decision{}, false
	case action == config.BotJSChallenge && !v.Pending:
		return t.challenge(v.ID)
	default:
		t.hits = append(t.hits, CustomMatch{Rule: v.ID, Action: "block", Why: []string{v.Name + ": " + v.Reason}})
		t.event.Custom = v.ID
		d = t.block(status, Blocked, "bot "+v.ID+": "+v.Reason)
		return d, d.Action != Pass
	}
}

func botAction(c *config.BotRules, class bot.Class) config.BotAction {
	switch class {
	case bot.Bad:
		return c.Bad
	case bot.Good:
		return c.Good
	}
	return c.Unknown
}
