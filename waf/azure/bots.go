package azure

// bots11 tells bots by what they say and by where they come from.
func bots11() *Set {
	return acting("Microsoft_BotManagerRuleSet", "1.1", map[Action]group{
		Block: {name: "BadBots", pl1: "Bot100100 Bot100200 Bot100300"},
		Allow: {name: "GoodBots", pl1: "Bot200100 Bot200200 Bot200300 Bot200400 Bot200500 Bot200600 Bot200700"},
		Log:   {name: "UnknownBots", pl1: "Bot300100 Bot300200 Bot300300 Bot300400 Bot300500 Bot300600 Bot300700"},
	}, Block, Allow, Log)
}

// bots10 is its predecessor.
func bots10() *Set {
	return acting("Microsoft_BotManagerRuleSet", "1.0", map[Action]group{
		Block: {name: "BadBots", pl1: "Bot100100 Bot100200"},
		Allow: {name: "GoodBots", pl1: "Bot200100 Bot200200"},
		Log:   {name: "UnknownBots", pl1: "Bot300100 Bot300200 Bot300300 Bot300400 Bot300500 Bot300600 Bot300700"},
	}, Block, Allow, Log)
}

// ddos10 learns how much traffic is usual.
func ddos10() *Set {
	return acting("Microsoft_HTTPDDoSRuleSet", "1.0", map[Action]group{
		Block: {name: "ExcessiveRequests", pl1: "500100 501100"},
	}, Block)
}
