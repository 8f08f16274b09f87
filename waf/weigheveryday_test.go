package waf

import "testing"

// everyday are values of fields that people and programs send all day.
var everyday = []struct{ field, value string }{
	{"name", "Seán O'Brien"}, {"name", "D'Angelo & Sons"}, {"lastName", "O'Neil-d'Arcy"}, {"company", "Procter & Gamble; Johnson's"}, {"name", "Robert \"Bob\" O'Reilly"},
	{"city", "L'Aquila"}, {"city", "'s-Hertogenbosch"}, {"address", "12 Rue de l'Église, Apt #4"}, {"address", "Unit 5/7, O'Connell St. -- rear entrance"},
	{"q", "women's shoes"}, {"q", "rock 'n' roll"}, {"q", "select committee report"}, {"q", "drop shipping tables"}, {"q", "union jack mug"}, {"q", "5\" x 7\" frame"},
	{"q", "where to order by phone and pick up"}, {"q", "c++ && c#"}, {"q", "how to delete from list python"}, {"q", "between 10 and 20 euro"}, {"q", "AC/DC - Back in Black (1980)"},
	{"next", "/orders?id=42&tab=open#top"}, {"url", "https://shop.example/p/1?ref=mail&utm_source=x"}, {"redirect_uri", "https://app.example/callback?state=abc"},
	{"returnUrl", "/account/../orders"}, {"url", "https://user.example/?q=a'b"}, {"image", "https://cdn.example/a/b/c.png?w=100&h=200"}, {"redirect_uri", "http://127.0.0.1:8085/cb"},
	{"token", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"},
	{"data", "SGVsbG8sIFdvcmxkISBUaGlzIGlzIGEgdGVzdC4gPGI+Ym9sZDwvYj4="}, {"avatar", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="},
	{"query", "query Q($id: ID!, $filter: F) { user(id: $id) { name orders(filter: $filter, first: 10) { id total } } }"},
	{"query", "mutation { addComment(input: {body: \"It's great\", postId: 4}) { id } }"}, {"query", "{ products(where: {price: {lt: 10}}) { id } }"},
	{"comment", "I think we should use `SELECT id FROM users WHERE name = ?` here instead of concatenating; it's safer."},
	{"comment", "nit: rename `foo()` to `bar()`; also please don't use `eval(x)` -- see docs."}, {"body", "```sql\nDROP TABLE users;\n```\nWe should never run this in production, right?"},
	{"body", "The `<script>` tag in line 4 must be escaped, else `alert(1)` runs. Can you add a test for that?"}, {"body", "LGTM! But why `rm -rf /tmp/cache && make`? Isn't `make clean` enough?"},
	{"body", "This breaks when $HOME is unset; use ${HOME:-/root} instead, please."}, {"comment", "Please change `../../config/app.yml` to an absolute path, the relative one fails in CI."},
	{"message", "Hi; can you send me the file /etc/nginx/nginx.conf? It's broken since the update."}, {"message", "My order #1234 didn't arrive -- it's been 3 weeks; please help!"},
	{"message", "Use the command line: ping 8.8.8.8 and tell me what you see. Thanks & regards"}, {"message", "I'd like to update my address and delete my old card; where do I do that?"},
	{"message", "He said \"I'll be there or I won't\" and then left... what do you think?"}, {"text", "5 > 3 && 2 < 4, isn't it? a <b> c"},
	{"content", "<p>Hello <strong>world</strong>, it's <a href=\"https://x.example/?a=1&amp;b=2\">a link</a>.</p><ul><li>One</li></ul>"},
	{"content", "<div style=\"text-align:center\"><img src=\"https://cdn.example/a.png\" alt=\"It's\" width=\"10\"></div><p>Text</p>"},
	{"description", "<p>Size: 5&quot; x 7&quot;</p><table border=\"1\"><tr><td>A</td></tr></table>"}, {"html", "<h1>Sale!</h1><p style=\"color:red\">50% off</p><iframe src=\"https://www.youtube.example/embed/abc\"></iframe>"},
	{"description", "Handmade mug (300 ml) - dishwasher safe; 100% ceramic. \"Best gift\" -- Anna's blog"}, {"bio", "Dev @ ACME | coffee || tea; SELECT * FROM life"},
	{"password", "p@ss'w0rd\"; --x"}, {"password", "Tr0ub4dor&3|<>$(x)"}, {"filter", "status eq 'open' and price gt 10"}, {"filter", "name=O'Brien"}, {"sort", "-created_at,name"}, {"ids", "[1,2,3]"},
	{"where", "{\"price\":{\"$gte\":10,\"$lte\":20}}"}, {"expr", "(a+b)*2 >= 10 && c != 0"}, {"cron", "*/5 * * * *"}, {"regex", "^[a-z]+(\\.[a-z]+)*$"}, {"version", ">=1.2.0 <2.0.0 || ^3.0.0"},
	{"template", "Hello {{ user.name }}, your order {{order.id}} ships on {{ date }}"}, {"template", "Dear ${firstName}, thanks for ordering ${count} items"}, {"path", "/api/v1/users/{id}/orders"},
	{"selector", "div.item > a[href^='https']:not(.x)"}, {"formula", "=SUM(A1:B2)*2"}, {"formula", "=IF(A1>0,\"yes\",\"no\")"}, {"phone", "+49 (0)30 / 123456-7"}, {"emoji", "😀 <3 :-) ;)"},
	{"user_agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}, {"error", "TypeError: Cannot read properties of undefined (reading 'map') at App.render (app.js:10:5)"},
	{"stack", "Error: x\n    at eval (webpack:///./src/a.js?:10:5)\n    at Object.exec (b.js:1:1)\n    at process.processTicksAndRejections (node:internal:95:5)"},
	{"sql", "SELECT id, name FROM orders WHERE total > 10 ORDER BY id LIMIT 5"}, {"script", "#!/bin/bash\nset -e\nnpm ci && npm test\ncp dist/app.js /srv/app/"}, {"notes", "1; 2; 3 -- done"},
}

// TestEverydayValuesPass puts each value into every place that a field can be
// in.
func TestEverydayValuesPass(t *testing.T) {
	oneGoroutine(t)
	j := balancedJudge(t)
	blocked, all := 0, 0
	for _, v := range everyday {
		for _, place := range places {
			all++
			if jm := verdict(t, j, place.make(v.field, v.value)); jm.Blocked {
				blocked++
				t.Logf("%s=%q in %s is blocked: score %d,%s", v.field, v.value, place.name, jm.Score, doubts(&jm))
			}
		}
	}
	if blocked*100 > all*3 {
		t.Errorf("%d of %d values of every day are blocked", blocked, all)
	}
}
