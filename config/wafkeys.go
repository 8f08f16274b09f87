package config

import "time"

// The keys of web application firewall policies, apart from their custom
// rules (customrulekeys.go).

func geoObject() object[Geo] {
	return object[Geo]{fields: []field[Geo]{
		key("database", func(g *Geo) *string { return &g.Database }, geoDatabase(), "builtin, or a MaxMind-format file of countries or cities, which is used anew when it changes.").or("builtin"),
	}}
}

func wafLogObject() object[WAFLog] {
	return object[WAFLog]{fields: []field[WAFLog]{
		key("output", func(l *WAFLog) *string { return &l.Output }, logOutput(), "stdout, stderr, or a file, which is reopened on SIGUSR1.").or("stdout"),
	}}
}

func wafPolicyObject() object[WAFPolicy] {
	state := oneOf(choice[bool]{word: "enabled", v: true}, choice[bool]{word: "disabled", v: false})
	return object[WAFPolicy]{at: func(w *WAFPolicy, p Pos) { w.Pos = p }, fields: []field[WAFPolicy]{
		key("name", func(w *WAFPolicy) *string { return &w.Name }, name(), "What the gateway, listeners and path rules call it.").required(),
		key("state", func(w *WAFPolicy) *bool { return &w.Enabled }, state, "disabled switches the firewall off where the policy applies.").or("enabled"),
		key("mode", func(w *WAFPolicy) *WAFMode { return &w.Mode }, wordsOf[WAFMode](), "prevention blocks; detection only logs what prevention would do.").or("prevention"),
		key("ruleSet", func(w *WAFPolicy) *RuleSet { return &w.RuleSet }, ruleSetObject().value(), "The managed rules.").or("{}"),
		key("botRules", func(w *WAFPolicy) *BotRules { return &w.BotRules }, botRulesObject().value(), "What becomes of clients that are programs.").or("{}"),
		key("requestBody", func(w *WAFPolicy) *RequestBody { return &w.RequestBody }, requestBodyObject().value(), "How much of a request's body is inspected and accepted.").or("{}"),
		key("contentEncoding", func(w *WAFPolicy) *ContentEncoding { return &w.ContentEncoding }, wordsOf[ContentEncoding](), "Compressed request bodies: decode (rules see the content) or refuse (415).").or("decode"),
		key("responseBody", func(w *WAFPolicy) *ResponseBody { return &w.ResponseBody }, responseBodyObject().value(), "Whether responses are inspected.").or("{}"),
		key("onEngineError", func(w *WAFPolicy) *EngineErrors { return &w.OnEngineError }, wordsOf[EngineErrors](), "A request that could not be judged: closed (500) or open (it passes).").or("closed"),
		key("acceleration", func(w *WAFPolicy) *Acceleration { return &w.Acceleration }, wordsOf[Acceleration](), "The candidate index: on, off, or verify (on, and a sample is judged without it as well).").or("on"),
		key("verifySample", func(w *WAFPolicy) *float64 { return &w.VerifySample }, percentage(), "The share of requests that acceleration: verify judges twice.").or("1%"),
		key("customRules", func(w *WAFPolicy) *[]CustomRule { return &w.CustomRules }, upTo(1000, listOf(customRuleObject().value(), 0)), "Rules of your own, looked at before the managed ones."),
		key("blockResponse", func(w *WAFPolicy) *BlockResponse { return &w.BlockResponse }, blockResponseObject().value(), "The answer to a blocked request.").or("{}"),
		key("jsChallenge", func(w *WAFPolicy) *JSChallenge { return &w.JSChallenge }, jsChallengeObject().value(), "The page that browsers solve and programs do not.").or("{}"),
		key("logScrubbing", func(w *WAFPolicy) *LogScrubbing { return &w.LogScrubbing }, logScrubbingObject().value(), "What the firewall's log hides.").or("{}"),
	}}
}

func ruleSetObject() object[RuleSet] {
	fields := []field[RuleSet]{
		key("name", func(r *RuleSet) *RuleSetName { return &r.Name }, ruleSetName(), "Whose identifiers, groups and default states: crs, or Azure's OWASP or Microsoft_DefaultRuleSet.").or("crs"),
		key("version", func(r *RuleSet) *string { return &r.Version }, ruleSetVersion(), "4.25 of crs, 3.2 of OWASP, 2.1 or 2.2 of Microsoft_DefaultRuleSet; default: the newest."),
		key("profile", func(r *RuleSet) *RuleProfile { return &r.Profile }, wordsOf[RuleProfile](), "balanced: rules that misjudge ordinary traffic count less; crs: as their authors have them.").or("balanced"),
		key("paranoia", func(r *RuleSet) *int { return &r.Paranoia }, integer(1, 4), "The level whose rules count. Default 1; 2 for OWASP 3.2 and Microsoft_DefaultRuleSet 2.1."),
		key("detectionParanoia", func(r *RuleSet) *int { return &r.DetectionParanoia }, integer(1, 4), "The level whose rules are logged, at least paranoia; default: the same."),
		key("inboundThreshold", func(r *RuleSet) *int { return &r.InboundThreshold }, integer(1, 100_000), "The anomaly score at which a request is blocked.").or("5"),
		key("outboundThreshold", func(r *RuleSet) *int { return &r.OutboundThreshold }, integer(1, 100_000), "The anomaly score at which a response is blocked.").or("4"),
		key("earlyBlocking", func(r *RuleSet) *bool { return &r.EarlyBlocking }, boolean(), "Decide after the head already, without waiting for the body.").or("false"),
		key("overrides", func(r *RuleSet) *[]RuleOverride { return &r.Overrides }, listOf(overrideObject().value(), 0), "Managed rules that do something else than usual."),
		key("exclusions", func(r *RuleSet) *[]Exclusion { return &r.Exclusions }, listOf(exclusionObject().value(), 0), "Parts of requests that managed rules do not look at."),
		key("exceptions", func(r *RuleSet) *[]Exception { return &r.Exceptions }, listOf(exceptionObject().value(), 0), "Requests that managed rules do not look at."),
	}
	return object[RuleSet]{at: func(r *RuleSet, p Pos) { r.Pos = p }, fields: append(fields, protocolFields()...)}
}

// protocolFields are what the rules of protocol enforcement keep.
func protocolFields() []field[RuleSet] {
	const most = 2000 << 20
	return []field[RuleSet]{
		key("allowedMethods", func(r *RuleSet) *[]string { return &r.AllowedMethods }, listOf(methodName(), 1), "Methods that pass; default: the profile's."),
		key("allowedContentTypes", func(r *RuleSet) *[]string { return &r.AllowedContentTypes }, listOf(mediaType(), 1), "Content types of requests that pass; default: the profile's."),
		key("allowedHTTPVersions", func(r *RuleSet) *[]string { return &r.AllowedHTTPVersions }, listOf(httpVersion(), 1), "Versions that pass, such as HTTP/1.1; default: the profile's."),
		key("restrictedExtensions", func(r *RuleSet) *[]string { return &r.RestrictedExtensions }, listOf(fileExtension(), 1), "Extensions of file names that do not pass, such as .bak; default: the profile's."),
		key("restrictedHeaders", func(r *RuleSet) *[]string { return &r.RestrictedHeaders }, listOf(fieldName(), 1), "Request fields that do not pass; default: the profile's."),
		key("maxArgs", func(r *RuleSet) *int { return &r.MaxArgs }, integer(1, 10_000), "Arguments of query and body; more are refused (920380). None: 255 with profile crs, 10 000 with balanced, where large JSON is ordinary."),
		key("argNameLength", func(r *RuleSet) *int { return &r.ArgNameLength }, size(1, most), "Length of an argument's name; default: any."),
		key("argLength", func(r *RuleSet) *int { return &r.ArgLength }, size(1, most), "Length of an argument's value; default: any."),
		key("totalArgLength", func(r *RuleSet) *int { return &r.TotalArgLength }, size(1, most), "Length of all arguments together; default: any."),
		key("maxFileSize", func(r *RuleSet) *int { return &r.MaxFileSize }, size(1, most), "Size of an uploaded file; default: any."),
		key("combinedFileSizes", func(r *RuleSet) *int { return &r.CombinedFileSizes }, size(1, most), "Size of all files of a request; default: any."),
		key("validateUTF8", func(r *RuleSet) *bool { return &r.ValidateUTF8 }, boolean(), "Score arguments that are not valid UTF-8.").or("false"),
	}
}

func overrideObject() object[RuleOverride] {
	return object[RuleOverride]{at: func(o *RuleOverride, p Pos) { o.Pos = p }, fields: []field[RuleOverride]{
		key("rule", func(o *RuleOverride) *int { return &o.Rule }, ruleID(), "A rule's identifier; or group."),
		key("group", func(o *RuleOverride) *string { return &o.Group }, groupName(), "A group's name, such as sqli or REQUEST-942-APPLICATION-ATTACK-SQLI; or rule."),
		key("state", func(o *RuleOverride) *OverrideState { return &o.State }, wordsOf[OverrideState](), "enabled (also above the paranoia level) or disabled; default: unchanged."),
		key("action", func(o *RuleOverride) *OverrideAction { return &o.Action }, wordsOf[OverrideAction](), "anomaly (scores), log, block (at once) or off; default: unchanged."),
	}}
}

func exclusionObject() object[Exclusion] {
	operator := someOf(CompareEquals, CompareContains, CompareStartsWith, CompareEndsWith, CompareEqualsAny)
	fields := []field[Exclusion]{
		key("variable", func(e *Exclusion) *ExclusionVariable { return &e.Variable }, exclusionVariable(), "Values or keys (names) of arguments, fields or cookies; names means values, as in Azure.").required(),
		key("operator", func(e *Exclusion) *Comparison { return &e.Operator }, operator, "How the name is compared with selector; equalsAny: every name.").or("equals"),
		key("selector", func(e *Exclusion) *string { return &e.Selector }, selectorText(), "The name, or a part of it; none with equalsAny."),
	}
	return object[Exclusion]{
		at:     func(e *Exclusion, p Pos) { e.Pos = p },
		fields: append(fields, scopeFields(func(e *Exclusion) (*[]int, *[]string) { return &e.Rules, &e.Groups })...),
	}
}

func exceptionObject() object[Exception] {
	operator := someOf(CompareEquals, CompareContains, CompareStartsWith, CompareEndsWith, CompareIPMatch)
	fields := []field[Exception]{
		key("variable", func(e *Exception) *ExceptionVariable { return &e.Variable }, wordsOf[ExceptionVariable](), "What is looked at.").required(),
		key("operator", func(e *Exception) *Comparison { return &e.Operator }, operator, "How it is compared. Default equals; of remoteAddr always ipMatch."),
		key("values", func(e *Exception) *[]string { return &e.Values }, valueList(1), "What it is compared with; one is enough.").required(),
		key("selector", func(e *Exception) *string { return &e.Selector }, fieldName(), "The field's name, with requestHeader."),
	}
	return object[Exception]{
		at:     func(e *Exception, p Pos) { e.Pos = p },
		fields: append(fields, scopeFields(func(e *Exception) (*[]int, *[]string) { return &e.Rules, &e.Groups })...),
	}
}

// scopeFields are the rules that an exclusion or an exception is for.
func scopeFields[T any](at func(*T) (*[]int, *[]string)) []field[T] {
	rules := func(t *T) *[]int { r, _ := at(t); return r }
	groups := func(t *T) *[]string { _, g := at(t); return g }
	return []field[T]{
		key("rules", rules, listOf(ruleID(), 1), "The rules it is for; neither rules nor groups: all."),
		key("groups", groups, listOf(groupName(), 1), "The groups of rules it is for."),
	}
}

func botRulesObject() object[BotRules] {
	return object[BotRules]{fields: []field[BotRules]{
		key("enabled", func(b *BotRules) *bool { return &b.Enabled }, boolean(), "Whether clients are classed.").or("false"),
		key("badBots", func(b *BotRules) *BotAction { return &b.Bad }, wordsOf[BotAction](), "Falsified identities, scanners.").or("block"),
		key("goodBots", func(b *BotRules) *BotAction { return &b.Good }, wordsOf[BotAction](), "Verified crawlers.").or("allow"),
		key("unknownBots", func(b *BotRules) *BotAction { return &b.Unknown }, wordsOf[BotAction](), "The others that say they are programs.").or("log"),
	}}
}

func requestBodyObject() object[RequestBody] {
	return object[RequestBody]{fields: []field[RequestBody]{
		key("inspect", func(b *RequestBody) *bool { return &b.Inspect }, boolean(), "Whether rules see bodies; false: heads only.").or("true"),
		key("inspectLimit", func(b *RequestBody) *int { return &b.InspectLimit }, size(8<<10, 2<<20), "How much of a body rules see at least. In prevention with strict, forms, JSON, XML and texts are seen whole, up to maxSize and 2MiB; of others the rest passes unseen. Never more than maxSize.").or("128KiB"),
		key("maxSize", func(b *RequestBody) *int { return &b.MaxSize }, size(8<<10, 1<<30), "Size of a body without files; over: 413.").or("2MiB"),
		key("fileLimit", func(b *RequestBody) *int { return &b.FileLimit }, size(8<<10, 2000<<20), "Size of a multipart body with files; over: 413.").or("100MiB"),
		key("enforce", func(b *RequestBody) *bool { return &b.Enforce }, boolean(), "Whether maxSize and fileLimit refuse anything.").or("true"),
		key("strict", func(b *RequestBody) *bool { return &b.Strict }, boolean(), "Refuse bodies that two parsers could read differently.").or("true"),
	}}
}

func responseBodyObject() object[ResponseBody] {
	return object[ResponseBody]{fields: []field[ResponseBody]{
		key("inspect", func(b *ResponseBody) *bool { return &b.Inspect }, boolean(), "Whether rules see responses: the head, and the beginning of the body.").or("false"),
		key("limit", func(b *ResponseBody) *int { return &b.Limit }, size(8<<10, 2<<20), "How much of a body rules see.").or("512KiB"),
		key("contentTypes", func(b *ResponseBody) *[]string { return &b.ContentTypes }, listOf(mediaType(), 0), "Content types whose bodies they see.").or("[text/html, text/plain, text/xml, application/json]"),
	}}
}

func blockResponseObject() object[BlockResponse] {
	return object[BlockResponse]{fields: []field[BlockResponse]{
		key("status", func(b *BlockResponse) *int { return &b.Status }, integer(200, 599), "Its status.").or("403"),
		key("bodyFile", func(b *BlockResponse) *string { return &b.BodyFile }, needed(file()), "A file to answer with. Neither bodyFile nor body: the error page of the status."),
		key("body", func(b *BlockResponse) *string { return &b.Body }, blockBody(), "A text to answer with, instead of a file."),
		key("contentType", func(b *BlockResponse) *string { return &b.ContentType }, contentType(), "The content type of either.").or("text/html; charset=utf-8"),
	}}
}

func jsChallengeObject() object[JSChallenge] {
	return object[JSChallenge]{fields: []field[JSChallenge]{
		key("cookieLifetime", func(j *JSChallenge) *time.Duration { return &j.CookieLifetime }, duration(5*time.Minute, day), "How long a solution is good for.").or("30m"),
		key("difficulty", func(j *JSChallenge) *int { return &j.Difficulty }, integer(8, 24), "Zero bits to be found; one more takes twice as long.").or("15"),
		key("secretFile", func(j *JSChallenge) *string { return &j.SecretFile }, file(), "The secret that solutions are signed with, the same for all instances; none: one is made at each start, and handed on by an upgrade."),
	}}
}

func logScrubbingObject() object[LogScrubbing] {
	return object[LogScrubbing]{fields: []field[LogScrubbing]{
		key("enabled", func(l *LogScrubbing) *bool { return &l.Enabled }, boolean(), "Whether the rules apply.").or("true"),
		key("rules", func(l *LogScrubbing) *[]ScrubRule { return &l.Rules }, listOf(scrubRuleObject().value(), 0), "What is hidden."),
	}}
}

func scrubRuleObject() object[ScrubRule] {
	operator := someOf(CompareEquals, CompareEqualsAny)
	return object[ScrubRule]{at: func(s *ScrubRule, p Pos) { s.Pos = p }, fields: []field[ScrubRule]{
		key("variable", func(s *ScrubRule) *ScrubVariable { return &s.Variable }, wordsOf[ScrubVariable](), "Whose values are hidden.").required(),
		key("operator", func(s *ScrubRule) *Comparison { return &s.Operator }, operator, "equals, or equalsAny for every name. Default equals; of requestIPAddress always equalsAny."),
		key("selector", func(s *ScrubRule) *string { return &s.Selector }, selectorText(), "The name; none with equalsAny."),
	}}
}
