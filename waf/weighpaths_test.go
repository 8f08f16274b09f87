package waf

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/waf/body"
	"gatehouse/waf/variables"
)

// sent is a request with a body, read as transactions of balanced read it.
func sent(method, path, contentType, data string) *variables.Request {
	head := []variables.Pair{{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"},
		{Name: "Content-Type", Value: contentType}, {Name: "Content-Length", Value: fmt.Sprint(len(data))}}
	r := request(method, path, "HTTP/1.1", head, data)
	lim := body.Limits{Args: 1000, Force: true}
	if kind, _, _ := body.KindOf(contentType); kind == variables.None {
		r.Body, _ = readLoosely(contentType, data, lim)
	} else {
		r.Body, _, _ = body.Parse(kind, contentType, data, lim)
	}
	return r
}

// TestAPathOrATypeAloneClearsNothing sends attacks to applications that look
// like those that take code, and in types that frameworks read as forms.
func TestAPathOrATypeAloneClearsNothing(t *testing.T) {
	oneGoroutine(t)
	j, plain := balancedJudge(t), judgeOf(t, func(*config.RuleSet) {})
	const form, doc = "application/x-www-form-urlencoded", "application/json"
	field := func(name, value string) string { return url.Values{name: {value}}.Encode() }
	parts := func(value string) string {
		return "--b1b2\r\nContent-Disposition: form-data; name=\"host\"\r\n\r\n" + value + "\r\n--b1b2--\r\n"
	}
	php := func(line string) string {
		return `{"files":[{"name":"a.php","content":"<?php\n` + line + `\n?>"}]}`
	}
	for _, tc := range []struct{ method, path, contentType, benign, attack string }{
		{"POST", "/shop/admin/orders", form, "", field("tracking", "1' UNION SELECT user,pass FROM admins-- -")},
		{"POST", "/admin/settings", form, field("head_snippet", "<script async src=\"https://tags.example/t.js\"></script>"), field("header", "x; cat /etc/passwd")},
		{"POST", "/api/1/store/", doc, `{"message":"x' UNION SELECT user,pass FROM admins-- -"}`, `{"name":"x' UNION SELECT user,pass FROM admins-- -"}`},
		{"POST", "/hook", doc, "", `{"commits":[{"added":["x; cat /etc/passwd"]}]}`},
		{"POST", "/hook", doc, `{"commits":[{"added":["deploy/etc/passwd"]}]}`, `{"commits":[{"added":["../../../../etc/passwd"]}]}`},
		{"POST", "/csp", doc, `{"csp-report":{"script-sample":"document.cookie=alert(1)"}}`, `{"csp-report":{"document-uri":"x' UNION SELECT user,pass FROM admins-- -"}}`},
		{"POST", "/csp", doc, "", `{"csp-report":{"blocked-uri":"\"><script src=//evil.test/x.js></script>"}}`},
		{"POST", "/api/v4/projects/7/repository/commits", doc, `{"actions":[{"content":"cat /etc/passwd"}]}`, `{"actions":[{"file_path":"../../../../etc/passwd"}]}`},
		{"POST", "/wp-admin/admin-ajax.php", form, field("actions", `{"a":"<script>alert(1)</script>"}`), field("actions", "1' UNION SELECT user,pass FROM wp_users-- -")},
		{"POST", "/soap", "text/xml", "", "<a><u>x\n\n\n\n" + strings.Repeat(" ", 46) + "' ; drop table users; --</u></a>"},
		{"POST", "/", "multipart/mixed; boundary=b1b2", "", parts("127.0.0.1; cat /etc/passwd")},
		{"POST", "/", "multipart/related; boundary=b1b2", "", parts("<script>alert(1)</script>")},
		{"POST", "/", "multipart/mixed; boundary=b1b2", parts("hello"), parts("admin'; drop table users; --")},
		{"POST", "/ping.cgi", "text/plain", "", "\x01\xff=1&host=127.0.0.1; cat /etc/passwd&submit=ok"},
		{"POST", "/documents", "text/plain", "", "\x01\xff<script>alert(document.cookie)</script>"},
		{"POST", "/documents", "application/x-note", "", "\x01\xff<script>alert(document.cookie)</script>"},
		{"PUT", "/cgi-bin/x.sh", "application/octet-stream", "", "abc"},
		{"PUT", "/.user.ini", "text/plain", "", "a=b"},
		{"GET", "/ping?" + field("host", "/?&ls&"), form, "", ""},
		{"GET", "/ping?" + field("host", "/?&/bin/ls&"), form, "", ""},
		{"POST", "/x", doc, php(`echo 'hello';`), php(`('sys'.'tem')('id');`)},
		{"POST", "/x", doc, php(`$a = htmlspecialchars($_GET['q']);`), php(`array_map($_GET['f'],[$_GET['c']]);`)},
		{"POST", "/x", doc, php(`require __DIR__ . '/vendor/autoload.php';`), php(`include_once($_GET['f']);`)},
	} {
		if jm := verdict(t, plain, sent(tc.method, tc.path, tc.contentType, tc.attack)); !jm.Blocked {
			t.Errorf("%s %s %q is not blocked by the plain rules: it shows nothing", tc.method, tc.path, tc.attack)
		}
		if jm := verdict(t, j, sent(tc.method, tc.path, tc.contentType, tc.attack)); !jm.Blocked {
			t.Errorf("%s %s %q passes:%s", tc.method, tc.path, tc.attack, doubts(&jm))
		}
		if tc.benign == "" {
			continue
		}
		if jm := verdict(t, j, sent(tc.method, tc.path, tc.contentType, tc.benign)); jm.Blocked {
			t.Errorf("%s %s %q is blocked:%s", tc.method, tc.path, tc.benign, doubts(&jm))
		}
	}
}
