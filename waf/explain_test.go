package waf

import (
	"net/netip"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/waf/bot"
)

const (
	google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	script = "a=%3Cscript%3Ealert(1)%3C/script%3E"
)

// form is the head of a form of so many bytes.
const form = "POST /orders HTTP/1.1" + browserHead + "\nContent-Type: application/x-www-form-urlencoded\nContent-Length: "

func explained(t *testing.T, p *Policy, head, body string, o ExplainOptions) *Explanation {
	t.Helper()
	x, err := p.Explain(message(head), []byte(body), client, o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestExplainAppliesLimitsOfTheBody(t *testing.T) {
	const upload = "POST /orders HTTP/1.1" + browserHead + "\nContent-Type: multipart/form-data; boundary=x\nContent-Length: "
	limits := func(c *config.WAFPolicy) {
		c.RequestBody.InspectLimit, c.RequestBody.MaxSize, c.RequestBody.FileLimit, c.RequestBody.Strict = 8<<10, 16<<10, 32<<10, false
	}
	strict := func(c *config.WAFPolicy) { limits(c); c.RequestBody.Strict = true }
	off := func(c *config.WAFPolicy) { limits(c); c.RequestBody.Enforce = false }
	heads := func(c *config.WAFPolicy) { limits(c); c.RequestBody.Inspect = false }
	detection := func(c *config.WAFPolicy) { limits(c); c.Mode = config.WAFDetection }
	inChunks := post("application/x-www-form-urlencoded", "")
	long := strings.Repeat("b", 8<<10) + "&"
	for _, w := range []struct {
		name            string
		change          func(*config.WAFPolicy)
		head, body      string
		verdict, reason string
		seen            int
		finds           bool
	}{
		{"as large as may be", limits, form + "16384", "a=1", "pass", "no rule matches", 0, false},
		{"announced too large", limits, form + "16385", "a=1", "block", "refused: body of 16385 bytes is larger than 16384", 0, false},
		{"too large with an attack", limits, form + "16385", script, "block", "refused: body of 16385 bytes is larger than 16384", 0, true},
		{"too large in detection", detection, form + "16385", "a=1", "block", "refused: body of 16385 bytes is larger than 16384", 0, false},
		{"too large in chunks", limits, inChunks, strings.Repeat("b", 16385), "block", "refused: body of 16385 bytes is larger than 16384", 8 << 10, false},
		{"not enforced", off, form + "16385", "a=1", "pass", "no rule matches", 0, false},
		{"not inspected", heads, form + "16385", "a=1", "block", "refused: body of 16385 bytes is larger than 16384", 0, false},
		{"a file", limits, upload + "20000", "", "pass", "no rule matches", 0, false},
		{"a file too large", limits, upload + "32769", "", "block", "refused: body of 32769 bytes is larger than 32768", 0, false},
		{"an attack behind what is inspected", limits, inChunks, long + script, "pass", "no rule matches", 8 << 10, false},
		{"an attack there that is inspected", strict, inChunks, long + script, "block", "anomaly score 20 is at least 5", 0, true},
		{"coded, and more than is inspected", limits, inChunks + "\nContent-Encoding: gzip", strings.Repeat("b", 9<<10), "block",
			"refused: body with content coding gzip is larger than what is inspected", 8 << 10, true},
	} {
		t.Run(w.name, func(t *testing.T) {
			p, _ := newPolicy(t, w.change)
			x := explained(t, p, w.head, w.body, ExplainOptions{})
			if x.Verdict != w.verdict || x.Reason != w.reason || x.Inspected != w.seen {
				t.Errorf("%s: %s, %d bytes inspected; want %s: %s, %d", x.Verdict, x.Reason, x.Inspected, w.verdict, w.reason, w.seen)
			}
			if w.finds != (len(x.Matches) > 0) {
				t.Errorf("rules %+v", x.Matches)
			}
		})
	}
}

// What custom rules say of the head comes before the limits, what they say of
// the body behind them.
func TestExplainGoesInTheOrderOfThePolicy(t *testing.T) {
	rule := func(name string, on config.MatchVariable, action config.CustomAction, value string) config.CustomRule {
		return config.CustomRule{Name: name, Priority: len(name), Enabled: true, Action: action,
			Match: []config.MatchCondition{{Variable: on, Operator: config.OperatorContains, Values: []string{value}}}}
	}
	p, _ := newPolicy(t, func(c *config.WAFPolicy) {
		c.RequestBody.InspectLimit, c.RequestBody.MaxSize = 8<<10, 16<<10
		c.CustomRules = []config.CustomRule{rule("l", config.MatchURI, config.CustomLog, "/"), rule("ha", config.MatchURI, config.CustomAllow, "/free"),
			rule("bod", config.MatchBody, config.CustomAllow, "letmein")}
	})
	for _, w := range []struct{ name, head, body, verdict, reason string }{
		{"allowed by the head", strings.Replace(form, "/orders", "/free", 1) + "16385", "", "pass", "custom rule ha"},
		{"allowed by the body", form + "9", "a=letmein", "pass", "custom rule bod"},
		{"too large before", form + "16385", "a=letmein", "block", "refused: body of 16385 bytes is larger than 16384"},
		{"refused before", "POST /orders HTTP/1.1" + browserHead + "\nContent-Type: application/json\nTransfer-Encoding: chunked", `{"a":"letmein","a":1}`, "block", "refused: JSON: a key twice in one object"},
	} {
		t.Run(w.name, func(t *testing.T) {
			x := explained(t, p, w.head, w.body, ExplainOptions{})
			if x.Verdict != w.verdict || x.Reason != w.reason {
				t.Errorf("%s: %s", x.Verdict, x.Reason)
			}
			if len(x.Custom) != 2 || x.Custom[0].Rule != "l" {
				t.Errorf("custom rules %+v", x.Custom)
			}
		})
	}
}

func TestExplainAppliesBotRules(t *testing.T) {
	bots := bot.New(bot.Options{Resolver: names{}, Offline: true})
	defer bots.Close()
	strict := config.BotRules{Enabled: true, Bad: config.BotBlock, Good: config.BotAllow, Unknown: config.BotJSChallenge}
	lax := config.BotRules{Enabled: true, Bad: config.BotLog, Good: config.BotAllow, Unknown: config.BotLog}
	elsewhere := netip.MustParseAddrPort("192.0.2.66:1")
	for _, w := range []struct {
		name            string
		rules           config.BotRules
		agent           string
		from            netip.AddrPort
		verify          bool
		id, class       string
		action, verdict string
		unverified      bool
	}{
		{"a browser", strict, "Mozilla/5.0", client.Addr, false, "", "", "", "pass", false},
		{"a scanner", strict, "Nikto/2.1.6", client.Addr, false, "Bot100300", "badBots", "block", "block", false},
		{"a scanner that is only logged", lax, "Nikto/2.1.6", client.Addr, false, "Bot100300", "badBots", "log", "block", false}, // by a managed rule
		{"a tool", strict, "curl/8.5.0", client.Addr, false, "Bot300300", "unknownBots", "jsChallenge", "challenge", false},
		{"no rules", config.BotRules{}, "curl/8.5.0", client.Addr, false, "", "", "", "pass", false},
		{"a crawler", strict, google, client.Addr, false, "Bot300700", "unknownBots", "jsChallenge", "unverified", true},
		{"a crawler that passes whatever it is", lax, google, client.Addr, false, "Bot300700", "unknownBots", "log", "pass", true},
		{"a crawler by its network", strict, "Twitterbot/1.0", netip.MustParseAddrPort("199.16.157.1:1"), false, "Bot200400", "goodBots", "allow", "pass", false},
		{"a true crawler", strict, google, client.Addr, true, "Bot200100", "goodBots", "allow", "pass", false},
		{"a false crawler", strict, google, elsewhere, true, "Bot100200", "badBots", "block", "block", false},
	} {
		t.Run(w.name, func(t *testing.T) {
			classifier := bots
			if w.verify { // what it learns is not for the others
				classifier = bot.New(bot.Options{Resolver: names{}, Offline: true})
				defer classifier.Close()
			}
			p, err := Compile(conf(func(c *config.WAFPolicy) { c.BotRules = w.rules }), Options{Bots: classifier, Secret: make([]byte, 32), Others: sharedEngines()})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			x, err := p.Explain(message("GET / HTTP/1.1\nHost: shop.example\nAccept: */*\nUser-Agent: "+w.agent), nil,
				Client{Addr: w.from, Peer: w.from, Proto: "HTTP/1.1"}, ExplainOptions{VerifyBots: w.verify})
			if err != nil {
				t.Fatal(err)
			}
			got := BotFinding{}
			if x.Bot != nil {
				got = *x.Bot
			}
			if got.RuleID != w.id || got.Class != w.class || got.Action != w.action || got.Unverified != w.unverified || x.Verdict != w.verdict {
				t.Errorf("%+v, verdict %s: %s", got, x.Verdict, x.Reason)
			}
			if strings.Contains(got.Reason, "not verified here") != w.unverified {
				t.Errorf("the reason is %q", got.Reason)
			}
		})
	}
}
