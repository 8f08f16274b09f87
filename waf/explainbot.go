package waf

import (
	"context"
	"fmt"

	"gatehouse/config"
)

// unverified is the verdict on a request that passes, or does not, by what a
// host name would say that nobody has looked up.
const unverified = "unverified"

// BotFinding is what the bot rules make of the client.
type BotFinding struct {
	RuleID string `json:"ruleId"`
	Name   string `json:"name"`  // what it says it is
	Class  string `json:"class"` // badBots, goodBots or unknownBots; while unverified, the one that it has until it is verified
	Action string `json:"action"`
	Reason string `json:"reason"`

	Unverified bool `json:"unverified,omitempty"` // a host name would have to be looked up
}

// explainBot notes what the bot rules make of the client.
func (t *Transaction) explainBot(x *Explanation, verify bool) {
	conf, bots := &t.p.conf.BotRules, t.p.classifier
	if !conf.Enabled || bots == nil {
		return
	}
	agent, _ := t.req.Header("user-agent")
	v := bots.Classify(agent, t.client.Addr.Addr())
	if v.Pending && verify {
		v = bots.Verify(context.Background(), agent, t.client.Addr.Addr())
	}
	if v.ID == "" {
		return
	}
	action := botAction(conf, v.Class)
	x.Bot = &BotFinding{RuleID: v.ID, Name: v.Name, Class: v.Class.String(), Action: action.String(), Reason: v.Reason, Unverified: v.Pending}
	switch {
	case v.Pending:
		x.Bot.Reason = fmt.Sprintf("not verified here: its host name would be looked up, and until then the answer is that of unknownBots (503 for block or jsChallenge); goodBots (%v) if the name is its operator's, else unknownBots (%v) or badBots (%v)",
			conf.Good, conf.Unknown, conf.Bad)
		if stops(conf.Good) || stops(conf.Unknown) || stops(conf.Bad) {
			x.decide(unverified, "bot "+v.ID+" ("+v.Name+") is not verified here")
		}
	case action == config.BotBlock:
		x.decide("block", "bot "+v.ID+": "+v.Reason)
	case action == config.BotJSChallenge:
		x.decide("challenge", "bot "+v.ID+": "+v.Reason)
	}
}

// stops reports whether what a bot asks for may not get through.
func stops(a config.BotAction) bool { return a == config.BotBlock || a == config.BotJSChallenge }
